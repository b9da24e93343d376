//! Seccomp: installing a filter with a listener, and the listener's side. seccomp(2),
//! seccomp_unotify(2), and Documentation/userspace-api/seccomp_filter.rst.

use super::descriptor::own;
use super::raw::{Errno, syscall};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

const SET_MODE_FILTER: usize = 1;
const FLAG_NEW_LISTENER: usize = 1 << 3;
/// Linux 5.19: once received, only a fatal signal ends the wait, so nothing is re-notified.
const FLAG_WAIT_KILLABLE_RECV: usize = 1 << 5;

const IOCTL_RECV: usize = 0xc050_2100;
const IOCTL_SEND: usize = 0xc018_2101;
const IOCTL_ID_VALID: usize = 0x4008_2102;
const IOCTL_ADDFD: usize = 0x4018_2103;
const IOCTL_SET_FLAGS: usize = 0x4008_2104;
const FD_SYNC_WAKE_UP: u64 = 1;
const RESPONSE_CONTINUE: u32 = 1;

/// One instruction of classic BPF; layout of `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump when true.
    pub jt: u8,
    /// Jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

#[repr(C)]
struct Prog {
    length: u16,
    filter: *const Instruction,
}

/// Whether the kernel knows SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, as the install found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A received call waits through signals that do not kill.
    Killable,
    /// Any signal interrupts a received call, which is then notified again.
    Interruptible,
}

/// Installs a filter with a listener on the calling thread, the only one.
///
/// # Errors
///
/// EBUSY when another listener is in the chain; EACCES without no_new_privs; EINVAL or EPERM
/// where the platform refuses.
pub fn install_with_listener(program: &[Instruction]) -> Result<(OwnedFd, Wait), Errno> {
    match install(program, FLAG_NEW_LISTENER | FLAG_WAIT_KILLABLE_RECV) {
        Ok(fd) => listener(fd, Wait::Killable),
        Err(Errno(libc::EINVAL)) => listener(install(program, FLAG_NEW_LISTENER)?, Wait::Interruptible),
        Err(error) => Err(error),
    }
}

/// A listener by the number that the install gave. The standard descriptors are open, so a lower one
/// comes from something that answered in the kernel's place; it owns nothing of ours.
fn listener(number: usize, wait: Wait) -> Result<(OwnedFd, Wait), Errno> {
    if number < 3 {
        return Err(Errno(libc::ENOSYS));
    }
    // SAFETY: with NEW_LISTENER the result is a new descriptor.
    Ok((unsafe { own(number) }, wait))
}

/// Installs a filter without a listener, on every thread of the process (TSYNC).
pub fn install_on_all_threads(program: &[Instruction]) -> Result<(), Errno> {
    const FLAG_TSYNC: usize = 1;
    install(program, FLAG_TSYNC).and_then(|failed| if failed == 0 { Ok(()) } else { Err(Errno(libc::ESRCH)) })
}

fn install(program: &[Instruction], flags: usize) -> Result<usize, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno(libc::EINVAL))?;
    let prog = Prog { length, filter: program.as_ptr() };
    // SAFETY: the kernel reads `length` instructions and checks the program.
    unsafe { syscall(libc::SYS_seccomp, [SET_MODE_FILTER, flags, (&raw const prog) as usize, 0, 0, 0]) }
}

/// A notified call: what `struct seccomp_notif` says. Every field but `id` and `pid` was chosen
/// by the function.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Notification {
    /// Identifies this call until it is answered.
    pub id: u64,
    /// The calling thread's id in our pid namespace; 0 when it is not visible.
    pub pid: u32,
    flags: u32,
    /// The call's number.
    pub number: i32,
    /// The architecture of the caller (AUDIT_ARCH_*).
    pub arch: u32,
    /// Where the caller stands.
    pub instruction_pointer: u64,
    /// The call's arguments.
    pub args: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// Asks for wake-ups on the same CPU (SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP, Linux 6.6): halves a
