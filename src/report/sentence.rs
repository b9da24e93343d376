//! Records as sentences, for a person who runs a function at a terminal. The same facts as the
//! JSON form, but for those that only a machine reads.

use super::Redact;
use super::object::Plain;
use super::record::{
    Action, Barrier, Control, Ended, Held, LateOutput, LateSecret, Posture, Record, Redacted, Refusal,
    Suppressed, Violation,
};

pub(super) fn sentence(record: &Record, redact: Redact<'_>) -> String {
    let mut out = Plain::new(redact);
    match record {
        Record::Violation(violation) => of_violation(&mut out, violation),
        Record::Suppressed(suppressed) => of_suppressed(&mut out, suppressed),
        Record::Posture(posture) => of_posture(&mut out, posture),
        Record::Refusal(refusal) => of_refusal(&mut out, refusal),
        Record::Ended(ended) => of_ended(&mut out, ended),
        Record::Redacted(redacted) => of_redacted(&mut out, redacted),
        Record::LateSecret(late) => of_late_secret(&mut out, late),
        Record::Barrier(barrier) => of_barrier(&mut out, barrier),
        Record::LateOutput(late) => of_late_output(&mut out, late),
    }
    out.finish()
}

/// `blocked connect to 203.0.113.9:443 (evil.example): no rule in [network] allow names it.`
fn of_violation(out: &mut Plain<'_>, violation: &Violation) {
    out.own(violation.action.as_str()).own(" ").own(&violation.syscall);
    // The first that is there is what the call aimed at; the rest follows in brackets.
    let to = if violation.control == Control::Network { " to " } else { " of " };
    let Violation { address, name, path, program, detail, .. } = violation;
    let mut aims = [address, name, program, path, detail].into_iter().filter_map(Option::as_deref);
    if let Some(aim) = aims.next() {
        out.own(to).foreign(aim);
        for (index, more) in aims.enumerate() {
            out.own(if index == 0 { " (" } else { ", " }).foreign(more);
        }
        if [address, name, program, path, detail].into_iter().flatten().count() > 1 {
            out.own(")");
        }
    }
    if let Some(pid) = violation.pid {
        out.own(" by process ").own(&pid.to_string());
    }
    match violation.action {
        Action::Blocked => out.own(": "),
        Action::Audited => out.own(", let through: "),
    };
    match (violation.control, violation.rule.split_once('.')) {
        (Control::Guard, _) => out.own("the guard protects itself, whatever the policy says"),
        (control, Some((section, key))) => match (violation.action, control) {
            (Action::Audited, _) => out.own("[").own(section).own("] ").own(key).own(" has it reported"),
            (_, Control::Network | Control::Exec | Control::Files) => {
                out.own("no rule in [").own(section).own("] ").own(key).own(" names it")
            }
            _ => out.own("[").own(section).own("] ").own(key).own(" does not allow it"),
        },
        (_, None) => out.own("by the rule ").own(&violation.rule),
    };
    if let Some(errno) = &violation.errno {
        out.own("; the caller saw ").own(errno);
    }
    out.own(".");
    if let Some(hint) = &violation.hint {
        out.own(" To allow it: ").foreign(hint);
    }
}

fn of_suppressed(out: &mut Plain<'_>, suppressed: &Suppressed) {
    out.own(suppressed.action.as_str()).own(" ").own(&suppressed.count.to_string()).own(" more ");
    match (&suppressed.syscall, &suppressed.rule) {
        (Some(syscall), Some(rule)) => out.own(syscall).own(" (").own(rule).own(")"),
        _ => out.own("calls of other kinds (").own(suppressed.control.as_str()).own(")"),
    };
    if suppressed.unlisted > 0 {
        out.own(", ").own(&suppressed.unlisted.to_string()).own(" of them at targets not named here");
        if let Some(last) = &suppressed.last {
            out.own(", the last ").foreign(last);
        }
    }
    out.own(".");
}

fn of_posture(out: &mut Plain<'_>, posture: &Posture) {
    out.own("armed (").own(posture.mechanism.as_str()).own(", ").own(&posture.mode).own(")");
    let named = |wanted: &str| -> Vec<String> {
        let those = posture.controls.iter().filter(|(_, held)| held.as_str() == wanted);
        those.map(|(name, _)| name.clone()).collect()
    };
    for (title, state) in [("holds", "held"), ("reports only", "audit"), ("left open", "open")] {
        let names = named(state);
        if !names.is_empty() {
            out.own("; ").own(title).own(": ").list(&names, 512);
        }
    }
    let reasons = posture.controls.iter().filter_map(|(name, held)| match held {
        Held::NotHeld { reason } => Some(format!("{name} ({reason})")),
        _ => None,
    });
    let weak = posture.weak.iter().map(|(name, reason)| format!("{name} ({reason})"));
    for (title, items) in [
        ("NOT held", reasons.collect::<Vec<_>>()),
        ("secrets", posture.secrets.clone()),
        ("too weak to redact safely", weak.collect()),
        ("looks like a secret, not captured", posture.looks_like_secret.clone()),
        ("defined twice", posture.interposed.clone()),
        ("note", posture.warnings.clone()),
    ] {
        if !items.is_empty() {
            out.own("; ").own(title).own(": ").list(&items, 768);
        }
    }
    out.own(".");
}

fn of_refusal(out: &mut Plain<'_>, refusal: &Refusal) {
    out.own("not started: ").foreign(&refusal.message);
    if let Some(found) = &refusal.found {
        out.own("; found ").foreign(found);
    }
    if let Some(expected) = &refusal.expected {
        out.own("; expected ").foreign(expected);
    }
    if let Some(remedy) = &refusal.remedy {
        out.own("; ").foreign(remedy);
    }
    out.own(" [").own(&refusal.code).own("]");
}

fn of_ended(out: &mut Plain<'_>, ended: &Ended) {
    out.own("the function ended");
    if let Some(exit) = ended.exit {
        out.own(" with exit status ").own(&exit.to_string());
    }
    if let Some(signal) = &ended.signal {
        out.own(" by ").own(signal);
    }
    let counts = ended.counts;
    out.own(&format!(
        "; {} blocked, {} let through and reported, {} redacted.",
        counts.blocked, counts.audited, counts.redacted
    ));
}

fn of_redacted(out: &mut Plain<'_>, redacted: &Redacted) {
    out.own("redacted ").foreign(&redacted.name).own(" in ").own(redacted.stream.as_str());
    out.own(&format!(" ({} times).", redacted.count));
}

fn of_late_secret(out: &mut Plain<'_>, late: &LateSecret) {
    out.own(if late.accepted { "redacts " } else { "does not redact " }).foreign(&late.name);
    out.own(", registered by the function");
    if let Some(reason) = &late.reason {
        out.own(": ").foreign(reason);
    }
    out.own(".");
}

fn of_barrier(out: &mut Plain<'_>, barrier: &Barrier) {
    let Barrier { waited_ms, bytes_left, .. } = barrier;
    out.own("output was not written in time before the response");
    out.own(&format!(" ({waited_ms} ms, {bytes_left} bytes left)."));
}

fn of_late_output(out: &mut Plain<'_>, late: &LateOutput) {
    out.own(&format!("{} bytes came on {} after the response.", late.bytes, late.stream.as_str()));
}
