//! Making processes, and signals, limits and scheduling of others. All decided by register
//! values, which can't change while the call waits; what a pid means is looked up.

use super::super::Arbiter;
use super::super::target::{Blame, Caller, field};
use super::refuse::Refused;
use super::{Outcome, Proceed};
use crate::report::{Action, Control};
use crate::sys::{Errno, path, process};
use fnguard_policy::model::Mode;
use std::os::fd::{AsFd, AsRawFd};

/// clone(2) that is no thread of a known kind, fork(2), vfork(2).
pub(super) fn clone(arbiter: &Arbiter, caller: &Caller<'_>, flags: u64) -> Result<Outcome, Blame> {
    /// What a child of posix_spawn(3), fork(3) and vfork(2) may ask for. Not CLONE_FILES or
    /// CLONE_FS (a table shared across processes), not CLONE_PARENT (a sibling of ours), no
    /// namespace, no CLONE_UNTRACED.
    const ALLOWED: i32 = libc::CLONE_VM
        | libc::CLONE_VFORK
        | libc::CLONE_CHILD_SETTID
        | libc::CLONE_CHILD_CLEARTID
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_PIDFD
        | libc::CLONE_SETTLS
        | 0xff;
    let flags = flags as u32;
    let exec = &arbiter.policy.exec;
    let plain = flags & !(ALLOWED as u32) == 0 && matches!((flags & 0xff) as i32, 0 | libc::SIGCHLD);
    if plain && (exec.fork || exec.any || !exec.allow.is_empty()) {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    let refused =
        Refused::new(Control::Exec, "exec.fork", Errno(libc::EACCES)).detail(format!("flags {flags:#x}"));
    if plain {
        let refused = refused.hint("[exec] fork = true".to_owned());
        if exec.mode == Mode::Audit {
            let _ = refused.report(arbiter, caller, Action::Audited);
            return Ok(Outcome::Proceed(Proceed::Registers));
        }
        return Ok(refused.report(arbiter, caller, Action::Blocked));
    }
    Ok(refused.report(arbiter, caller, Action::Blocked))
}

/// kill(2), rt_sigqueueinfo(2).
pub(super) fn signal_process(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (pid, signal) = (caller.int(0), caller.int(1));
    // Signal 0 only asks whether there is such a process. The caller's own id stays its own while
    // it waits.
    if signal == 0 || pid == caller.process()? || is_own_group(arbiter, pid) {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    let with_value = i64::from(caller.number()) == libc::SYS_rt_sigqueueinfo;
    let information = if with_value { caller.read(caller.arg(2), process::SIGINFO)? } else { Vec::new() };
    signal_pinned(arbiter, caller, pid, signal, &information)
}

/// A child may end, and its id become another's, before the call would go on: so it is pinned,
/// looked at, and signalled by what pins it. The arbiter is the sender then.
fn signal_pinned(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    pid: i32,
    signal: i32,
    information: &[u8],
) -> Result<Outcome, Blame> {
    let pinned = match process::open_pidfd(pid, false) {
        Ok(pinned) if is_own(arbiter, caller, pid)? => pinned,
        _ => return Ok(refuse(arbiter, caller, format!("signal {signal} to process {pid}"))),
    };
    let identity = pid.to_ne_bytes();
    let performed = arbiter.pending.once(caller, &pinned, &[&identity, information], |_| {
        process::signal_pidfd_with(pinned.as_fd(), signal, information).map(|()| 0)
    })?;
    Ok(performed.into())
}

/// tgkill(2), rt_tgsigqueueinfo(2): a thread of the caller's, since the kernel checks that it is of that
/// process; of another process the first thread only, which its pidfd pins.
pub(super) fn signal_thread(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (process, thread, signal) = (caller.int(0), caller.int(1), caller.int(2));
    if signal == 0 || process == caller.process()? {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    if i64::from(caller.number()) == libc::SYS_tgkill && process == thread {
        return signal_pinned(arbiter, caller, thread, signal, &[]);
    }
    Ok(refuse(arbiter, caller, format!("signal {signal} to thread {thread}")))
}

/// tkill(2), which names no process: performed as tgkill(2), which does, so that the thread's id can't
/// have become another process's. The arbiter is the sender then.
pub(super) fn signal_any_thread(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (thread, signal) = (caller.int(0), caller.int(1));
    // The caller's own id stays its own while it waits.
    if signal == 0 || thread == caller.thread() {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    let own = caller.process()?;
    if process_of(thread) != Some(own) {
        return Ok(refuse(arbiter, caller, format!("signal {signal} to thread {thread}")));
    }
    let pinned = process::open_pidfd(own, false).map_err(Blame::Caller)?;
    let performed = arbiter.pending.once(caller, &pinned, &[&thread.to_ne_bytes()], |_| {
        process::signal_thread(own, thread, signal).map(|()| 0)
    })?;
    Ok(performed.into())
}

/// pidfd_send_signal(2): performed on a copy of the pidfd, since its number may mean another
/// process a moment later.
pub(super) fn signal_pidfd(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let signal = caller.int(1);
    let pidfd = caller.descriptor(caller.int(0))?;
    let info = path::proc_path(&format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()));
    let info = path::read_file(&info, 4096).map_err(Blame::Guard)?;
    let pid = field(&info, b"Pid:").ok_or(Blame::Caller(Errno(libc::EBADF)))?;
    if pid <= 0 || !is_own(arbiter, caller, pid)? {
        return Ok(refuse(arbiter, caller, format!("signal {signal} to process {pid}")));
    }
    Ok(match process::signal_pidfd(pidfd.as_fd(), signal) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

/// prlimit64(2): one's own limits, which the hard limits hold; but not the core limit, which
/// keeps dumps off. Those of children are theirs to set: their number could have become another
/// process's before the call would go on, and no call names a process better.
pub(super) fn limit(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (pid, resource) = (caller.int(0), caller.int(1));
    let own = pid == 0 || pid == caller.process()?;
    let allowed = match caller.arg(2) {
        0 => own || is_own(arbiter, caller, pid)?,
        _ => own && resource != libc::RLIMIT_CORE as i32,
    };
    if allowed {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    Ok(refuse(arbiter, caller, format!("resource {resource} of process {pid}")))
}

/// Scheduling calls on one's own threads and children; the thread is argument `index`.
pub(super) fn schedule(arbiter: &Arbiter, caller: &Caller<'_>, index: usize) -> Result<Outcome, Blame> {
    let thread = caller.int(index);
    // setpriority(2): PRIO_PROCESS only; a group or a user holds the arbiter too.
    let of_process = index == 0 || caller.int(0) == libc::PRIO_PROCESS as i32;
    if of_process && (thread == 0 || is_own(arbiter, caller, process_of(thread).unwrap_or(0))?) {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    Ok(refuse(arbiter, caller, format!("of process {thread}")))
}

/// Whether `pid` is the caller's own process or one below the function. Groups (0 and negative
/// numbers) hold the arbiter and are not.
///
/// The arbiter's id can't come to mean another process while this runs, and no id of a process
/// below the function can come to mean the arbiter.
pub(super) fn is_own(arbiter: &Arbiter, caller: &Caller<'_>, pid: i32) -> Result<bool, Blame> {
    if pid <= 0 || pid == process::own_pid() {
        return Ok(false);
    }
    let own = caller.process()?;
    let mut at = pid;
    for _ in 0..64 {
        if at == own || at == arbiter.function {
            return Ok(true);
        }
        match parent_of(at) {
            Some(parent) if parent > 1 => at = parent,
            _ => return Ok(false),
        }
    }
    Ok(false)
}

/// Whether kill(2) with this number means a process group of the function's own session, which it
/// has where it was given a terminal: the arbiter is in no group there, nor can it be moved into
/// one. A group whose first process has ended is found by another member.
fn is_own_group(arbiter: &Arbiter, pid: i32) -> bool {
    if arbiter.terminal.is_none() || pid == -1 || pid > 0 {
        return false;
    }
    let Some(group) = pid.checked_neg() else { return false };
    if group == 0 {
        // The caller's own. Every process below the function is in its session or in one that was
        // begun below it.
        return true;
    }
    match process::session_of(group) {
        Ok(session) => session == arbiter.function && process::group_of(group) == Ok(group),
        Err(_) => path::list(c"/proc").unwrap_or_default().iter().any(|name| {
            std::str::from_utf8(name).ok().and_then(|name| name.parse::<i32>().ok()).is_some_and(|member| {
                process::group_of(member) == Ok(group) && process::session_of(member) == Ok(arbiter.function)
            })
        }),
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    status_field(pid, b"PPid:")
}

fn process_of(thread: i32) -> Option<i32> {
    status_field(thread, b"Tgid:")
}

fn status_field(id: i32, key: &[u8]) -> Option<i32> {
    let status = path::read_file(&path::proc_path(&format!("/proc/{id}/status")), 16 * 1024).ok()?;
    field(&status, key)
}

fn refuse(arbiter: &Arbiter, caller: &Caller<'_>, detail: String) -> Outcome {
    Refused::new(Control::Process, "guard.processes", Errno(libc::EPERM)).detail(detail).report(
        arbiter,
        caller,
        Action::Blocked,
    )
}
