//! Processes: forking without libc, ids, pidfds, waiting, prctl(2). Signals are in [`super::signal`].

use super::descriptor::own;
use super::raw::{Errno, syscall, syscall_restarting};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// The process id of the caller.
pub fn own_pid() -> i32 {
    // SAFETY: getpid(2) has no arguments and never fails.
    unsafe { syscall(libc::SYS_getpid, [0; 6]).unwrap_or(0) as i32 }
}

/// The effective user id of the caller, by which it opens files.
pub fn own_user() -> u32 {
    // SAFETY: geteuid(2) has no arguments and never fails.
    unsafe { syscall(libc::SYS_geteuid, [0; 6]).unwrap_or(0) as u32 }
}

/// The process id of the caller's parent.
pub fn parent_pid() -> i32 {
    // SAFETY: getppid(2) has no arguments and never fails.
    unsafe { syscall(libc::SYS_getppid, [0; 6]).unwrap_or(0) as i32 }
}

/// Proof that the process had one thread when it was asked. One that has starts no other by itself.
#[derive(Debug)]
pub struct SingleThreaded(());

/// Why there is no [`SingleThreaded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAlone {
    /// This many threads were found.
    Threads(usize),
    /// They could not be counted.
    Unknown(Errno),
}

impl SingleThreaded {
    /// Counts the threads of this process (/proc/self/task).
    pub fn check() -> Result<Self, NotAlone> {
        match super::path::list(c"/proc/self/task") {
            Ok(threads) if threads.len() == 1 => Ok(SingleThreaded(())),
            Ok(threads) => Err(NotAlone::Threads(threads.len())),
            Err(error) => Err(NotAlone::Unknown(error)),
        }
    }
}

/// The caller's process group.
pub fn own_group() -> i32 {
    // SAFETY: getpgid(2) of the caller has no pointers and never fails.
    unsafe { syscall(libc::SYS_getpgid, [0; 6]).unwrap_or(0) as i32 }
}

/// getsid(2): the session of a process.
pub fn session_of(pid: i32) -> Result<i32, Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_getsid, [pid as usize, 0, 0, 0, 0, 0]).map(|session| session as i32) }
}

/// getpgid(2): the group of a process.
pub fn group_of(pid: i32) -> Result<i32, Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_getpgid, [pid as usize, 0, 0, 0, 0, 0]).map(|group| group as i32) }
}

/// Lets other threads that wait for this CPU go first (sched_yield(2)).
pub fn give_way() {
    // SAFETY: no arguments.
    let _ = unsafe { syscall(libc::SYS_sched_yield, [0; 6]) };
}

