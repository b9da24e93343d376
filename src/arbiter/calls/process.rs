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
    // A child may end, and its id become another's, before the call would go on: so it is pinned,
    // looked at, and signalled by what pins it. The arbiter is the sender then.
    let pinned = match process::open_pidfd(pid, false) {
        Ok(pinned) if is_own(arbiter, caller, pid)? => pinned,
        _ => return Ok(refuse(arbiter, caller, format!("signal {signal} to process {pid}"))),
    };
    let with_value = i64::from(caller.number()) == libc::SYS_rt_sigqueueinfo;
    let information = if with_value { caller.read(caller.arg(2), process::SIGINFO)? } else { Vec::new() };
    let identity = pid.to_ne_bytes();
    let performed = arbiter.pending.once(caller, &pinned, &[&identity, &information], |_| {
        process::signal_pidfd_with(pinned.as_fd(), signal, &information).map(|()| 0)
    })?;
    Ok(performed.into())
}

/// tgkill(2), rt_tgsigqueueinfo(2), tkill(2); the thread is argument `index`.
pub(super) fn signal_thread(arbiter: &Arbiter, caller: &Caller<'_>, index: usize) -> Result<Outcome, Blame> {
    let (thread, signal) = (caller.int(index), caller.int(index + 1));
    if signal == 0 || is_own(arbiter, caller, process_of(thread).unwrap_or(0))? {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    Ok(refuse(arbiter, caller, format!("signal {signal} to thread {thread}")))
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
/// keeps dumps off.
pub(super) fn limit(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (pid, resource) = (caller.int(0), caller.int(1));
    let own = pid == 0 || is_own(arbiter, caller, pid)?;
    let reads_only = caller.arg(2) == 0;
    if own && (reads_only || resource != libc::RLIMIT_CORE as i32) {
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
fn is_own(arbiter: &Arbiter, caller: &Caller<'_>, pid: i32) -> Result<bool, Blame> {
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
