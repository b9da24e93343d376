//! What sealed descriptors hold.
//!
//! A process that can make no descriptor reaches nobody and opens nothing but by those that it has, and those are
//! looked at one by one. What needs no descriptor goes on: executing a program, changing a path,
//! memory, signals. And the limit is worth what the arbiter is worth: a function that could write
//! to the arbiter's memory would have its descriptors.

use super::{ByMechanism, Found, SealFound};
use crate::confine::DomainState;
use crate::posture::{Descriptor, Seen};
use crate::report::{Held, Mechanism};
use fnguard_policy::model::{Executable, Mode, OwnCode, Policy};

/// CAP_SYS_RESOURCE, by which a hard limit can be raised (linux/capability.h).
const SYS_RESOURCE: u64 = 1 << 24;

/// Judges each control that the seal, or the domain beside it, holds.
pub(super) fn judge(policy: &Policy, domain: &DomainState, seal: &SealFound, found: &Found) -> ByMechanism {
    let broken = why_not_sealed(seal, &found.seen);
    let held = || match &broken {
        Some(reason) => Held::NotHeld { reason: reason.clone() },
        None => Held::Held,
    };
    let not_held = |reason: &str| Held::NotHeld { reason: reason.to_owned() };
    let exec = if policy.exec.any {
        Held::Open
    } else if domain.execute && policy.exec.mode == Mode::Enforce {
        Held::Held
    } else {
        not_held(
            "executing a program takes no descriptor: a static one starts, without files and network, and \
             nothing refuses it where the kernel has no Landlock, or in audit",
        )
    };
    let files = if policy.files.write.iter().any(|path| path == "/") {
        Held::Open
    } else if domain.write && policy.files.mode == Mode::Enforce {
        held()
    } else {
        not_held(
            "no file can be opened, but rename, unlink, mkdir, link, symlink, mknod, truncate and chmod \
             take no descriptor, and nothing refuses them where the kernel has no Landlock, or in audit",
        )
    };
    let exec_memory = match policy.memory.executable {
        Executable::Any | Executable::Files => Held::Open,
        Executable::LoadPhase => not_held("sealed descriptors leave memory alone"),
    };
    let processes =
        if seal.reaches_arbiter { not_held("the arbiter's memory is open to the function") } else { held() };
    let mut warnings = Vec::new();
    let opens = !policy.network.allow.is_empty() || !policy.network.listen.is_empty();
    if opens || policy.network.mode == Mode::Audit {
        warnings.push(
            "sealed, this version reaches nobody: no rule of [network] has an effect, and audit lets nothing through"
                .to_owned(),
        );
    }
    ByMechanism {
        mechanism: if broken.is_none() { Mechanism::Sealed } else { Mechanism::None },
        network: held(),
        exec,
        files,
        exec_memory,
        syscalls: not_held("sealed descriptors refuse what makes one, and no other call"),
        processes,
        files_read: policy.files.read.as_ref().map(|_| held()),
        own_code: (policy.files.own_code == OwnCode::Deny).then(held),
        warnings,
    }
}

/// What is wrong with the seal; nothing if it holds.
fn why_not_sealed(seal: &SealFound, seen: &Seen) -> Option<String> {
    if let Err(error) = seal.outcome {
        return Some(format!("the platform refuses RLIMIT_NOFILE 0: {error}"));
    }
    let (soft, hard) = seen.descriptor_limit;
    if (soft, hard) != (0, 0) {
        return Some(format!("RLIMIT_NOFILE is {soft} of {hard}: expected 0"));
    }
    if seen.capabilities & SYS_RESOURCE != 0 {
        return Some("CAP_SYS_RESOURCE is held, which raises the limit again".to_owned());
    }
    if !seal.worked.is_empty() {
        return Some(format!("under RLIMIT_NOFILE 0 this still worked: {}", seal.worked.join(", ")));
    }
    if let Some(fd) = seen.descriptors.iter().find(|fd| leads_out(fd, seal.link)) {
        let target = String::from_utf8_lossy(&fd.target);
        return Some(format!("descriptor {} is open, and leads to {target}", fd.number));
    }
    if seal.reaches_arbiter {
        return Some(
            "the function can write to the arbiter's memory, and so use the arbiter's descriptors: the \
             platform refuses prctl(PR_SET_DUMPABLE)"
                .to_owned(),
        );
    }
    None
}

/// Whether somebody could be reached by a descriptor that was open before: by any but files and
/// directories that have a name, pipes, which `logs` judges, and the link.
fn leads_out(fd: &Descriptor, link: u64) -> bool {
    let is_link = || fd.target == format!("socket:[{link}]").into_bytes();
    !(fd.target.starts_with(b"/") || fd.target.starts_with(b"pipe:[") || is_link())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Errno;

    fn sealed() -> (SealFound, Seen) {
        let fd = |number, target: &[u8]| Descriptor { number, target: target.to_vec() };
        let seen = Seen {
            threads: 1,
            filtered: false,
            no_new_privileges: false,
            capabilities: 0,
            descriptors: vec![
                fd(0, b"/dev/null"),
                fd(1, b"pipe:[5]"),
                fd(2, b"pipe:[6]"),
                fd(3, b"socket:[77]"),
            ],
            core_limit: (1, 1),
            descriptor_limit: (0, 0),
            environment: Vec::new(),
        };
        (SealFound { outcome: Ok(()), worked: Vec::new(), reaches_arbiter: false, link: 77 }, seen)
    }

    #[test]
    fn each_gap_is_found_by_itself() {
        let (seal, seen) = sealed();
        assert_eq!(why_not_sealed(&seal, &seen), None);
        type Gap = fn(&mut SealFound, &mut Seen);
        let gaps: [(Gap, &str); 8] = [
            (|seal, _| seal.outcome = Err(Errno(libc::EPERM)), "EPERM"),
            (|_, seen| seen.descriptor_limit = (0, 1024), "0 of 1024"),
            (|_, seen| seen.descriptor_limit = (3, 3), "3 of 3"),
            (|_, seen| seen.capabilities = SYS_RESOURCE, "CAP_SYS_RESOURCE"),
            (|seal, _| seal.worked.push("making a pipe".to_owned()), "making a pipe"),
            (|seal, _| seal.reaches_arbiter = true, "arbiter's memory"),
            (|_, seen| seen.descriptors[3].target = b"socket:[78]".to_vec(), "descriptor 3"),
            (|_, seen| seen.descriptors[0].target = b"anon_inode:[io_uring]".to_vec(), "descriptor 0"),
        ];
        for (make, named) in gaps {
            let (mut seal, mut seen) = sealed();
            make(&mut seal, &mut seen);
            let why = why_not_sealed(&seal, &seen).unwrap_or_default();
            assert!(why.contains(named), "{named}: {why}");
        }
    }
}
