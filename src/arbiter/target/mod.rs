//! The process on the other side of a notification: the only place that touches it.
//!
//! Everything it hands over is a claim. [`Caller`] is the claim "this thread waits in this call";
//! what is read through it is one snapshot, used both to decide and to act. Holding a value from
//! here proves that the thread waited when it was read ([`Caller::check`]), and nothing about
//! what the thread's memory says a moment later.

pub(crate) mod address;
pub(crate) mod message;
pub(crate) mod path;

use crate::sys::seccomp::{self, Notification};
use crate::sys::{Errno, memory, process};
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Why something could not be had from the caller, and whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The call no longer waits: nothing is to be done, and nobody to be answered.
    Gone,
    /// The caller handed over something the kernel itself would refuse with this error.
    Caller(Errno),
    /// The guard could not do its part; the call is refused.
    Guard(Errno),
}

/// A thread that waits in a notified call.
pub(crate) struct Caller<'a> {
    listener: BorrowedFd<'a>,
    notification: Notification,
    /// The id under which it waits now.
    id: Cell<u64>,
    function: i32,
    waits_killable: bool,
}

impl<'a> Caller<'a> {
    /// `function` is the function's process, to which callers belong as a rule; `waits_killable`
    /// whether only a death ends the wait.
    pub(crate) fn new(
        listener: BorrowedFd<'a>,
        notification: Notification,
        function: i32,
        waits_killable: bool,
    ) -> Self {
        Caller { listener, notification, id: Cell::new(notification.id), function, waits_killable }
    }

