//! Calls that take a path. Where the path comes from the function process, only
//! [`resolve`] and what works on its result may be used.

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

/// openat2(2) with O_PATH and RESOLVE_NO_MAGICLINKS: the object a path names, without opening it
/// and without following /proc's magic links. Linux 5.6.
pub fn resolve(directory: BorrowedFd<'_>, path: &CStr, follow_last: bool) -> Result<OwnedFd, Errno> {
    const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
    resolve_how(directory, path, follow_last, RESOLVE_NO_MAGICLINKS)
}

/// The same, through magic links as well: only for telling what they lead to. This process may pass
/// where the one that gave the path may not. Linux 5.6.
pub fn resolve_through_magic_links(
    directory: BorrowedFd<'_>,
    path: &CStr,
    follow_last: bool,
) -> Result<OwnedFd, Errno> {
    resolve_how(directory, path, follow_last, 0)
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
    let mut buffer = vec![0u8; 4096];
    // SAFETY: the kernel writes at most `buffer.len()` bytes.
    let count = unsafe {
        syscall(
            libc::SYS_readlinkat,
            [AT_FDCWD, path.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0],
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
