//! The links that are open, and the thread that answers them.

use super::{Arbiter, NOT_IN_TIME, message_violation};
use crate::link::answer;
use crate::link::inbox::Inbox;
use crate::link::{Leaves, Told};
use crate::report::{Stream, Violation};
use crate::sys::descriptor::{self, PollFd};
use crate::sys::{Errno, network, process};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// How many links may be open: one a process that asked, and a spare one where a fork shares it.
const MOST: usize = 64;

/// The open links.
#[derive(Debug)]
pub(super) struct Links {
    wake: OwnedFd,
    open: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    socket: Arc<OwnedFd>,
    process: i32,
}

impl Links {
    pub(super) fn new() -> Result<Self, Errno> {
        Ok(Links { wake: descriptor::event()?, open: Mutex::new(Vec::new()) })
    }

    /// Opens a link for a process; its end.
    pub(super) fn open(&self, process: i32) -> Result<OwnedFd, Errno> {
        let (ours, theirs) = network::packet_pair()?;
        self.adopt(ours, process)?;
        Ok(theirs)
    }

    /// Takes a link that exists already.
    pub(super) fn adopt(&self, socket: OwnedFd, process: i32) -> Result<(), Errno> {
        let mut open = self.lock();
        if open.len() >= MOST {
            return Err(Errno(libc::EMFILE));
        }
        open.push(Entry { socket: Arc::new(socket), process });
        drop(open);
        descriptor::notify_event(self.wake.as_fd());
        Ok(())
    }

    /// Answers until the arbiter ends; the body of the answering thread.
    pub(super) fn serve(&self, arbiter: &Arc<Arbiter>) {
        process::set_thread_name(c"fnguard-link");
        let mut inbox = Inbox::new();
        loop {
            let sockets: Vec<(Arc<OwnedFd>, i32)> =
                self.lock().iter().map(|entry| (Arc::clone(&entry.socket), entry.process)).collect();
            let mut entries: Vec<PollFd> = std::iter::once(PollFd::new(self.wake.as_fd(), libc::POLLIN))
                .chain(sockets.iter().map(|(socket, _)| PollFd::new(socket.as_fd(), libc::POLLIN)))
                .collect();
            if descriptor::poll(&mut entries, -1).is_err() {
                continue;
            }
            let mut happened = entries.iter().map(|entry| entry.happened() != 0);
            if happened.next() == Some(true) {
                descriptor::clear_event(self.wake.as_fd());
            }
            for ((socket, process), _) in sockets.iter().zip(happened).filter(|(_, happened)| *happened) {
                let asking = Asking { arbiter, process: *process };
                if answer::serve_one(socket.as_fd(), &mut inbox, &asking).is_err() {
                    self.lock().retain(|entry| !Arc::ptr_eq(&entry.socket, socket));
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The arbiter, as one process's link sees it.
struct Asking<'a> {
    arbiter: &'a Arc<Arbiter>,
    process: i32,
}

impl answer::Answering for Asking<'_> {
    fn secret(&self, name: &str, give: &mut dyn FnMut(&[u8])) -> bool {
        self.arbiter.secrets.give(name, give)
    }

    fn start(&self, id: &str) -> Result<(), &'static str> {
        self.arbiter.start_invocation(id).inspect_err(|problem| self.dropped("Start", problem))
    }

    fn finish(&self, id: &str, soon: bool) -> Result<bool, &'static str> {
        self.arbiter.finish_invocation(id, soon).inspect_err(|&problem| {
            // That has a record of its own.
            if problem != NOT_IN_TIME {
                self.dropped("Finish", problem);
            }
        })
    }

    fn redact(&self, text: &str, leaves: Leaves) -> String {
        let stream = match leaves {
            Leaves::Error => Stream::Error,
            Leaves::Panic => Stream::Panic,
        };
        self.arbiter.redact(text, stream)
    }

    fn protect(&self, name: &str, value: &[u8]) -> Result<(), &'static str> {
        self.arbiter.protect(name, value)
    }

    fn loaded(&self) {
        self.arbiter.images.loaded(self.process);
    }

    fn dropped(&self, message: &'static str, problem: &'static str) {
        let pid = u32::try_from(self.process).ok();
        self.arbiter.report(Violation { pid, ..message_violation(message, problem) });
    }

    fn describe(&self) -> String {
        self.arbiter.posture_line.get().cloned().unwrap_or_default()
    }

    fn violations(&self, after: u64) -> (u64, Vec<Told>, u64) {
        self.arbiter.witness.violations(after)
    }
}
