//! Calls that take a path. Where the path comes from the function process, only
//! [`resolve_without_links`] and what works on its result may be used.

use super::descriptor::own;
use super::raw::{Errno, syscall, syscall_restarting};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const AT_FDCWD: usize = libc::AT_FDCWD as usize;

/// openat(2) relative to the working directory.
pub fn open(path: &CStr, flags: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: `path` ends with NUL; the result is a new descriptor.
    unsafe {
        let fd = syscall_restarting(
            libc::SYS_openat,
            [AT_FDCWD, path.as_ptr() as usize, (flags | libc::O_CLOEXEC) as usize, 0, 0, 0],
        )?;
        Ok(own(fd))
    }
}

/// openat2(2) with O_PATH and RESOLVE_NO_SYMLINKS: the object a path names, without opening it. ELOOP
/// where a link stands in the way; a link at the end is the object itself where it is not to be
/// followed. Linux 5.6.
pub fn resolve_without_links(
    directory: BorrowedFd<'_>,
    path: &CStr,
    follow_last: bool,
) -> Result<OwnedFd, Errno> {
    const RESOLVE_NO_SYMLINKS: u64 = 0x04;
    resolve_how(directory, path, follow_last, RESOLVE_NO_SYMLINKS)
}

/// Whether a link is one of /proc's magic links, which lead to an object and not by a text, or leads
/// through one. For links of procfs other than `self` and `thread-self`.
pub fn is_magic(directory: BorrowedFd<'_>, name: &CStr) -> bool {
    const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
    matches!(resolve_how(directory, name, true, RESOLVE_NO_MAGICLINKS), Err(Errno(libc::ELOOP)))
}

/// The object that a link leads to, a magic one as well: only for telling what that is. This process
/// may pass where the one that gave the path may not.
pub fn follow(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    resolve_how(directory, name, true, 0)
}

/// Whether a file lies in a procfs (fstatfs(2)).
pub fn is_on_procfs(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    const PROC_SUPER_MAGIC: u64 = 0x9fa0;
    let mut status = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: the kernel writes one statfs structure; zeroed is a valid one.
    let status = unsafe {
        syscall(libc::SYS_fstatfs, [fd.as_raw_fd() as usize, status.as_mut_ptr() as usize, 0, 0, 0, 0])?;
        status.assume_init()
    };
    Ok(status.f_type as u64 == PROC_SUPER_MAGIC)
}

fn resolve_how(
    directory: BorrowedFd<'_>,
    path: &CStr,
    follow_last: bool,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }
    let no_follow = if follow_last { 0 } else { libc::O_NOFOLLOW };
    let how = OpenHow { flags: (libc::O_PATH | libc::O_CLOEXEC | no_follow) as u64, mode: 0, resolve };
    // SAFETY: `path` ends with NUL, `how` is of the size stated; the result is a new descriptor.
    unsafe {
        let fd = syscall_restarting(
            libc::SYS_openat2,
            [
                directory.as_raw_fd() as usize,
                path.as_ptr() as usize,
                (&raw const how) as usize,
                std::mem::size_of::<OpenHow>(),
                0,
                0,
            ],
        )?;
        Ok(own(fd))
    }
}

/// readlinkat(2); at most 4096 bytes.
pub fn read_link(path: &CStr) -> Result<Vec<u8>, Errno> {
    read_link_at(AT_FDCWD, path)
}

/// What a link says that is open itself (O_PATH with O_NOFOLLOW); at most 4096 bytes.
pub fn read_open_link(link: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    read_link_at(link.as_raw_fd() as usize, c"")
}

fn read_link_at(directory: usize, path: &CStr) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    let count = unsafe {
        syscall(
            libc::SYS_readlinkat,
            [directory, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0],
        )?
    };
    buffer.truncate(count);
    Ok(buffer)
}

/// The path of an open file as the kernel tells it (/proc/self/fd, proc(5)).
pub fn path_of(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    read_link(&proc_path(&format!("/proc/self/fd/{}", fd.as_raw_fd())))
}

/// A path below /proc, built from numbers.
pub fn proc_path(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

/// Reads a whole small file, at most `limit` bytes; a longer one is cut.
pub fn read_file(path: &CStr, limit: usize) -> Result<Vec<u8>, Errno> {
    use std::os::fd::AsFd;
    let file = open(path, libc::O_RDONLY)?;
    read_to_end(file.as_fd(), limit)
}

/// Reads a descriptor to its end, at most `limit` bytes.
pub fn read_to_end(fd: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = Vec::new();
    let mut chunk = [0u8; 16 * 1024];
    while bytes.len() < limit {
        let room = chunk.len().min(limit - bytes.len());
        match super::descriptor::read(fd, chunk.get_mut(..room).unwrap_or_default())? {
            0 => break,
            count => bytes.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    Ok(bytes)
}

/// The names in a directory, without `.` and `..` (getdents64(2)).
pub fn list(path: &CStr) -> Result<Vec<Vec<u8>>, Errno> {
    let directory = open(path, libc::O_RDONLY | libc::O_DIRECTORY)?;
    let mut names = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: the kernel writes at most `buffer.len()` bytes.
        let count = unsafe {
            syscall(
                libc::SYS_getdents64,
                [directory.as_raw_fd() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0],
            )?
        };
        if count == 0 {
            return Ok(names);
        }
        let mut rest = buffer.get(..count).unwrap_or_default();
        // A record: inode 8, offset 8, length 2, type 1, name to NUL.
        while let (Some(&[low, high]), Some(name)) = (rest.get(16..18), rest.get(19..)) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
            match rest.get(length..) {
                Some(next) if length > 0 => rest = next,
                _ => break,
            }
        }
    }
}

/// mknodat(2) of a block device, which needs CAP_MKNOD: tried for the error that refuses it.
pub fn make_block_device(path: &CStr) -> Result<(), Errno> {
    let mode = (libc::S_IFBLK | 0o600) as usize;
    // SAFETY: `path` ends with NUL.
    unsafe { syscall(libc::SYS_mknodat, [AT_FDCWD, path.as_ptr() as usize, mode, 0, 0, 0]).map(drop) }
}

/// fchmodat(2) on an O_PATH descriptor, through /proc/self/fd.
pub fn change_mode(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    let path = proc_path(&format!("/proc/self/fd/{}", fd.as_raw_fd()));
    // SAFETY: `path` ends with NUL.
    unsafe {
        syscall(libc::SYS_fchmodat, [AT_FDCWD, path.as_ptr() as usize, mode as usize, 0, 0, 0]).map(drop)
    }
}
