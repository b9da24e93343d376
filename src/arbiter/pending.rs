//! Under way, or performed and not delivered: how a call is done exactly once.
//!
//! Below Linux 5.19 any signal interrupts a call that waits here, and the kernel notifies it
//! again under a new id; so does the freezer of Lambda and SnapStart. The second notification may
//! come while the operation is still under way, or when it is done and its answer has found
//! nobody. Either way the operation must not be done again (seccomp_unotify(2), "the target's
//! system call may be interrupted"): the first is answered under the newest id, the second from
//! memory. What makes a call the same call: its thread, its number and arguments, the bytes read
//! from its memory, and the identity of the file it works on. Any other call of the thread's ends
//! the memory, and tells that the one under way was given up.

use super::target::{Blame, Caller};
use crate::sys::{Errno, descriptor, seccomp, signal};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many calls are kept; beyond, results that nobody has come for are given up, and a repeated
/// connect answers EISCONN.
const MOST: usize = 1024;
/// How long a call goes on whose caller was interrupted and has not come back. A restarted one
/// comes back when the signal's handler returns; a connect that is given up goes on in the kernel
/// and is waited for again.
const GRACE: Duration = Duration::from_secs(2);

/// What came of a performed call: its value, or why it failed.
pub(super) type Performed = Result<i64, Errno>;

/// Calls under way, and results that found nobody waiting.
#[derive(Debug, Default)]
pub(super) struct Pending {
    calls: Mutex<Calls>,
    /// Keyed by the process: the function can't choose bytes that seem to be others.
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Calls {
    of: HashMap<i32, Entry>,
    begun: u64,
}

/// The last call that a thread had performed.
#[derive(Debug)]
struct Entry {
    key: Key,
    /// Tells it from the same call made anew.
    number: u64,
    /// Under which the answer is awaited: the newest.
    id: u64,
    /// Since when nobody waits under it.
    unseen: Option<Instant>,
    result: Option<Performed>,
}

/// What makes a call the same call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    number: i32,
    args: [u64; 6],
    /// A keyed hash of the bytes: a send's may be a mebibyte.
    bytes: u64,
    file: (u64, u64),
}

/// What is to be done with a call.
#[derive(Debug, PartialEq, Eq)]
enum Begun {
    /// It was performed already.
    Known(Performed),
    /// It is under way; whoever performs it answers.
    UnderWay,
    /// Nobody waits for it.
    Gone,
    /// It is to be performed; the number by which it is known.
    New(u64),
}

/// A call that is under way.
pub(super) struct Call<'a> {
    pending: &'a Pending,
    caller: &'a Caller<'a>,
    number: u64,
}

impl Call<'_> {
    /// Whether somebody still waits for what comes of it, or may come back for it.
    pub(super) fn is_wanted(&self) -> bool {
        let thread = self.caller.thread();
        let is_waiting = |id| seccomp::is_valid(self.caller.listener(), id);
        // Where only a death ends the wait, nobody comes back.
        let may_come_back = || !self.caller.waits_killable() && signal::send(thread, 0).is_ok();
        self.pending.is_wanted(thread, self.number, Instant::now(), is_waiting, may_come_back)
    }
}

