//! The pumps: each reads one pipe of the function's, or the master of its terminal, into a buffer of
//! its own and hands it to the outlet, which redacts and writes. Never splice(2): the page could change
//! between the look and the write.
//!
//! A pump waits for nothing but its pipe and its wake-up. What it holds back, of a pipe, is the line
//! that has no end yet: programs write lines piece by piece, and a record that comes in between stands
//! before the line, not inside it. The outlet holds back the tail that could be the beginning of a
//! secret. Both are let go, the second masked, when nothing more comes.

use super::Outlet;
use super::control::Control;
use super::outlet::{MAX_LINE, Until};
use crate::redact;
use crate::report::Stream;
use crate::sys::Errno;
use crate::sys::descriptor::{self, PollFd};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use zeroize::{Zeroize, Zeroizing};

/// How much is read at once: a pipe's usual size, so that a packet of packet mode is never cut.
const CHUNK: usize = 64 * 1024;
/// How long a live prefix, or the beginning of a line, is held while nothing more comes.
const IDLE_MS: i32 = 20;

/// What a pump tells the arbiter, and asks it.
pub(crate) trait PumpEvents: Send + Sync {
    /// The matcher to redact with, now.
    fn matcher(&self) -> Arc<redact::Matcher>;
    /// Bytes of the function's have been read.
    fn wrote(&self, stream: Stream, bytes: usize);
    /// Secrets were replaced.
    fn redacted(&self, stream: Stream, counts: &[(String, u64)]);
}

/// What one pump is made of.
pub(crate) struct Start {
    pub(crate) stream: Stream,
    pub(crate) source: Source,
    pub(crate) reader: Arc<OwnedFd>,
    pub(crate) outlet: Arc<Outlet>,
}

/// What a pump reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The reading end of a pipe.
    Pipe,
    /// The master of a pseudo-terminal: EIO is its end, and what was written to it may be on its
    /// way still.
    Terminal,
}

impl Source {
    /// The most that a terminal holds, twice over: its queue of 4 KiB, and 8 KiB on their way.
    const TERMINAL: usize = 32 * 1024;

    /// How many bytes can be read now.
    pub(super) fn waiting(self, reader: &OwnedFd) -> Result<usize, Errno> {
        if self == Source::Terminal {
            // poll(2) fetches what is on its way into the queue that FIONREAD counts (n_tty_poll).
            let _ = descriptor::poll(&mut [PollFd::new(reader.as_fd(), libc::POLLIN)], 0);
        }
        descriptor::readable_bytes(reader.as_fd())
    }
}

/// One pump at its work.
pub(super) struct Pump<'a> {
    name: Stream,
    reader: Arc<OwnedFd>,
    outlet: Arc<Outlet>,
    control: &'a Control,
    events: &'a dyn PumpEvents,
    /// The beginning of a line, as it was read.
    line: Zeroizing<Vec<u8>>,
    /// How many bytes the outlet held back for this pump when it wrote last.
    held: usize,
}

/// Whether a pump goes on.
#[derive(PartialEq)]
enum Next {
    Go,
    Leave,
}

impl<'a> Pump<'a> {
    pub(super) fn new(
        name: Stream,
        reader: Arc<OwnedFd>,
        outlet: Arc<Outlet>,
        control: &'a Control,
        events: &'a dyn PumpEvents,
    ) -> Self {
        // Never grown: that would leave copies of it behind.
        let line = Zeroizing::new(Vec::with_capacity(MAX_LINE + CHUNK));
        Pump { name, reader, outlet, control, events, line, held: 0 }
    }

    pub(super) fn run(mut self) {
        let mut buffer = Zeroizing::new(Vec::with_capacity(CHUNK));
        loop {
            let holding = self.held > 0 || !self.line.is_empty();
            self.control.set_busy(holding);
            let mut entries = [
                PollFd::new(self.reader.as_fd(), libc::POLLIN),
                PollFd::new(self.control.wake.as_fd(), libc::POLLIN),
            ];
            let timeout = if holding { IDLE_MS } else { -1 };
            let polled = descriptor::poll(&mut entries, timeout);
            self.control.set_busy(true);
            match polled {
                Ok(0) => {
                    if self.let_go(Until::Quiet) == Next::Leave {
                        return;
                    }
                    continue;
                }
                Ok(_) => {}
                // poll(2) fails here for want of memory only; the next round tries again.
                Err(_) => continue,
            }
            if entries[1].happened() != 0 {
                descriptor::clear_event(self.control.wake.as_fd());
                let ticket = self.control.lock().asked;
                // Before the pipe is drained: an end that comes after it rings again, and what was
                // written up to then is read in that round.
                let ending = self.control.ending.load(Ordering::Acquire);
                // Whoever wrote last to the outlet: it may be the other pump, which was asked before
                // this one or not at all, after bytes that this one had handed over.
                if self.drain(&mut buffer) == Next::Leave || self.let_go(Until::Now) == Next::Leave {
                    return;
                }
                self.control.answer(ticket);
                if ending {
                    let _ = self.let_go(Until::End);
                    return;
                }
            } else if entries[0].happened() != 0 && self.read_once(CHUNK, &mut buffer) == Next::Leave {
                return;
            }
        }
    }

