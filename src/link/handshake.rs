//! The few messages of arming itself, over a socket pair of its own, before any code of the
//! function's runs. Not the link: that is for afterwards.

use crate::confine::DomainState;
use crate::sys::{Errno, network};
use crate::trial::Outcomes;
use serde::{Deserialize, Serialize};
use std::os::fd::BorrowedFd;

/// What the function process tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// It has done to itself what it could.
    Confined {
        /// What is to hold it.
        by: By,
        /// Its Landlock domain, as far as the kernel said that it holds, or the error number.
        domain: Result<DomainState, i32>,
        /// What became of trying what the domain must refuse.
        outcomes: Outcomes,
        /// Whether no_new_privs is set, or the error number.
        no_new_privileges: Result<(), i32>,
        /// Whether it ends with its parent.
        dies_with_parent: bool,
        /// Entries of the arbiter's in /proc that it could open.
        arbiter_entries_open: Vec<String>,
    },
    /// Whether a call that it made was answered through the listener.
    Tried { trapped: bool },
    /// What still worked under the seal, and whether the arbiter's memory is open.
    TriedSeal { worked: Vec<String>, reaches_arbiter: bool },
    /// It could not go on.
    Failed { code: String, message: String, found: Option<String>, expected: Option<String>, remedy: String },
}

/// What a function process has put itself under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum By {
    /// A filter: the listener's number in its table, and whether received calls wait through signals
    /// that do not kill; or the error number.
    Filter(Result<(i32, bool), i32>),
    /// Sealed descriptors, or the error number.
    Seal(Result<(), i32>),
}

/// What the arbiter answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Go on.
    Go,
    /// End.
    End,
}

/// Sends one message.
pub(crate) fn tell<T: Serialize>(socket: BorrowedFd<'_>, message: &T) -> Result<(), Errno> {
    let bytes = postcard::to_allocvec(message).map_err(|_| Errno(libc::EINVAL))?;
    network::send_to(socket, &bytes, libc::MSG_NOSIGNAL, &[]).map(drop)
}

/// Waits for one message. EPIPE when the other side has ended.
pub(crate) fn hear<T: for<'a> Deserialize<'a>>(socket: BorrowedFd<'_>) -> Result<T, Errno> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    if network::receive(socket, &mut buffer)? == 0 {
        return Err(Errno(libc::EPIPE));
    }
    postcard::from_bytes(&buffer).map_err(|_| Errno(libc::EPROTO))
}
