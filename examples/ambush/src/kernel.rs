//! The few system calls that the ambush needs and that no safe interface offers. The only `unsafe`
//! of the ambush proper; each function is safe to call.
#![allow(unsafe_code)]

use nix::unistd::ForkResult;
use std::io;
use std::mem::{size_of, size_of_val, zeroed};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn check(result: impl Into<i64>) -> io::Result<i64> {
    match result.into() {
        negative if negative < 0 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

fn owned(result: impl Into<i64>) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(check(result)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// fork(2). Refuses where other threads run: the child could find their locks held for ever.
pub fn fork() -> io::Result<ForkResult> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("other threads run"));
    }
    // SAFETY: there is one thread, so the child may do whatever the parent may.
    Ok(unsafe { nix::unistd::fork() }?)
}

/// Makes a mount and all below it read-only and without set-user-ID (mount_setattr(2), Linux 5.12).
pub fn make_read_only(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: path and structure live until the call returns.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of_val(&attributes),
        )
    })
    .map(drop)
}

/// A non-blocking socket by family, type and protocol.
pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, protocol) })
}

/// Takes one datagram that is there already; `None` where there is none.
pub fn receive(socket: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0u8; 65536];
    // SAFETY: pointer and length are of one live buffer.
    let received =
        check(unsafe { libc::recv(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) } as i64);
    match received {
        Ok(len) => {
            bytes.truncate(usize::try_from(len).unwrap_or(0));
            Ok(Some(bytes))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// A socket of netlink's user protocol, and the number it is reached by.
pub fn netlink_user_socket(number: u32) -> io::Result<OwnedFd> {
    let socket = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_USERSOCK)?;
    // SAFETY: all zero is a valid sockaddr_nl.
    let mut address: libc::sockaddr_nl = unsafe { zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_pid = number;
    // SAFETY: the address lives until the call returns.
    check(unsafe {
        libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size_of_val(&address) as libc::socklen_t)
    })?;
    Ok(socket)
}

/// Brings up the loopback interface (index 1 in every network namespace) with more addresses.
pub fn set_up_loopback(addresses: &[IpAddr]) -> io::Result<()> {
    const LOOPBACK: i32 = 1;
    let socket = netlink_route()?;
    // SAFETY: all zero is a valid ifinfomsg.
    let mut link: libc::ifinfomsg = unsafe { zeroed() };
    link.ifi_index = LOOPBACK;
    link.ifi_flags = libc::IFF_UP as u32;
    link.ifi_change = libc::IFF_UP as u32;
    request(&socket, libc::RTM_NEWLINK, 0, bytes_of(&link))?;
    for address in addresses {
        // struct ifaddrmsg: family, prefix length, flags, scope, index (rtnetlink(7)). NODAD: an
        // IPv6 address is usable at once.
        const IFA_F_NODAD: u8 = 2;
        let (family, octets) = match address {
            IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
            IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
        };
        let prefix = (octets.len() * 8) as u8;
        let mut body = vec![family as u8, prefix, IFA_F_NODAD, 0];
        body.extend_from_slice(&LOOPBACK.to_ne_bytes());
        for kind in [libc::IFA_LOCAL, libc::IFA_ADDRESS] {
            body.extend_from_slice(&((4 + octets.len()) as u16).to_ne_bytes());
            body.extend_from_slice(&kind.to_ne_bytes());
            body.extend_from_slice(&octets);
        }
        match request(&socket, libc::RTM_NEWADDR, libc::NLM_F_CREATE as u16, &body) {
            // A kernel without IPv6 has one address less.
            Err(error) if address.is_ipv6() && error.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            result => result?,
        }
    }
    Ok(())
}

fn netlink_route() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    owned(unsafe { libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE) })
}

/// One rtnetlink request and its acknowledgement (netlink(7)).
fn request(socket: &OwnedFd, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    let mut message = Vec::new();
    message.extend_from_slice(&((16 + body.len()) as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&flags.to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    // SAFETY: pointer and length are of one live buffer.
    check(unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) } as i64)?;
    let answer = receive(socket)?.unwrap_or_default();
    // The acknowledgement is an nlmsgerr: a negative errno behind the header, 0 for success.
    let code = answer.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) if code == -libc::EEXIST => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("netlink answered too little")),
    }
}

fn bytes_of<T: Copy>(value: &T) -> &[u8] {
    // SAFETY: only called with C structures without padding, for as long as they live.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Makes the terminal on descriptor 0 the controlling one of this session.
pub fn take_terminal() -> io::Result<()> {
    // SAFETY: the argument is a number.
    check(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// Takes over a descriptor that was inherited under a number, and lets no further program have it.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; a number that is no descriptor is an error.
    check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: it is open, and the process that started this one left it to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// A copy of a descriptor that the programs started while it lives inherit.
pub fn inheritable(fd: &impl AsFd) -> io::Result<OwnedFd> {
    // SAFETY: no pointers. F_DUPFD leaves close-on-exec off.
    owned(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD, 10) })
}

/// The family of another process's socket; `None` where the descriptor is no socket.
pub fn family_of(pid: u32, fd: RawFd) -> io::Result<Option<i32>> {
    // SAFETY: no pointers.
    let copy = unsafe {
        let pidfd = owned(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        owned(libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0))?
    };
    let mut family = 0i32;
    let mut len = size_of_val(&family) as libc::socklen_t;
    // SAFETY: value and length live until the call returns.
    let got = check(unsafe {
        libc::getsockopt(
            copy.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            (&raw mut family).cast(),
            &raw mut len,
        )
    });
    match got {
        Ok(_) => Ok(Some(family)),
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The scheduling policy of a process, such as `SCHED_IDLE`.
pub fn scheduling_policy(pid: u32) -> io::Result<i32> {
    // SAFETY: no pointers.
    let policy = check(unsafe { libc::sched_getscheduler(pid as libc::pid_t) })?;
    i32::try_from(policy).map_err(io::Error::other)
}
