//! connect(2): decided on one snapshot of the address, performed on a copy of the socket.

use super::super::Arbiter;
use super::super::names::{Binding, Names};
use super::super::pending::Call;
use super::super::target::address::{self, Address};
use super::super::target::{Blame, Caller, path};
use super::Outcome;
use super::refuse::Refused;
use super::strangers;
use crate::report::{Action, Control};
use crate::sys::descriptor::PollFd;
use crate::sys::{Errno, descriptor, network};
use fnguard_policy::model::{self, Name, Peer, Transport, narrowest_rule};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// How often a blocked connect is looked after, in milliseconds.
const LOOK_MS: i32 = 50;
/// How often a unix listener with a full queue is asked again.
const QUEUE_MS: i32 = 10;

pub(super) fn connect(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let bytes = read_address(caller, caller.arg(1), caller.int(2))?;
    match address::parse(&bytes).map_err(Blame::Caller)? {
        // The end of a connection reaches nobody.
        Address::Unspecified => {
            let socket = Socket::take(caller, caller.int(0))?;
            perform(arbiter, caller, &socket, &bytes)
        }
        Address::Inet { to, scope } => connect_inet(arbiter, caller, to, scope),
        Address::UnixPath(given) => connect_unix(arbiter, caller, &given),
        Address::UnixAbstract(name) => {
            let peer = Peer::UnixAbstract(name.clone());
            let shown = format!("unix:@{}", crate::report::text::visible(&name));
            match settle(arbiter, caller, &peer, &[], shown, None) {
                Settled::Refused(outcome) => Ok(outcome),
                Settled::Go => {
                    let socket = Socket::take(caller, caller.int(0))?;
                    perform(arbiter, caller, &socket, &address::encode_abstract(&name))
                }
            }
        }
        // The kernel's own side of a NETLINK_ROUTE socket, which is all that socket(2) gives.
        Address::Netlink { port: 0, groups: 0 } => {
            let socket = Socket::take(caller, caller.int(0))?;
            perform(arbiter, caller, &socket, &bytes)
        }
        Address::Netlink { port, groups } => {
            Ok(refuse_family(arbiter, caller, format!("netlink port {port}, groups {groups:#x}")))
        }
        Address::UnixUnnamed => Err(Blame::Caller(Errno(libc::EINVAL))),
        Address::Other(family) => Ok(refuse_family(arbiter, caller, format!("family {family}"))),
    }
}

/// Reads an address, with the length that the kernel would accept.
pub(super) fn read_address(caller: &Caller<'_>, at: u64, length: i32) -> Result<Vec<u8>, Blame> {
    let length = usize::try_from(length)
        .ok()
        .filter(|&length| length <= address::LONGEST)
        .ok_or(Blame::Caller(Errno(libc::EINVAL)))?;
    caller.read(at, length)
}

/// A copy of a socket of the caller's, and what it is.
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    pub(super) family: i32,
    pub(super) kind: i32,
    pub(super) blocking: bool,
}

impl Socket {
    pub(super) fn take(caller: &Caller<'_>, number: i32) -> Result<Self, Blame> {
        let fd = caller.descriptor(number)?;
        let kind = network::socket_option(fd.as_fd(), libc::SO_TYPE).map_err(Blame::Caller)?;
        let family = network::socket_option(fd.as_fd(), libc::SO_DOMAIN).map_err(Blame::Caller)?;
        let flags = descriptor::status_flags(fd.as_fd()).map_err(Blame::Guard)?;
        Ok(Socket { fd, family, kind, blocking: flags & libc::O_NONBLOCK == 0 })
    }

    pub(super) fn transport(&self) -> Transport {
        if self.kind == libc::SOCK_STREAM { Transport::Tcp } else { Transport::Udp }
    }

    pub(super) fn is_v6(&self) -> bool {
        self.family == libc::AF_INET6
    }
}