    /// Reads and writes what the pipe holds now, and no more.
    fn drain(&mut self, buffer: &mut Vec<u8>) -> Next {
        let source = self.control.source;
        let waiting = |pump: &Self| source.waiting(&pump.reader).unwrap_or(0);
        let (mut left, mut read) = (waiting(self), 0usize);
        while left > 0 {
            match self.read_up_to(left.min(CHUNK), buffer) {
                Some(count) if count > 0 => {
                    left = left.saturating_sub(count);
                    read = read.saturating_add(count);
                }
                _ => return Next::Leave,
            }
            // Room in a terminal's queue is filled by what was on its way at the beginning.
            if left == 0 && source == Source::Terminal && read < Source::TERMINAL {
                left = waiting(self);
            }
        }
        Next::Go
    }

    fn read_once(&mut self, limit: usize, buffer: &mut Vec<u8>) -> Next {
        match self.read_up_to(limit, buffer) {
            Some(0) => {
                let _ = self.let_go(Until::End);
                Next::Leave
            }
            Some(_) => Next::Go,
            None => Next::Leave,
        }
    }

    /// Reads once and hands on; how many bytes were read, `None` where writing failed.
    fn read_up_to(&mut self, limit: usize, buffer: &mut Vec<u8>) -> Option<usize> {
        let count = descriptor::read_into(self.reader.as_fd(), buffer, limit).unwrap_or(0);
        if count > 0 {
            self.events.wrote(self.name, count);
            if self.take_in(buffer) == Next::Leave {
                return None;
            }
        }
        Some(count)
    }

    /// Hands on what is ready: whole lines, or all of what a terminal was written.
    fn take_in(&mut self, read: &[u8]) -> Next {
        let whole = read.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let too_long = self.line.len().saturating_add(read.len()).saturating_sub(whole) > MAX_LINE;
        let (ready, until) = if self.control.source == Source::Terminal || too_long {
            (read.len(), Until::Secret)
        } else {
            (whole, Until::Line)
        };
        let (now, later) = read.split_at_checked(ready).unwrap_or((read, &[]));
        if now.is_empty() {
            self.line.extend_from_slice(later);
            self.control.in_hand.store(self.in_hand(), Ordering::Relaxed);
            return Next::Go;
        }
        let next = if self.line.is_empty() {
            self.hand_on(now, later.len(), until)
        } else {
            let mut line = std::mem::take(&mut *self.line);
            line.extend_from_slice(now);
            let next = self.hand_on(&line, later.len(), until);
            *self.line = emptied(line);
            next
        };
        self.line.extend_from_slice(later);
        next
    }

    /// Hands on the beginning of a line, and has the outlet let go of what it holds back.
    fn let_go(&mut self, until: Until) -> Next {
        let line = std::mem::take(&mut *self.line);
        let next = self.hand_on(&line, 0, until);
        *self.line = emptied(line);
        next
    }

    /// Has the outlet write, while `later` bytes more are in hand. Where the platform's reader has gone
    /// the pump leaves and its pipe breaks, so that the function is told as if it had written there
    /// itself.
    fn hand_on(&mut self, bytes: &[u8], later: usize, until: Until) -> Next {
        let count = |held: usize, more: usize| held.saturating_add(more).saturating_add(later) as u64;
        self.control.in_hand.store(count(self.held, bytes.len()), Ordering::Relaxed);
        let written = self.outlet.write_function(self.name, bytes, until, self.events);
        self.control.moved.fetch_add(1, Ordering::Relaxed);
        let Ok(held) = written else { return Next::Leave };
        self.held = held;
        self.control.in_hand.store(count(held, 0), Ordering::Relaxed);
        Next::Go
    }

    fn in_hand(&self) -> u64 {
        self.held.saturating_add(self.line.len()) as u64
    }
}

/// A buffer without its bytes, overwritten: they may have been a secret's.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.as_mut_slice().zeroize();
    buffer.clear();
    buffer
}
