//! System calls without libc: what walks past every guard that patches library functions. And the
//! little that the attempts share to call the kernel. Not an attempt.

use std::arch::asm;
use std::ffi::CString;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// One system call by its number.
///
/// # Safety
/// As the system call: pointers among the arguments must be valid for what it does with them.
#[cfg(target_arch = "x86_64")]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> io::Result<usize> {
    let result: isize;
    // SAFETY: the x86-64 convention (syscall(2)); rcx and r11 are clobbered. The caller answers
    // for the arguments.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2],
            in("r10") args[3], in("r8") args[4], in("r9") args[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    from_kernel(result)
}

/// One system call by its number.
///
/// # Safety
/// As the system call: pointers among the arguments must be valid for what it does with them.
#[cfg(target_arch = "aarch64")]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> io::Result<usize> {
    let result: isize;
    // SAFETY: the arm64 convention (syscall(2)). The caller answers for the arguments.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") args[0] => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3],
            in("x4") args[4], in("x5") args[5], options(nostack));
    }
    from_kernel(result)
}

fn from_kernel(result: isize) -> io::Result<usize> {
    match result {
        -4095..=-1 => Err(io::Error::from_raw_os_error(-result as i32)),
        _ => Ok(result as usize),
    }
}

/// Makes a negative result of a libc function an error.
pub fn check(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        negative if negative < 0 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// Takes ownership of the descriptor that a libc function returned.
pub fn descriptor(result: impl Into<i64>) -> io::Result<OwnedFd> {
    let fd = check(result)? as RawFd;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A socket by family, type and protocol.
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    descriptor(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol) })
}

/// An address as the kernel takes it.
pub struct Sockaddr {
    storage: libc::sockaddr_storage,
    /// Its length.
    pub len: libc::socklen_t,
}

impl Sockaddr {
    /// A pointer to it, valid while it lives.
    pub fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    /// The same with another family in its first field.
    pub fn with_family(mut self, family: i32) -> Self {
        self.storage.ss_family = family as libc::sa_family_t;
        self
    }

    /// From a structure of one family.
    pub fn of<T: Copy>(address: T, len: usize) -> Self {
        // SAFETY: all zero is a valid sockaddr_storage.
        let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        assert!(size_of::<T>() <= size_of_val(&storage));
        // SAFETY: it is large and aligned enough for any family's structure.
        unsafe { (&raw mut storage).cast::<T>().write(address) };
        Sockaddr { storage, len: len as libc::socklen_t }
    }
}

impl From<SocketAddr> for Sockaddr {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Sockaddr::of(
                libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                },
                size_of::<libc::sockaddr_in>(),
            ),
            SocketAddr::V6(v6) => Sockaddr::of(
                libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: 0,
                },
                size_of::<libc::sockaddr_in6>(),
            ),
        }
    }
}

/// A text for a C interface.
pub fn c(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(text).map_err(io::Error::other)
}
