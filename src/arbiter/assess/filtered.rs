//! What a filter holds.

use super::super::Arbiter;
use super::{ByMechanism, Found, Told};
use crate::report::{Held, Mechanism};
use crate::sys::Errno;
use fnguard_policy::model::{Executable, Mode, OwnCode, Policy};

/// Judges each control that the filter, or the domain beside it, holds.
pub(super) fn judge(arbiter: &Arbiter, policy: &Policy, found: &Found, told: &Told) -> ByMechanism {
    let seen = &found.seen;
    let filtered = seen.filtered && seen.no_new_privileges && found.trapped && arbiter.listener.is_some();
    let not_filtered = || -> String {
        match found.listener_error {
            Some(Errno(libc::EBUSY)) => "another seccomp listener is in the chain".to_owned(),
            Some(error) => format!("the platform refuses seccomp: {error}"),
            None if !seen.filtered => "no filter is in force on every thread".to_owned(),
            None if !seen.no_new_privileges => "no_new_privs is not set".to_owned(),
            None => "a trapped call did not reach the arbiter".to_owned(),
        }
    };
    let by_filter = |mode: Option<Mode>| -> Held {
        if !filtered {
            return Held::NotHeld { reason: not_filtered() };
        }
        match mode {
            Some(Mode::Audit) => Held::Audit,
            _ => Held::Held,
        }
    };
    let no_landlock = || Held::NotHeld { reason: found.domain.why() };
    let network = if policy.network.allow.iter().any(|rule| rule.is_unlimited()) {
        Held::Open
    } else {
        by_filter(Some(policy.network.mode))
    };
    let exec = if policy.exec.any {
        Held::Open
    } else if filtered
        && policy.exec.mode == Mode::Enforce
        && !policy.exec.allow.is_empty()
        && !arbiter.domain.execute
    {
        Held::NotHeld { reason: format!("allowed programs need Landlock: {}", found.domain.why()) }
    } else {
        by_filter(Some(policy.exec.mode))
    };
    let files = if policy.files.mode == Mode::Audit {
        by_filter(Some(Mode::Audit))
    } else if policy.files.write.iter().any(|path| path == "/") {
        Held::Open
    } else if arbiter.domain.write {
        Held::Held
    } else {
        no_landlock()
    };
    let exec_memory = match policy.memory.executable {
        // Which file is mapped is decided by a number that another thread may exchange: so a policy
        // that lets files be mapped later stops accidents, and holds nothing.
        Executable::Any | Executable::Files => Held::Open,
        Executable::LoadPhase => by_filter(None),
    };
    let processes = if told.arbiter_entries_open.is_empty() {
        Held::Held
    } else {
        Held::NotHeld {
            reason: format!("the arbiter's /proc entries open: {}", told.arbiter_entries_open.join(", ")),
        }
    };
    let files_read = policy.files.read.as_ref().map(|_| match (policy.files.mode, arbiter.domain.read) {
        (Mode::Audit, _) => by_filter(Some(Mode::Audit)),
        (Mode::Enforce, true) => Held::Held,
        (Mode::Enforce, false) => no_landlock(),
    });
    let own_code = (policy.files.own_code == OwnCode::Deny).then(|| {
        match (policy.files.mode, arbiter.domain.own_code) {
            (Mode::Audit, _) => by_filter(Some(Mode::Audit)),
            (Mode::Enforce, true) => Held::Held,
            (Mode::Enforce, false) if arbiter.launched => Held::NotHeld {
                reason: "a launched program reads itself to load; arm it by the attribute".to_owned(),
            },
            (Mode::Enforce, false) if arbiter.domain.abi == 0 => no_landlock(),
            (Mode::Enforce, false) => Held::NotHeld {
                reason: "the program lies below a path in [files] write, or is readable by [files] read"
                    .to_owned(),
            },
        }
    });
    ByMechanism {
        mechanism: if filtered { Mechanism::Seccomp } else { Mechanism::None },
        network,
        exec,
        files,
        exec_memory,
        syscalls: by_filter(None),
        processes,
        files_read,
        own_code,
        warnings: Vec::new(),
    }
}
