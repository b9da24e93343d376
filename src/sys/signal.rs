//! Signals: blocking them all, reading them from a descriptor, sending them; and what sends them to
//! this process by itself, timers.

use super::descriptor::own;
use super::raw::{Errno, syscall, syscall_restarting};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// A set of signals as the kernel keeps it: bit n-1 for signal n.
pub type Set = u64;

/// Blocks every signal that can be blocked in the calling thread; the mask before.
pub fn block_all() -> Result<Set, Errno> {
    set_mask(u64::MAX)
}

/// Sets the calling thread's mask; the mask before.
pub fn set_mask(mask: Set) -> Result<Set, Errno> {
    let mut old: Set = 0;
    // SAFETY: the kernel reads and writes one 8-byte set each.
    unsafe {
        syscall(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                (&raw const mask) as usize,
                (&raw mut old) as usize,
                std::mem::size_of::<Set>(),
                0,
                0,
            ],
        )?;
    }
    Ok(old)
}

/// signalfd4(2) for every signal, close-on-exec and non-blocking.
pub fn descriptor() -> Result<OwnedFd, Errno> {
    let mask: Set = u64::MAX;
    // SAFETY: the kernel reads one 8-byte set; the result is a new descriptor.
    unsafe {
        syscall(
            libc::SYS_signalfd4,
            [
                usize::MAX,
                (&raw const mask) as usize,
                std::mem::size_of::<Set>(),
                (libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) as usize,
                0,
                0,
            ],
        )
        .map(|fd| own(fd))
    }
}

/// One signal that a descriptor delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// The signal's number.
    pub signal: i32,
    /// Why it was sent: `SI_USER` (0) and below by a process, above by the kernel (sigaction(2)).
    pub code: i32,
    /// The sender's process id, where a process sent it.
    pub sender: u32,
}

/// The next signal, or `None` when there is none now.
pub fn receive(fd: BorrowedFd<'_>) -> Result<Option<Received>, Errno> {
    let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let size = std::mem::size_of::<libc::signalfd_siginfo>();
    // SAFETY: the kernel writes one structure; zeroed is a valid one.
    let info = unsafe {
        match syscall_restarting(
            libc::SYS_read,
            [fd.as_raw_fd() as usize, info.as_mut_ptr() as usize, size, 0, 0, 0],
        ) {
            Ok(count) if count == size => info.assume_init(),
            Ok(_) | Err(Errno(libc::EAGAIN)) => return Ok(None),
            Err(error) => return Err(error),
        }
    };
    Ok(Some(Received { signal: info.ssi_signo as i32, code: info.ssi_code, sender: info.ssi_pid }))
}

/// kill(2).
pub fn send(pid: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_kill, [pid as usize, signal as usize, 0, 0, 0, 0]).map(drop) }
}

/// The kernel's `struct sigaction`: handler, flags, restorer (x86_64 only), mask. At most 32 bytes.
type Action = [u64; 4];

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: i32) -> Result<bool, Errno> {
    disposition(signal).map(|handler| handler == libc::SIG_IGN)
}

/// The signals that this process handles by a function of its own, and where that is.
pub fn handlers() -> Vec<(i32, usize)> {
    let all = (1..=LAST).filter_map(|signal| disposition(signal).ok().map(|handler| (signal, handler)));
    all.filter(|&(_, handler)| handler != libc::SIG_DFL && handler != libc::SIG_IGN).collect()
}

/// The last signal (SIGRTMAX).
const LAST: i32 = 64;

/// SIG_DFL, SIG_IGN, or the address of a handler.
fn disposition(signal: i32) -> Result<usize, Errno> {
    let mut action: Action = [0; 4];
    // SAFETY: the kernel writes one structure of at most 32 bytes.
    unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            [signal as usize, 0, action.as_mut_ptr() as usize, std::mem::size_of::<Set>(), 0, 0],
        )?;
    }
    let [handler, ..] = action;
    usize::try_from(handler).map_err(|_| Errno(libc::EINVAL))
}

/// Gives `signal` its default disposition (SIG_DFL).
pub fn set_default(signal: i32) -> Result<(), Errno> {
    // All zero is SIG_DFL.
    let action: Action = [0; 4];
    // SAFETY: the kernel reads one structure of at most 32 bytes.
    unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            [signal as usize, action.as_ptr() as usize, 0, std::mem::size_of::<Set>(), 0, 0],
        )
        .map(drop)
    }
}

/// Whether the timer of setitimer(2) is set.
pub fn is_interval_set(which: i32) -> bool {
    let mut now = [0i64; 4];
    // SAFETY: the kernel writes two pairs of seconds and microseconds.
    let result =
        unsafe { syscall(libc::SYS_getitimer, [which as usize, now.as_mut_ptr() as usize, 0, 0, 0, 0]) };
    let [.., seconds, microseconds] = now;
    result.is_ok() && (seconds, microseconds) != (0, 0)
}

/// Stops the timer of setitimer(2).
pub fn stop_interval(which: i32) {
    let never = [0i64; 4];
    // SAFETY: the kernel reads two pairs of seconds and microseconds.
    let _ = unsafe { syscall(libc::SYS_setitimer, [which as usize, never.as_ptr() as usize, 0, 0, 0, 0]) };
}

/// Whether there is a timer of timer_create(2) under a number.
pub fn is_timer(number: i32) -> bool {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_timer_getoverrun, [number as usize, 0, 0, 0, 0, 0]).is_ok() }
}

/// timer_delete(2).
pub fn delete_timer(number: i32) {
    // SAFETY: no pointers.
    let _ = unsafe { syscall(libc::SYS_timer_delete, [number as usize, 0, 0, 0, 0, 0]) };
}

/// Stops this process by a job-control signal's default action, until it is continued. Nothing
/// happens where the process's group is orphaned.
pub fn stop_by(signal: i32) {
    let Some(bit) = u32::try_from(signal - 1).ok().and_then(|shift| 1u64.checked_shl(shift)) else { return };
    let _ = set_default(signal);
    let _ = send(super::process::own_pid(), signal);
    if let Ok(mask) = set_mask(!bit) {
        let _ = set_mask(mask);
    }
}

/// Ends this process by `signal` as if it had been sent from outside: default disposition,
/// unblocked, sent to itself. Returns where that does not end it (pid 1 of a namespace).
pub fn end_by(signal: i32) {
    let _ = super::limit::set(libc::RLIMIT_CORE, 0, 0);
    let _ = set_default(signal);
    let _ = set_mask(0);
    let _ = send(super::process::own_pid(), signal);
}
