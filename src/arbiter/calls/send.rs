//! sendto(2), sendmsg(2), sendmmsg(2): the data and the address are copied once, decided on, and
//! sent from the copy.

use super::super::Arbiter;
use super::super::target::address::{self, Address};
use super::super::target::message::{self, Message};
use super::super::target::{Blame, Caller};
use super::Outcome;
use super::connect::{Settled, Socket, local_address, read_address, resolve_unix, settle, settle_inet};
use super::refuse::Refused;
use crate::report::{Action, Control};
use crate::sys::{Errno, descriptor, memory, network};
use fnguard_policy::model::{Peer, Transport};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

/// Flags that are passed on. MSG_MORE would join this datagram with bytes that nobody has looked
/// at (EVASIONS 31); MSG_FASTOPEN is decided as a connection.
const FLAGS: i32 =
    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_EOR | libc::MSG_CONFIRM | libc::MSG_OOB;
/// The most messages of one sendmmsg(2) (UIO_MAXIOV).
const MOST_MESSAGES: u32 = 1024;
/// The most data of one sendto(2); see [`message`].
const MOST_DATA: u64 = 1 << 20;

pub(super) fn send_to(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let name =
        if caller.arg(4) == 0 { Vec::new() } else { read_address(caller, caller.arg(4), caller.int(5))? };
    let datagram_of_inet =
        matches!(socket.family, libc::AF_INET | libc::AF_INET6) && socket.kind == libc::SOCK_DGRAM;
    if caller.arg(4) != 0 && name.is_empty() && datagram_of_inet {
        // An address of no length is too short (udp_sendmsg), not none.
        return Err(Blame::Caller(Errno(libc::EINVAL)));
    }
    let length = caller.arg(2);
    let cut = length > MOST_DATA;
    let data = caller.read(caller.arg(1), length.min(MOST_DATA) as usize)?;
    let message = Message { name, data, cut, control: Vec::new() };
    Ok(match send_one(arbiter, caller, &socket, &message, caller.int(3))? {
        Sent::Bytes(count) => Outcome::Value(count as i64),
        Sent::Failed(outcome) => outcome,
    })
}

pub(super) fn send_message(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let message = message::read(caller, caller.arg(1))?;
    Ok(match send_one(arbiter, caller, &socket, &message, caller.int(2))? {
        Sent::Bytes(count) => Outcome::Value(count as i64),
        Sent::Failed(outcome) => outcome,
    })
}

/// Each message is decided and sent by itself; the first that fails ends the call, which then
/// returns how many were sent, as the kernel does.
pub(super) fn send_messages(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let count = (caller.arg(2) as u32).min(MOST_MESSAGES);
    let mut sent = 0u32;
    for index in 0..count {
        let at = caller
            .arg(1)
            .checked_add(u64::from(index) * message::VECTOR_ENTRY as u64)
            .ok_or(Blame::Caller(Errno(libc::EFAULT)))?;
        let one = message::read(caller, at)
            .and_then(|message| send_one(arbiter, caller, &socket, &message, caller.int(3)));
        match one {
            Ok(Sent::Bytes(bytes)) => {
                // The count of bytes stands behind the header (struct mmsghdr).
                let length = (bytes as u32).to_ne_bytes();
                let written = memory::write_process(caller.thread(), at + message::HEADER as u64, &length);
                caller.check()?;
                if written != Ok(length.len()) {
                    return Err(Blame::Caller(Errno(libc::EFAULT)));
                }
                sent += 1;
            }
            Ok(Sent::Failed(outcome)) if sent == 0 => return Ok(outcome),
            Err(blame) if sent == 0 => return Err(blame),
            _ => break,
        }
    }
    Ok(Outcome::Value(i64::from(sent)))
}

/// What came of one message.
enum Sent {
    Bytes(usize),
    Failed(Outcome),
}

fn send_one(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    message: &Message,
    flags: i32,
) -> Result<Sent, Blame> {
    if let Err((level, kind)) = message::check_control(&message.control) {
        let outcome = Refused::new(Control::Network, "guard.syscalls", Errno(libc::EACCES))
            .detail(format!("control message: level {level}, type {kind}"))
            .report(arbiter, caller, Action::Blocked);
        return Ok(Sent::Failed(outcome));
    }
    let datagram = socket.kind != libc::SOCK_STREAM;
    if datagram && message.cut {
        return Ok(Sent::Failed(Outcome::Error(Errno(libc::EMSGSIZE))));
    }
    if datagram && flags & libc::MSG_MORE != 0 {
        let outcome = Refused::new(Control::Network, "guard.syscalls", Errno(libc::EACCES))
            .detail("MSG_MORE on a datagram".to_owned())
            .report(arbiter, caller, Action::Blocked);
        return Ok(Sent::Failed(outcome));
    }
    let fast_open = flags & libc::MSG_FASTOPEN != 0;
    let wants_address = !message.name.is_empty() && (datagram || fast_open);
    let to = if wants_address { destination(arbiter, caller, socket, &message.name)? } else { To::Connected };
    let kept = flags & (FLAGS | if fast_open { libc::MSG_FASTOPEN } else { 0 })
        | if datagram { 0 } else { flags & libc::MSG_MORE };
    let result = match to {
        To::Refused(outcome) => return Ok(Sent::Failed(outcome)),
        To::Connected => transmit(arbiter, caller, socket, message, kept, &[]),
        To::Address(bytes) => transmit(arbiter, caller, socket, message, kept, &bytes),
        To::Object(object) => {
            let by_object = format!("/proc/self/fd/{}", object.as_raw_fd());
            match address::encode_unix(by_object.as_bytes()) {
                Some(bytes) => transmit(arbiter, caller, socket, message, kept, &bytes),
                None => Err(Errno(libc::ENAMETOOLONG)),
            }
        }
        To::Resolver(proxy) => {
            let bytes = address::encode(proxy, 0, socket.is_v6());
            match arbiter.names() {
                Some(names) => names.expect_peer(Transport::Udp, || {
                    let result = transmit(arbiter, caller, socket, message, kept, &bytes);
                    (result, local_address(&socket.fd).map(loopback_source))
                }),
                None => Err(Errno(libc::ENETUNREACH)),
            }
        }
    };
    Ok(match result {
        Ok(count) => Sent::Bytes(count),
        Err(errno) => Sent::Failed(Outcome::Error(errno)),
    })
}

