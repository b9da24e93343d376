//! Sealed descriptors: the function process ends the making of file descriptors, for itself and for
//! every process that it makes, where the platform refuses a filter.
//!
//! RLIMIT_NOFILE 0, soft and hard: the kernel then gives no number to a new descriptor (`alloc_fd`,
//! fs/file.c), whichever call asks for one and by whichever instruction; and only CAP_SYS_RESOURCE,
//! which is dropped, could raise a hard limit again (getrlimit(2)). What is open stays as it is. That
//! it holds is tried afterwards: `trial`.

use super::domain::{DomainState, Entered};
use super::privileges::Unprivileged;
use crate::sys::{Errno, limit};

/// Proof that the process has sealed itself, or that it was tried; what the kernel said to that.
#[derive(Debug)]
pub(crate) struct Sealed {
    /// Whether the limit could be set, or why not.
    pub(crate) outcome: Result<(), Errno>,
    /// The Landlock domain, or why there is none.
    pub(crate) domain: Result<DomainState, Errno>,
    /// Whether no_new_privs is set, or why not.
    pub(crate) no_new_privileges: Result<(), Errno>,
    /// Whether the parent's end will end this process too.
    pub(crate) dies_with_parent: bool,
    _proof: (),
}

/// Step 6 under `mechanism = "sealed"`. Nothing that needs a descriptor of its own works behind it, so
/// it comes after all that does: the domain, and trying it.
pub(crate) fn seal(unprivileged: Unprivileged, entered: Entered) -> Sealed {
    Sealed {
        outcome: limit::set(libc::RLIMIT_NOFILE, 0, 0),
        domain: entered.outcome(),
        no_new_privileges: unprivileged.no_new_privileges,
        dies_with_parent: unprivileged.dies_with_parent,
        _proof: (),
    }
}
