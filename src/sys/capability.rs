//! Capabilities: capabilities(7), capset(2), and the bounding and ambient sets by prctl(2).

use super::raw::{Errno, syscall};

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// Effective and permitted set of the caller, as bit masks.
pub fn held() -> Result<(u64, u64), Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 uses two data elements.
    unsafe {
        syscall(libc::SYS_capget, [(&raw const header) as usize, data.as_mut_ptr() as usize, 0, 0, 0, 0])?;
    }
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok((join(data[0].effective, data[1].effective), join(data[0].permitted, data[1].permitted)))
}

/// Drops every capability that the caller holds, the ambient ones with the permitted. Nothing is
/// said of the bounding set, which only bounds what an exec could give back.
pub fn drop_held() -> Result<(), Errno> {
    let header = Header { version: VERSION_3, pid: 0 };
    let data = [Data::default(); 2];
    // SAFETY: version 3 uses two data elements.
    unsafe {
        syscall(libc::SYS_capset, [(&raw const header) as usize, data.as_ptr() as usize, 0, 0, 0, 0])
            .map(drop)
    }
}

/// Drops every capability for good: bounding and ambient set first (they need the capability to
/// change them), then effective, permitted and inheritable. Does nothing where none is held.
pub fn drop_all() -> Result<(), Errno> {
    if held()? == (0, 0) {
        return Ok(());
    }
    for capability in 0..64usize {
        // SAFETY: no pointers. EINVAL marks the first number the kernel does not know.
        match unsafe { syscall(libc::SYS_prctl, [libc::PR_CAPBSET_DROP as usize, capability, 0, 0, 0, 0]) } {
            Ok(_) => {}
            Err(Errno(libc::EINVAL)) => break,
            // Without CAP_SETPCAP the bounding set stays; no_new_privs makes it harmless.
            Err(_) => break,
        }
    }
    // SAFETY: no pointers.
    let _ = unsafe {
        syscall(
            libc::SYS_prctl,
            [libc::PR_CAP_AMBIENT as usize, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0, 0, 0, 0],
        )
    };
    drop_held()
}
