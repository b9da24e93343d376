//! Judges what was found when arming ended: each control, and whether it is held. From what was seen
//! and what was tried, not from what the calls that installed it said.

mod filtered;
mod sealed;

use super::Arbiter;
use super::output::Outlet;
use crate::confine::DomainState;
use crate::error::ArmError;
use crate::posture::{self, Seen};
use crate::report::{Held, Mechanism, Options, Posture, Reporter};
use crate::sys::descriptor::{self, Identity};
use crate::sys::{Errno, process};
use crate::trial::{Outcome, Outcomes};
use fnguard_policy::model::{Action, Compiled, Mechanism as WantedMechanism, Mode, OnUnsupported, Policy};
use std::time::SystemTime;

/// What the arbiter found out by itself.
pub(super) struct Found {
    pub(super) seen: Seen,
    /// Whether a call of the function's process was answered through the listener.
    pub(super) trapped: bool,
    pub(super) listener_error: Option<Errno>,
    /// What became of sealing, where the policy asks for that.
    pub(super) seal: Option<SealFound>,
    pub(super) domain: DomainFound,
    /// What the function's standard descriptors are to be.
    pub(super) streams: Streams,
    /// What the platform's 1 and 2 refer to.
    pub(super) originals: Vec<Vec<u8>>,
    /// Those of them that are regular files with a name.
    pub(super) log_files: Vec<LogFile>,
}

/// A file that the platform keeps a log in.
pub(super) struct LogFile {
    /// 1 or 2.
    pub(super) number: i32,
    pub(super) path: String,
}

/// What became of sealing the function's descriptors.
pub(super) struct SealFound {
    /// What the call said.
    pub(super) outcome: Result<(), Errno>,
    /// What the function's process could still do afterwards.
    pub(super) worked: Vec<String>,
    /// Whether it could read this process's memory.
    pub(super) reaches_arbiter: bool,
    /// The inode of its end of the link.
    pub(super) link: u64,
}

/// What the arbiter has the other end of.
pub(super) enum Streams {
    /// Pipes for 1 and 2; the arbiter's ends.
    Pipes([Identity; 2]),
    /// A terminal for 0, 1 and 2, by its name.
    Terminal(String),
}

/// What the function's process said of itself, where there is nobody else to ask.
pub(super) struct Told {
    pub(super) no_new_privileges: Result<(), i32>,
    pub(super) dies_with_parent: bool,
    /// Entries of the arbiter's in /proc that it could open.
    pub(super) arbiter_entries_open: Vec<String>,
}

/// Why a Landlock domain holds less than was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DomainFound {
    /// It is as the kernel said.
    InForce,
    /// The kernel has none.
    Absent,
    /// The kernel or the platform refused it.
    Refused(Errno),
    /// The call went well, and what the domain must refuse works as before.
    Untrue,
    /// Nothing that it must refuse could be tried, so that nothing shows it.
    NotShown,
}

impl DomainFound {
    /// Why the domain does not hold what was asked.
    fn why(self) -> String {
        match self {
            DomainFound::Refused(error) => format!("the platform refuses Landlock: {error}"),
            DomainFound::Untrue => {
                "landlock_restrict_self(2) went well, and what the domain must refuse still works".to_owned()
            }
            DomainFound::NotShown => {
                "nothing that the Landlock domain must refuse could be tried here".to_owned()
            }
            DomainFound::InForce | DomainFound::Absent => {
                "the kernel has no Landlock (5.13), or one below ABI 3 (6.2)".to_owned()
            }
        }
    }
}

/// The controls that depend on what holds the function.
struct ByMechanism {
    mechanism: Mechanism,
    network: Held,
    exec: Held,
    files: Held,
    exec_memory: Held,
    syscalls: Held,
    processes: Held,
    /// Where the policy asks for it.
    files_read: Option<Held>,
    own_code: Option<Held>,
    /// What a reader should know besides.
    warnings: Vec<String>,
}

