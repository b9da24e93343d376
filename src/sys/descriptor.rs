//! File descriptors: pipes, reading, writing, duplicating, waiting. No paths (see [`super::path`]).

use super::raw::{Errno, syscall, syscall_restarting};
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Wraps a descriptor that a call has just made.
///
/// # Safety
///
/// `value` must be an open descriptor that nobody else owns.
pub(super) unsafe fn own(value: usize) -> OwnedFd {
    // SAFETY: the caller vouches for ownership; descriptors fit in an int.
    unsafe { OwnedFd::from_raw_fd(value as RawFd) }
}

fn number(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// pipe2(2): a reading and a writing end, both close-on-exec.
pub fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two ints into `ends`.
    unsafe {
        syscall(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, 0, 0, 0, 0])?;
        Ok((own(ends[0] as usize), own(ends[1] as usize)))
    }
}

/// Widens a pipe's buffer (fcntl(2) F_SETPIPE_SZ); the size it has then.
pub fn set_pipe_size(fd: BorrowedFd<'_>, bytes: usize) -> Result<usize, Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_fcntl, [number(fd), libc::F_SETPIPE_SZ as usize, bytes, 0, 0, 0]) }
}

/// read(2), again while a signal interrupts it.
pub fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    unsafe {
        syscall_restarting(libc::SYS_read, [number(fd), buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0])
    }
}

/// As [`read`], in place of what `buffer` holds: at most `limit` bytes, and no more than it has
/// room for. What is not read is not touched either: zeroing a buffer of 64 KiB costs 16 faults.
pub fn read_into(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>, limit: usize) -> Result<usize, Errno> {
    buffer.clear();
    let room = buffer.capacity().min(limit);
    // SAFETY: the kernel writes at most `room` bytes into the buffer's own room, and says how many.
    unsafe {
        let count =
            syscall_restarting(libc::SYS_read, [number(fd), buffer.as_mut_ptr() as usize, room, 0, 0, 0])?;
        buffer.set_len(count.min(room));
        Ok(buffer.len())
    }
}

/// write(2), again while a signal interrupts it.
pub fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads `bytes`.
    unsafe {
        syscall_restarting(libc::SYS_write, [number(fd), bytes.as_ptr() as usize, bytes.len(), 0, 0, 0])
    }
}

/// Writes everything, waiting where the descriptor is non-blocking.
pub fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match write(fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno(libc::EAGAIN)) => {
                poll(&mut [PollFd::new(fd, libc::POLLOUT)], -1)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// lseek(2); the place it leads to.
pub fn seek(fd: BorrowedFd<'_>, offset: usize, whence: i32) -> Result<usize, Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_lseek, [number(fd), offset, whence as usize, 0, 0, 0]) }
}

/// How many bytes could be read now (ioctl(2) FIONREAD).
pub fn readable_bytes(fd: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut count = 0i32;
    // SAFETY: the kernel writes one int.
    unsafe {
        syscall(libc::SYS_ioctl, [number(fd), libc::FIONREAD as usize, (&raw mut count) as usize, 0, 0, 0])?;
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Takes over a descriptor that an earlier image of this process left open by its number.
///
/// # Errors
///
/// EBADF where nothing is open there.
pub fn take_over(fd: RawFd) -> Result<OwnedFd, Errno> {
    borrow_number(fd).ok_or(Errno(libc::EBADF))?;
    // SAFETY: open, and left for this purpose before this image began: nothing here owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes a descriptor by its number.
///
/// For numbers that were found by looking (/proc/self/fd), not for owned descriptors.
pub fn close_number(fd: RawFd) -> Result<(), Errno> {
    // SAFETY: only called at arming, on descriptors that no object in this process owns.
    unsafe { syscall(libc::SYS_close, [fd as usize, 0, 0, 0, 0, 0]).map(drop) }
}

/// dup3(2) onto a number, replacing what was there; without close-on-exec.
pub fn duplicate_onto(fd: BorrowedFd<'_>, onto: RawFd) -> Result<(), Errno> {
    // SAFETY: no pointers; `onto` is 0, 1 or 2 wherever this is called.
    unsafe { syscall(libc::SYS_dup3, [number(fd), onto as usize, 0, 0, 0, 0]).map(drop) }
}

/// A copy with a number of at least `from`, close-on-exec.
pub fn duplicate_from(fd: BorrowedFd<'_>, from: RawFd) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe {
        let copy =
            syscall(libc::SYS_fcntl, [number(fd), libc::F_DUPFD_CLOEXEC as usize, from as usize, 0, 0, 0])?;
        Ok(own(copy))
    }
}

/// The descriptor that this number is, if it is open.
pub fn borrow_number(fd: RawFd) -> Option<BorrowedFd<'static>> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_fcntl, [fd as usize, libc::F_GETFD as usize, 0, 0, 0, 0]).ok()? };
    // SAFETY: open at this moment; used for 0, 1 and 2 and for numbers found at arming, which
    // nobody closes meanwhile.
    Some(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// fcntl(2) F_GETFL.
pub fn status_flags(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    // SAFETY: no pointers.
    unsafe {
        syscall(libc::SYS_fcntl, [number(fd), libc::F_GETFL as usize, 0, 0, 0, 0]).map(|flags| flags as i32)
    }
}

/// Sets or clears close-on-exec.
pub fn set_close_on_exec(fd: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let flags = if on { libc::FD_CLOEXEC as usize } else { 0 };
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_fcntl, [number(fd), libc::F_SETFD as usize, flags, 0, 0, 0]).map(drop) }
}

/// What fstat(2) says of a descriptor, as far as anyone here asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The device that holds the inode.
    pub device: u64,
    /// The inode.
    pub inode: u64,
    /// The device that a device node stands for.
    pub special: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// How many names the inode has; 0 for a file that was deleted or never had one.
    pub links: u64,
    /// The owner and the group.
    pub owners: (u32, u32),
}

impl Identity {
    /// The file's type (`S_IFMT` of the mode).
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }
}

