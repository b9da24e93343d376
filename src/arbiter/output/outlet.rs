//! One of the platform's descriptors: who writes there, in which order, and where lines begin.
//!
//! Where stdout and stderr are one file there is one outlet for both, so that a record always
//! begins at the start of a line, and so that no imitation is put together from two halves.

use crate::report::imitation::Marker;
use crate::sys::{Errno, descriptor};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

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
    marker: Marker,
    marked: Vec<u8>,
}

impl Outlet {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        let state = State { at_line_start: true, marker: Marker::new(), marked: Vec::new() };
        Outlet { fd, line_end: b"\n", state: Mutex::new(state) }
    }

    /// A terminal that is raw.
    pub(crate) fn raw(fd: OwnedFd) -> Self {
        Outlet { line_end: b"\r\n", ..Outlet::new(fd) }
    }

    /// Writes redacted bytes of the function's, imitations of records marked.
    pub(crate) fn write_function(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        state.marked.clear();
        state.marker.push(bytes, &mut state.marked);
        let Some(&last) = state.marked.last() else { return Ok(()) };
        descriptor::write_all(self.fd.as_fd(), &state.marked)?;
        state.at_line_start = last == b'\n';
        Ok(())
    }

    /// Writes one record on a line of its own, whatever the function has begun there.
    pub(crate) fn write_record(&self, line: &str) -> Result<(), Errno> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
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
