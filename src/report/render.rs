//! Records as JSON: which field stands where, and how long it may become. The lengths of one
//! record's fields add up to less than [`super::LINE_MAX`]; a property test holds that.

use super::emf::Namespace;
use super::object::Object;
use super::record::{
    Barrier, Counts, Ended, Held, LateOutput, LateSecret, Posture, Record, Redacted, Refusal, Suppressed,
    Violation,
};
use super::text::{LOOKUP_MAX, NAME_MAX, PATH_MAX};
use super::{Redact, time};
use std::time::SystemTime;

/// A word, such as a system call or an errno.
const WORD_MAX: usize = 64;
/// The lists of a posture, each.
const LIST_ROOM: usize = 700;
/// The controls of a posture.
const CONTROLS_MAX: usize = 24;

pub(super) fn json(
    record: &Record,
    seq: u64,
    now: SystemTime,
    emf: Option<&Namespace>,
    redact: Redact<'_>,
) -> String {
    let mut line = Object::new(redact);
    line.own("timestamp", &time::rfc3339(now), WORD_MAX);
    line.own("level", record.level().as_str(), WORD_MAX);
    line.own("fnguard", record.kind(), WORD_MAX);
    match record {
        Record::Violation(violation) => of_violation(&mut line, violation),
        Record::Suppressed(suppressed) => of_suppressed(&mut line, suppressed),
        Record::Posture(posture) => of_posture(&mut line, posture),
        Record::Refusal(refusal) => of_refusal(&mut line, refusal),
        Record::Ended(ended) => of_ended(&mut line, ended),
        Record::Redacted(redacted) => of_redacted(&mut line, redacted),
        Record::LateSecret(late) => of_late_secret(&mut line, late),
        Record::Barrier(barrier) => of_barrier(&mut line, barrier),
        Record::LateOutput(late) => of_late_output(&mut line, late),
    }
    line.number("seq", Some(seq));
    if let (Some(namespace), Some(violations)) = (emf, violations(record)) {
        line.finished(&namespace.members(violations, time::unix_millis(now)));
    }
    line.finish()
}

/// How many violations a record tells of, if that is what it tells.
fn violations(record: &Record) -> Option<u64> {
    match record {
        Record::Violation(_) => Some(1),
        Record::Suppressed(suppressed) => Some(suppressed.count),
        _ => None,
    }
}

fn of_violation(line: &mut Object<'_>, violation: &Violation) {
    line.own("control", violation.control.as_str(), WORD_MAX);
    line.own("action", violation.action.as_str(), WORD_MAX);
    line.own("syscall", &violation.syscall, WORD_MAX);
    line.foreign("address", violation.address.as_deref(), NAME_MAX);
    line.foreign("name", violation.name.as_deref(), LOOKUP_MAX);
    line.foreign("path", violation.path.as_deref(), PATH_MAX);
    line.foreign("program", violation.program.as_deref(), PATH_MAX);
    line.foreign("detail", violation.detail.as_deref(), PATH_MAX);
    line.request_ids(&violation.request_ids);
    line.own("rule", &violation.rule, NAME_MAX);
    line.foreign("hint", violation.hint.as_deref(), PATH_MAX);
    if let Some(errno) = &violation.errno {
        line.own("errno", errno, WORD_MAX);
    }
    if let Some(phase) = violation.phase.as_str() {
        line.own("phase", phase, WORD_MAX);
    }
    line.number("pid", violation.pid);
}

fn of_suppressed(line: &mut Object<'_>, suppressed: &Suppressed) {
    line.own("control", suppressed.control.as_str(), WORD_MAX);
    line.own("action", suppressed.action.as_str(), WORD_MAX);
    if let Some(syscall) = &suppressed.syscall {
        line.own("syscall", syscall, WORD_MAX);
    }
    line.request_ids(&suppressed.request_ids);
    if let Some(rule) = &suppressed.rule {
        line.own("rule", rule, NAME_MAX);
    }
    line.number("count", Some(suppressed.count));
    line.number("targets", Some(suppressed.targets));
    line.number("unlisted", Some(suppressed.unlisted));
    line.foreign("last", suppressed.last.as_deref(), NAME_MAX);
}