/// The source address that a datagram to the proxy carries: a socket bound to every address sends
/// to loopback from loopback.
fn loopback_source(local: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match local.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local.port()),
        IpAddr::V6(v6) if v6.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), local.port()),
        _ => local,
    }
}

/// Where a message goes.
enum To {
    /// Nowhere.
    Refused(Outcome),
    /// Where the socket is connected to.
    Connected,
    /// To an address that was decided on.
    Address(Vec<u8>),
    /// To a unix socket that was resolved.
    Object(std::os::fd::OwnedFd),
    /// To the arbiter's DNS proxy.
    Resolver(SocketAddr),
}

fn destination(arbiter: &Arbiter, caller: &Caller<'_>, socket: &Socket, name: &[u8]) -> Result<To, Blame> {
    const DNS: u16 = 53;
    let mut bytes = name.to_vec();
    let unspecified = address::parse(&bytes).map_err(Blame::Caller)? == Address::Unspecified;
    if unspecified {
        if socket.family != libc::AF_INET {
            // On IPv6 sockets the kernel takes AF_UNSPEC for "no address" (udpv6_sendmsg).
            return Ok(To::Connected);
        }
        // On IPv4 sockets it takes it for AF_INET (udp_sendmsg): so is it decided here.
        if let Some(family) = bytes.get_mut(..2) {
            family.copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        }
    }
    match address::parse(&bytes).map_err(Blame::Caller)? {
        Address::Inet { to, scope } => {
            let transport = socket.transport();
            if to.port() == DNS && transport == Transport::Udp {
                let proxy = arbiter.names().and_then(|names| names.udp_address(socket.is_v6()));
                return Ok(match proxy {
                    Some(proxy) => To::Resolver(proxy),
                    None => To::Refused(Outcome::Error(Errno(libc::ENETUNREACH))),
                });
            }
            let peer = Peer::inet(to.ip(), to.port(), transport);
            let names = arbiter.names_of(to.ip());
            Ok(match settle_inet(arbiter, caller, &peer, &names, to) {
                Settled::Refused(outcome) => To::Refused(outcome),
                Settled::Go => To::Address(address::encode(to, scope, socket.is_v6())),
            })
        }
        Address::UnixPath(given) => {
            let resolved = match resolve_unix(arbiter, caller, &given, true)? {
                Ok(resolved) => resolved,
                Err(outcome) => return Ok(To::Refused(outcome)),
            };
            let shown = format!("unix:{}", resolved.text);
            let peer = Peer::UnixPath(resolved.text);
            Ok(match settle(arbiter, caller, &peer, &[], shown, None) {
                Settled::Refused(outcome) => To::Refused(outcome),
                Settled::Go => match resolved.object {
                    Some(object) => To::Object(object),
                    None => To::Refused(Outcome::Error(Errno(libc::ENOENT))),
                },
            })
        }
        Address::UnixAbstract(name) => {
            let shown = format!("unix:@{}", crate::report::text::visible(&name));
            let peer = Peer::UnixAbstract(name.clone());
            Ok(match settle(arbiter, caller, &peer, &[], shown, None) {
                Settled::Refused(outcome) => To::Refused(outcome),
                Settled::Go => To::Address(address::encode_abstract(&name)),
            })
        }
        // To the kernel, on the NETLINK_ROUTE sockets that socket(2) gives.
        Address::Netlink { port: 0, groups: 0 } => Ok(To::Address(bytes)),
        Address::Netlink { port, groups } => Ok(To::Refused(super::connect::refuse_family(
            arbiter,
            caller,
            format!("netlink port {port}, groups {groups:#x}"),
        ))),
        Address::UnixUnnamed | Address::Unspecified => Err(Blame::Caller(Errno(libc::EINVAL))),
        Address::Other(family) => {
            Ok(To::Refused(super::connect::refuse_family(arbiter, caller, format!("family {family}"))))
        }
    }
}

/// Sends from the copy. Never waits on a lock of the arbiter's: a socket that is full is waited
/// for with another thread serving.
fn transmit(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    message: &Message,
    flags: i32,
    to: &[u8],
) -> Result<usize, Errno> {
    caller.check().map_err(|_| Errno(libc::EINTR))?;
    // The function's own SIGPIPE would be raised here in the arbiter, which blocks it.
    let at_once = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let send = || network::send_message(socket.fd.as_fd(), &message.data, at_once, to, &message.control);
    match send() {
        Err(Errno(libc::EAGAIN)) if socket.blocking && flags & libc::MSG_DONTWAIT == 0 => {
            arbiter.servers.blocking(caller, &socket.fd, || {
                loop {
                    descriptor::poll(&mut [descriptor::PollFd::new(socket.fd.as_fd(), libc::POLLOUT)], 1000)?;
                    caller.check().map_err(|_| Errno(libc::EINTR))?;
                    match send() {
                        Err(Errno(libc::EAGAIN)) => {}
                        other => return other,
                    }
                }
            })
        }
        result => result,
    }
}
