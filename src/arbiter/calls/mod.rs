//! The notified calls: one file a family. Each reads what it needs in one snapshot, decides by
//! the policy, and then performs the call itself on a copy, refuses it, or, in the cases that
//! [`Proceed`] names, lets it go on.

mod connect;
mod descriptors;
mod exec;
mod files;
mod listen;
mod memory;
mod process;
mod refuse;
mod send;
mod strangers;
mod terminal;

use super::Arbiter;
use super::pending::Performed;
use super::target::{Blame, Caller};
use crate::report::{Action, Control};
use crate::sys::{Errno, seccomp};
use fnguard_policy::syscalls;
use refuse::Refused;
use std::os::fd::AsFd;

/// What comes of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It was performed; its value.
    Value(i64),
    /// It was performed; its value, and numbers that it returns through memory, by address.
    Written(i64, Vec<(u64, u32)>),
    /// It failed or was refused.
    Error(Errno),
    /// It goes on in the kernel.
    Proceed(Proceed),
}

impl From<Performed> for Outcome {
    fn from(performed: Performed) -> Self {
        performed.map_or_else(Outcome::Error, Outcome::Value)
    }
}

/// Why a call may go on as it stands. At that moment everything behind a pointer, and what a
/// descriptor number means, may differ from what was looked at: so each case says why that
/// doesn't matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proceed {
    /// Only register values decide, and those can't change while the call waits.
    Registers,
    /// Landlock holds the same rule and decides again; the path was read for the record.
    LandlockHolds,
    /// No Landlock holds the rule, and the posture says so: the path is decided on as read.
    NotHeld,
    /// Audit: the call is let through whatever it is.
    Audit,
    /// An allowed program: Landlock holds execution to exactly the allowed files, and the new
    /// image is compared with them before its first executable map.
    ExecHeld,
    /// The policy lets every program, path or mapping through.
    PolicyAny,
    /// The launcher's own first exec: one thread, and no code of the function's has run yet.
    Launch,
    /// A mapping in a load phase: the process has one thread and memory of its own.
    Loading,
    /// TIOCSPGRP by a program with a terminal of its own: the kernel takes it for the caller's own
    /// controlling terminal only, and only a group of its own session.
    OwnSession,
}

/// Answers one notification.
pub(super) fn answer(arbiter: &Arbiter, caller: &Caller<'_>) {
    let outcome = match dispatch(arbiter, caller) {
        Ok(outcome) => outcome,
        Err(Blame::Gone) => return,
        Err(Blame::Caller(errno)) => Outcome::Error(errno),
        Err(Blame::Guard(errno)) => {
            // What can't be looked at is refused, and said.
            Refused::new(Control::Guard, "guard.unreadable", Errno(libc::EACCES))
                .detail(format!("the caller could not be read: {errno}"))
                .report(arbiter, caller, Action::Blocked)
        }
    };
    // ENOENT: the caller is gone or was interrupted meanwhile; nobody waits for this answer.
    let _ = arbiter.pending.deliver(caller.thread(), || match outcome {
        Outcome::Value(value) => seccomp::answer(caller.listener(), caller.id(), Ok(value)),
        Outcome::Error(errno) => seccomp::answer(caller.listener(), caller.id(), Err(errno)),
        Outcome::Written(value, numbers) => {
            let result = caller.write(&numbers).map(|()| value);
            seccomp::answer(caller.listener(), caller.id(), result)
        }
        Outcome::Proceed(why) => proceed(caller, why),
    });
}

/// The one place that lets a call go on. `why` is not looked at: it makes each caller of this
/// function name its reason.
fn proceed(caller: &Caller<'_>, _why: Proceed) -> Result<(), Errno> {
    seccomp::answer_continue(caller.listener(), caller.id())
}

fn dispatch(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    // A caller in a pid namespace that is not ours can't be looked at.
    if caller.thread() == 0 {
        return Err(Blame::Guard(Errno(libc::ESRCH)));
    }
    if syscalls::Arch::of_host().is_none_or(|arch| caller.arch() != arch.audit_value()) {
        return Ok(refuse::unnamed(arbiter, caller));
    }
    match i64::from(caller.number()) {
        libc::SYS_connect => connect::connect(arbiter, caller),
        libc::SYS_sendto => send::send_to(arbiter, caller),
        libc::SYS_sendmsg => send::send_message(arbiter, caller),
        libc::SYS_sendmmsg => send::send_messages(arbiter, caller),
        libc::SYS_socket if syscalls::is_udp(caller.int(0), caller.int(1), caller.int(2)) => {
            strangers::make(arbiter, caller)
        }
        libc::SYS_bind => listen::bind(arbiter, caller),
        libc::SYS_listen => listen::listen(arbiter, caller),
        libc::SYS_execve => exec::execute(arbiter, caller, libc::AT_FDCWD, 0, 0),
        libc::SYS_execveat => exec::execute(arbiter, caller, caller.int(0), 1, caller.int(4)),
        libc::SYS_clone => process::clone(arbiter, caller, caller.arg(0)),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_fork => process::clone(arbiter, caller, libc::SIGCHLD as u64),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_vfork => {
            process::clone(arbiter, caller, (libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD) as u64)
        }
        libc::SYS_kill | libc::SYS_rt_sigqueueinfo => process::signal_process(arbiter, caller),
        libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo => process::signal_thread(arbiter, caller),
        libc::SYS_tkill => process::signal_any_thread(arbiter, caller),
        libc::SYS_pidfd_send_signal => process::signal_pidfd(arbiter, caller),
        libc::SYS_prlimit64 => process::limit(arbiter, caller),
        libc::SYS_sched_setaffinity
        | libc::SYS_sched_setscheduler
        | libc::SYS_sched_setparam
        | libc::SYS_sched_setattr => process::schedule(arbiter, caller, 0),
        libc::SYS_setpriority => process::schedule(arbiter, caller, 1),
        libc::SYS_kcmp if is_question(caller) => link(arbiter, caller),
        libc::SYS_mmap => memory::map(arbiter, caller),
        libc::SYS_mprotect | libc::SYS_pkey_mprotect => memory::protect(arbiter, caller),
        libc::SYS_close | libc::SYS_close_range => descriptors::close(arbiter, caller),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_dup2 => descriptors::duplicate(arbiter, caller, false),
        libc::SYS_ioctl if arbiter.terminal.is_some() => match &arbiter.terminal {
            Some(terminal) => terminal::control(arbiter, caller, terminal),
            None => Ok(refuse::unnamed(arbiter, caller)),
        },
        libc::SYS_dup3 => descriptors::duplicate(arbiter, caller, caller.int(2) & libc::O_CLOEXEC != 0),
        _ => match files::family(caller) {
            Some(family) => files::decide(arbiter, caller, family),
            None => Ok(refuse::unnamed(arbiter, caller)),
        },
    }
}

fn is_question(caller: &Caller<'_>) -> bool {
    use crate::link::{QUESTION, VERSION};
    caller.arg(0) as u32 == QUESTION.0
        && caller.arg(1) as u32 == QUESTION.1
        && caller.arg(2) as u32 == VERSION
}

/// Gives the caller a link of its own.
fn link(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let process = caller.process()?;
    let end = arbiter.links.open(process).map_err(Blame::Guard)?;
    // What asks for a link has been loaded: asking tightens.
    arbiter.images.loaded(process);
    let number =
        seccomp::add_descriptor(caller.listener(), caller.id(), end.as_fd(), seccomp::Place::Free, true)
            .map_err(Blame::Guard)?;
    Ok(Outcome::Value(i64::from(number)))
}