/// What a domain holds, by what was tried in it: whatever went on as before is not held, and where
/// nothing shows a domain there is none.
pub(super) fn judge_domain(
    claimed: Result<DomainState, Errno>,
    outcomes: Outcomes,
) -> (DomainState, DomainFound) {
    let claimed = match claimed {
        Ok(claimed) => claimed,
        Err(error) => return (DomainState::default(), DomainFound::Refused(error)),
    };
    if claimed.abi == 0 {
        return (claimed, DomainFound::Absent);
    }
    let worked = |outcome| outcome == Outcome::Worked;
    let shown = outcomes.shows_domain();
    let untrue = (claimed.write && worked(outcomes.write))
        || (claimed.read && worked(outcomes.read))
        || (claimed.own_code && worked(outcomes.own_code))
        || (claimed.signals && worked(outcomes.signal));
    let domain = DomainState {
        abi: claimed.abi,
        write: claimed.write && shown && !worked(outcomes.write),
        read: claimed.read && shown && !worked(outcomes.read),
        own_code: claimed.own_code && shown && !worked(outcomes.own_code),
        execute: claimed.execute && shown,
        signals: claimed.signals && shown && !worked(outcomes.signal),
        missing: claimed.missing,
    };
    let found = match (untrue, shown) {
        (true, _) => DomainFound::Untrue,
        (false, true) => DomainFound::InForce,
        (false, false) => DomainFound::NotShown,
    };
    (domain, found)
}

/// Whether both streams of the function end in the arbiter's pipes, whose reading ends it can't open,
/// or in the terminal whose other end the arbiter has; and nothing else leads to the platform's.
fn judge_logs(function: i32, policy: &Policy, found: &Found) -> Held {
    let not_held = |reason: String| Held::NotHeld { reason };
    // In audit every write is let through, which `files` says.
    if policy.files.mode == Mode::Enforce
        && let Some(reason) = judge_log_files(policy, &found.log_files)
    {
        return not_held(reason);
    }
    match &found.streams {
        Streams::Pipes(pipes) => {
            if let Some(reason) = judge_pipes(&found.seen, pipes) {
                return not_held(reason);
            }
        }
        Streams::Terminal(name) => {
            let strange = (0..=2).find(|&number| found.seen.target(number) != Some(name.as_bytes()));
            if let Some(number) = strange {
                return not_held(format!("descriptor {number} is not the terminal {name}"));
            }
            // Whoever holds a master reads what is written to its terminal, before it is redacted.
            let master = |fd: &&posture::Descriptor| fd.target.ends_with(b"/ptmx");
            if let Some(fd) = found.seen.descriptors.iter().find(master) {
                return not_held(format!("descriptor {} is the other end of a terminal", fd.number));
            }
        }
    }
    let past = |fd: &&posture::Descriptor| {
        found.originals.contains(&fd.target) && posture::is_writable(function, fd.number)
    };
    match found.seen.descriptors.iter().find(past) {
        Some(fd) => not_held(format!("descriptor {} leads to the platform's own log", fd.number)),
        None => Held::Held,
    }
}

/// Whether the policy itself lets the function write to the log, as a file that lies below `[files]
/// write`: it could be truncated, and filled with lines that look like the guard's own.
fn judge_log_files(policy: &Policy, files: &[LogFile]) -> Option<String> {
    let open = files.iter().find(|file| policy.decide_write(&file.path).action == Action::Allow)?;
    Some(format!(
        "descriptor {} leads to {}, which [files] write lets the function overwrite: keep the log in another \
         directory, have a pipe take it (`| cat > FILE`), or narrow [files] write",
        open.number, open.path
    ))
}

/// What is wrong with the function's pipes.
fn judge_pipes(seen: &Seen, pipes: &[Identity; 2]) -> Option<String> {
    for (number, pipe) in [(1, pipes[0]), (2, pipes[1])] {
        if seen.target(number) != Some(format!("pipe:[{}]", pipe.inode).as_bytes()) {
            return Some(format!("descriptor {number} is not the arbiter's pipe"));
        }
        if pipe.mode & 0o777 != 0o200 {
            return Some(format!(
                "the pipe of descriptor {number} has mode {:03o}, so that what is written there can be \
                 read back: expected 200",
                pipe.mode & 0o777
            ));
        }
    }
    None
}