impl Pending {
    /// Performs a call, unless it is under way or was performed: then [`Blame::Gone`] (another
    /// thread answers) or its result from memory.
    pub(super) fn once(
        &self,
        caller: &Caller<'_>,
        file: &OwnedFd,
        bytes: &[&[u8]],
        perform: impl FnOnce(&Call<'_>) -> Performed,
    ) -> Result<Performed, Blame> {
        let identity = descriptor::identify(file.as_fd()).map_err(Blame::Guard)?;
        let key = Key {
            number: caller.number(),
            args: caller.args(),
            bytes: self.hash(bytes),
            file: (identity.device, identity.inode),
        };
        let number = match self.begin(caller.thread(), key, caller.id(), || caller.check().is_ok()) {
            Begun::Known(result) => return Ok(result),
            Begun::UnderWay | Begun::Gone => return Err(Blame::Gone),
            Begun::New(number) => number,
        };
        let result = perform(&Call { pending: self, caller, number });
        caller.adopt(self.end(caller.thread(), number, result).ok_or(Blame::Gone)?);
        Ok(result)
    }

    /// Gives an answer by `send`; one that has arrived is remembered no longer. With the lock
    /// held, so that the same call made anew is not taken for this one.
    pub(super) fn deliver(&self, thread: i32, send: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let mut calls = self.lock();
        let result = send();
        if result.is_ok() {
            calls.of.remove(&thread);
        }
        result
    }

    fn begin(&self, thread: i32, key: Key, id: u64, is_waiting: impl FnOnce() -> bool) -> Begun {
        let mut calls = self.lock();
        // With the lock held: the call may have been notified again, performed and delivered by
        // another thread since this one looked, and then nothing is known of it any more.
        if !is_waiting() {
            return Begun::Gone;
        }
        if let Some(entry) = calls.of.get_mut(&thread).filter(|entry| entry.key == key) {
            entry.id = id;
            entry.unseen = None;
            return entry.result.map_or(Begun::UnderWay, Begun::Known);
        }
        if calls.of.len() >= MOST {
            calls.of.retain(|_, entry| entry.result.is_none());
        }
        calls.begun = calls.begun.wrapping_add(1);
        let number = calls.begun;
        calls.of.insert(thread, Entry { key, number, id, unseen: None, result: None });
        Begun::New(number)
    }

    /// Keeps what came of a call until it is delivered; under which id it is awaited now. `None`
    /// where the thread has given it up for another call.
    fn end(&self, thread: i32, number: u64, result: Performed) -> Option<u64> {
        let mut calls = self.lock();
        let entry = calls.of.get_mut(&thread).filter(|entry| entry.number == number)?;
        entry.result = Some(result);
        let id = entry.id;
        if result == Err(Errno(libc::EINTR)) {
            // Given up half-way: it is to be performed if it comes back.
            calls.of.remove(&thread);
        }
        Some(id)
    }

    fn is_wanted(
        &self,
        thread: i32,
        number: u64,
        now: Instant,
        is_waiting: impl FnOnce(u64) -> bool,
        may_come_back: impl FnOnce() -> bool,
    ) -> bool {
        let mut calls = self.lock();
        let Some(entry) = calls.of.get_mut(&thread).filter(|entry| entry.number == number) else {
            return false;
        };
        if is_waiting(entry.id) {
            entry.unseen = None;
            return true;
        }
        let since = *entry.unseen.get_or_insert(now);
        now.saturating_duration_since(since) < GRACE && may_come_back()
    }

    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        hasher.finish()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DONE: Performed = Ok(7);

    fn key(number: i32) -> Key {
        Key { number, args: [1; 6], bytes: 5, file: (1, 2) }
    }

    #[track_caller]
    fn new(begun: Begun) -> u64 {
        let Begun::New(number) = begun else { panic!("{begun:?}") };
        number
    }

    #[test]
    fn a_result_that_found_nobody_answers_the_same_call_and_no_other() {
        let pending = Pending::default();
        let first = new(pending.begin(10, key(1), 100, || true));
        assert_eq!(pending.end(10, first, DONE), Some(100));
        assert_eq!(pending.deliver(10, || Err(Errno(libc::ENOENT))), Err(Errno(libc::ENOENT)));
        // Of another thread it is another call.
        new(pending.begin(11, key(1), 101, || true));
        assert_eq!(pending.begin(10, key(1), 102, || true), Begun::Known(DONE));
        assert_eq!(pending.deliver(10, || Ok(())), Ok(()));
        new(pending.begin(10, key(1), 103, || true));
    }

    /// A thread that was slow finds that its call was performed by another, and must not do it too.
    #[test]
    fn a_call_that_no_longer_waits_is_not_begun() {
        let pending = Pending::default();
        assert_eq!(pending.begin(10, key(1), 100, || false), Begun::Gone);
        let call = new(pending.begin(10, key(1), 101, || true));
        assert_eq!(pending.begin(10, key(1), 100, || false), Begun::Gone);
        assert_eq!(pending.end(10, call, DONE), Some(101), "the newest id stays");
    }

    #[test]
    fn another_call_of_the_thread_ends_the_memory() {
        let pending = Pending::default();
        for other in [
            key(2),
            Key { bytes: 6, ..key(1) },
            Key { file: (1, 3), ..key(1) },
            Key { args: [2; 6], ..key(1) },
        ] {
            let first = new(pending.begin(10, key(1), 100, || true));
            assert_eq!(pending.end(10, first, DONE), Some(100));
            let second = new(pending.begin(10, other, 101, || true));
            assert_eq!(pending.end(10, second, DONE), Some(101));
        }
    }

    #[test]
    fn a_call_under_way_is_answered_under_the_newest_id_and_not_done_again() {
        let pending = Pending::default();
        let first = new(pending.begin(10, key(1), 100, || true));
        assert_eq!(pending.begin(10, key(1), 101, || true), Begun::UnderWay);
        assert_eq!(pending.end(10, first, DONE), Some(101));
        // Given up for another: nobody is to be answered, and nothing remembered, also where the
        // thread has come back to it since.
        let first = new(pending.begin(11, key(1), 102, || true));
        new(pending.begin(11, key(2), 103, || true));
        let again = new(pending.begin(11, key(1), 104, || true));
        assert_eq!(pending.end(11, first, DONE), None);
        assert_eq!(pending.end(11, again, DONE), Some(104));
    }

    #[test]
    fn a_call_given_up_half_way_is_performed_when_it_comes_back() {
        let pending = Pending::default();
        let first = new(pending.begin(10, key(1), 100, || true));
        assert_eq!(pending.end(10, first, Err(Errno(libc::EINTR))), Some(100));
        new(pending.begin(10, key(1), 101, || true));
    }

    #[test]
    fn an_interrupted_caller_is_waited_for_and_a_dead_or_busy_one_is_not() {
        let pending = Pending::default();
        let now = Instant::now();
        let (valid, gone) = (|id: u64| id == 101, |_: u64| false);
        let (alive, dead) = (|| true, || false);
        let call = new(pending.begin(10, key(1), 100, || true));
        assert!(pending.is_wanted(10, call, now, |_| true, dead), "somebody waits");
        assert!(!pending.is_wanted(10, call, now, gone, dead), "it has died");
        assert!(pending.is_wanted(10, call, now, gone, alive), "it may come back");
        assert!(!pending.is_wanted(10, call, now + GRACE, gone, alive), "but not for ever");
        assert_eq!(pending.begin(10, key(1), 101, || true), Begun::UnderWay);
        assert!(pending.is_wanted(10, call, now + GRACE, valid, dead), "it has come back");
        new(pending.begin(10, key(2), 102, || true));
        assert!(!pending.is_wanted(10, call, now, |_| true, alive), "it does something else");
    }

    #[test]
    fn what_nobody_comes_for_is_bounded() {
        let pending = Pending::default();
        for thread in 0..4 * MOST as i32 {
            let call = new(pending.begin(thread, key(1), 1, || true));
            assert_eq!(pending.end(thread, call, DONE), Some(1));
        }
        assert!(pending.lock().of.len() <= MOST);
    }

    #[test]
    fn pieces_are_told_apart_from_their_sum() {
        let pending = Pending::default();
        assert_eq!(pending.hash(&[b"ab", b"c"]), pending.hash(&[b"ab", b"c"]));
        assert_ne!(pending.hash(&[b"ab", b"c"]), pending.hash(&[b"a", b"bc"]));
    }
}