    /// The listener that reported the call.
    pub(crate) fn listener(&self) -> BorrowedFd<'a> {
        self.listener
    }

    /// The notification's id.
    pub(crate) fn id(&self) -> u64 {
        self.id.get()
    }

    /// The same call waits under another id: it was interrupted and notified again.
    pub(crate) fn adopt(&self, id: u64) {
        self.id.set(id);
    }

    /// Whether only a death ends the wait (Linux 5.19); below, any signal does.
    pub(crate) fn waits_killable(&self) -> bool {
        self.waits_killable
    }

    /// The calling thread's id.
    pub(crate) fn thread(&self) -> i32 {
        // Thread ids fit in 22 bits (PID_MAX_LIMIT, proc(5)).
        self.notification.pid as i32
    }

    /// The call's number.
    pub(crate) fn number(&self) -> i32 {
        self.notification.number
    }

    /// The caller's architecture (AUDIT_ARCH_*).
    pub(crate) fn arch(&self) -> u32 {
        self.notification.arch
    }

    /// An argument as the register holds it.
    pub(crate) fn arg(&self, index: usize) -> u64 {
        self.notification.args.get(index).copied().unwrap_or(0)
    }

    /// An argument of type int: the kernel looks at the low 32 bits only.
    pub(crate) fn int(&self, index: usize) -> i32 {
        self.arg(index) as i32
    }

    /// All six arguments.
    pub(crate) fn args(&self) -> [u64; 6] {
        self.notification.args
    }

    /// Whether the call still waits.
    pub(crate) fn check(&self) -> Result<(), Blame> {
        if seccomp::is_valid(self.listener, self.id()) { Ok(()) } else { Err(Blame::Gone) }
    }

    /// Reads exactly `length` bytes at `address`.
    pub(crate) fn read(&self, address: u64, length: usize) -> Result<Vec<u8>, Blame> {
        let mut bytes = vec![0u8; length];
        if length == 0 {
            return Ok(bytes);
        }
        let count = self.read_some(address, &mut bytes)?;
        if count == length { Ok(bytes) } else { Err(Blame::Caller(Errno(libc::EFAULT))) }
    }

    /// Writes numbers into the caller's memory, for a call that returns them so; just before it is
    /// answered, with the lock of `pending` held: the same call notified anew can't have been
    /// answered before. What is left is a caller that a signal without SA_RESTART takes away
    /// between the look and the write, below Linux 5.19 only.
    pub(crate) fn write(&self, numbers: &[(u64, u32)]) -> Result<(), Errno> {
        if !seccomp::is_valid(self.listener, self.id()) {
            return Err(Errno(libc::EINTR));
        }
        match memory::write_process_numbers(self.thread(), numbers) {
            Ok(count) if count == numbers.len() * std::mem::size_of::<u32>() => Ok(()),
            _ => Err(Errno(libc::EFAULT)),
        }
    }

    /// Reads pieces that lie apart, joined, by one call to the kernel: all of them, or none.
    pub(crate) fn read_pieces(&self, pieces: &[(u64, usize)]) -> Result<Vec<u8>, Blame> {
        let length = pieces.iter().map(|(_, length)| length).sum();
        let mut bytes = vec![0u8; length];
        if length == 0 {
            return Ok(bytes);
        }
        let result = memory::read_process_pieces(self.thread(), pieces, &mut bytes);
        self.check()?;
        match result {
            Ok(count) if count == length => Ok(bytes),
            Ok(_) | Err(Errno(libc::EFAULT)) => Err(Blame::Caller(Errno(libc::EFAULT))),
            Err(error) => Err(Blame::Guard(error)),
        }
    }

    /// Reads what there is at `address`, up to the buffer's length; at least one byte.
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, Blame> {
        let result = memory::read_process(self.thread(), address, buffer);
        // What was read is another's if the call no longer waits.
        self.check()?;
        match result {
            Ok(0) => Err(Blame::Caller(Errno(libc::EFAULT))),
            Ok(count) => Ok(count),
            Err(Errno(libc::EFAULT)) => Err(Blame::Caller(Errno(libc::EFAULT))),
            Err(error) => Err(Blame::Guard(error)),
        }
    }

    /// Reads a string that ends with NUL, at most `limit` bytes, never across a page in one read:
    /// the page behind the string may be missing.
    pub(crate) fn read_string(&self, address: u64, limit: usize) -> Result<Vec<u8>, Blame> {
        const PAGE: u64 = 4096;
        let mut text = Vec::new();
        let mut at = address;
        let mut page = [0u8; PAGE as usize];
        while text.len() < limit {
            let room = (PAGE - at % PAGE) as usize;
            let room = room.min(limit - text.len());
            let buffer = page.get_mut(..room).unwrap_or_default();
            let count = self.read_some(at, buffer)?;
            let read = page.get(..count).unwrap_or_default();
            if let Some(end) = read.iter().position(|&byte| byte == 0) {
                text.extend_from_slice(read.get(..end).unwrap_or_default());
                return Ok(text);
            }
            text.extend_from_slice(read);
            at = at.checked_add(count as u64).ok_or(Blame::Caller(Errno(libc::EFAULT)))?;
        }
        Err(Blame::Caller(Errno(libc::ENAMETOOLONG)))
    }

    /// A copy of the thread's descriptor `number`, from the thread's own table.
    pub(crate) fn descriptor(&self, number: i32) -> Result<OwnedFd, Blame> {
        if number < 0 {
            return Err(Blame::Caller(Errno(libc::EBADF)));
        }
        let pidfd = self.pidfd()?;
        let result = process::take_descriptor(pidfd.as_fd(), number);
        self.check()?;
        match result {
            Ok(fd) => Ok(fd),
            Err(Errno(libc::EBADF)) => Err(Blame::Caller(Errno(libc::EBADF))),
            Err(error) => Err(Blame::Guard(error)),
        }
    }

    /// Pins the thread; below Linux 6.9 its process, whose table every thread shares: the filter
    /// allows no thread without CLONE_FILES, no unshare(2) and no CLOSE_RANGE_UNSHARE.
    fn pidfd(&self) -> Result<OwnedFd, Blame> {
        match process::open_pidfd(self.thread(), true) {
            Ok(pidfd) => Ok(pidfd),
            Err(Errno(libc::EINVAL)) => {
                let process = self.process()?;
                process::open_pidfd(process, false).map_err(Blame::Guard)
            }
            Err(Errno(libc::ESRCH)) => Err(Blame::Gone),
            Err(error) => Err(Blame::Guard(error)),
        }
    }

    /// The id of the process that the thread belongs to. The kernel is asked about the function's
    /// own first, by one call: reading /proc/PID/status takes longer than all else that a refusal
    /// takes.
    pub(crate) fn process(&self) -> Result<i32, Blame> {
        if self.thread() == self.function || process::has_thread(self.function, self.thread()) {
            self.check()?;
            return Ok(self.function);
        }
        let path = crate::sys::path::proc_path(&format!("/proc/{}/status", self.thread()));
        let status = crate::sys::path::read_file(&path, 16 * 1024).map_err(Blame::Guard)?;
        self.check()?;
        field(&status, b"Tgid:").ok_or(Blame::Guard(Errno(libc::ESRCH)))
    }

    /// How many threads the process has.
    pub(crate) fn threads(&self) -> Result<i32, Blame> {
        let path = crate::sys::path::proc_path(&format!("/proc/{}/status", self.thread()));
        let status = crate::sys::path::read_file(&path, 16 * 1024).map_err(Blame::Guard)?;
        self.check()?;
        field(&status, b"Threads:").ok_or(Blame::Guard(Errno(libc::ESRCH)))
    }
}

/// A number behind a key of /proc/PID/status.
pub(crate) fn field(status: &[u8], key: &[u8]) -> Option<i32> {
    status
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(key))
        .and_then(|value| std::str::from_utf8(value).ok())
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_status_field_is_found_by_its_key() {
        let status = b"Name:\tTgid: 9\nTgid:\t123\nThreads:\t4\n";
        assert_eq!(field(status, b"Tgid:"), Some(123));
        assert_eq!(field(status, b"Threads:"), Some(4));
        assert_eq!(field(status, b"Absent:"), None);
    }
}