fn connect_inet(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    to: SocketAddr,
    scope: u32,
) -> Result<Outcome, Blame> {
    const DNS: u16 = 53;
    let names = arbiter.names_of(to.ip());
    // Refused by either transport: no need to look at the socket.
    if to.port() != DNS
        && to.port() != 0
        && [Transport::Tcp, Transport::Udp].iter().all(|&transport| {
            let peer = Peer::inet(to.ip(), to.port(), transport);
            !arbiter.is_implicit(&peer)
                && arbiter.policy.decide_connect(&peer, &names).action == model::Action::Deny
        })
    {
        let peer = Peer::inet(to.ip(), to.port(), Transport::Tcp);
        if let Settled::Refused(outcome) = settle_inet(arbiter, caller, &peer, &names, to) {
            return Ok(outcome);
        }
    }
    let socket = Socket::take(caller, caller.int(0))?;
    if to.port() == DNS {
        return connect_resolver(arbiter, caller, &socket, to);
    }
    let transport = socket.transport();
    let peer = Peer::inet(to.ip(), to.port(), transport);
    if to.port() == 0 && transport == Transport::Udp {
        return Ok(probe_source(arbiter, caller, &socket, to, scope));
    }
    if let Settled::Refused(outcome) = settle_inet(arbiter, caller, &peer, &names, to) {
        return Ok(outcome);
    }
    // The kernel gives the port first, and keeps it where the connection then fails.
    if let Err(refused) = strangers::keep_out(arbiter, caller, &socket, Some(to)) {
        return Ok(refused);
    }
    perform(arbiter, caller, &socket, &address::encode(to, scope, socket.is_v6()))
}

/// The arbiter's own proxy, and where it answers in place of the server at `to`, whichever that is; what
/// the caller sees where it can't.
pub(super) fn proxy<'a>(
    arbiter: &'a Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    to: SocketAddr,
) -> Result<(&'a Names, SocketAddr), Outcome> {
    let Some(names) = arbiter.names() else {
        return Err(refuse_family(arbiter, caller, format!("{to}: the DNS proxy could not start")));
    };
    let address = match socket.transport() {
        Transport::Tcp => names.tcp_address(socket.is_v6()),
        Transport::Udp => names.udp_address(socket.is_v6()),
    };
    address.map(|address| (names, address)).ok_or(Outcome::Error(Errno(libc::ENETUNREACH)))
}

/// Whatever server was asked, the arbiter's own proxy answers: no socket is ever connected to a
/// real port 53, and no byte of the function's is forwarded.
fn connect_resolver(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    to: SocketAddr,
) -> Result<Outcome, Blame> {
    let (names, proxy) = match proxy(arbiter, caller, socket, to) {
        Ok(found) => found,
        Err(outcome) => return Ok(outcome),
    };
    if let Err(refused) = strangers::keep_out(arbiter, caller, socket, Some(proxy)) {
        return Ok(refused);
    }
    let source = match announce(names, socket, proxy) {
        Ok(source) => source,
        Err(errno) => return Ok(Outcome::Error(errno)),
    };
    let outcome = perform(arbiter, caller, socket, &address::encode(proxy, 0, socket.is_v6()))?;
    if !matches!(outcome, Outcome::Value(_) | Outcome::Error(Errno(libc::EINPROGRESS | libc::EALREADY))) {
        names.forget_peer(socket.transport(), source);
    }
    Ok(outcome)
}

/// Tells the proxy whom to serve before a byte can reach it: a socket that has no port yet is given
/// one, of the kernel's choice and on no address of its own, as connecting or sending would.
/// Returns the source that its packets to the proxy will carry.
pub(super) fn announce(names: &Names, socket: &Socket, proxy: SocketAddr) -> Result<SocketAddr, Errno> {
    let anywhere: IpAddr =
        if socket.is_v6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let bytes = address::encode(SocketAddr::new(anywhere, 0), 0, socket.is_v6());
    match network::bind(socket.fd.as_fd(), &bytes) {
        // Bound already: by the function, or by an earlier packet.
        Ok(()) | Err(Errno(libc::EINVAL)) => {}
        Err(errno) => return Err(errno),
    }
    let local = local_address(&socket.fd).ok_or(Errno(libc::ENETUNREACH))?;
    // From every address, the kernel chooses the loopback address that it sends to.
    let from_anywhere = match local.ip() {
        IpAddr::V4(v4) => v4.is_unspecified(),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.is_unspecified(), |v4| v4.is_unspecified()),
    };
    let source = SocketAddr::new(if from_anywhere { proxy.ip() } else { local.ip() }, local.port());
    names.expect_peer(socket.transport(), source);
    Ok(source)
}

