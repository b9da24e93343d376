//! Sockets: the calls that the arbiter performs on its copy of a function's socket, and the
//! socket pairs between the two processes. Addresses are raw bytes here; what they mean is
//! `arbiter::target`'s to say.

use super::descriptor::own;
use super::raw::{Errno, syscall, syscall_restarting};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

fn number(fd: BorrowedFd<'_>) -> usize {
    fd.as_raw_fd() as usize
}

/// A pair of connected SEQPACKET sockets, close-on-exec: one message a packet, so that a stray
/// byte can't shift the next message.
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends = [0i32; 2];
    // SAFETY: the kernel writes two ints.
    unsafe {
        syscall(
            libc::SYS_socketpair,
            [
                libc::AF_UNIX as usize,
                (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC) as usize,
                0,
                ends.as_mut_ptr() as usize,
                0,
                0,
            ],
        )?;
        Ok((own(ends[0] as usize), own(ends[1] as usize)))
    }
}

/// connect(2) with raw address bytes. Interrupted by a signal, it answers EINTR: the caller
/// decides what that means.
pub fn connect(fd: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `address`.
    unsafe {
        syscall(libc::SYS_connect, [number(fd), address.as_ptr() as usize, address.len(), 0, 0, 0]).map(drop)
    }
}

/// bind(2) with raw address bytes.
pub fn bind(fd: BorrowedFd<'_>, address: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `address`.
    unsafe {
        syscall(libc::SYS_bind, [number(fd), address.as_ptr() as usize, address.len(), 0, 0, 0]).map(drop)
    }
}

/// listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> Result<(), Errno> {
    // SAFETY: no pointers.
    unsafe { syscall(libc::SYS_listen, [number(fd), backlog as usize, 0, 0, 0, 0]).map(drop) }
}

/// sendto(2); without an address where `address` is empty.
pub fn send_to(fd: BorrowedFd<'_>, bytes: &[u8], flags: i32, address: &[u8]) -> Result<usize, Errno> {
    let pointer = if address.is_empty() { 0 } else { address.as_ptr() as usize };
    // SAFETY: the kernel reads `bytes` and `address`.
    unsafe {
        syscall(
            libc::SYS_sendto,
            [number(fd), bytes.as_ptr() as usize, bytes.len(), flags as usize, pointer, address.len()],
        )
    }
}

/// sendmsg(2) of one piece of data with an address and control data, either of which may be empty.
pub fn send_message(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    flags: i32,
    address: &[u8],
    control: &[u8],
) -> Result<usize, Errno> {
    let vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a valid msghdr.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if !address.is_empty() {
        header.msg_name = address.as_ptr().cast_mut().cast();
        header.msg_namelen = u32::try_from(address.len()).map_err(|_| Errno(libc::EINVAL))?;
    }
    header.msg_iov = (&raw const vector).cast_mut();
    header.msg_iovlen = 1;
    if !control.is_empty() {
        header.msg_control = control.as_ptr().cast_mut().cast();
        header.msg_controllen = control.len();
    }
    // SAFETY: the kernel reads the header and what it points to, all alive here.
    unsafe { syscall(libc::SYS_sendmsg, [number(fd), (&raw const header) as usize, flags as usize, 0, 0, 0]) }
}

/// recvfrom(2) of one packet, without its address, in place of what `buffer` holds; cut to the room
/// that it has. Again while a signal interrupts it. What is not received is not touched either.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
    buffer.clear();
    let room = buffer.capacity();
    // SAFETY: the kernel writes at most `room` bytes into the buffer's own room, and says how many.
    unsafe {
        let count = syscall_restarting(
            libc::SYS_recvfrom,
            [number(fd), buffer.as_mut_ptr() as usize, room, 0, 0, 0],
        )?;
        buffer.set_len(count.min(room));
        Ok(buffer.len())
    }
}

/// setsockopt(2) at level SOL_SOCKET.
///
/// # Safety
///
/// The option must take a `T`; what that points at must be what the kernel expects there.
unsafe fn set_option<T>(fd: BorrowedFd<'_>, option: i32, value: &T) -> Result<(), Errno> {
    let level = libc::SOL_SOCKET as usize;
    let pointer = std::ptr::from_ref(value) as usize;
    // SAFETY: the kernel reads one `T`; for the rest the caller vouches.
    unsafe {
        let arguments = [number(fd), level, option as usize, pointer, std::mem::size_of::<T>(), 0];
        syscall(libc::SYS_setsockopt, arguments).map(drop)
    }
}

/// getsockopt(2) at level SOL_SOCKET, into the value that is given.
///
/// # Safety
///
/// Whatever bytes the option has must be a `T`.
unsafe fn option<T>(fd: BorrowedFd<'_>, option: i32, mut value: T) -> Result<T, Errno> {
    let mut length = std::mem::size_of::<T>() as u32;
    let level = libc::SOL_SOCKET as usize;
    // SAFETY: the kernel writes at most `length` bytes and the length; for what they are the caller vouches.
    unsafe {
        let (at, room) = ((&raw mut value) as usize, (&raw mut length) as usize);
        syscall(libc::SYS_getsockopt, [number(fd), level, option as usize, at, room, 0])?;
    }
    Ok(value)
}