/// round trip. A kernel without it goes on without.
pub fn set_synchronous_wake_up(listener: BorrowedFd<'_>) -> bool {
    // SAFETY: the argument is a number.
    unsafe {
        syscall(
            libc::SYS_ioctl,
            [listener.as_raw_fd() as usize, IOCTL_SET_FLAGS, FD_SYNC_WAKE_UP as usize, 0, 0, 0],
        )
        .is_ok()
    }
}

/// Takes the next notified call, waiting for one.
///
/// # Errors
///
/// ENOENT when the caller was gone or interrupted before the call could be taken: go on with the
/// next. EINTR likewise.
pub fn receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // The kernel demands a zeroed structure.
    let mut notification = Notification::default();
    // SAFETY: the kernel writes one structure of this layout (80 bytes, as the ioctl number says).
    unsafe {
        syscall(
            libc::SYS_ioctl,
            [listener.as_raw_fd() as usize, IOCTL_RECV, (&raw mut notification) as usize, 0, 0, 0],
        )?;
    }
    Ok(notification)
}

/// Whether the call still waits: without this answer, what was read from its caller may be
/// another thread's or another process's.
pub fn is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the kernel reads eight bytes.
    unsafe {
        syscall(
            libc::SYS_ioctl,
            [listener.as_raw_fd() as usize, IOCTL_ID_VALID, (&raw const id) as usize, 0, 0, 0],
        )
        .is_ok()
    }
}

/// Answers a call with a value or an error.
pub fn answer(listener: BorrowedFd<'_>, id: u64, result: Result<i64, Errno>) -> Result<(), Errno> {
    let response = match result {
        Ok(value) => Response { id, value, error: 0, flags: 0 },
        Err(Errno(error)) => Response { id, value: 0, error: -error, flags: 0 },
    };
    send(listener, &response)
}

/// Lets the kernel run the call as it stands **at that moment**: arguments behind pointers, and
/// what descriptor numbers mean, may have changed since they were looked at. Only
/// `arbiter::calls::proceed` may call this.
pub fn answer_continue(listener: BorrowedFd<'_>, id: u64) -> Result<(), Errno> {
    send(listener, &Response { id, value: 0, error: 0, flags: RESPONSE_CONTINUE })
}

fn send(listener: BorrowedFd<'_>, response: &Response) -> Result<(), Errno> {
    // SAFETY: the kernel reads one structure of this layout.
    unsafe {
        syscall(
            libc::SYS_ioctl,
            [listener.as_raw_fd() as usize, IOCTL_SEND, std::ptr::from_ref(response) as usize, 0, 0, 0],
        )
        .map(drop)
    }
}

/// Where a descriptor goes in the caller's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Any free number.
    Free,
    /// This number, replacing what is there, as dup2(2) does.
    At(i32),
}

/// Puts a copy of `source` into the caller's table; its number there. The call still waits for an
/// answer. Linux 5.9.
pub fn add_descriptor(
    listener: BorrowedFd<'_>,
    id: u64,
    source: BorrowedFd<'_>,
    place: Place,
    close_on_exec: bool,
) -> Result<i32, Errno> {
    const SETFD: u32 = 1;
    let (flags, target) = match place {
        Place::Free => (0, 0),
        Place::At(number) => (SETFD, number as u32),
    };
    let request = AddDescriptor {
        id,
        flags,
        source: source.as_raw_fd() as u32,
        target,
        target_flags: if close_on_exec { libc::O_CLOEXEC as u32 } else { 0 },
    };
    // SAFETY: the kernel reads one structure of this layout.
    unsafe {
        syscall(
            libc::SYS_ioctl,
            [listener.as_raw_fd() as usize, IOCTL_ADDFD, (&raw const request) as usize, 0, 0, 0],
        )
        .map(|number| number as i32)
    }
}