/// Type and identity of an open file.
pub fn identify(fd: BorrowedFd<'_>) -> Result<Identity, Errno> {
    let mut status = std::mem::MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the kernel writes one stat structure; zeroed is a valid one.
    let status = unsafe {
        syscall(libc::SYS_fstat, [number(fd), status.as_mut_ptr() as usize, 0, 0, 0, 0])?;
        status.assume_init()
    };
    // Of 32 bits on aarch64.
    #[allow(clippy::useless_conversion)]
    let links = status.st_nlink.into();
    Ok(Identity {
        device: status.st_dev,
        inode: status.st_ino,
        special: status.st_rdev,
        mode: status.st_mode,
        links,
        owners: (status.st_uid, status.st_gid),
    })
}

/// fchmod(2).
pub fn change_mode(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_fchmod, [number(fd), mode as usize, 0, 0, 0, 0]).map(drop) }
}

/// fchownat(2) with AT_EMPTY_PATH: of what the descriptor is, opened or not (O_PATH).
pub fn change_owner(fd: BorrowedFd<'_>, owner: u32, group: u32) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH as usize;
    // SAFETY: the path ends with NUL.
    unsafe {
        syscall(
            libc::SYS_fchownat,
            [number(fd), c"".as_ptr() as usize, owner as usize, group as usize, flags, 0],
        )
        .map(drop)
    }
}

/// One descriptor to wait for; layout of `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

impl PollFd {
    /// Waits for `events` on `fd`.
    pub fn new(fd: BorrowedFd<'_>, events: i16) -> Self {
        PollFd { fd: fd.as_raw_fd(), events, revents: 0 }
    }

    /// What happened.
    pub fn happened(&self) -> i16 {
        self.revents
    }
}

/// ppoll(2) with a time-out in milliseconds, -1 for none; again while a signal interrupts it.
pub fn poll(entries: &mut [PollFd], timeout_ms: i32) -> Result<usize, Errno> {
    let mut time = libc::timespec {
        tv_sec: i64::from(timeout_ms / 1000),
        tv_nsec: i64::from(timeout_ms % 1000) * 1_000_000,
    };
    let time = if timeout_ms < 0 { 0 } else { (&raw mut time) as usize };
    // SAFETY: the kernel writes `revents` of each entry and the remaining time.
    unsafe {
        syscall_restarting(libc::SYS_ppoll, [entries.as_mut_ptr() as usize, entries.len(), time, 0, 0, 0])
    }
}

/// eventfd2(2), close-on-exec and non-blocking.
pub fn event() -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe {
        let fd =
            syscall(libc::SYS_eventfd2, [0, (libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) as usize, 0, 0, 0, 0])?;
        Ok(own(fd))
    }
}

/// Adds one to an eventfd.
pub fn notify_event(fd: BorrowedFd<'_>) {
    // A full counter is a wake-up already; nothing else can fail here.
    let _ = write(fd, &1u64.to_ne_bytes());
}

/// memfd_create(2), close-on-exec: a file in memory that has no name.
pub fn memory_file(name: &CStr) -> Result<OwnedFd, Errno> {
    const MFD_EXEC: u32 = 0x10;
    let make = |flags: u32| {
        // SAFETY: `name` ends with NUL; the result is a new descriptor.
        unsafe {
            syscall(libc::SYS_memfd_create, [name.as_ptr() as usize, flags as usize, 0, 0, 0, 0])
                .map(|fd| own(fd))
        }
    };
    // Below Linux 6.3 there is no such flag, and every such file can be executed.
    make(libc::MFD_CLOEXEC | MFD_EXEC).or_else(|_| make(libc::MFD_CLOEXEC))
}

/// Copies what is left of a file into another (sendfile(2)).
pub fn copy_rest(from: BorrowedFd<'_>, into: BorrowedFd<'_>) -> Result<(), Errno> {
    const PIECE: usize = 64 << 20;
    loop {
        // SAFETY: no offset is given; the file's own place is used.
        let count =
            unsafe { syscall_restarting(libc::SYS_sendfile, [number(into), number(from), 0, PIECE, 0, 0])? };
        if count == 0 {
            return Ok(());
        }
    }
}

/// Resets an eventfd.
pub fn clear_event(fd: BorrowedFd<'_>) {
    let _ = read(fd, &mut [0u8; 8]);
}

/// Whether a descriptor is a terminal (ioctl(2) TCGETS answers).
pub fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    let mut settings = [0u8; 64];
    // SAFETY: the kernel writes a `struct termios` of 36 bytes.
    unsafe {
        syscall(libc::SYS_ioctl, [number(fd), libc::TCGETS as usize, settings.as_mut_ptr() as usize, 0, 0, 0])
            .is_ok()
    }
}
