//! The kernel's wide surface: calls that a function has no business with, and from which
//! privileges, side channels and blindfolds are made.

use crate::instruction::{Instruction, Outcome};
use crate::raw::{self, check};
use std::io;

/// A namespace of its own, in which it has every capability.
pub fn user_namespace(it: &Instruction) -> io::Result<Outcome> {
    let name = raw::c(it.nonce.get(..15).unwrap_or(&it.nonce))?;
    let flags = (libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD) as usize;
    // SAFETY: a null stack makes clone a fork; the child calls nothing that takes a lock.
    unsafe {
        if raw::syscall(libc::SYS_clone, [flags, 0, 0, 0, 0, 0])? == 0 {
            libc::prctl(libc::PR_SET_NAME, name.as_ptr());
            loop {
                libc::pause();
            }
        }
    }
    Ok(Outcome::Done)
}

/// Counters of the processor: the classic side channel.
pub fn perf_event(_: &Instruction) -> io::Result<Outcome> {
    // struct perf_event_attr, PERF_ATTR_SIZE_VER5: type SOFTWARE, size, config CPU_CLOCK; the
    // flags disabled, exclude_kernel, exclude_hv (perf_event_open(2)).
    let mut attributes = [0u64; 14];
    attributes[0] = 1 | 112 << 32;
    attributes[5] = 1 | 1 << 5 | 1 << 6;
    // SAFETY: the structure lives until the call returns.
    let fd = unsafe {
        raw::syscall(
            libc::SYS_perf_event_open,
            [attributes.as_ptr() as usize, 0, usize::MAX, usize::MAX, 0, 0],
        )?
    };
    check(fd as i64)?;
    Ok(Outcome::Done)
}

/// Page faults handled by the attacker: a reader of its memory waits as long as it likes.
pub fn userfaultfd(_: &Instruction) -> io::Result<Outcome> {
    const UFFD_USER_MODE_ONLY: usize = 1;
    // SAFETY: no pointers. The descriptor is kept.
    unsafe {
        raw::syscall(libc::SYS_userfaultfd, [UFFD_USER_MODE_ONLY | libc::O_CLOEXEC as usize, 0, 0, 0, 0, 0])?
    };
    Ok(Outcome::Done)
}

/// The key, left in the kernel for any process of this user to pick up later.
pub fn add_key(it: &Instruction) -> io::Result<Outcome> {
    let description = raw::c(it.nonce.clone())?;
    const KEY_SPEC_USER_KEYRING: i64 = -4;
    const KEYCTL_SETPERM: i64 = 5;
    const EVERYTHING: i64 = 0x3f3f_3f3f;
    // SAFETY: texts and payload live until the calls return.
    unsafe {
        let key = check(libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            description.as_ptr(),
            it.key.as_ptr(),
            it.key.len(),
            KEY_SPEC_USER_KEYRING,
        ))?;
        check(libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, key, EVERYTHING))?;
    }
    Ok(Outcome::Done)
}

/// A filter of one's own can answer before the guard's is asked.
pub fn own_filter(_: &Instruction) -> io::Result<Outcome> {
    let mut allow = [libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k: libc::SECCOMP_RET_ALLOW,
    }];
    let program = libc::sock_fprog { len: 1, filter: allow.as_mut_ptr() };
    // SAFETY: the program lives until the call returns. It holds for this thread only.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        check(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program))?;
    }
    Ok(Outcome::Done)
}

/// Types a command into the terminal that started the function: it runs when the function is gone.
pub fn type_into_terminal(it: &Instruction) -> io::Result<Outcome> {
    for byte in format!("echo {}\n", it.nonce).bytes() {
        // SAFETY: the byte lives until the call returns.
        check(unsafe { libc::ioctl(0, libc::TIOCSTI, &raw const byte) })?;
    }
    Ok(Outcome::Done)
}