/// The posture, as far as it decides whether the function starts: every control, and whether it is
/// held, from what was seen and not from what was said, wherever the kernel shows it.
pub(super) fn posture_record(arbiter: &Arbiter, compiled: &Compiled, found: &Found, told: &Told) -> Posture {
    let policy = &compiled.policy;
    let seen = &found.seen;
    let by = match &found.seal {
        None => filtered::judge(arbiter, policy, found, told),
        Some(seal) => sealed::judge(policy, &arbiter.domain, seal, found),
    };
    let environment = match arbiter.secrets.found_in(&seen.environment) {
        None => Held::Held,
        Some(name) => Held::NotHeld { reason: format!("the bytes of {name} are still there") },
    };
    let capabilities = if seen.capabilities == 0 {
        Held::Held
    } else {
        Held::NotHeld { reason: format!("effective capabilities {:#x}", seen.capabilities) }
    };
    let core_dumps = if seen.dumps_core() {
        let (soft, hard) = seen.core_limit;
        Held::NotHeld { reason: format!("RLIMIT_CORE is {soft} of {hard}: expected 1") }
    } else {
        Held::Held
    };
    let controls = [
        ("environment", Some(environment)),
        ("network", Some(by.network)),
        ("exec", Some(by.exec)),
        ("files", Some(by.files)),
        ("exec_memory", Some(by.exec_memory)),
        ("syscalls", Some(by.syscalls)),
        ("processes", Some(by.processes)),
        ("capabilities", Some(capabilities)),
        ("logs", Some(judge_logs(arbiter.function, policy, found))),
        ("core_dumps", Some(core_dumps)),
        ("files_read", by.files_read),
        ("own_code", by.own_code),
    ];
    let controls = controls.into_iter().filter_map(|(name, held)| Some((name.to_owned(), held?))).collect();
    let mut warnings = by.warnings;
    if found.domain == DomainFound::Untrue {
        warnings.push(found.domain.why());
    }
    if let Err(error) = told.no_new_privileges {
        warnings.push(format!("no_new_privs is refused: {}", Errno(error)));
    }
    if !told.dies_with_parent {
        warnings.push("the function does not end with the arbiter by itself".to_owned());
    }
    // Of a sealed function it is known whether it can get there.
    let is_open = found.seal.as_ref().map(|seal| seal.reaches_arbiter);
    if is_open.unwrap_or_else(|| process::is_dumpable().unwrap_or(true)) {
        warnings.push("the arbiter's memory is open to processes of the same user".to_owned());
    }
    if seen.listeners() != 0 {
        warnings.push(format!("{} seccomp listeners are open in the function", seen.listeners()));
    }
    if policy.files.mode == Mode::Audit {
        warnings.extend(judge_log_files(policy, &found.log_files));
    }
    warnings
        .extend(arbiter.domain.missing.iter().map(|path| format!("{path} does not exist: no rule for it")));
    warnings.extend(policy.unlimited());
    Posture {
        mechanism: by.mechanism,
        armed_by: Some(if arbiter.launched { "launcher" } else { "attribute" }.to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_hash: compiled.hash_hex(),
        policy_origin: compiled.origin.clone(),
        mode: match policy.mode {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
        }
        .to_owned(),
        controls,
        secrets: arbiter.secrets.names(),
        warnings,
        landlock_abi: (arbiter.domain.abi > 0).then_some(arbiter.domain.abi),
        pid: u32::try_from(arbiter.function).ok(),
        arbiter_pid: u32::try_from(process::own_pid()).ok(),
        ..Posture::default()
    }
}

/// Refuses to start with less than the policy asks, where it says so.
pub(super) fn refuse_what_is_not_held(
    arbiter: &Arbiter,
    policy: &Policy,
    record: &Posture,
    found: &Found,
    outlet: &Outlet,
) -> Result<(), ArmError> {
    let missing: Vec<String> = record
        .controls
        .iter()
        .filter_map(|(name, held)| match held {
            Held::NotHeld { reason } => Some(format!("{name} ({reason})")),
            _ => None,
        })
        .collect();
    // `mechanism = "seccomp"` is seccomp or nothing, whatever else may be missing; so is `"sealed"`.
    let is_wanted = match policy.arm.mechanism {
        WantedMechanism::Auto => true,
        WantedMechanism::Seccomp => record.mechanism == Mechanism::Seccomp,
        WantedMechanism::Sealed => record.mechanism == Mechanism::Sealed,
    };
    if missing.is_empty() || (policy.arm.on_unsupported == OnUnsupported::Degrade && is_wanted) {
        return Ok(());
    }
    arbiter.witness.write_waiting(outlet);
    if found.listener_error == Some(Errno(libc::EBUSY)) {
        return Err(ArmError::OtherListener);
    }
    // A call that was not answered for want of descriptors says nothing of the platform.
    if found.seal.is_none() && found.listener_error.is_none() && !found.trapped && has_no_descriptors_left() {
        let failing = "answering the first call";
        return Err(ArmError::Call { failing, source: Errno(libc::EMFILE) });
    }
    let domain_error = match found.domain {
        DomainFound::Refused(error) => Some(error),
        _ => None,
    };
    match found.listener_error.or(domain_error) {
        Some(source) => Err(ArmError::Unsupported { what: missing.join("; "), source }),
        None => Err(ArmError::NotHeld { what: missing.join("; ") }),
    }
}

/// Whether fewer descriptors can be opened than answering one call takes.
fn has_no_descriptors_left() -> bool {
    let opened: Result<Vec<_>, Errno> = (0..4).map(|_| descriptor::event()).collect();
    opened.err() == Some(Errno(libc::EMFILE))
}

/// The posture as its line in the log, for the function's own use.
pub(super) fn describe(record: &Posture) -> String {
    let record = record.clone().into();
    Reporter::new(Options::default()).record(&record, SystemTime::now(), &|text| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed() -> DomainState {
        DomainState {
            abi: 7,
            write: true,
            read: true,
            own_code: true,
            execute: true,
            signals: true,
            missing: vec!["/srv".to_owned()],
        }
    }

    #[test]
    fn a_domain_is_what_was_seen_to_refuse() {
        let refused = Outcome::Refused;
        let all =
            Outcomes { write: refused, read: refused, own_code: refused, signal: refused, device: refused };
        assert_eq!(judge_domain(Ok(claimed()), all), (claimed(), DomainFound::InForce));
        // One thing that is refused shows the whole; what could not be tried came with it.
        let only_signal = Outcomes { signal: refused, ..Outcomes::default() };
        assert_eq!(judge_domain(Ok(claimed()), only_signal), (claimed(), DomainFound::InForce));
        // What went on as before is not held.
        let (domain, found) = judge_domain(Ok(claimed()), Outcomes { write: Outcome::Worked, ..all });
        assert_eq!((domain, found), (DomainState { write: false, ..claimed() }, DomainFound::Untrue));
    }

    #[test]
    fn a_domain_that_nothing_shows_is_none() {
        let nothing = DomainState { abi: 7, missing: claimed().missing, ..DomainState::default() };
        let worked = Outcome::Worked;
        let all = Outcomes { write: worked, read: worked, own_code: worked, signal: worked, device: worked };
        assert_eq!(judge_domain(Ok(claimed()), all), (nothing.clone(), DomainFound::Untrue));
        assert_eq!(judge_domain(Ok(claimed()), Outcomes::default()), (nothing, DomainFound::NotShown));
        let error = Errno(libc::EPERM);
        assert_eq!(judge_domain(Err(error), all), (DomainState::default(), DomainFound::Refused(error)));
        let absent = judge_domain(Ok(DomainState::default()), Outcomes::default());
        assert_eq!(absent, (DomainState::default(), DomainFound::Absent));
    }
}
