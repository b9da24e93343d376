//! The pseudo-terminal that stands behind 0, 1 and 2 of a program run with `--tty`, as it is made
//! before the fork and taken by the child. What the arbiter does at its other end is
//! `arbiter::terminal`'s.

use crate::error::ArmError;
use crate::sys::terminal::{self, Settings};
use crate::sys::{descriptor, path};
use std::os::fd::{AsFd, OwnedFd};

/// A pseudo-terminal, and what it takes after: the platform's terminal.
#[derive(Debug)]
pub(crate) struct PseudoTerminal {
    pub(crate) master: OwnedFd,
    pub(crate) slave: OwnedFd,
    /// The slave by its name below /dev.
    pub(crate) name: String,
    /// How the platform's terminal was set before.
    pub(crate) before: Settings,
}

/// The controlling terminal, whichever it is: the slave for whoever is in the program's session,
/// none for everybody else.
pub(crate) const CONTROLLING: &str = "/dev/tty";

impl PseudoTerminal {
    /// Makes one with the settings and the size of the platform's.
    ///
    /// # Errors
    ///
    /// Where descriptor 0 or 1 is no terminal, or /dev has no pseudo-terminals.
    pub(crate) fn open() -> Result<Self, ArmError> {
        let platform =
            [0, 1].map(|number| descriptor::borrow_number(number).filter(|fd| descriptor::is_terminal(*fd)));
        let [Some(input), Some(_)] = platform else { return Err(ArmError::NoTerminal) };
        // From the background this stops the job, as it does ssh(1), until it is brought forward; later every signal is
        // blocked. Only then the terminal is this job's: before, it is set as its shell's line editor wants it.
        terminal::drain(input).map_err(ArmError::call("waiting for the terminal"))?;
        let before = terminal::settings(input).map_err(ArmError::call("reading the terminal's settings"))?;
        let pair = terminal::pair().map_err(ArmError::call("making a pseudo-terminal (/dev/ptmx)"))?;
        terminal::set_settings(pair.slave.as_fd(), &before)
            .map_err(ArmError::call("setting the pseudo-terminal's settings"))?;
        // A terminal without a size has none to hand on.
        if let Ok(size) = terminal::size(input) {
            terminal::set_size(pair.master.as_fd(), size)
                .map_err(ArmError::call("setting the pseudo-terminal's size"))?;
        }
        let name = path::path_of(pair.slave.as_fd())
            .map_err(ArmError::call("reading the pseudo-terminal's name"))?;
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok(PseudoTerminal { master: pair.master, slave: pair.slave, name, before })
    }

    /// In the child: a session of its own with the slave as its controlling terminal, on 0, 1 and 2.
    pub(super) fn take(self) -> Result<(), ArmError> {
        terminal::begin_session(self.slave.as_fd())
            .map_err(ArmError::call("beginning a session in the pseudo-terminal"))?;
        for number in 0..=2 {
            descriptor::duplicate_onto(self.slave.as_fd(), number)
                .map_err(ArmError::call("replacing the standard descriptors"))?;
        }
        Ok(())
    }
}