/// The local address that a socket has.
pub(super) fn local_address(fd: &OwnedFd) -> Option<SocketAddr> {
    let bytes = network::local_address(fd.as_fd()).ok()?;
    match address::parse(&bytes).ok()? {
        Address::Inet { to, .. } => Some(to),
        _ => None,
    }
}

/// getaddrinfo(3) connects a datagram socket to port 0 of every address it found, to learn which
/// source address would be used (RFC 6724), and sends nothing. A socket that stayed connected
/// could send, so the arbiter asks by a socket of its own and binds the function's to the source
/// address found: getsockname(2) then tells the same, and nothing can be sent.
fn probe_source(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    to: SocketAddr,
    scope: u32,
) -> Outcome {
    if let Err(refused) = strangers::keep_out(arbiter, caller, socket, None) {
        return refused;
    }
    let found = network::socket(socket.family, libc::SOCK_DGRAM, 0).and_then(|own| {
        network::connect(own.as_fd(), &address::encode(to, scope, socket.is_v6()))?;
        local_address(&own).ok_or(Errno(libc::ENETUNREACH))
    });
    let bound = found.and_then(|source| {
        let source = SocketAddr::new(source.ip(), 0);
        network::bind(socket.fd.as_fd(), &address::encode(source, scope, socket.is_v6()))
    });
    match bound {
        // A second probe on the same socket finds it bound already: the first answer stands.
        Ok(()) | Err(Errno(libc::EINVAL)) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    }
}

fn connect_unix(arbiter: &Arbiter, caller: &Caller<'_>, given: &[u8]) -> Result<Outcome, Blame> {
    let resolved = match resolve_unix(arbiter, caller, given, true)? {
        Ok(resolved) => resolved,
        Err(outcome) => return Ok(outcome),
    };
    let peer = Peer::UnixPath(resolved.text.clone());
    let shown = format!("unix:{}", resolved.text);
    if let Settled::Refused(outcome) = settle(arbiter, caller, &peer, &[], shown, None) {
        return Ok(outcome);
    }
    let Some(object) = resolved.object else { return Err(Blame::Caller(Errno(libc::ENOENT))) };
    let socket = Socket::take(caller, caller.int(0))?;
    // The object that was resolved, not the path again.
    let by_object = format!("/proc/self/fd/{}", object.as_raw_fd());
    match address::encode_unix(by_object.as_bytes()) {
        Some(bytes) => perform(arbiter, caller, &socket, &bytes),
        None => Err(Blame::Guard(Errno(libc::ENAMETOOLONG))),
    }
}

/// Resolves the path of a unix socket. One that leads through a magic link of /proc
/// (`/proc/self/root/…`) is refused, and reported: nothing is opened through those on anybody's
/// behalf.
pub(super) fn resolve_unix(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    given: &[u8],
    follow: bool,
) -> Result<Result<path::Resolved, Outcome>, Blame> {
    match path::resolve(caller, libc::AT_FDCWD, given, follow) {
        Ok(resolved) => Ok(Ok(resolved)),
        Err(Blame::Caller(Errno(libc::ELOOP))) => {
            Ok(Err(Refused::new(Control::Network, "network.allow", Errno(libc::EACCES))
                .address(format!("unix:{}", crate::report::text::visible(given)))
                .detail("its path leads through a link of /proc, or through too many links".to_owned())
                .report(arbiter, caller, Action::Blocked)))
        }
        Err(blame) => Err(blame),
    }
}

/// What the policy says of a peer.
pub(super) enum Settled {
    /// The call is refused, and reported.
    Refused(Outcome),
    /// The call is to be performed.
    Go,
}

