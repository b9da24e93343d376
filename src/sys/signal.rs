//! Signals: blocking them all, reading them from a descriptor, sending them.

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
    let mut action: Action = [0; 4];
    // SAFETY: the kernel writes one structure of at most 32 bytes.
    unsafe {
        syscall(
            libc::SYS_rt_sigaction,
            [signal as usize, 0, action.as_mut_ptr() as usize, std::mem::size_of::<Set>(), 0, 0],
        )?;
    }
    Ok(action.first().copied() == Some(libc::SIG_IGN as u64))
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
