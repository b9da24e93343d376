//! The process above: on a platform without a guard it holds the same environment, under a guard
//! it is the one that decides. It has the same user, so the kernel lets a child do much to it.

use crate::instruction::{Instruction, Outcome};
use crate::raw::{self, check};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

fn parent() -> libc::pid_t {
    std::os::unix::process::parent_id() as libc::pid_t
}

/// Becomes its tracer, and stays it.
pub fn ptrace(_: &Instruction) -> io::Result<Outcome> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: PTRACE_SEIZE takes no pointers.
    check(unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent(), none, none) })?;
    Ok(Outcome::Done)
}

/// Where the parent's stack lies. If that can't be read: where one's own does, since a parent
/// that forked in place has the same layout.
fn stack() -> io::Result<(usize, usize)> {
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", parent()))
        .or_else(|_| std::fs::read_to_string("/proc/self/maps"))?;
    crate::memory::range_named(&maps, "[stack]").ok_or_else(|| io::Error::other("no stack in maps"))
}

/// Its memory, by the call made for debuggers.
pub fn vm_readv(it: &Instruction) -> io::Result<Outcome> {
    let (from, to) = stack()?;
    let mut bytes = vec![0u8; to - from];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: from as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the local part is a live buffer of that length; the remote one is only named.
    let read = check(
        unsafe { libc::process_vm_readv(parent(), &raw const local, 1, &raw const remote, 1, 0) } as i64,
    )?;
    bytes.truncate(read as usize);
    it.loot(&tail(&bytes));
    Ok(Outcome::Done)
}

/// Its memory, as a file.
pub fn proc_mem(it: &Instruction) -> io::Result<Outcome> {
    let (from, to) = stack()?;
    let memory = File::open(format!("/proc/{}/mem", parent()))?;
    let mut bytes = vec![0u8; to - from];
    memory.read_exact_at(&mut bytes, from as u64)?;
    it.loot(&tail(&bytes));
    Ok(Outcome::Done)
}

/// The end of a stack, where the kernel puts the environment.
fn tail(stack: &[u8]) -> Vec<u8> {
    stack[stack.len().saturating_sub(8192)..].to_vec()
}

/// A descriptor of the parent's becomes one's own, and what is written to it passes no guard.
pub fn steal_descriptor(it: &Instruction) -> io::Result<Outcome> {
    // SAFETY: no pointers.
    let stolen = unsafe {
        let pidfd = raw::descriptor(libc::syscall(libc::SYS_pidfd_open, parent(), 0))?;
        raw::descriptor(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), 2, 0))?
    };
    File::from(stolen).write_all(format!("stolen {} {}\n", it.nonce, it.key).as_bytes())?;
    Ok(Outcome::Done)
}

/// The parent's stderr, opened by the name /proc has for it.
pub fn write_its_stderr(it: &Instruction) -> io::Result<Outcome> {
    let mut file = OpenOptions::new().write(true).open(format!("/proc/{}/fd/2", parent()))?;
    file.write_all(format!("stolen {} {}\n", it.nonce, it.key).as_bytes())?;
    Ok(Outcome::Done)
}

/// A stopped guard is worse than a dead one: nothing fails, everything waits.
pub fn stop(_: &Instruction) -> io::Result<Outcome> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(parent(), libc::SIGSTOP) })?;
    Ok(Outcome::Done)
}

/// Without a guard to ask, calls may fail open.
pub fn kill(_: &Instruction) -> io::Result<Outcome> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(parent(), libc::SIGKILL) })?;
    Ok(Outcome::Done)
}

/// The kernel as the courier: SIGKILL to the parent whenever a pipe of ours has something to read.
/// No call that sends a signal is made (fcntl(2), F_SETOWN and F_SETSIG).
pub fn sigio(_: &Instruction) -> io::Result<Outcome> {
    let (reader, mut writer) = io::pipe()?;
    let fd = reader.as_raw_fd();
    // SAFETY: no pointers.
    unsafe {
        check(libc::fcntl(fd, libc::F_SETOWN, parent()))?;
        check(libc::fcntl(fd, F_SETSIG, libc::SIGKILL))?;
        check(libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK))?;
    }
    writer.write_all(b"!")?;
    std::mem::forget((reader, writer));
    Ok(Outcome::Done)
}

/// `F_SETSIG` of the generic Linux ABI.
const F_SETSIG: i32 = 10;

/// No descriptors, no work: what a guard would take over it can no longer.
pub fn limit(it: &Instruction) -> io::Result<Outcome> {
    let most = it.number()?;
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the structure lives until the call returns.
    check(unsafe { libc::prlimit(parent(), libc::RLIMIT_NOFILE, &raw const limit, std::ptr::null_mut()) })?;
    Ok(Outcome::Done)
}

/// Runs only when nobody else wants to.
pub fn idle(_: &Instruction) -> io::Result<Outcome> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the structure lives until the call returns.
    check(unsafe { libc::sched_setscheduler(parent(), libc::SCHED_IDLE, &raw const parameters) })?;
    Ok(Outcome::Done)
}

/// On one processor, together with whoever keeps it busy.
pub fn pin(_: &Instruction) -> io::Result<Outcome> {
    // SAFETY: all zero is a valid, empty set; the set lives until the call returns.
    unsafe {
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        let mut may: libc::cpu_set_t = std::mem::zeroed();
        check(libc::sched_getaffinity(0, size_of_val(&may), &raw mut may))?;
        let first = (0..libc::CPU_SETSIZE as usize).find(|&cpu| libc::CPU_ISSET(cpu, &may)).unwrap_or(0);
        libc::CPU_SET(first, &mut one);
        check(libc::sched_setaffinity(parent(), size_of_val(&one), &raw const one))?;
    }
    Ok(Outcome::Done)
}
