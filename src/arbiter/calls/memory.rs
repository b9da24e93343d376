//! mmap(2), mprotect(2), pkey_mprotect(2) with PROT_EXEC: only what a program loads.

use super::super::Arbiter;
use super::super::images::Phase;
use super::super::target::{Blame, Caller};
use super::refuse::Refused;
use super::{Outcome, Proceed};
use crate::report::Control;
use crate::sys::{Errno, descriptor, path};
use fnguard_policy::model::{Action, Executable, Mode};
use std::os::fd::AsFd;

pub(super) fn map(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (protection, flags) = (caller.int(2), caller.int(3));
    let process = caller.process()?;
    let phase = arbiter.images.phase(process);
    if phase == Phase::Loading && !arbiter.images.is_allowed_image(process) {
        // An interpreter run on another file: nothing of that file has run yet. The process is
        // pinned while its thread waits, so that no other of its id is meant.
        let pinned = crate::sys::process::open_pidfd(process, false).map_err(Blame::Guard)?;
        caller.check()?;
        // The record first: nothing can be read of a process that has ended.
        let refused = Refused::new(Control::Exec, "exec.allow", Errno(libc::EACCES))
            .program(arbiter.images.image_of(process))
            .detail("the image is none of the allowed programs; killed before it ran".to_owned())
            .report(arbiter, caller, crate::report::Action::Blocked);
        let _ = crate::sys::process::signal_pidfd(pinned.as_fd(), libc::SIGKILL);
        return Ok(refused);
    }
    if arbiter.policy.memory.executable == Executable::Any {
        return Ok(Outcome::Proceed(Proceed::PolicyAny));
    }
    let from_file = flags & libc::MAP_ANONYMOUS == 0;
    let writable = protection & libc::PROT_WRITE != 0;
    // What is shared could be mapped a second time, by mremap(2) without a length, and that one be made writable:
    // no program's code is.
    let wanted = from_file && !writable && flags & libc::MAP_TYPE == libc::MAP_PRIVATE;
    match (arbiter.policy.memory.executable, phase) {
        (Executable::Files, _) if wanted && is_installed(arbiter, caller)? => {
            Ok(Outcome::Proceed(Proceed::PolicyAny))
        }
        // With one thread, and memory shared with nobody since the exec, nobody can exchange the
        // descriptor between this look and the map.
        (_, Phase::Loading) if wanted && caller.threads()? == 1 && is_installed(arbiter, caller)? => {
            Ok(Outcome::Proceed(Proceed::Loading))
        }
        _ => Ok(refuse(arbiter, caller, from_file)),
    }
}

/// Whether the file to be mapped is one that the function could not have made: it is a regular file, it
/// has a name, and the name lies where the function may not write. A device, a memfd, a deleted file and a
/// library dropped into /tmp are none.
fn is_installed(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<bool, Blame> {
    let file = caller.descriptor(caller.int(4))?;
    let identity = descriptor::identify(file.as_fd()).map_err(Blame::Guard)?;
    if identity.kind() != libc::S_IFREG || identity.links == 0 {
        return Ok(false);
    }
    let path = path::path_of(file.as_fd()).map_err(Blame::Guard)?;
    let path = String::from_utf8_lossy(&path).into_owned();
    let written = arbiter.policy.files.mode == Mode::Enforce
        && !arbiter.policy.files.write.iter().any(|base| base == "/")
        && arbiter.policy.decide_write(&path).action == Action::Allow;
    Ok(path.starts_with('/') && !written)
}

pub(super) fn protect(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    if arbiter.policy.memory.executable == Executable::Any {
        return Ok(Outcome::Proceed(Proceed::PolicyAny));
    }
    Ok(refuse(arbiter, caller, false))
}

fn refuse(arbiter: &Arbiter, caller: &Caller<'_>, from_file: bool) -> Outcome {
    let hint = if from_file { "[memory] executable = \"files\"" } else { "[memory] executable = \"any\"" };
    Refused::new(Control::Memory, "memory.executable", Errno(libc::EPERM))
        .detail(format!("length {:#x}, protection {:#x}", caller.arg(1), caller.int(2)))
        .hint(hint.to_owned())
        .report(arbiter, caller, crate::report::Action::Blocked)
}
