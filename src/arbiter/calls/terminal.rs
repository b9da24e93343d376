//! ioctl(2) on the terminal of a program that has one of its own (`--tty`): what a shell or an
//! editor changes about it is performed on a copy, after a look at what the descriptor is. What
//! types into a terminal or takes one (TIOCSTI, TIOCLINUX, TIOCSCTTY, TIOCNOTTY, TIOCSETD, …) is
//! not among it, and refused as ever.

use super::super::Arbiter;
use super::super::target::{Blame, Caller};
use super::super::terminal::Terminal;
use super::{Outcome, Proceed, refuse};
use crate::sys::terminal::{self, Change, Moment};

/// Decides an ioctl(2) that the filter did not let through.
pub(super) fn control(arbiter: &Arbiter, caller: &Caller<'_>, terminal: &Terminal) -> Result<Outcome, Blame> {
    const TIOCSPGRP: u32 = 0x5410;
    let command = caller.arg(1) as u32;
    if command == TIOCSPGRP {
        return Ok(Outcome::Proceed(Proceed::OwnSession));
    }
    let Some(change) = change(caller, command)? else { return Ok(refuse::unnamed(arbiter, caller)) };
    let copy = caller.descriptor(caller.int(0))?;
    if !terminal.is_function_side(&copy).map_err(Blame::Guard)? {
        return Ok(refuse::unnamed(arbiter, caller));
    }
    Ok(match terminal::change(std::os::fd::AsFd::as_fd(&copy), &change) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

/// What a command changes, read once; `None` for every command that is not here.
fn change(caller: &Caller<'_>, command: u32) -> Result<Option<Change>, Blame> {
    let moment = |first: u32| match command - first {
        0 => Moment::Now,
        1 => Moment::Drained,
        _ => Moment::Flushed,
    };
    Ok(match command {
        0x5402..=0x5404 => Some(Change::Settings(moment(0x5402), read(caller)?)),
        0x402c_542b..=0x402c_542d => Some(Change::Settings2(moment(0x402c_542b), read(caller)?)),
        0x5414 => Some(Change::Size(read(caller)?)),
        // TCSBRK: with 0 it sends a break, which a pseudo-terminal has not; else it waits for the
        // output, of which it holds none back.
        0x5409 => Some(Change::Nothing),
        0x540b => Some(Change::Flush(caller.int(2))),
        // TCXONC with TCOOFF and TCOON; TCIOFF and TCION write, and could wait for a reader.
        0x540a => match caller.int(2) {
            0 => Some(Change::Suspend(true)),
            1 => Some(Change::Suspend(false)),
            _ => None,
        },
        _ => None,
    })
}

/// The structure that the third argument points at.
fn read<const LENGTH: usize>(caller: &Caller<'_>) -> Result<[u8; LENGTH], Blame> {
    let bytes = caller.read(caller.arg(2), LENGTH)?;
    // `read` gives exactly what was asked for.
    Ok(bytes.try_into().unwrap_or([0; LENGTH]))
}