fn of_posture(line: &mut Object<'_>, posture: &Posture) {
    line.own("mechanism", posture.mechanism.as_str(), WORD_MAX);
    if let Some(armed_by) = &posture.armed_by {
        line.own("armed_by", armed_by, WORD_MAX);
    }
    line.own("version", &posture.version, WORD_MAX);
    line.own("policy_hash", &posture.policy_hash, WORD_MAX);
    line.own("policy_origin", &posture.policy_origin, NAME_MAX);
    line.own("mode", &posture.mode, WORD_MAX);
    let controls = posture.controls.iter().map(|(name, held)| (name.as_str(), held.as_str()));
    line.words("controls", controls, 32, CONTROLS_MAX);
    let not_held = posture.controls.iter().filter_map(|(name, held)| match held {
        Held::NotHeld { reason } => Some((name.as_str(), reason.as_str())),
        _ => None,
    });
    line.reasons("not_held", not_held, NAME_MAX, LIST_ROOM);
    line.list("secrets", &posture.secrets, NAME_MAX, LIST_ROOM);
    let weak = posture.weak.iter().map(|(name, reason)| (name.as_str(), reason.as_str()));
    line.reasons("weak", weak, NAME_MAX, LIST_ROOM);
    line.list("looks_like_secret", &posture.looks_like_secret, NAME_MAX, LIST_ROOM);
    line.list("interposed", &posture.interposed, NAME_MAX, LIST_ROOM);
    line.list("warnings", &posture.warnings, NAME_MAX, LIST_ROOM);
    line.number("landlock_abi", posture.landlock_abi);
    line.foreign("kernel", posture.kernel.as_deref(), WORD_MAX);
    line.number("pid", posture.pid);
    line.number("arbiter_pid", posture.arbiter_pid);
    line.number("arming_us", posture.arming_us);
}

fn of_refusal(line: &mut Object<'_>, refusal: &Refusal) {
    line.own("code", &refusal.code, WORD_MAX);
    line.foreign("message", Some(&refusal.message), PATH_MAX);
    line.foreign("found", refusal.found.as_deref(), PATH_MAX);
    line.foreign("expected", refusal.expected.as_deref(), PATH_MAX);
    line.foreign("remedy", refusal.remedy.as_deref(), PATH_MAX);
}

fn of_ended(line: &mut Object<'_>, ended: &Ended) {
    line.number("exit", ended.exit);
    if let Some(signal) = &ended.signal {
        line.own("signal", signal, WORD_MAX);
    }
    let Counts { blocked, audited, suppressed, redacted } = ended.counts;
    line.number("blocked", Some(blocked));
    line.number("audited", Some(audited));
    line.number("suppressed", Some(suppressed));
    line.number("redacted", Some(redacted));
    line.number("pid", ended.pid);
}

fn of_redacted(line: &mut Object<'_>, redacted: &Redacted) {
    line.foreign("name", Some(&redacted.name), NAME_MAX);
    line.number("count", Some(redacted.count));
    line.own("stream", redacted.stream.as_str(), WORD_MAX);
    line.request_ids(&redacted.request_ids);
}

fn of_late_secret(line: &mut Object<'_>, late: &LateSecret) {
    line.foreign("name", Some(&late.name), NAME_MAX);
    line.boolean("accepted", late.accepted);
    line.foreign("reason", late.reason.as_deref(), PATH_MAX);
}

fn of_barrier(line: &mut Object<'_>, barrier: &Barrier) {
    line.number("waited_ms", Some(barrier.waited_ms));
    line.number("bytes_left", Some(barrier.bytes_left));
    line.request_ids(&barrier.request_ids);
}

fn of_late_output(line: &mut Object<'_>, late: &LateOutput) {
    line.own("stream", late.stream.as_str(), WORD_MAX);
    line.number("bytes", Some(late.bytes));
    line.after(&late.after);
}
