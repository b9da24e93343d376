//! One system call, by our own instruction. Nothing else.
//!
//! Conventions: syscall(2) for x86_64 (`syscall`; rcx and r11 are lost) and arm64 (`svc #0`).

use std::fmt;

/// An error number of the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

impl Errno {
    /// The symbolic name, such as `EACCES`; the number where it has none here.
    pub fn name(self) -> &'static str {
        match self.0 {
            libc::EPERM => "EPERM",
            libc::ENOENT => "ENOENT",
            libc::ESRCH => "ESRCH",
            libc::EINTR => "EINTR",
            libc::EIO => "EIO",
            libc::ENXIO => "ENXIO",
            libc::E2BIG => "E2BIG",
            libc::ENOEXEC => "ENOEXEC",
            libc::EBADF => "EBADF",
            libc::EAGAIN => "EAGAIN",
            libc::ENOMEM => "ENOMEM",
            libc::EACCES => "EACCES",
            libc::EFAULT => "EFAULT",
            libc::EBUSY => "EBUSY",
            libc::EEXIST => "EEXIST",
            libc::EXDEV => "EXDEV",
            libc::ENOTDIR => "ENOTDIR",
            libc::EISDIR => "EISDIR",
            libc::EINVAL => "EINVAL",
            libc::EMFILE => "EMFILE",
            libc::ENFILE => "ENFILE",
            libc::EPIPE => "EPIPE",
            libc::ELOOP => "ELOOP",
            libc::ENAMETOOLONG => "ENAMETOOLONG",
            libc::ENOSYS => "ENOSYS",
            libc::ENOMSG => "ENOMSG",
            libc::EOPNOTSUPP => "EOPNOTSUPP",
            libc::ENOTSOCK => "ENOTSOCK",
            libc::EAFNOSUPPORT => "EAFNOSUPPORT",
            libc::ECONNREFUSED => "ECONNREFUSED",
            libc::ECONNRESET => "ECONNRESET",
            libc::ENETUNREACH => "ENETUNREACH",
            libc::EHOSTUNREACH => "EHOSTUNREACH",
            libc::ETIMEDOUT => "ETIMEDOUT",
            libc::EINPROGRESS => "EINPROGRESS",
            libc::EISCONN => "EISCONN",
            libc::ENOTCONN => "ENOTCONN",
            _ => "an error",
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            "an error" => write!(f, "error {}", self.0),
            name => f.write_str(name),
        }
    }
}

impl std::error::Error for Errno {}

/// Turns a raw return value into a result: values in -4095..=-1 are errors (syscall(2)).
fn settle(value: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&value) {
        // The range makes the conversion exact.
        Err(Errno(-value as i32))
    } else {
        Ok(value as usize)
    }
}

/// Makes the system call `number` with up to six arguments.
///
/// # Safety
///
/// The call must be sound with these arguments: every pointer among them valid for what the
/// kernel does with it, and every effect on this process's memory, threads and descriptors one
/// that no safe code relies on being absent.
#[inline]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    let [a, b, c, d, e, f] = args;
    let value: isize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller vouches for the call; the registers lost are named.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => value,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: the caller vouches for the call; svc #0 keeps every register but x0.
    unsafe {
        std::arch::asm!(
            "svc #0",
            in("x8") number as isize,
            inlateout("x0") a as isize => value,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    settle(value)
}

/// [`syscall`], again while a signal interrupts it.
///
/// # Safety
///
/// As [`syscall`].
pub unsafe fn syscall_restarting(number: libc::c_long, args: [usize; 6]) -> Result<usize, Errno> {
    loop {
        // SAFETY: passed on to the caller.
        match unsafe { syscall(number, args) } {
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
}
