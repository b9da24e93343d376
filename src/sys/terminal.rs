//! Terminals and pseudo-terminals: ioctl_tty(2), tty_ioctl(4), pty(7), by raw calls.

use super::descriptor::own;
use super::path;
use super::raw::{Errno, syscall, syscall_restarting};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

const TCGETS: usize = 0x5401;
const TCSETS: usize = 0x5402;
const TCSBRK: usize = 0x5409;
const TCXONC: usize = 0x540a;
const TCFLSH: usize = 0x540b;
const TIOCSCTTY: usize = 0x540e;
const TIOCGPGRP: usize = 0x540f;
const TIOCGWINSZ: usize = 0x5413;
const TIOCSWINSZ: usize = 0x5414;
/// `_IOW('T', 0x2B, struct termios2)`.
const TCSETS2: usize = 0x402c_542b;
/// `_IOW('T', 0x31, int)`.
const TIOCSPTLCK: usize = 0x4004_5431;
/// `_IOR('T', 0x32, unsigned int)`.
const TIOCGDEV: usize = 0x8004_5432;
/// `_IO('T', 0x41)`, Linux 4.13.
const TIOCGPTPEER: usize = 0x5441;

/// The kernel's `struct termios` (asm-generic/termbits.h), which is not libc's.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    line: u8,
    characters: [u8; 19],
}

impl Settings {
    /// As cfmakeraw(3): every byte passes as it is, one at a time, and none has a meaning.
    pub fn raw(mut self) -> Self {
        self.input &= !(libc::IGNBRK
            | libc::BRKINT
            | libc::PARMRK
            | libc::ISTRIP
            | libc::INLCR
            | libc::IGNCR
            | libc::ICRNL
            | libc::IXON);
        self.output &= !libc::OPOST;
        self.local &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        self.control = self.control & !(libc::CSIZE | libc::PARENB) | libc::CS8;
        for (index, value) in [(libc::VMIN, 1), (libc::VTIME, 0)] {
            if let Some(character) = self.characters.get_mut(index) {
                *character = value;
            }
        }
        self
    }
}

/// A window's size: `struct winsize`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    rows: u16,
    columns: u16,
    width: u16,
    height: u16,
}

/// Both ends of a new pseudo-terminal.
#[derive(Debug)]
pub struct Pair {
    /// The end of who plays the terminal.
    pub master: OwnedFd,
    /// The end of who runs in it.
    pub slave: OwnedFd,
}

/// Makes a pseudo-terminal: /dev/ptmx, unlocked, and its other end by TIOCGPTPEER, which asks no
/// path and so can't be led to another mount's terminal.
pub fn pair() -> Result<Pair, Errno> {
    let master = path::open(c"/dev/ptmx", libc::O_RDWR | libc::O_NOCTTY)?;
    let unlocked = 0i32;
    let flags = (libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) as usize;
    // SAFETY: the kernel reads one int; then the result is a new descriptor.
    let slave = unsafe {
        ioctl(master.as_fd(), TIOCSPTLCK, (&raw const unlocked) as usize)?;
        own(ioctl(master.as_fd(), TIOCGPTPEER, flags)?)
    };
    Ok(Pair { master, slave })
}

/// The settings of a terminal; ENOTTY where it is none.
pub fn settings(fd: BorrowedFd<'_>) -> Result<Settings, Errno> {
    let mut settings = Settings::default();
    // SAFETY: the kernel writes one structure of this layout.
    unsafe { ioctl(fd, TCGETS, (&raw mut settings) as usize)? };
    Ok(settings)
}

/// Sets them at once, without waiting for output. From the background of a job-control session
/// this stops the caller (SIGTTOU), unless it blocks that signal.
pub fn set_settings(fd: BorrowedFd<'_>, settings: &Settings) -> Result<(), Errno> {
    // SAFETY: the kernel reads one structure of this layout.
    unsafe { ioctl(fd, TCSETS, (&raw const *settings) as usize).map(drop) }
}

/// Waits until what was written has gone out: tcdrain(3), which changes nothing. From the background of a
/// job-control session it stops the caller (SIGTTOU) until it is brought forward, unless it blocks that signal.
pub fn drain(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers; any argument but 0 means to wait.
    unsafe { ioctl(fd, TCSBRK, 1).map(drop) }
}

/// The window's size.
pub fn size(fd: BorrowedFd<'_>) -> Result<Size, Errno> {
    let mut size = Size::default();
    // SAFETY: the kernel writes one structure of this layout.
    unsafe { ioctl(fd, TIOCGWINSZ, (&raw mut size) as usize)? };
    Ok(size)
}

/// Sets the window's size; where it changes, the foreground group gets SIGWINCH.
pub fn set_size(fd: BorrowedFd<'_>, size: Size) -> Result<(), Errno> {
    // SAFETY: the kernel reads one structure of this layout.
    unsafe { ioctl(fd, TIOCSWINSZ, (&raw const size) as usize).map(drop) }
}