/// Decides a peer by its address, and reports where that is due.
pub(super) fn settle_inet(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    peer: &Peer,
    names: &[Name],
    given: SocketAddr,
) -> Settled {
    if arbiter.is_implicit(peer) {
        return Settled::Go;
    }
    let (shown, transport) = match peer {
        Peer::Inet { address, port, transport } => (SocketAddr::new(*address, *port), *transport),
        _ => (given, Transport::Tcp),
    };
    let mut detail = Vec::new();
    if transport == Transport::Udp {
        detail.push("udp".to_owned());
    }
    if shown != given {
        detail.push(format!("given as {given}"));
    }
    let known = match arbiter.history_of(shown.ip()) {
        Some(Binding::Live(names)) => names.first().map(ToString::to_string),
        Some(Binding::Expired(names)) => {
            detail.push("its name's answer has expired".to_owned());
            names.first().map(ToString::to_string)
        }
        Some(Binding::NeverAsked) | None => None,
    };
    let detail = (!detail.is_empty()).then(|| detail.join(", "));
    settle_named(arbiter, caller, peer, names, shown.to_string(), known, detail)
}

/// Decides a peer that has no name.
pub(super) fn settle(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    peer: &Peer,
    names: &[Name],
    shown: String,
    detail: Option<String>,
) -> Settled {
    settle_named(arbiter, caller, peer, names, shown, None, detail)
}

fn settle_named(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    peer: &Peer,
    names: &[Name],
    shown: String,
    known: Option<String>,
    detail: Option<String>,
) -> Settled {
    let decision = arbiter.policy.decide_connect(peer, names);
    let action = match decision.action {
        model::Action::Allow => return Settled::Go,
        model::Action::Audit => Action::Audited,
        model::Action::Deny => Action::Blocked,
    };
    let mut refused = Refused::new(Control::Network, decision.rule.key, Errno(libc::EACCES))
        .address(shown)
        .name(known)
        .hint(narrowest_rule(peer, names));
    if let Some(detail) = detail {
        refused = refused.detail(detail);
    }
    let outcome = refused.report(arbiter, caller, action);
    match action {
        Action::Blocked => Settled::Refused(outcome),
        Action::Audited => Settled::Go,
    }
}

pub(super) fn refuse_family(arbiter: &Arbiter, caller: &Caller<'_>, detail: String) -> Outcome {
    Refused::new(Control::Network, "network.allow", Errno(libc::EACCES)).detail(detail).report(
        arbiter,
        caller,
        Action::Blocked,
    )
}

/// Connects the copy. A blocking connect may take minutes, so another thread takes over serving.
fn perform(arbiter: &Arbiter, caller: &Caller<'_>, socket: &Socket, bytes: &[u8]) -> Result<Outcome, Blame> {
    let performed = arbiter.pending.once(caller, &socket.fd, &[bytes], |call| {
        if socket.blocking {
            arbiter.servers.blocking(0, || connect_in_slices(socket, bytes, call)).map(|()| 0)
        } else {
            network::connect(socket.fd.as_fd(), bytes).map(|()| 0)
        }
    })?;
    Ok(performed.into())
}

/// connect(2) on a blocking socket, so that it can be given up when its caller is gone: a
/// connection that is given up goes on in the kernel, as after a signal. The socket's own time-out
/// for sending, which is connect's as well (socket(7)), is one tick while the kernel is asked, and
/// is kept here.
pub(super) fn connect_in_slices(socket: &Socket, bytes: &[u8], call: &Call<'_>) -> Result<(), Errno> {
    let fd = socket.fd.as_fd();
    let own = network::send_timeout(fd)?;
    let began = Instant::now();
    loop {
        network::set_send_timeout(fd, network::ONE_TICK)?;
        let result = network::connect(fd, bytes);
        network::set_send_timeout(fd, own)?;
        let (ready, slice) = match result {
            Err(Errno(libc::EINPROGRESS | libc::EALREADY)) => (Some(fd), LOOK_MS),
            // A unix listener's full queue, for which there is nothing to poll.
            Err(Errno(libc::EAGAIN)) if socket.family == libc::AF_UNIX => (None, QUEUE_MS),
            result => return result,
        };
        if !own.is_zero() && began.elapsed() >= own {
            return result;
        }
        if !call.is_wanted() {
            return Err(Errno(libc::EINTR));
        }
        let mut entries: Vec<PollFd> = ready.into_iter().map(|fd| PollFd::new(fd, libc::POLLOUT)).collect();
        descriptor::poll(&mut entries, slice)?;
    }
}
