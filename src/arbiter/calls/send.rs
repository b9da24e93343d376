//! sendto(2), sendmsg(2), sendmmsg(2): the data and the address are copied once, decided on, and
//! sent from the copy.

use super::super::Arbiter;
use super::super::pending::Call;
use super::super::target::address::{self, Address};
use super::super::target::message::{self, Message};
use super::super::target::{Blame, Caller};
use super::Outcome;
use super::connect::{
    Settled, Socket, announce, connect_in_slices, proxy, read_address, refuse_family, resolve_unix, settle,
    settle_inet,
};
use super::refuse::Refused;
use super::strangers;
use crate::report::{Action, Control};
use crate::sys::{Errno, descriptor, network};
use fnguard_policy::model::Peer;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

/// Flags that are passed on. MSG_MORE would join this datagram with bytes that nobody has looked
/// at; MSG_FASTOPEN is decided as a connection.
const FLAGS: i32 =
    libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_EOR | libc::MSG_CONFIRM | libc::MSG_OOB;
/// The most messages of one sendmmsg(2) (UIO_MAXIOV).
const MOST_MESSAGES: u32 = 1024;
/// What the caller of a refused send sees.
const DENIED: Errno = Errno(libc::EACCES);
/// How often a send that blocks is looked after, in milliseconds.
const LOOK_MS: i32 = 50;

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
    let length = usize::try_from(caller.arg(2)).unwrap_or(usize::MAX);
    let most = room(&socket).bytes;
    let data = caller.read(caller.arg(1), length.min(most))?;
    let message = Message { name, data, cut: length > most, control: Vec::new() };
    let (_, bytes) = match send_all(arbiter, caller, &socket, std::slice::from_ref(&message), 3)? {
        Ok(sent) => sent,
        Err(errno) => return Ok(Outcome::Error(errno)),
    };
    Ok(Outcome::Value(i64::from(bytes)))
}

pub(super) fn send_message(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let message = message::read(caller, caller.arg(1), &mut room(&socket))?;
    let (_, bytes) = match send_all(arbiter, caller, &socket, std::slice::from_ref(&message), 2)? {
        Ok(sent) => sent,
        Err(errno) => return Ok(Outcome::Error(errno)),
    };
    Ok(Outcome::Value(i64::from(bytes)))
}

/// Each message is decided and sent by itself; the first that fails ends the call, which then
/// returns how many were sent, as the kernel does. So does the first for which there is no room:
/// what one call may have copied is bounded for all its messages together.
pub(super) fn send_messages(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let socket = Socket::take(caller, caller.int(0))?;
    let count = (caller.arg(2) as u32).min(MOST_MESSAGES);
    let mut room = room(&socket);
    let mut messages = Vec::new();
    for index in 0..count {
        if index > 0 && room.is_used_up() {
            break;
        }
        match message::read(caller, entry(caller, index)?, &mut room) {
            Ok(message) if message.cut && index > 0 => break,
            Ok(message) => messages.push(message),
            Err(Blame::Caller(_)) if index > 0 => break,
            Err(blame) => return Err(blame),
        }
    }
    if messages.is_empty() {
        return Ok(Outcome::Value(0));
    }
    let (sent, last) = match send_all(arbiter, caller, &socket, &messages, 3)? {
        Ok(sent) => sent,
        Err(errno) => return Ok(Outcome::Error(errno)),
    };
    let mut lengths = Vec::new();
    for (index, message) in (0..sent).zip(&messages) {
        let length = if index + 1 == sent { last } else { message.data.len() as u32 };
        // The count of bytes stands behind the header (struct mmsghdr).
        lengths.push((entry(caller, index)?.saturating_add(message::HEADER as u64), length));
    }
    Ok(Outcome::Written(i64::from(sent), lengths))
}

/// Where a message of sendmmsg(2) stands.
fn entry(caller: &Caller<'_>, index: u32) -> Result<u64, Blame> {
    caller
        .arg(1)
        .checked_add(u64::from(index) * message::VECTOR_ENTRY as u64)
        .ok_or(Blame::Caller(Errno(libc::EFAULT)))
}

/// How much of the function's memory one call may have copied: less where the call could block and
/// hold it.
fn room(socket: &Socket) -> message::Room {
    let blocks = socket.blocking && socket.kind == libc::SOCK_STREAM;
    message::Room::of(if blocks { message::MOST_HELD } else { message::MOST_DATA })
}

