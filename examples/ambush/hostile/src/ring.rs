//! io_uring: socket, connect and send, and no system call of those names (ARMO's `curing`, 2025).

use crate::instruction::{Instruction, Outcome};
use crate::raw::{self, Sockaddr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

// include/uapi/linux/io_uring.h
const IORING_OP_CONNECT: u8 = 16;
const IORING_OP_SEND: u8 = 26;
const IORING_OP_SOCKET: u8 = 45; // Linux 5.19
const IORING_ENTER_GETEVENTS: usize = 1;
const IORING_OFF_SQ_RING: i64 = 0;
const IORING_OFF_CQ_RING: i64 = 0x0800_0000;
const IORING_OFF_SQES: i64 = 0x1000_0000;

/// `struct io_sqring_offsets` and `struct io_cqring_offsets` in one: eight words and an address.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offsets {
    head: u32,
    tail: u32,
    mask: u32,
    entries: u32,
    /// Of the submission ring its flags, of the completion ring the overflow count.
    fifth: u32,
    /// Of the submission ring the dropped count, of the completion ring the entries.
    sixth: u32,
    /// Of the submission ring the array, of the completion ring its flags.
    seventh: u32,
    reserved: u32,
    address: u64,
}

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Default)]
struct Parameters {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    thread_cpu: u32,
    thread_idle: u32,
    features: u32,
    wq_fd: u32,
    reserved: [u32; 3],
    submission: Offsets,
    completion: Offsets,
}

/// The fields of `struct io_uring_sqe` that are used here.
#[repr(C)]
#[derive(Default)]
struct Submission {
    operation: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    operation_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

struct Ring {
    fd: OwnedFd,
    submissions: *mut u8,
    completions: *mut u8,
    entries: *mut Submission,
    parameters: Parameters,
}

/// Sends the payload through a ring.
pub fn connect_and_send(it: &Instruction) -> io::Result<Outcome> {
    let mut ring = Ring::new()?;
    let socket = ring.run(Submission {
        operation: IORING_OP_SOCKET,
        fd: libc::AF_INET,
        offset: libc::SOCK_STREAM as u64,
        ..Submission::default()
    })?;
    let address = Sockaddr::from(it.address()?);
    ring.run(Submission {
        operation: IORING_OP_CONNECT,
        fd: socket,
        address: address.as_ptr() as u64,
        offset: u64::from(address.len),
        ..Submission::default()
    })?;
    let payload = it.payload();
    ring.run(Submission {
        operation: IORING_OP_SEND,
        fd: socket,
        address: payload.as_ptr() as u64,
        len: payload.len() as u32,
        ..Submission::default()
    })?;
    Ok(Outcome::Done)
}

impl Ring {
    fn new() -> io::Result<Self> {
        let mut parameters = Parameters::default();
        // SAFETY: the structure lives until the call returns.
        let fd =
            raw::descriptor(unsafe { libc::syscall(libc::SYS_io_uring_setup, 4u32, &raw mut parameters) })?;
        let map = |len: usize, offset: i64| {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            // SAFETY: a new shared mapping where the kernel likes.
            let map = unsafe {
                libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset)
            };
            if map == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(map.cast::<u8>()) }
        };
        let (sq, cq) = (&parameters.submission, &parameters.completion);
        let submissions = map((sq.seventh + 4 * parameters.sq_entries) as usize, IORING_OFF_SQ_RING)?;
        let completions = map((cq.sixth + 16 * parameters.cq_entries) as usize, IORING_OFF_CQ_RING)?;
        let entries = map(64 * parameters.sq_entries as usize, IORING_OFF_SQES)?.cast();
        Ok(Ring { fd, submissions, completions, entries, parameters })
    }

    /// Submits one operation and waits for its result.
    fn run(&mut self, submission: Submission) -> io::Result<i32> {
        let (sq, cq) = (self.parameters.submission, self.parameters.completion);
        // The kernel reads the tail with acquire and writes its own with release (io_uring(7)).
        // SAFETY: the kernel gave these offsets into mappings that live as long as the ring, and one
        // operation is under way at a time.
        let result = unsafe {
            let tail = &*self.submissions.add(sq.tail as usize).cast::<AtomicU32>();
            let mask = *self.submissions.add(sq.mask as usize).cast::<u32>();
            let at = tail.load(Ordering::Relaxed);
            self.entries.add((at & mask) as usize).write(submission);
            *self.submissions.add(sq.seventh as usize).cast::<u32>().add((at & mask) as usize) = at & mask;
            tail.store(at.wrapping_add(1), Ordering::Release);
            raw::syscall(
                libc::SYS_io_uring_enter,
                [self.fd.as_raw_fd() as usize, 1, 1, IORING_ENTER_GETEVENTS, 0, 0],
            )?;
            let head = &*self.completions.add(cq.head as usize).cast::<AtomicU32>();
            let mask = *self.completions.add(cq.mask as usize).cast::<u32>();
            let at = head.load(Ordering::Relaxed);
            // struct io_uring_cqe: user_data, res, flags.
            let entry = self.completions.add(cq.sixth as usize + 16 * (at & mask) as usize);
            let result = *entry.add(8).cast::<i32>();
            head.store(at.wrapping_add(1), Ordering::Release);
            result
        };
        if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
    }
}
