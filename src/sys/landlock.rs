//! Landlock: landlock(7), landlock_create_ruleset(2), landlock_add_rule(2),
//! landlock_restrict_self(2). Which rules there are is `confine`'s to say.
//!
//! Not the crate of that name, which calls through libc: arming believes no symbol that a
//! dependency could define.

use super::descriptor::own;
use super::raw::{Errno, syscall};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const CREATE_RULESET: libc::c_long = 444;
const ADD_RULE: libc::c_long = 445;
const RESTRICT_SELF: libc::c_long = 446;
const VERSION_FLAG: usize = 1;
const RULE_PATH_BENEATH: usize = 1;

/// Access rights to files, with the ABI that brought each.
pub mod access {
    /// Execute a file (ABI 1).
    pub const EXECUTE: u64 = 1 << 0;
    /// Open a file for writing (ABI 1).
    pub const WRITE_FILE: u64 = 1 << 1;
    /// Open a file for reading (ABI 1).
    pub const READ_FILE: u64 = 1 << 2;
    /// List a directory (ABI 1).
    pub const READ_DIR: u64 = 1 << 3;
    /// Remove a directory (ABI 1).
    pub const REMOVE_DIR: u64 = 1 << 4;
    /// Unlink a file (ABI 1).
    pub const REMOVE_FILE: u64 = 1 << 5;
    /// Make a character device (ABI 1).
    pub const MAKE_CHAR: u64 = 1 << 6;
    /// Make a directory (ABI 1).
    pub const MAKE_DIR: u64 = 1 << 7;
    /// Make a regular file (ABI 1).
    pub const MAKE_REG: u64 = 1 << 8;
    /// Make a socket (ABI 1).
    pub const MAKE_SOCK: u64 = 1 << 9;
    /// Make a FIFO (ABI 1).
    pub const MAKE_FIFO: u64 = 1 << 10;
    /// Make a block device (ABI 1).
    pub const MAKE_BLOCK: u64 = 1 << 11;
    /// Make a symbolic link (ABI 1).
    pub const MAKE_SYM: u64 = 1 << 12;
    /// Link or rename across directories (ABI 2, Linux 5.19).
    pub const REFER: u64 = 1 << 13;
    /// Truncate a file (ABI 3, Linux 6.2).
    pub const TRUNCATE: u64 = 1 << 14;
    /// Device ioctl (ABI 5, Linux 6.10).
    pub const IOCTL_DEV: u64 = 1 << 15;
}

/// Scopes (ABI 6, Linux 6.12).
pub mod scope {
    /// No connection to an abstract unix socket made outside the domain.
    pub const ABSTRACT_UNIX_SOCKET: u64 = 1 << 0;
    /// No signal to a process outside the domain.
    pub const SIGNAL: u64 = 1 << 1;
}

#[repr(C)]
struct RulesetAttributes {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed_access: u64,
    parent_fd: i32,
}

/// The kernel's Landlock ABI; 0 where there is none, or where it was switched off at boot.
///
/// # Errors
///
/// That of a platform that refuses the call.
pub fn abi() -> Result<u32, Errno> {
    // SAFETY: with a null attribute and the version flag nothing is made.
    match unsafe { syscall(CREATE_RULESET, [0, 0, VERSION_FLAG, 0, 0, 0]) } {
        Ok(abi) => Ok(u32::try_from(abi).unwrap_or(0)),
        Err(Errno(libc::ENOSYS | libc::EOPNOTSUPP)) => Ok(0),
        Err(error) => Err(error),
    }
}

/// A ruleset that is being filled.
#[derive(Debug)]
pub struct Ruleset {
    fd: OwnedFd,
}

impl Ruleset {
    /// A ruleset that refuses every access in `handled` that no rule allows. `scoped` must be 0
    /// below ABI 6, and `handled` must hold only what the ABI knows.
    pub fn new(handled: u64, scoped: u64) -> Result<Self, Errno> {
        let attributes = RulesetAttributes { handled_access_fs: handled, handled_access_net: 0, scoped };
        // An older kernel takes a longer structure only if what it does not know is zero.
        let size = std::mem::size_of::<RulesetAttributes>();
        // SAFETY: the kernel reads `size` bytes; the result is a new descriptor.
        let fd = unsafe {
            syscall(CREATE_RULESET, [(&raw const attributes) as usize, size, 0, 0, 0, 0]).map(|fd| own(fd))?
        };
        Ok(Ruleset { fd })
    }

    /// Allows `access` on the file, or below the directory, that `object` is (O_PATH will do).
    pub fn allow(&self, object: BorrowedFd<'_>, access: u64) -> Result<(), Errno> {
        let rule = PathBeneath { allowed_access: access, parent_fd: object.as_raw_fd() };
        // SAFETY: the kernel reads one structure.
        unsafe {
            syscall(
                ADD_RULE,
                [
                    self.fd.as_fd().as_raw_fd() as usize,
                    RULE_PATH_BENEATH,
                    (&raw const rule) as usize,
                    0,
                    0,
                    0,
                ],
            )
            .map(drop)
        }
    }

    /// Puts the calling thread into a new domain with these rules. Needs no_new_privs.
    pub fn restrict_self(self) -> Result<(), Errno> {
        // SAFETY: no pointers.
        unsafe { syscall(RESTRICT_SELF, [self.fd.as_raw_fd() as usize, 0, 0, 0, 0, 0]).map(drop) }
    }
}
