//! Everything that leaves by stdout and stderr: the pumps that carry the function's bytes, and
//! the outlets that they share with the guard's own records. Here stands what the arbiter asks of all
//! pumps together: a barrier, what is left, and the end.

mod control;
mod input;
mod outlet;
mod pump;
#[cfg(test)]
mod tests;

pub(crate) use input::carry;
pub(crate) use outlet::Outlet;
pub(crate) use pump::{PumpEvents, Source, Start};

use crate::sys::{Errno, descriptor, process};
use control::Control;
use pump::Pump;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The pumps.
pub(crate) struct Output {
    controls: Vec<Arc<Control>>,
}

impl Output {
    /// Starts a thread for each pump.
    pub(crate) fn start(
        pumps: impl IntoIterator<Item = Start>,
        events: Arc<dyn PumpEvents>,
    ) -> Result<Self, Errno> {
        let mut controls = Vec::new();
        for Start { stream, source, reader, outlet } in pumps {
            let control = Arc::new(Control::new(source, Arc::clone(&reader))?);
            controls.push(Arc::clone(&control));
            outlet.join();
            let events = Arc::clone(&events);
            std::thread::Builder::new()
                .stack_size(256 * 1024)
                .spawn(move || {
                    process::set_thread_name(c"fnguard-pump");
                    Pump::new(stream, reader, outlet, &control, &*events).run();
                    control.leave();
                })
                .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)))?;
        }
        Ok(Output { controls })
    }

    /// Waits until every byte that stands in the pipes at this moment has been written, at most
    /// `limit`. Whether that was reached; an endless writer can't stretch it.
    pub(crate) fn barrier(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let tickets: Vec<(&Control, u64)> = self
            .controls
            .iter()
            .filter(|control| !control.is_clear())
            .map(|control| (&**control, control.ask()))
            .collect();
        tickets.iter().all(|(control, ticket)| control.wait(deadline, |state| state.answered >= *ticket))
    }

    /// How many bytes stand in the pipes or in the pumps' hands. Those in hand are counted as they
    /// were read, and what has been redacted already as it will be written.
    pub(crate) fn bytes_left(&self) -> u64 {
        let left = |control: &Arc<Control>| {
            let reader = control.lock().reader.clone();
            let waiting = reader.and_then(|reader| descriptor::readable_bytes(reader.as_fd()).ok());
            control.in_hand.load(Ordering::Relaxed).saturating_add(waiting.unwrap_or(0) as u64)
        };
        self.controls.iter().map(left).fold(0, u64::saturating_add)
    }

    /// Lets the pumps write what is left and leave. They have as long as they get on: only once
    /// nothing was written for `limit` are they left behind, as where the platform does not read.
    /// What is left is bounded by what the pipes hold at this moment, so an endless writer that the
    /// function left behind can't stretch it.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        self.hang_up();
        // Both may wait for one outlet, so that one's progress is the other's.
        let moved = || {
            self.controls
                .iter()
                .fold(0u64, |sum, control| sum.wrapping_add(control.moved.load(Ordering::Relaxed)))
        };
        self.controls.iter().all(|control| {
            loop {
                let before = moved();
                if control.wait(Instant::now() + limit, |_| false) {
                    return true;
                }
                if moved() == before {
                    return false;
                }
            }
        })
    }

    /// Has the pumps write what is left and leave, without waiting: then the function's side breaks,
    /// or hangs up.
    pub(crate) fn hang_up(&self) {
        for control in &self.controls {
            control.ending.store(true, Ordering::Release);
            descriptor::notify_event(control.wake.as_fd());
        }
    }
}
