//! Privileges and limits: what the function process gives up for good.

use super::descriptors::Redirected;
use crate::error::ArmError;
use crate::sys::{Errno, capability, limit, process};

/// Proof that capabilities are dropped; says whether no_new_privs could be set.
#[derive(Debug)]
pub(crate) struct Unprivileged {
    /// `Err` where the platform refuses prctl(2).
    pub(crate) no_new_privileges: Result<(), Errno>,
    /// Whether the parent's end will end this process too, as the kernel has it and not as the call
    /// that asked for it said.
    pub(crate) dies_with_parent: bool,
    _proof: (),
}

/// Drops capabilities, limits core dumps, sets no_new_privs and PDEATHSIG.
///
/// RLIMIT_CORE is 1 and not 0: the kernel ignores 0 when the core pattern is a pipe, and takes 1
/// as the sign to dump nowhere (core(5), fs/coredump.c).
///
/// # Errors
///
/// Capabilities that are held and cannot be dropped, a limit that cannot be set.
pub(crate) fn drop_privileges(_proof: Redirected, parent: i32) -> Result<Unprivileged, ArmError> {
    capability::drop_all().map_err(ArmError::call("dropping capabilities"))?;
    limit::set(libc::RLIMIT_CORE, 1, 1)
        .or_else(|_| limit::set(libc::RLIMIT_CORE, 0, 0))
        .map_err(ArmError::call("limiting core dumps"))?;
    let no_new_privileges = process::set_no_new_privileges();
    let dies_with_parent = process::set_parent_death_signal(libc::SIGKILL).is_ok()
        && process::parent_death_signal() == Ok(libc::SIGKILL);
    if process::parent_pid() != parent {
        // The arbiter ended between the fork and the call above.
        process::exit(125);
    }
    Ok(Unprivileged { no_new_privileges, dies_with_parent, _proof: () })
}
