//! The loop that takes notifications and has them answered, and the threads that run it.
//!
//! One thread waits for the next call at any time. Before a thread does something that may block
//! (a connect on a blocking socket, a send on a full one), it sees to it that another waits; so a
//! hundred hung connects hold up nobody, and an ordinary call costs no hand-over. How many may be
//! blocked is capped, and so is what they hold: beyond, a call that would block is refused with
//! EAGAIN. Whatever blocks waits in slices and looks whether it is still wanted (see `pending`).

use super::target::Caller;
use super::{Arbiter, calls};
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, process, seccomp};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// How many threads may be blocked at once.
const MOST_BLOCKED: usize = 256;
/// How many bytes of the function's the blocked ones may hold together.
const MOST_HELD: usize = 4 << 20;
/// How many threads stay when a call that blocked comes back.
const SPARE: usize = 2;

/// The serving threads.
pub(super) struct Servers {
    arbiter: Mutex<Weak<Arbiter>>,
    counts: Mutex<Counts>,
}

/// How many threads there are, by what they do.
#[derive(Debug, Default)]
struct Counts {
    /// Those that take calls, or answer one without blocking.
    serving: usize,
    blocked: usize,
    held: usize,
}

impl Counts {
    /// One of the serving threads is to block, holding `bytes`; whether another must be started.
    fn block(&mut self, bytes: usize) -> Result<bool, Errno> {
        let held = self.held.saturating_add(bytes);
        if self.blocked >= MOST_BLOCKED || held > MOST_HELD {
            return Err(Errno(libc::EAGAIN));
        }
        self.held = held;
        self.blocked += 1;
        self.serving = self.serving.saturating_sub(1);
        Ok(self.serving == 0)
    }

    fn unblock(&mut self, bytes: usize) {
        self.held = self.held.saturating_sub(bytes);
        self.blocked = self.blocked.saturating_sub(1);
        self.serving += 1;
    }

    /// Takes one of the serving threads out of the count if there are more than needed. Look and
    /// count are one step: of three that look, one goes.
    fn leave(&mut self) -> bool {
        let spare = self.serving > SPARE;
        if spare {
            self.serving -= 1;
        }
        spare
    }
}

impl Servers {
    pub(super) fn new() -> Self {
        Servers { arbiter: Mutex::new(Weak::new()), counts: Mutex::new(Counts::default()) }
    }

    /// Starts serving.
    pub(super) fn start(&self, arbiter: &Arc<Arbiter>) -> Result<(), Errno> {
        *self.arbiter.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(arbiter);
        self.spawn()
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self) -> Result<(), Errno> {
        let arbiter = self.arbiter.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(arbiter) = arbiter else { return Err(Errno(libc::ESRCH)) };
        self.counts().serving += 1;
        std::thread::Builder::new()
            .stack_size(512 * 1024)
            .spawn(move || {
                process::set_thread_name(c"fnguard-serve");
                serve(&arbiter);
            })
            .map(drop)
            .map_err(|error| {
                self.counts().serving -= 1;
                Errno(error.raw_os_error().unwrap_or(libc::EAGAIN))
            })
    }

    /// Runs something that may block, while another thread serves. `bytes` is how much of the
    /// function's it holds meanwhile.
    pub(super) fn blocking<T>(
        &self,
        bytes: usize,
        perform: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let needs_another = self.counts().block(bytes)?;
        let result = if needs_another { self.spawn().and_then(|()| perform()) } else { perform() };
        self.counts().unblock(bytes);
        result
    }
}

/// Answers calls in the caller's thread until there is something to read from `until`: while
/// arming, before there are threads.
///
/// # Errors
///
/// What poll(2) says.
pub(super) fn serve_until(arbiter: &Arbiter, until: BorrowedFd<'_>) -> Result<(), Errno> {
    let Some(listener) = arbiter.listener.as_ref() else { return Ok(()) };
    let listener = listener.as_fd();
    loop {
        let mut entries = [PollFd::new(until, libc::POLLIN), PollFd::new(listener, libc::POLLIN)];
        descriptor::poll(&mut entries, -1)?;
        let [told, called] = entries.map(|entry| entry.happened());
        if told != 0 {
            return Ok(());
        }
        // The caller may be gone again; so may every process that could call, which ends `until`.
        if called & libc::POLLIN != 0 {
            let _ = receive_and_answer(arbiter, listener);
        }
    }
}

fn receive_and_answer(arbiter: &Arbiter, listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let notification = seccomp::receive(listener)?;
    let caller = Caller::new(listener, notification, arbiter.function, arbiter.waits_killable);
    calls::answer(arbiter, &caller);
    Ok(())
}

fn serve(arbiter: &Arc<Arbiter>) {
    let Some(listener) = arbiter.listener.as_ref() else { return };
    let listener: BorrowedFd<'_> = listener.as_fd();
    loop {
        match receive_and_answer(arbiter, listener) {
            Ok(()) => {}
            // The caller was gone, or a signal came first: the next one, if anybody is left.
            Err(Errno(libc::ENOENT | libc::EINTR)) => {
                let mut entry = [PollFd::new(listener, libc::POLLIN)];
                if descriptor::poll(&mut entry, 0).is_ok() && entry[0].happened() & libc::POLLHUP != 0 {
                    return;
                }
            }
            // The listener has nobody left to report; the arbiter's end is decided elsewhere.
            Err(_) => return,
        }
        if arbiter.servers.counts().leave() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_threads_that_come_back_together_two_stay() {
        let counts = Mutex::new(Counts { serving: 3, blocked: 0, held: 0 });
        let looking = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        looking.wait();
                        counts.lock().unwrap().leave()
                    })
                })
                .collect();
            let left = all.into_iter().filter_map(|one| one.join().ok()).filter(|&left| left).count();
            assert_eq!(left, 1);
        });
        assert_eq!(counts.lock().unwrap().serving, SPARE);
    }

    #[test]
    fn whoever_blocks_last_has_another_started() {
        let mut counts = Counts { serving: 2, ..Counts::default() };
        assert_eq!(counts.block(10), Ok(false));
        assert_eq!(counts.block(10), Ok(true));
        counts.unblock(10);
        counts.unblock(10);
        assert_eq!((counts.serving, counts.blocked, counts.held), (2, 0, 0));
        assert!(!counts.leave());
    }

    #[test]
    fn the_blocked_and_what_they_hold_are_bounded() {
        let mut counts = Counts::default();
        for _ in 0..MOST_BLOCKED {
            assert!(counts.block(1).is_ok());
        }
        assert_eq!(counts.block(1), Err(Errno(libc::EAGAIN)));
        let mut counts = Counts::default();
        assert!(counts.block(MOST_HELD).is_ok());
        assert_eq!(counts.block(1), Err(Errno(libc::EAGAIN)));
        assert_eq!(counts.block(usize::MAX), Err(Errno(libc::EAGAIN)));
        assert!(counts.block(0).is_ok());
    }
}
