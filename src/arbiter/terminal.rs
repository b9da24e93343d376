//! The platform's terminal while the function has a pseudo-terminal of its own: raw, so that every
//! key reaches the function's, and as it was before at the end, whatever the end is.
//!
//! The function is in a session of its own, so nothing that the platform's terminal does reaches
//! it by itself: sizes, hang-ups and keys are carried here. The other way is `output`'s: its pump
//! reads the master, and holds the one reference that keeps it open. When the pump leaves, because
//! the platform's terminal takes no more or has gone, the kernel hangs the function's up.

use super::output::Output;
use crate::confine::PseudoTerminal;
use crate::sys::descriptor::{self, PollFd};
use crate::sys::terminal::{self, Settings};
use crate::sys::{Errno, process, signal};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// How often in a row a terminal may fail to be read that says it is ours.
const MOST_FAILURES: u32 = 100;

/// Both terminals, as the arbiter sees them.
pub(crate) struct Terminal {
    /// The platform's.
    platform: OwnedFd,
    before: Settings,
    /// Whether the platform's is raw by our doing.
    raw: AtomicBool,
    master: Weak<OwnedFd>,
    /// The function's, held open: a program that closes its own descriptors on its way out, as
    /// coreutils do, would else be hung up by the kernel before it has ended.
    _slave: OwnedFd,
    /// What stat(2) says of it, and its name.
    function: descriptor::Identity,
    name: String,
    /// Rings when this process was brought to the foreground, or may have been.
    resumed: OwnedFd,
}

impl Terminal {
    /// Takes over both ends. Settings stay as they are until [`Terminal::begin`].
    pub(super) fn new(pair: PseudoTerminal) -> Result<(Self, Arc<OwnedFd>), Errno> {
        let platform = descriptor::borrow_number(0).ok_or(Errno(libc::EBADF))?;
        let master = Arc::new(pair.master);
        let terminal = Terminal {
            platform: descriptor::duplicate_from(platform, 3)?,
            before: pair.before,
            raw: AtomicBool::new(false),
            master: Arc::downgrade(&master),
            function: descriptor::identify(pair.slave.as_fd())?,
            _slave: pair.slave,
            name: pair.name,
            resumed: descriptor::event()?,
        };
        Ok((terminal, master))
    }

    /// Makes the platform's terminal raw, unless it is somebody else's at the moment, and hands its
    /// size on.
    pub(super) fn begin(&self) {
        if self.is_foreground() && !self.raw.swap(true, Ordering::AcqRel) {
            // A terminal that has gone is found gone by who reads it.
            let _ = terminal::set_settings(self.platform.as_fd(), &self.before.raw());
        }
        self.resize();
    }

    /// Gives the platform's terminal its settings back, once, unless it is somebody else's by now.
    /// Takes no lock: this is also called while the arbiter breaks down.
    pub(super) fn restore(&self) {
        if self.raw.swap(false, Ordering::AcqRel) && self.is_foreground() {
            let _ = terminal::set_settings(self.platform.as_fd(), &self.before);
        }
    }

    /// Stops this process as a job of its shell, the terminal given back for the time being. The
    /// function goes on; it waits where it needs the arbiter, or its terminal is full.
    pub(super) fn stop(&self) {
        self.restore();
        let _ = signal::send(process::own_pid(), libc::SIGSTOP);
        self.resume();
    }

    /// After SIGCONT, whoever stopped this process, and however.
    pub(super) fn resume(&self) {
        // Where no warning came before the stop, the shell has set the terminal as it likes it.
        self.raw.store(false, Ordering::Release);
        self.begin();
        descriptor::notify_event(self.resumed.as_fd());
    }

    /// Hands the size of the platform's window on; the kernel tells the function by SIGWINCH.
    pub(super) fn resize(&self) {
        if let (Ok(size), Some(master)) = (terminal::size(self.platform.as_fd()), self.master.upgrade()) {
            let _ = terminal::set_size(master.as_fd(), size);
        }
    }

    /// Carries keys to the function, as bytes, until either terminal has gone; the body of a thread.
    pub(super) fn carry(&self, output: &Output) {
        process::set_thread_name(c"fnguard-input");
        let mut buffer = vec![0u8; 4096];
        let mut failures = 0;
        loop {
            match descriptor::read(self.platform.as_fd(), &mut buffer) {
                Ok(count) if count > 0 => {
                    let Some(master) = self.master.upgrade() else { return };
                    let bytes = buffer.get(..count).unwrap_or_default();
                    if descriptor::write_all(master.as_fd(), bytes).is_err() {
                        return;
                    }
                }
                // As a job in the background there is nothing to read until it is brought forward.
                Err(Errno(libc::EIO)) if self.is_background() => {
                    if descriptor::poll(&mut [PollFd::new(self.resumed.as_fd(), libc::POLLIN)], -1).is_ok() {
                        descriptor::clear_event(self.resumed.as_fd());
                    }
                }
                // Brought forward since: a terminal that has hung up would not say whose it is.
                Err(Errno(libc::EIO)) if failures < MOST_FAILURES && self.is_ours() => {
                    failures += 1;
                    continue;
                }
                // The terminal has hung up, and so must the function's.
                Ok(_) | Err(_) => return output.hang_up(),
            }
            failures = 0;
        }
    }

    /// Whether a descriptor is the function's terminal: by its own name, or as /dev/tty.
    pub(super) fn is_function_side(&self, fd: &OwnedFd) -> Result<bool, Errno> {
        let controlling = libc::makedev(5, 0);
        let found = descriptor::identify(fd.as_fd())?;
        Ok(found == self.function
            || (found.kind() == libc::S_IFCHR
                && found.special == controlling
                && terminal::device(fd.as_fd()) == Ok(self.function.special)))
    }

    /// The function's terminal by its name below /dev.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a path names the function's terminal.
    pub(super) fn is_named(&self, path: &str) -> bool {
        path == self.name || path == crate::confine::CONTROLLING
    }

    /// Whether this process may read and set the platform's terminal: as its foreground job, or
    /// where it is nobody's controlling terminal and has no jobs.
    fn is_foreground(&self) -> bool {
        match terminal::foreground_group(self.platform.as_fd()) {
            Ok(group) => group == process::own_group(),
            Err(error) => error == Errno(libc::ENOTTY),
        }
    }

    fn is_ours(&self) -> bool {
        terminal::foreground_group(self.platform.as_fd()).is_ok_and(|group| group == process::own_group())
    }

    fn is_background(&self) -> bool {
        terminal::foreground_group(self.platform.as_fd()).is_ok_and(|group| group != process::own_group())
    }
}
