//! The loop that takes notifications and has them answered, and the threads that run it.
//!
//! One thread waits for the next call at any time. Before a thread does something that may block
//! (a connect on a blocking socket, a send on a full one), it sees to it that another waits; so a
//! hundred hung connects hold up nobody, and an ordinary call costs no hand-over. How many may be
//! blocked is capped: beyond, a call that would block is refused with EAGAIN.

use super::target::Caller;
use super::{Arbiter, calls};
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, network, process, seccomp};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How many threads may be blocked at once.
const MOST_BLOCKED: usize = 256;
/// How often a blocked call's caller is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The serving threads.
pub(super) struct Servers {
    arbiter: Mutex<Weak<Arbiter>>,
    counts: Mutex<Counts>,
    blocked: Mutex<Vec<Blocked>>,
    changed: Condvar,
}

#[derive(Default)]
struct Counts {
    waiting: usize,
    blocked: usize,
    watching: bool,
}

/// A call that blocks: enough to end it when its caller dies.
struct Blocked {
    id: u64,
    socket: i32,
}

impl Servers {
    pub(super) fn new() -> Self {
        Servers {
            arbiter: Mutex::new(Weak::new()),
            counts: Mutex::new(Counts::default()),
            blocked: Mutex::new(Vec::new()),
            changed: Condvar::new(),
        }
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
        self.counts().waiting += 1;
        std::thread::Builder::new()
            .stack_size(512 * 1024)
            .spawn(move || {
                process::set_thread_name(c"fnguard-serve");
                serve(&arbiter);
            })
            .map(drop)
            .map_err(|error| {
                self.counts().waiting -= 1;
                Errno(error.raw_os_error().unwrap_or(libc::EAGAIN))
            })
    }

    /// Runs something that may block, while another thread serves. `socket` is what it blocks
    /// on: shut down when the caller dies, so that the thread comes back.
    pub(super) fn blocking<T>(
        &self,
        caller: &Caller<'_>,
        socket: &OwnedFd,
        perform: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        {
            let mut counts = self.counts();
            if counts.blocked >= MOST_BLOCKED {
                return Err(Errno(libc::EAGAIN));
            }
            counts.blocked += 1;
            counts.waiting -= 1;
            let needs_another = counts.waiting == 0;
            drop(counts);
            if needs_another && let Err(error) = self.spawn() {
                let mut counts = self.counts();
                counts.blocked -= 1;
                counts.waiting += 1;
                return Err(error);
            }
        }
        let socket_number = socket.as_raw_fd();
        self.lock_blocked().push(Blocked { id: caller.id(), socket: socket_number });
        self.watch();
        let result = perform();
        // Under the lock, so that the watcher never touches a number that was closed.
        self.lock_blocked().retain(|blocked| blocked.id != caller.id() || blocked.socket != socket_number);
        let mut counts = self.counts();
        counts.blocked -= 1;
        counts.waiting += 1;
        result
    }

    fn lock_blocked(&self) -> std::sync::MutexGuard<'_, Vec<Blocked>> {
        self.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread that looks after blocked calls, unless it runs.
    fn watch(&self) {
        let mut counts = self.counts();
        if counts.watching {
            self.changed.notify_all();
            return;
        }
        counts.watching = true;
        drop(counts);
        let arbiter = self.arbiter.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        let Some(arbiter) = arbiter else { return };
        let started = std::thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            process::set_thread_name(c"fnguard-watch");
            arbiter.servers.look_after(&arbiter);
        });
        if started.is_err() {
            self.counts().watching = false;
        }
    }

    /// Ends what blocks for a caller that has died. A connect whose caller is gone would sit until
    /// TCP gives up, minutes later, and a loop of connects and kills would use up all threads.
    fn look_after(&self, arbiter: &Arbiter) {
        let mut blocked = self.lock_blocked();
        loop {
            if blocked.is_empty() {
                blocked = self.changed.wait(blocked).unwrap_or_else(PoisonError::into_inner);
            } else {
                blocked = self.changed.wait_timeout(blocked, LOOK).unwrap_or_else(PoisonError::into_inner).0;
            }
            let Some(listener) = arbiter.listener.as_ref() else { return };
            for call in blocked.iter() {
                if !seccomp::is_valid(listener.as_fd(), call.id) {
                    // Interrupted by a signal that does not kill, the caller asks again and is
                    // told what came of it; only a death ends the attempt.
                    if arbiter.waits_killable {
                        shut_down(call.socket);
                    }
                }
            }
        }
    }

    /// This thread answers a call now; if it is the only one, nobody waits meanwhile, which is
    /// right as long as the answer doesn't block.
    fn serving(&self) -> bool {
        // A thread that comes back from a blocked call may be one too many.
        let counts = self.counts();
        counts.waiting <= 2
    }

    fn leave(&self) {
        self.counts().waiting -= 1;
    }
}

fn shut_down(number: i32) {
    if let Some(socket) = crate::sys::descriptor::borrow_number(number) {
        network::shut_down(socket);
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
        if called & libc::POLLIN != 0
            && let Ok(notification) = seccomp::receive(listener)
        {
            calls::answer(arbiter, &Caller::new(listener, notification, arbiter.function));
        }
    }
}

fn serve(arbiter: &Arc<Arbiter>) {
    let Some(listener) = arbiter.listener.as_ref() else { return };
    let listener: BorrowedFd<'_> = listener.as_fd();
    loop {
        match seccomp::receive(listener) {
            Ok(notification) => {
                calls::answer(arbiter, &Caller::new(listener, notification, arbiter.function))
            }
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
        if !arbiter.servers.serving() {
            arbiter.servers.leave();
            return;
        }
    }
}
