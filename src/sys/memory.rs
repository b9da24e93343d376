//! Memory: another process's, by copy, and private pages of our own.

use super::raw::{Errno, syscall};
use std::ptr::NonNull;

/// process_vm_readv(2): copies from another process, up to `buffer.len()` bytes; short where a
/// page is missing.
pub fn read_process(pid: i32, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec { iov_base: address as usize as *mut libc::c_void, iov_len: buffer.len() };
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`; the remote address is
    // checked by the kernel against the other process.
    unsafe {
        syscall(
            libc::SYS_process_vm_readv,
            [pid as usize, (&raw const local) as usize, 1, (&raw const remote) as usize, 1, 0],
        )
    }
}

/// process_vm_readv(2) of up to 1024 pieces that lie apart, joined in `buffer`; short where a page is
/// missing.
pub fn read_process_pieces(pid: i32, pieces: &[(u64, usize)], buffer: &mut [u8]) -> Result<usize, Errno> {
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote: Vec<libc::iovec> = pieces
        .iter()
        .map(|&(address, length)| libc::iovec {
            iov_base: address as usize as *mut libc::c_void,
            iov_len: length,
        })
        .collect();
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`; the remote addresses
    // are checked by the kernel against the other process.
    unsafe {
        syscall(
            libc::SYS_process_vm_readv,
            [pid as usize, (&raw const local) as usize, 1, remote.as_ptr() as usize, remote.len(), 0],
        )
    }
}

/// process_vm_writev(2): copies up to 1024 numbers into another process, each to its address. The
/// arbiter uses it for one thing only: the counts that sendmmsg(2) returns through its array.
pub fn write_process_numbers(pid: i32, numbers: &[(u64, u32)]) -> Result<usize, Errno> {
    const SIZE: usize = std::mem::size_of::<u32>();
    let bytes: Vec<u8> = numbers.iter().flat_map(|(_, number)| number.to_ne_bytes()).collect();
    let local = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let remote: Vec<libc::iovec> = numbers
        .iter()
        .map(|&(address, _)| libc::iovec { iov_base: address as usize as *mut libc::c_void, iov_len: SIZE })
        .collect();
    // SAFETY: the kernel reads `bytes`; the remote addresses are checked by the kernel.
    unsafe {
        syscall(
            libc::SYS_process_vm_writev,
            [pid as usize, (&raw const local) as usize, 1, remote.as_ptr() as usize, remote.len(), 0],
        )
    }
}

/// Pages for secrets: absent in every child (MADV_DONTFORK), left out of dumps, locked where the
/// limit allows, and zeroed at the end.
#[derive(Debug)]
pub struct SecretPages {
    start: NonNull<u8>,
    length: usize,
    used: usize,
}

// SAFETY: the pages are owned like a Vec's buffer.
unsafe impl Send for SecretPages {}
// SAFETY: shared access only reads.
unsafe impl Sync for SecretPages {}

impl SecretPages {
    /// Maps room for at least `bytes` bytes.
    ///
    /// # Errors
    ///
    /// What mmap(2) or madvise(2) says. A refused MADV_DONTFORK is an error, since the child
    /// would then hold every secret; a refused mlock(2) or MADV_DONTDUMP is not.
    pub fn with_room(bytes: usize) -> Result<Self, Errno> {
        let length = bytes.max(1).next_multiple_of(4096);
        // SAFETY: a new private mapping.
        let start = unsafe {
            syscall(
                libc::SYS_mmap,
                [
                    0,
                    length,
                    (libc::PROT_READ | libc::PROT_WRITE) as usize,
                    (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize,
                    usize::MAX,
                    0,
                ],
            )?
        };
        let start = NonNull::new(start as *mut u8).ok_or(Errno(libc::ENOMEM))?;
        let pages = SecretPages { start, length, used: 0 };
        pages.advise(libc::MADV_DONTFORK)?;
        let _ = pages.advise(libc::MADV_DONTDUMP);
        // SAFETY: our own mapping.
        let _ = unsafe { syscall(libc::SYS_mlock, [start.as_ptr() as usize, length, 0, 0, 0, 0]) };
        Ok(pages)
    }

    fn advise(&self, advice: i32) -> Result<(), Errno> {
        // SAFETY: our own mapping; the advice changes no content here.
        unsafe {
            syscall(libc::SYS_madvise, [self.start.as_ptr() as usize, self.length, advice as usize, 0, 0, 0])
                .map(drop)
        }
    }

    /// Appends bytes; where they stand, or `None` when there is no room left.
    pub fn push(&mut self, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
        let start = self.used;
        let end = start.checked_add(bytes.len()).filter(|&end| end <= self.length)?;
        // SAFETY: `start..end` lies within the mapping, which nothing else refers to mutably.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start.as_ptr().add(start), bytes.len());
        }
        self.used = end;
        Some(start..end)
    }

    /// The bytes at a range that [`SecretPages::push`] returned.
    pub fn get(&self, range: std::ops::Range<usize>) -> &[u8] {
        if range.start > range.end || range.end > self.used {
            return &[];
        }
        // SAFETY: within the part that was written.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// Forgets the pages without touching them: what the child does after the fork, where the
    /// range is not mapped.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for SecretPages {
    fn drop(&mut self) {
        // SAFETY: our own mapping, not used afterwards.
        unsafe {
            let bytes = std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length);
            zeroize::Zeroize::zeroize(bytes);
            let _ = syscall(libc::SYS_munmap, [self.start.as_ptr() as usize, self.length, 0, 0, 0, 0]);
        }
    }
}