/// Decides and sends messages in order, once: how many went, and how many bytes of the last. The
/// flags are argument `flags`.
fn send_all(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    messages: &[Message],
    flags: usize,
) -> Result<Result<(u32, u32), Errno>, Blame> {
    let parts: Vec<&[u8]> = messages
        .iter()
        .flat_map(|message| [message.name.as_slice(), &message.data, &message.control])
        .collect();
    let mut blame = None;
    let performed = arbiter.pending.once(caller, &socket.fd, &parts, |call| {
        let (mut sent, mut last) = (0u32, 0u32);
        for message in messages {
            match send_one(arbiter, caller, call, socket, message, caller.int(flags)) {
                Ok(Sent::Bytes(bytes)) => {
                    (sent, last) = (sent + 1, u32::try_from(bytes).unwrap_or(u32::MAX));
                    // Of a stream's message a part may go; what follows would leave a gap.
                    if bytes < message.data.len() {
                        break;
                    }
                }
                _ if sent > 0 => break,
                Ok(Sent::Failed(errno)) => return Err(errno),
                Err(other) => {
                    blame = Some(other);
                    return Err(Errno(libc::EINTR));
                }
            }
        }
        Ok(i64::from(sent) << 32 | i64::from(last))
    })?;
    if let Some(blame) = blame {
        return Err(blame);
    }
    Ok(performed.map(|packed| ((packed >> 32) as u32, packed as u32)))
}

/// What came of one message.
enum Sent {
    Bytes(usize),
    Failed(Errno),
}

fn send_one(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    call: &Call<'_>,
    socket: &Socket,
    message: &Message,
    flags: i32,
) -> Result<Sent, Blame> {
    let refuse =
        |detail: String| {
            let _ = Refused::new(Control::Network, "guard.syscalls", Errno(libc::EACCES))
                .detail(detail)
                .report(arbiter, caller, Action::Blocked);
            Ok(Sent::Failed(Errno(libc::EACCES)))
        };
    if let Err((level, kind)) = message::check_control(&message.control) {
        return refuse(format!("control message: level {level}, type {kind}"));
    }
    let datagram = socket.kind != libc::SOCK_STREAM;
    if datagram && message.cut {
        return Ok(Sent::Failed(Errno(libc::EMSGSIZE)));
    }
    if datagram && flags & libc::MSG_MORE != 0 {
        return refuse("MSG_MORE on a datagram".to_owned());
    }
    let fast_open = flags & libc::MSG_FASTOPEN != 0;
    let wants_address = !message.name.is_empty() && (datagram || fast_open);
    let to = if wants_address { destination(arbiter, caller, socket, &message.name)? } else { To::Connected };
    let kept = flags & (FLAGS | if fast_open { libc::MSG_FASTOPEN } else { 0 })
        | if datagram { 0 } else { flags & libc::MSG_MORE };
    let transmit = |to: &[u8]| transmit(arbiter, call, socket, message, kept, to);
    let result = match to {
        To::Refused(errno) => return Ok(Sent::Failed(errno)),
        To::Connected => transmit(&[]),
        To::Address(bytes) => transmit(&bytes),
        To::Object(object) => {
            let by_object = format!("/proc/self/fd/{}", object.as_raw_fd());
            match address::encode_unix(by_object.as_bytes()) {
                Some(bytes) => transmit(&bytes),
                None => Err(Errno(libc::ENAMETOOLONG)),
            }
        }
        To::Resolver(proxy) => {
            let Some(names) = arbiter.names() else {
                return Ok(Sent::Failed(Errno(libc::ENETUNREACH)));
            };
            match announce(names, socket, proxy) {
                Ok(source) => {
                    let result = transmit(&address::encode(proxy, 0, socket.is_v6()));
                    // A stream that did not come about is nobody to wait for.
                    if !datagram && matches!(result, Err(Errno(errno)) if !is_under_way(errno)) {
                        names.forget_peer(socket.transport(), source);
                    }
                    result
                }
                Err(errno) => Err(errno),
            }
        }
    };
    Ok(match result {
        Ok(count) => Sent::Bytes(count),
        Err(errno) => Sent::Failed(errno),
    })
}