/// An int option of getsockopt(2) at level SOL_SOCKET.
pub fn socket_option(fd: BorrowedFd<'_>, name: i32) -> Result<i32, Errno> {
    // SAFETY: any four bytes are an int.
    unsafe { option(fd, name, 0i32) }
}

/// The socket's own address as raw bytes (getsockname(2)).
pub fn local_address(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0u8; 128];
    let mut length = 128u32;
    // SAFETY: the kernel writes at most `length` bytes and the length.
    unsafe {
        syscall(
            libc::SYS_getsockname,
            [number(fd), buffer.as_mut_ptr() as usize, (&raw mut length) as usize, 0, 0, 0],
        )?;
    }
    buffer.truncate(length as usize);
    Ok(buffer)
}

/// The process at the other end of a unix socket (SO_PEERCRED, unix(7)): its id when the pair was made.
pub fn peer_pid(fd: BorrowedFd<'_>) -> Result<i32, Errno> {
    let none = libc::ucred { pid: 0, uid: 0, gid: 0 };
    // SAFETY: the structure has numbers only.
    unsafe { option(fd, libc::SO_PEERCRED, none).map(|credentials| credentials.pid) }
}

/// socket(2), close-on-exec.
pub fn socket(family: i32, kind: i32, protocol: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: no pointers; the result is a new descriptor.
    unsafe {
        syscall(
            libc::SYS_socket,
            [family as usize, (kind | libc::SOCK_CLOEXEC) as usize, protocol as usize, 0, 0, 0],
        )
        .map(|fd| own(fd))
    }
}

/// The shortest time-out that is one: the kernel rounds up to a tick.
pub const ONE_TICK: Duration = Duration::from_micros(1);

/// How long sending and connecting wait (SO_SNDTIMEO, socket(7)); zero is for ever.
pub fn send_timeout(fd: BorrowedFd<'_>) -> Result<Duration, Errno> {
    let zero = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the structure has numbers only.
    let value = unsafe { option(fd, libc::SO_SNDTIMEO, zero)? };
    let (seconds, micros) = (u64::try_from(value.tv_sec), u64::try_from(value.tv_usec));
    Ok(Duration::from_secs(seconds.unwrap_or(0)) + Duration::from_micros(micros.unwrap_or(0)))
}

/// Sets how long sending and connecting wait.
pub fn set_send_timeout(fd: BorrowedFd<'_>, timeout: Duration) -> Result<(), Errno> {
    let value = libc::timeval {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_usec: i64::from(timeout.subsec_micros()),
    };
    // SAFETY: the option takes a timeval.
    unsafe { set_option(fd, libc::SO_SNDTIMEO, &value) }
}

/// An instruction of a socket filter, as the kernel has it (struct sock_filter).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// What is done.
    pub code: u16,
    /// How many instructions are passed over if a comparison holds.
    pub jump_true: u8,
    /// How many if it does not.
    pub jump_false: u8,
    /// The operand.
    pub operand: u32,
}

/// The longest program that is read back.
const LONGEST_FILTER: usize = 512;
/// SO_GET_FILTER (asm-generic/socket.h): the same number, to ask.
const SO_GET_FILTER: i32 = libc::SO_ATTACH_FILTER;

/// Has a program judge every packet before the socket gets it, in place of the one it had.
pub fn attach_filter(fd: BorrowedFd<'_>, program: &[Instruction]) -> Result<(), Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: the option takes a sock_fprog; the program that it points at is alive, and an `Instruction` is
    // a struct sock_filter.
    unsafe { set_option(fd, libc::SO_ATTACH_FILTER, &program) }
}

/// Takes the socket's program away, if it has one.
pub fn detach_filter(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: the kernel reads one int, and ignores it.
    match unsafe { set_option(fd, libc::SO_DETACH_FILTER, &0i32) } {
        Err(Errno(libc::ENOENT)) => Ok(()),
        other => other,
    }
}

/// The socket's program; empty if it has none. EINVAL where it is longer than any of ours.
pub fn filter(fd: BorrowedFd<'_>) -> Result<Vec<Instruction>, Errno> {
    let mut program = vec![Instruction::default(); LONGEST_FILTER];
    // In instructions, not in bytes.
    let mut length = u32::try_from(program.len()).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the kernel writes at most `length` instructions, and how many it has.
    unsafe {
        syscall(
            libc::SYS_getsockopt,
            [
                number(fd),
                libc::SOL_SOCKET as usize,
                SO_GET_FILTER as usize,
                program.as_mut_ptr() as usize,
                (&raw mut length) as usize,
                0,
            ],
        )?;
    }
    program.truncate(length as usize);
    Ok(program)
}
