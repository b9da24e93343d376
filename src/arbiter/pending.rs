//! Performed but not delivered: how a call is done exactly once.
//!
//! Below Linux 5.19 any signal interrupts a call that waits here, and the kernel notifies it
//! again under a new id; the freezer of Lambda and SnapStart does the same on every kernel. An
//! operation that was performed and whose answer found nobody must then be answered from memory
//! (seccomp_unotify(2), "the target's system call may be interrupted"). What makes a call the
//! same call: its thread, its number and arguments, the bytes read from its memory, and the
//! identity of the file it works on. Any other call of the thread's ends the memory.

use super::target::Caller;
use crate::sys::{Errno, descriptor};
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// How many undelivered results are kept; beyond, the oldest knowledge is given up, and a
/// repeated connect answers EISCONN.
const MOST: usize = 1024;

/// What came of a call, by the thread that made it.
type Undelivered = HashMap<i32, (Key, Result<(), Errno>)>;

/// Results that found nobody waiting.
#[derive(Debug, Default)]
pub(super) struct Pending {
    undelivered: Mutex<Undelivered>,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    number: i32,
    args: [u64; 6],
    bytes: Vec<u8>,
    file: (u64, u64),
}

impl Pending {
    /// Performs a call, or answers it from memory if it was performed and not delivered.
    pub(super) fn once(
        &self,
        caller: &Caller<'_>,
        file: &OwnedFd,
        bytes: &[u8],
        perform: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let identity = descriptor::identify(file.as_fd())?;
        let key = Key {
            number: caller.number(),
            args: caller.args(),
            bytes: bytes.to_vec(),
            file: (identity.device, identity.inode),
        };
        if let Some((known, result)) = self.lock().remove(&caller.thread())
            && known == key
        {
            return result;
        }
        if caller.check().is_err() {
            return Err(Errno(libc::EINTR));
        }
        let result = perform();
        // The caller may have gone while this was done. Between this look and the answer it may
        // still go: the kernel then answers the second call with EISCONN, as it would without us.
        if caller.check().is_err() {
            let mut undelivered = self.lock();
            if undelivered.len() >= MOST {
                undelivered.clear();
            }
            undelivered.insert(caller.thread(), (key, result));
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Undelivered> {
        self.undelivered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