/// Where a message goes.
enum To {
    /// Nowhere, and this is why.
    Refused(Errno),
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
            // A stream too: MSG_FASTOPEN connects it here.
            if to.port() == DNS {
                let proxy = proxy(arbiter, caller, socket, to).and_then(|(_, proxy)| {
                    strangers::keep_out(arbiter, caller, socket, Some(proxy)).map(|()| proxy)
                });
                return Ok(match proxy {
                    Ok(proxy) => To::Resolver(proxy),
                    Err(Outcome::Error(errno)) => To::Refused(errno),
                    Err(_) => To::Refused(DENIED),
                });
            }
            let peer = Peer::inet(to.ip(), to.port(), transport);
            let names = arbiter.names_of(to.ip());
            if let Settled::Refused(_) = settle_inet(arbiter, caller, &peer, &names, to) {
                return Ok(To::Refused(DENIED));
            }
            // The first datagram gives the socket its port.
            Ok(match strangers::keep_out(arbiter, caller, socket, Some(to)) {
                Ok(()) => To::Address(address::encode(to, scope, socket.is_v6())),
                Err(_) => To::Refused(DENIED),
            })
        }
        Address::UnixPath(given) => {
            let resolved = match resolve_unix(arbiter, caller, &given, true)? {
                Ok(resolved) => resolved,
                Err(_) => return Ok(To::Refused(DENIED)),
            };
            let shown = format!("unix:{}", resolved.text);
            let peer = Peer::UnixPath(resolved.text);
            Ok(match settle(arbiter, caller, &peer, &[], shown, None) {
                Settled::Refused(_) => To::Refused(DENIED),
                Settled::Go => match resolved.object {
                    Some(object) => To::Object(object),
                    None => To::Refused(Errno(libc::ENOENT)),
                },
            })
        }
        Address::UnixAbstract(name) => {
            let shown = format!("unix:@{}", crate::report::text::visible(&name));
            let peer = Peer::UnixAbstract(name.clone());
            Ok(match settle(arbiter, caller, &peer, &[], shown, None) {
                Settled::Refused(_) => To::Refused(DENIED),
                Settled::Go => To::Address(address::encode_abstract(&name)),
            })
        }
        // To the kernel, on the NETLINK_ROUTE sockets that socket(2) gives.
        Address::Netlink { port: 0, groups: 0 } => Ok(To::Address(bytes)),
        Address::Netlink { port, groups } => {
            let _ = refuse_family(arbiter, caller, format!("netlink port {port}, groups {groups:#x}"));
            Ok(To::Refused(DENIED))
        }
        Address::UnixUnnamed | Address::Unspecified => Err(Blame::Caller(Errno(libc::EINVAL))),
        Address::Other(family) => {
            let _ = refuse_family(arbiter, caller, format!("family {family}"));
            Ok(To::Refused(DENIED))
        }
    }
}

/// Whether a connection may still come about after this.
fn is_under_way(errno: i32) -> bool {
    matches!(errno, libc::EINPROGRESS | libc::EALREADY | libc::EISCONN)
}

/// Sends from the copy. Never waits on a lock of the arbiter's: a socket that is full is waited
/// for with another thread serving.
fn transmit(
    arbiter: &Arbiter,
    call: &Call<'_>,
    socket: &Socket,
    message: &Message,
    flags: i32,
    to: &[u8],
) -> Result<usize, Errno> {
    // The function's own SIGPIPE would be raised here in the arbiter, which blocks it.
    let at_once = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let fd = socket.fd.as_fd();
    let send = || network::send_message(fd, &message.data, at_once, to, &message.control);
    let waits = socket.blocking && flags & libc::MSG_DONTWAIT == 0;
    match send() {
        // Nothing is sent yet: the SYN that carries no data has to be answered first.
        Err(Errno(libc::EINPROGRESS)) if waits && flags & libc::MSG_FASTOPEN != 0 => {
            arbiter.servers.blocking(message.data.len(), || connect_in_slices(socket, to, call))?;
            transmit(arbiter, call, socket, message, flags & !libc::MSG_FASTOPEN, &[])
        }
        Err(Errno(libc::EAGAIN)) if waits => {
            let own = network::send_timeout(fd)?;
            let began = Instant::now();
            arbiter.servers.blocking(message.data.len(), || {
                loop {
                    descriptor::poll(&mut [descriptor::PollFd::new(fd, libc::POLLOUT)], LOOK_MS)?;
                    if !call.is_wanted() {
                        return Err(Errno(libc::EINTR));
                    }
                    match send() {
                        Err(Errno(libc::EAGAIN)) if own.is_zero() || began.elapsed() < own => {}
                        other => return other,
                    }
                }
            })
        }
        result => result,
    }
}
