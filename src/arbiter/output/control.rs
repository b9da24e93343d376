//! A pump as the others see it: whether it has anything in hand, barriers, and its end. What it does is
//! [`pump`](super::pump)'s matter.

use super::pump::Source;
use crate::sys::{Errno, descriptor};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a pump and those who wait for it share.
pub(super) struct Control {
    pub(super) source: Source,
    pub(super) wake: OwnedFd,
    /// Set when the function has ended: drain what is there and leave.
    pub(super) ending: AtomicBool,
    /// How often the pump has written on.
    pub(super) moved: AtomicU64,
    /// How many bytes the pump has read and not written.
    pub(super) in_hand: AtomicU64,
    state: Mutex<ControlState>,
    changed: Condvar,
}

pub(super) struct ControlState {
    /// The pipe, until the pump leaves.
    pub(super) reader: Option<Arc<OwnedFd>>,
    /// Whether the pump may hold bytes that it has not written: set before the pipe is read,
    /// cleared when all that was read is out.
    pub(super) busy: bool,
    /// Barriers asked for, and answered.
    pub(super) asked: u64,
    pub(super) answered: u64,
    /// Whether the pump has left.
    pub(super) done: bool,
}

impl Control {
    /// Of a pump that has not begun.
    pub(super) fn new(source: Source, reader: Arc<OwnedFd>) -> Result<Self, Errno> {
        let state = ControlState { reader: Some(reader), busy: false, asked: 0, answered: 0, done: false };
        Ok(Control {
            source,
            wake: descriptor::event()?,
            ending: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            in_hand: AtomicU64::new(0),
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether every byte that was written to the pipe before is out already, so that there is
    /// nothing to wake the pump for. The pump reads only after it has set `busy`, which needs the
    /// lock that is held here: with an empty pipe and a pump that is not busy there is no third
    /// place where a byte could be.
    pub(super) fn is_clear(&self) -> bool {
        let state = self.lock();
        let Some(reader) = state.reader.as_ref() else { return true };
        !state.busy && self.source.waiting(reader) == Ok(0)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.lock().busy = busy;
    }

    pub(super) fn ask(&self) -> u64 {
        let ticket = {
            let mut state = self.lock();
            state.asked += 1;
            state.asked
        };
        descriptor::notify_event(self.wake.as_fd());
        ticket
    }

    pub(super) fn answer(&self, ticket: u64) {
        self.lock().answered = ticket;
        self.changed.notify_all();
    }

    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.done = true;
        // The last one that holds it: the function's side breaks.
        state.reader = None;
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for `reached`, or for the pump's end.
    pub(super) fn wait(&self, deadline: Instant, reached: impl Fn(&ControlState) -> bool) -> bool {
        let mut state = self.lock();
        while !state.done && !reached(&state) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