/// Which side of a fork this is.
#[derive(Debug)]
pub enum Forked {
    /// The process that forked; the child by pid and pidfd.
    Parent {
        /// The child's process id.
        child: i32,
        /// The child, pinned.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Forks by clone(2), without libc's fork handlers: code that a dependency registered with
/// pthread_atfork(3) must not run in the arbiter.
///
/// libc keeps the thread id of the calling thread in its thread structure; in the child it would
/// stay the parent's, so that abort() of musl killed the arbiter and pthread calls reached it.
/// CLONE_CHILD_SETTID writes the child's own id there: at the address that libc registered
/// (PR_GET_TID_ADDRESS, prctl(2)), or, where prctl is refused, at the word that
/// [`thread_id_word`] found.
///
/// # Errors
///
/// What clone(2) says. `Errno(ESRCH)` when no address of the thread id could be found.
pub fn fork(_alone: &SingleThreaded) -> Result<Forked, Errno> {
    let address = thread_id_address().or_else(thread_id_word).ok_or(Errno(libc::ESRCH))?;
    let mut pidfd = -1i32;
    let flags =
        (libc::CLONE_PIDFD | libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD) as usize;
    let parent_word = (&raw mut pidfd) as usize;
    // clone(2): x86_64 takes (flags, stack, parent_tid, child_tid, tls), arm64 swaps the last two.
    #[cfg(target_arch = "x86_64")]
    let args = [flags, 0, parent_word, address, 0, 0];
    #[cfg(target_arch = "aarch64")]
    let args = [flags, 0, parent_word, 0, address, 0];
    // `address` is the word that libc itself registered for the same purpose.
    // SAFETY: without CLONE_VM the child has a copy of this address space and goes on from here, as
    // after fork(2). The process has one thread (the proof), so no lock is left held.
    let child = unsafe { syscall(libc::SYS_clone, args)? };
    if child == 0 {
        return Ok(Forked::Child);
    }
    // SAFETY: the kernel stored a new descriptor.
    Ok(Forked::Parent { child: child as i32, pidfd: unsafe { own(pidfd as usize) } })
}

/// Where libc wants the kernel to clear its thread id (PR_GET_TID_ADDRESS; needs
/// CONFIG_CHECKPOINT_RESTORE, and prctl not refused).
fn thread_id_address() -> Option<usize> {
    let mut address = 0usize;
    // SAFETY: the kernel writes one pointer.
    unsafe {
        syscall(
            libc::SYS_prctl,
            [libc::PR_GET_TID_ADDRESS as usize, (&raw mut address) as usize, 0, 0, 0, 0],
        )
        .ok()?;
    }
    (address != 0).then_some(address)
}

/// The word of libc's thread structure that holds this thread's id, found by looking: the first
/// aligned int from the thread pointer on that equals the id (glibc keeps it at 0x2d0 on x86_64
/// and 0xd0 below the pointer on arm64, musl at 0x30; all within the window).
fn thread_id_word() -> Option<usize> {
    let id = own_pid();
    let pointer = thread_pointer();
    #[cfg(target_arch = "x86_64")]
    let (low, words) = (pointer, 0x400 / 4);
    #[cfg(target_arch = "aarch64")]
    let (low, words) = (pointer.checked_sub(0x800)?, 0x800 / 4);
    let mut found = None;
    for index in 0..words {
        let address = low.checked_add(index * 4)?;
        // SAFETY: read by the kernel from our own memory, so that an unmapped page is an error
        // and not a fault.
        let mut word = [0u8; 4];
        let count = super::memory::read_process(own_pid(), address as u64, &mut word).ok()?;
        if count == 4 && i32::from_ne_bytes(word) == id {
            if found.is_some() {
                // Two candidates: writing the wrong one is worse than refusing.
                return None;
            }
            found = Some(address);
        }
    }
    found
}

fn thread_pointer() -> usize {
    let pointer: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: x86_64 ABI: the word at fs:0 is the thread pointer itself.
    unsafe {
        std::arch::asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: reads a register.
    unsafe {
        std::arch::asm!("mrs {}, tpidr_el0", out(reg) pointer, options(nostack, nomem));
    }
    pointer
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// Stopped by this signal, not ended.
    Stopped(i32),
    /// Goes on again.
    Continued,
}

/// wait4(2) on one child or, with -1, on any; `None` when none has changed (WNOHANG).
pub fn wait(pid: i32, block: bool) -> Result<Option<(i32, End)>, Errno> {
    let mut status = 0i32;
    let flags = libc::WUNTRACED | libc::WCONTINUED | if block { 0 } else { libc::WNOHANG };
    // SAFETY: the kernel writes one int.
    let pid = unsafe {
        syscall_restarting(
            libc::SYS_wait4,
            [pid as usize, (&raw mut status) as usize, flags as usize, 0, 0, 0],
        )?
    };
    if pid == 0 {
        return Ok(None);
    }
    let end = if libc::WIFEXITED(status) {
        End::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSTOPPED(status) {
        End::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFCONTINUED(status) {
        End::Continued
    } else {
        End::Killed(libc::WTERMSIG(status))
    };
    Ok(Some((pid as i32, end)))
}

/// exit_group(2): ends the process without running anything of libc's or a dependency's.
pub fn exit(status: i32) -> ! {
    loop {
        // SAFETY: ends the process.
        let _ = unsafe { syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// pidfd_open(2). Linux 5.3; for a single thread's id, PIDFD_THREAD of Linux 6.9.
pub fn open_pidfd(id: i32, thread: bool) -> Result<OwnedFd, Errno> {
    const PIDFD_THREAD: usize = libc::O_EXCL as usize;
    let flags = if thread { PIDFD_THREAD } else { 0 };
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe { syscall(libc::SYS_pidfd_open, [id as usize, flags, 0, 0, 0, 0]).map(|fd| own(fd)) }
}

/// pidfd_getfd(2): a copy of another process's descriptor, close-on-exec. Linux 5.6.
pub fn take_descriptor(pidfd: BorrowedFd<'_>, number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe {
        syscall(libc::SYS_pidfd_getfd, [pidfd.as_raw_fd() as usize, number as usize, 0, 0, 0, 0])
            .map(|fd| own(fd))
    }
}

/// pidfd_send_signal(2). Linux 5.1.
pub fn signal_pidfd(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: no siginfo is given.
    unsafe {
        syscall(libc::SYS_pidfd_send_signal, [pidfd.as_raw_fd() as usize, signal as usize, 0, 0, 0, 0])
            .map(drop)
    }
}

/// The size of the kernel's `siginfo_t`.
pub const SIGINFO: usize = 128;

/// pidfd_send_signal(2) with what rt_sigqueueinfo(2) would hand over; nothing if that is empty.
///
/// # Errors
///
/// What the kernel says: EPERM for information that only the kernel itself may give.
pub fn signal_pidfd_with(pidfd: BorrowedFd<'_>, signal: i32, information: &[u8]) -> Result<(), Errno> {
    #[repr(C, align(8))]
    struct Information([u8; SIGINFO]);
    let Some(bytes) = information.first_chunk::<SIGINFO>() else { return signal_pidfd(pidfd, signal) };
    let copy = Information(*bytes);
    // SAFETY: the kernel reads one siginfo_t of 128 bytes.
    unsafe {
        syscall(
            libc::SYS_pidfd_send_signal,
            [pidfd.as_raw_fd() as usize, signal as usize, (&raw const copy) as usize, 0, 0, 0],
        )
        .map(drop)
    }
}

/// tgkill(2): signals a thread of a process.
///
/// # Errors
///
/// ESRCH where that process has no such thread.
pub fn signal_thread(process: i32, thread: i32, signal: i32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe {
        syscall(libc::SYS_tgkill, [process as usize, thread as usize, signal as usize, 0, 0, 0]).map(drop)
    }
}

/// Whether a thread belongs to a process, asked by tgkill(2) with signal 0, which sends nothing.
pub fn has_thread(process: i32, thread: i32) -> bool {
    // EPERM says that there is such a thread, of another user.
    matches!(signal_thread(process, thread, 0), Ok(()) | Err(Errno(libc::EPERM)))
}

/// prctl(2) with plain numbers, no pointers.
fn control(option: i32, value: usize) -> Result<usize, Errno> {
    // SAFETY: only called with options whose arguments are numbers.
    unsafe { syscall(libc::SYS_prctl, [option as usize, value, 0, 0, 0, 0]) }
}

/// PR_SET_NO_NEW_PRIVS.
pub fn set_no_new_privileges() -> Result<(), Errno> {
    control(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// PR_SET_DUMPABLE 0: no ptrace, no /proc/PID/mem, no core, no pidfd_getfd by the same user.
pub fn set_not_dumpable() -> Result<(), Errno> {
    control(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// PR_SET_DUMPABLE 1.
pub fn set_dumpable() -> Result<(), Errno> {
    control(libc::PR_SET_DUMPABLE, 1).map(drop)
}

/// PR_GET_DUMPABLE.
pub fn is_dumpable() -> Result<bool, Errno> {
    control(libc::PR_GET_DUMPABLE, 0).map(|value| value != 0)
}

/// PR_SET_PDEATHSIG: the signal that this process gets when the thread that made it ends.
pub fn set_parent_death_signal(signal: i32) -> Result<(), Errno> {
    control(libc::PR_SET_PDEATHSIG, signal as usize).map(drop)
}

/// PR_GET_PDEATHSIG: the signal that [`set_parent_death_signal`] has set; 0 is none.
pub fn parent_death_signal() -> Result<i32, Errno> {
    let mut signal = 0i32;
    // SAFETY: the kernel writes one int.
    unsafe {
        syscall(libc::SYS_prctl, [libc::PR_GET_PDEATHSIG as usize, (&raw mut signal) as usize, 0, 0, 0, 0])?;
    }
    Ok(signal)
}

/// PR_SET_NAME of the calling thread; at most 15 bytes.
pub fn set_thread_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel reads up to 16 bytes, to NUL. A refusal costs nothing but the name.
    let _ =
        unsafe { syscall(libc::SYS_prctl, [libc::PR_SET_NAME as usize, name.as_ptr() as usize, 0, 0, 0, 0]) };
}

/// Pointers to strings, NULL last. They are good for as long as the strings are.
fn pointers(items: &[&std::ffi::CStr]) -> Vec<usize> {
    items.iter().map(|item| item.as_ptr() as usize).chain([0]).collect()
}

/// execveat(2) of an open file (O_PATH does). Returns only on error.
pub fn execute_open(
    file: BorrowedFd<'_>,
    arguments: &[&std::ffi::CStr],
    environment: &[&std::ffi::CStr],
) -> Errno {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays, alive during the call.
    let result = unsafe {
        syscall(
            libc::SYS_execveat,
            [
                file.as_raw_fd() as usize,
                c"".as_ptr() as usize,
                arguments.as_ptr() as usize,
                environment.as_ptr() as usize,
                libc::AT_EMPTY_PATH as usize,
                0,
            ],
        )
    };
    result.err().unwrap_or(Errno(libc::EIO))
}

/// execve(2). Returns only on error.
pub fn execute(
    path: &std::ffi::CStr,
    arguments: &[&std::ffi::CStr],
    environment: &[&std::ffi::CStr],
) -> Errno {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: NUL-terminated strings in NULL-terminated arrays, alive during the call.
    let result = unsafe {
        syscall(
            libc::SYS_execve,
            [path.as_ptr() as usize, arguments.as_ptr() as usize, environment.as_ptr() as usize, 0, 0, 0],
        )
    };
    result.err().unwrap_or(Errno(libc::EIO))
}

/// The question by which a program finds out whether it is armed: a call that only the owner of
/// a listener can answer with success, by giving it a descriptor. See `link`.
pub fn ask_listener(first: u32, second: u32, kind: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: kcmp(2) with ids that cannot exist (above PID_MAX_LIMIT) touches nothing.
    unsafe {
        syscall(libc::SYS_kcmp, [first as usize, second as usize, kind as usize, 0, 0, 0]).and_then(|value| {
            // An honest kernel never answers success here; a descriptor below 3 is no answer.
            if value < 3 { Err(Errno(libc::ENOSYS)) } else { Ok(own(value)) }
        })
    }
}
