//! Step 3 of arming: the fork, after which the child confines itself.

use crate::error::ArmError;
use crate::secrets::Captured;
use crate::sys::process::{self, Forked, SingleThreaded};
use std::os::fd::OwnedFd;

/// Proof that this is the process that will be the function's, and that it holds no captured secret.
#[derive(Debug)]
pub(crate) struct InChild(());

/// Which side of the fork this is.
#[derive(Debug)]
pub(crate) enum Side {
    /// The function's process.
    Child(InChild),
    /// What becomes the arbiter; the child by pid and pidfd.
    Parent {
        /// The child's process id.
        child: i32,
        /// The child, pinned.
        pidfd: OwnedFd,
        /// The secrets, which only this side has.
        captured: Captured,
    },
}

/// Forks once the secrets are out of the environment, in pages that the child does not get.
///
/// # Errors
///
/// What clone(2) says.
pub(crate) fn fork(alone: &SingleThreaded, captured: Captured) -> Result<Side, ArmError> {
    match process::fork(alone).map_err(ArmError::call("forking"))? {
        Forked::Child => {
            captured.store.forget();
            Ok(Side::Child(InChild(())))
        }
        Forked::Parent { child, pidfd } => Ok(Side::Parent { child, pidfd, captured }),
    }
}
