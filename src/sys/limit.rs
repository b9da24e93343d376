//! Resource limits: prlimit(2) on the caller itself.

use super::raw::{Errno, syscall};

/// Sets soft and hard limit of a resource of this process.
pub fn set(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let new = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one rlimit64; pid 0 is the caller.
    unsafe {
        syscall(libc::SYS_prlimit64, [0, resource as usize, (&raw const new) as usize, 0, 0, 0]).map(drop)
    }
}

/// Soft and hard limit of a resource of this process.
pub fn get(resource: u32) -> Result<(u64, u64), Errno> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one rlimit64; pid 0 is the caller.
    unsafe {
        syscall(libc::SYS_prlimit64, [0, resource as usize, 0, (&raw mut old) as usize, 0, 0])?;
    }
    Ok((old.rlim_cur, old.rlim_max))
}
