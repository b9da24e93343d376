//! One of the platform's descriptors: who writes there, in which order, and where lines begin.
//!
//! Where stdout and stderr are one file there is one outlet for both, so that a record always
//! begins at the start of a line, and so that neither an imitation nor a secret is put together from
//! two halves: the bytes are redacted here, in the order in which they are written.

use super::pump::PumpEvents;
use crate::redact;
use crate::report::Stream;
use crate::report::imitation::Marker;
use crate::sys::{Errno, descriptor};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The longest beginning of a line that is held.
pub(super) const MAX_LINE: usize = 64 * 1024;

/// A descriptor of the platform's, and where its lines stand.
#[derive(Debug)]
pub(crate) struct Outlet {
    fd: OwnedFd,
    /// What ends a record: a raw terminal needs to be told to go back to the left as well.
    line_end: &'static [u8],
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    at_line_start: bool,
    redaction: redact::Stream,
    /// Redacted: the beginning of a line whose rest is still held back.
    line: Vec<u8>,
    marker: Marker,
    marked: Vec<u8>,
    /// How many redactions of each secret have been told of.
    told: Vec<(String, u64)>,
    /// Who wrote last: what is held back waits for that one.
    last: Option<Stream>,
    /// How many streams have not ended.
    open: usize,
}

/// How much of what is ready goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// Whole lines.
    Line,
    /// Everything but what may be the beginning of a secret.
    Secret,
    /// Everything: a beginning of a secret is masked. Only what is this stream's to let go.
    Quiet,
    /// Everything, whoever wrote it.
    Now,
    /// Everything, since the stream ends.
    End,
}

impl Outlet {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let state = State {
            at_line_start: true,
            redaction: redact::Stream::new(),
            line: Vec::new(),
            marker: Marker::new(),
            marked: Vec::new(),
            told: Vec::new(),
            last: None,
            open: 0,
        };
        Outlet { fd, line_end: b"\n", state: Mutex::new(state) }
    }

    /// A terminal that is raw.
    pub(crate) fn raw(fd: OwnedFd) -> Self {
        Outlet { line_end: b"\r\n", ..Outlet::new(fd) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another stream of the function's comes out here.
    pub(super) fn join(&self) {
        let mut state = self.lock();
        state.open = state.open.saturating_add(1);
    }

    /// Writes bytes of the function's, secrets replaced and imitations of records marked. How many
    /// bytes are held back that wait for this stream.
    ///
    /// What is held back when nothing more comes is let go by whoever wrote last, since the other may
    /// be asleep; and that one's 20 ms count, not those of a stream that was silent for longer.
    pub(super) fn write_function(
        &self,
        from: Stream,
        bytes: &[u8],
        until: Until,
        events: &dyn PumpEvents,
    ) -> Result<usize, Errno> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if bytes.is_empty() && until == Until::Quiet && state.last != Some(from) {
            return Ok(0);
        }
        state.last = Some(from);
        // In force at this moment: whoever waited for the lock may have an older one.
        let matcher = events.matcher();
        state.redaction.push(&matcher, bytes, &mut state.line);
        match until {
            Until::Line | Until::Secret => {}
            Until::Quiet | Until::Now => state.redaction.idle(&matcher, &mut state.line),
            Until::End => {
                state.open = state.open.saturating_sub(1);
                // The text goes on where another stream does: there may be the other half.
                if state.open == 0 {
                    state.redaction.finish(&matcher, &mut state.line);
                } else {
                    state.redaction.idle(&matcher, &mut state.line);
                }
            }
        }
        let counts = state.new_counts();
        if !counts.is_empty() {
            events.redacted(from, &counts);
        }
        state.write(&self.fd, until)?;
        Ok(state.redaction.pending().saturating_add(state.line.len()))
    }

    /// Writes one record on a line of its own, whatever the function has begun there.
    pub(crate) fn write_record(&self, line: &str) -> Result<(), Errno> {
        let mut state = self.lock();
        let mut bytes = Vec::with_capacity(line.len() + 4);
        if !state.at_line_start {
            bytes.extend_from_slice(self.line_end);
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(self.line_end);
        // One write, so that another process's output on the same file can't come between.
        descriptor::write_all(self.fd.as_fd(), &bytes)?;
        state.at_line_start = true;
        state.marker.newline();
        Ok(())
    }
}

impl State {
    /// Writes what is ready of the line at hand: the whole lines in it, or all.
    fn write(&mut self, fd: &OwnedFd, until: Until) -> Result<(), Errno> {
        let whole = self.line.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let too_long = self.line.len().saturating_sub(whole) > MAX_LINE;
        let ready = if until == Until::Line && !too_long { whole } else { self.line.len() };
        self.marked.clear();
        self.marker.push(self.line.get(..ready).unwrap_or_default(), &mut self.marked);
        self.line.drain(..ready);
        let Some(&last) = self.marked.last() else { return Ok(()) };
        descriptor::write_all(fd.as_fd(), &self.marked)?;
        self.at_line_start = last == b'\n';
        Ok(())
    }

    /// How often each secret was redacted since the last call.
    fn new_counts(&mut self) -> Vec<(String, u64)> {
        let mut new = Vec::new();
        for count in self.redaction.counts() {
            let told = self.told.iter_mut().find(|(name, _)| **name == *count.name);
            let before = told.as_ref().map_or(0, |(_, before)| *before);
            if count.count > before {
                new.push((count.name.to_string(), count.count.saturating_sub(before)));
                match told {
                    Some((_, before)) => *before = count.count,
                    None => self.told.push((count.name.to_string(), count.count)),
                }
            }
        }
        new
    }
}
