//! close(2), close_range(2), dup2(2), dup3(2) over descriptors 1 and 2: the function's logs.
//!
//! In a function they are refused: closed, they silence honest code; pointed at a socket, they
//! send its lines to whoever listens there. A program that the launcher runs, and every child of
//! the function's, may arrange its own, but not over a socket, unless that leads back into the function: node
//! gives its children socket pairs for pipes. The arbiter puts the copy in place itself, so what was looked
//! at is what is put there.

use super::super::Arbiter;
use super::super::target::{Blame, Caller};
use super::refuse::Refused;
use super::{Outcome, Proceed, process};
use crate::report::{Action, Control};
use crate::sys::{Errno, descriptor, network, seccomp};
use std::os::fd::{AsFd, BorrowedFd};

pub(super) fn close(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    const UNSHARE: u32 = 2;
    let unshares = i64::from(caller.number()) == libc::SYS_close_range && caller.arg(2) as u32 & UNSHARE != 0;
    if !unshares && may_rearrange(arbiter, caller)? {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    Ok(refuse(arbiter, caller, format!("arguments {}, {}", caller.arg(0) as u32, caller.arg(1) as u32)))
}

pub(super) fn duplicate(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    close_on_exec: bool,
) -> Result<Outcome, Blame> {
    let (from, onto) = (caller.int(0), caller.int(1));
    let copy = caller.descriptor(from)?;
    let kind = descriptor::identify(copy.as_fd()).map_err(Blame::Guard)?.kind();
    let leads_out = kind == libc::S_IFSOCK && !leads_back(arbiter, caller, copy.as_fd())?;
    if leads_out || !may_rearrange(arbiter, caller)? {
        return Ok(refuse(arbiter, caller, format!("descriptor {from} onto {onto}")));
    }
    if from == onto {
        return Ok(Outcome::Value(i64::from(onto)));
    }
    seccomp::add_descriptor(
        caller.listener(),
        caller.id(),
        copy.as_fd(),
        seccomp::Place::At(onto),
        close_on_exec,
    )
    .map_err(Blame::Guard)?;
    Ok(Outcome::Value(i64::from(onto)))
}

/// Whether a socket is one of a pair that the function or a process below it made: without a name,
/// connected, and with such a process at the other end.
fn leads_back(arbiter: &Arbiter, caller: &Caller<'_>, socket: BorrowedFd<'_>) -> Result<bool, Blame> {
    let Ok(local) = network::local_address(socket) else { return Ok(false) };
    // unix(7): of a socket without a name there is the family alone.
    if local != (libc::AF_UNIX as u16).to_ne_bytes() {
        return Ok(false);
    }
    match network::peer_pid(socket) {
        Ok(peer) => process::is_own(arbiter, caller, peer),
        Err(_) => Ok(false),
    }
}

fn may_rearrange(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<bool, Blame> {
    Ok(arbiter.launched || caller.process()? != arbiter.function)
}

fn refuse(arbiter: &Arbiter, caller: &Caller<'_>, detail: String) -> Outcome {
    Refused::new(Control::Guard, "guard.logs", Errno(libc::EPERM)).detail(detail).report(
        arbiter,
        caller,
        Action::Blocked,
    )
}