/// The foreground process group, where the terminal is the caller's controlling one.
pub fn foreground_group(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let mut group = 0i32;
    // SAFETY: the kernel writes one int.
    unsafe { ioctl(fd, TIOCGPGRP, (&raw mut group) as usize)? };
    Ok(group)
}

/// The device number of the terminal that is really meant, also behind /dev/tty; in the form of
/// stat(2).
pub fn device(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let mut device = 0u32;
    // SAFETY: the kernel writes one unsigned int.
    unsafe { ioctl(fd, TIOCGDEV, (&raw mut device) as usize)? };
    Ok(u64::from(device))
}

/// Begins a session (setsid(2)) and makes `terminal` its controlling one.
pub fn begin_session(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe {
        syscall(libc::SYS_setsid, [0; 6])?;
        ioctl(terminal, TIOCSCTTY, 0).map(drop)
    }
}

/// What a program changes about its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// TCSETS, TCSETSW, TCSETSF by their difference to the first: `struct termios`.
    Settings(Moment, [u8; 36]),
    /// The same with `struct termios2`.
    Settings2(Moment, [u8; 44]),
    /// TIOCSWINSZ.
    Size([u8; 8]),
    /// TCFLSH: which queues are thrown away.
    Flush(i32),
    /// TCXONC: output is suspended (true) or goes on.
    Suspend(bool),
    /// TCSBRK, which changes nothing here: there is no line to break, and no output to wait for.
    Nothing,
}

/// When new settings come into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Now.
    Now,
    /// When what was written has gone.
    Drained,
    /// The same, and what was typed is thrown away.
    Flushed,
}

impl Moment {
    fn offset(self) -> usize {
        match self {
            Moment::Now => 0,
            Moment::Drained => 1,
            Moment::Flushed => 2,
        }
    }
}

/// Makes a change. Nothing of this waits on a pseudo-terminal: its driver holds no output back.
pub fn change(fd: BorrowedFd<'_>, change: &Change) -> Result<(), Errno> {
    let (command, argument) = match change {
        Change::Settings(moment, bytes) => (TCSETS + moment.offset(), bytes.as_ptr() as usize),
        Change::Settings2(moment, bytes) => (TCSETS2 + moment.offset(), bytes.as_ptr() as usize),
        Change::Size(bytes) => (TIOCSWINSZ, bytes.as_ptr() as usize),
        Change::Flush(queues) => (TCFLSH, *queues as usize),
        Change::Suspend(off) => (TCXONC, if *off { 0 } else { 1 }),
        Change::Nothing => return Ok(()),
    };
    // SAFETY: the kernel reads a structure of the command's length, which is the array's, or
    // nothing.
    unsafe { ioctl(fd, command, argument).map(drop) }
}

/// ioctl(2), again while a signal interrupts it.
///
/// # Safety
///
/// `argument` must be what `command` takes.
unsafe fn ioctl(fd: BorrowedFd<'_>, command: usize, argument: usize) -> Result<usize, Errno> {
    // SAFETY: as promised.
    unsafe { syscall_restarting(libc::SYS_ioctl, [fd.as_raw_fd() as usize, command, argument, 0, 0, 0]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::descriptor;

    #[test]
    fn the_layouts_are_the_kernels() {
        assert_eq!((size_of::<Settings>(), size_of::<Size>()), (36, 8));
    }

    #[test]
    fn raw_passes_every_byte_both_ways() {
        let Pair { master, slave } = pair().unwrap();
        let before = settings(slave.as_fd()).unwrap();
        set_settings(slave.as_fd(), &before.raw()).unwrap();
        let all: Vec<u8> = (0..=255).collect();
        let mut seen = [0; 512];
        for (from, to) in [(&master, &slave), (&slave, &master)] {
            descriptor::write_all(from.as_fd(), &all).unwrap();
            let mut count = 0;
            while count < all.len() {
                count += descriptor::read(to.as_fd(), &mut seen[count..]).unwrap();
            }
            assert_eq!(&seen[..count], &all);
        }
        set_settings(slave.as_fd(), &before).unwrap();
        assert_eq!(settings(slave.as_fd()).unwrap(), before);
    }

    #[test]
    fn a_terminal_is_told_from_what_is_none() {
        let Pair { master: _master, slave } = pair().unwrap();
        let (reader, _writer) = descriptor::pipe().unwrap();
        assert_eq!(settings(reader.as_fd()), Err(Errno(libc::ENOTTY)));
        assert_eq!(device(reader.as_fd()), Err(Errno(libc::ENOTTY)));
        assert_eq!(device(slave.as_fd()), Ok(descriptor::identify(slave.as_fd()).unwrap().special));
    }

    #[test]
    fn a_size_is_set_and_read_at_either_end() {
        let Pair { master, slave } = pair().unwrap();
        let wanted = Size { rows: 33, columns: 101, width: 5, height: 7 };
        set_size(master.as_fd(), wanted).unwrap();
        assert_eq!(size(slave.as_fd()), Ok(wanted));
    }
}
