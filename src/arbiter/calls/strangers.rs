//! Datagrams from whom the function has not written to.
//!
//! A datagram socket needs no listen(2): with a port it receives from anybody who finds that port,
//! and gets one from bind(2), connect(2) and the first send alike; also from a write(2) that then
//! fails for want of a peer (inet_send_prepare), which nobody is notified of. Where no rule of
//! `[network] listen` lets the function receive, the socket is therefore made here, and given to the
//! function with a filter by which the kernel drops every datagram but those of the peers that were
//! connected or sent to, which were decided on. That is what a connected socket has of itself, for the
//! many programs that send without connecting.
//!
//! The filter is its own memory: it is read back from the socket, so nothing is kept here, and it
//! holds for every copy of the socket in every process. The function can't change it, since
//! setsockopt(2) lets it have neither SO_ATTACH_FILTER nor SO_DETACH_FILTER.

use super::super::Arbiter;
use super::super::target::{Blame, Caller};
use super::connect::{Socket, local_address};
use super::refuse::Refused;
use super::{Outcome, Proceed};
use crate::report::{Action, Control};
use crate::sys::Errno;
use crate::sys::network::{self, Instruction};
use crate::sys::seccomp::{self, Place};
use fnguard_policy::model::{self, Peer, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// How many peers a socket may await at once: the kernel bounds the memory of a socket's options
/// (net.core.optmem_max, 20 KiB on older kernels), of which an IPv6 peer takes 600 bytes.
const MOST_PEERS: usize = 16;

/// One at a time reads a filter and puts another in its place: else a peer would be lost.
static CHANGING: Mutex<()> = Mutex::new(());

/// Whether a rule lets the function receive from anybody on a port of the kernel's choice. Audited
/// counts: there nothing may change.
pub(super) fn are_welcome(arbiter: &Arbiter, on: IpAddr) -> bool {
    let peer = Peer::local(on, 0, Transport::Udp);
    arbiter.policy.decide_listen(&peer).action != model::Action::Deny
}

/// socket(2) for UDP: a socket that has its filter before the function has the socket, unless a rule
/// lets it hear anybody on a port of the kernel's choice.
pub(super) fn make(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let (family, kind, protocol) = (caller.int(0), caller.int(1), caller.int(2));
    let anywhere: IpAddr =
        if family == libc::AF_INET { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    if are_welcome(arbiter, anywhere) {
        return Ok(Outcome::Proceed(Proceed::Registers));
    }
    let made = match network::socket(family, kind, protocol) {
        Ok(made) => made,
        // The arbiter's own table or the kernel's memory; all else the function would be told as well.
        Err(error @ Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)) => {
            return Err(Blame::Guard(error));
        }
        Err(error) => return Err(Blame::Caller(error)),
    };
    network::attach_filter(made.as_fd(), &program(&[])).map_err(Blame::Guard)?;
    let close_on_exec = kind & libc::SOCK_CLOEXEC != 0;
    match seccomp::add_descriptor(caller.listener(), caller.id(), made.as_fd(), Place::Free, close_on_exec) {
        Ok(number) => Ok(Outcome::Value(i64::from(number))),
        // The function has as many descriptors as it may.
        Err(Errno(libc::EMFILE)) => Err(Blame::Caller(Errno(libc::EMFILE))),
        Err(Errno(libc::ENOENT)) => Err(Blame::Gone),
        Err(error) => Err(Blame::Guard(error)),
    }
}

/// To be called before a call that gives a datagram socket a port or another peer: keeps all
/// others out, unless the socket was given its address under a rule.
///
/// # Errors
///
/// The refusal, which is reported, where the kernel takes no filter.
pub(super) fn keep_out(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    socket: &Socket,
    but: Option<SocketAddr>,
) -> Result<(), Outcome> {
    if !is_datagram(socket) {
        return Ok(());
    }
    let kept = peers_of(socket).and_then(|peers| match peers {
        Some(peers) if but.is_none_or(|peer| peers.contains(&as_received(peer))) => Ok(()),
        // What has a port and no filter got it under a rule, or before the guard was there.
        None if local_address(&socket.fd)
            .is_some_and(|local| local.port() != 0 || are_welcome(arbiter, local.ip())) =>
        {
            Ok(())
        }
        _ => await_also(socket, but),
    });
    kept.map_err(|errno| {
        Refused::new(Control::Network, "network.listen", Errno(libc::EACCES))
            .detail(format!("the kernel takes no filter against datagrams of strangers: {errno}"))
            .report(arbiter, caller, Action::Blocked)
    })
}

/// To be called when a rule has let the socket have its address: whoever finds it is heard.
///
/// # Errors
///
/// What setsockopt(2) says.
pub(super) fn let_in(socket: &Socket) -> Result<(), Errno> {
    if is_datagram(socket) { network::detach_filter(socket.fd.as_fd()) } else { Ok(()) }
}

fn is_datagram(socket: &Socket) -> bool {
    socket.kind == libc::SOCK_DGRAM && matches!(socket.family, libc::AF_INET | libc::AF_INET6)
}

/// Adds a peer to those whose datagrams pass. The one that was added first goes where there are too
/// many.
fn await_also(socket: &Socket, peer: Option<SocketAddr>) -> Result<(), Errno> {
    let _one = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut peers = peers_of(socket)?.unwrap_or_default();
    if let Some(peer) = peer.map(as_received)
        && !peers.contains(&peer)
    {
        peers.push(peer);
    }
    let surplus = peers.len().saturating_sub(MOST_PEERS);
    network::attach_filter(socket.fd.as_fd(), &program(peers.get(surplus..).unwrap_or_default()))
}

/// Whose datagrams the socket's filter lets pass; `None` if it has none of ours.
fn peers_of(socket: &Socket) -> Result<Option<Vec<SocketAddr>>, Errno> {
    match network::filter(socket.fd.as_fd()) {
        Ok(program) => Ok(peers(&program)),
        // Longer than any of ours.
        Err(Errno(libc::EINVAL)) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The sender that the answers of a peer carry: IPv4 is IPv4 on an IPv6 socket too, and every
/// address means loopback.
fn as_received(peer: SocketAddr) -> SocketAddr {
    match Peer::inet(peer.ip(), peer.port(), Transport::Udp) {
        Peer::Inet { address, port, .. } => SocketAddr::new(address, port),
        _ => peer,
    }
}

// Classic BPF (linux/filter.h). A datagram's socket filter sees it from its UDP header on, and the
// IP header by SKF_NET_OFF.
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_BYTE: u16 = 0x30;
const AND: u16 = 0x54;
const JUMP_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const IP_HEADER: u32 = 0xfff0_0000;
/// Where the header has the sender's address.
const V4_SENDER: u32 = IP_HEADER | 12;
const V6_SENDER: [u32; 4] = [IP_HEADER | 8, IP_HEADER | 12, IP_HEADER | 16, IP_HEADER | 20];
/// Where the UDP header has the sender's port.
const SENDER_PORT: u32 = 0;
/// The upper half of the header's first byte.
const VERSION: u32 = 0xf0;
const V4: u32 = 0x40;
const V6: u32 = 0x60;

/// A program that lets the datagrams of these peers pass, whole, and no other.
fn program(peers: &[SocketAddr]) -> Vec<Instruction> {
    let mut program: Vec<Instruction> = peers.iter().flat_map(|peer| block(*peer)).collect();
    program.push(plain(RETURN, 0));
    program
}

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

/// The instructions for one peer: past them, if anything differs.
fn block(peer: SocketAddr) -> Vec<Instruction> {
    let mut block = vec![plain(LOAD_BYTE, IP_HEADER), plain(AND, VERSION)];
    match peer.ip() {
        IpAddr::V4(address) => {
            block.push(plain(JUMP_EQUAL, V4));
            block.extend([plain(LOAD_WORD, V4_SENDER), plain(JUMP_EQUAL, u32::from(address))]);
        }
        IpAddr::V6(address) => {
            block.push(plain(JUMP_EQUAL, V6));
            let words = [96, 64, 32, 0].map(|shift| (u128::from(address) >> shift) as u32);
            for (at, word) in V6_SENDER.into_iter().zip(words) {
                block.extend([plain(LOAD_WORD, at), plain(JUMP_EQUAL, word)]);
            }
        }
    }
    block.extend([plain(LOAD_HALF, SENDER_PORT), plain(JUMP_EQUAL, u32::from(peer.port()))]);
    block.push(plain(RETURN, u32::MAX));
    let length = block.len();
    for (index, instruction) in block.iter_mut().enumerate() {
        if instruction.code == JUMP_EQUAL {
            let rest = length.saturating_sub(index).saturating_sub(1);
            instruction.jump_false = u8::try_from(rest).unwrap_or(u8::MAX);
        }
    }
    block
}

/// The peers of a program of ours: what they make must be the same program.
fn peers(given: &[Instruction]) -> Option<Vec<SocketAddr>> {
    let mut peers = Vec::new();
    let mut rest = given;
    while rest.len() > 1 {
        let operand = |index: usize| rest.get(index).map(|instruction| instruction.operand);
        let (address, port): (IpAddr, u32) = match operand(2)? {
            V4 => (Ipv4Addr::from(operand(4)?).into(), operand(6)?),
            V6 => {
                let words = [operand(4)?, operand(6)?, operand(8)?, operand(10)?];
                let bits = words.iter().fold(0u128, |bits, word| bits << 32 | u128::from(*word));
                (Ipv6Addr::from(bits).into(), operand(12)?)
            }
            _ => return None,
        };
        let peer = SocketAddr::new(address, u16::try_from(port).ok()?);
        peers.push(peer);
        rest = rest.get(block(peer).len()..)?;
    }
    (program(&peers) == given).then_some(peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_whose_it_is() {
        let all: Vec<SocketAddr> =
            ["198.51.100.7:123", "[2001:db8::1]:443", "127.0.0.1:1"].map(|peer| peer.parse().unwrap()).into();
        for count in 0..=all.len() {
            assert_eq!(peers(&program(&all[..count])).unwrap(), all[..count]);
        }
        assert_eq!(peers(&[]), None, "none");
        assert_eq!(peers(&[plain(RETURN, u32::MAX)]), None, "one that lets all pass");
        let mut foreign = program(&all);
        foreign[3].operand += 1;
        assert_eq!(peers(&foreign), None);
    }

    /// The kernel's own verdict, on IPv4 and IPv6 senders, and at the limit of peers.
    #[test]
    fn the_kernel_drops_what_others_send() {
        use std::net::UdpSocket;
        for (on, loopback) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::]:0", "[::1]")] {
            let Ok(receiver) = UdpSocket::bind(on) else { continue };
            receiver.set_nonblocking(true).unwrap();
            let port = receiver.local_addr().unwrap().port();
            let socket = Socket {
                fd: receiver.try_clone().unwrap().into(),
                family: if on.starts_with('[') { libc::AF_INET6 } else { libc::AF_INET },
                kind: libc::SOCK_DGRAM,
                blocking: false,
            };
            let senders: Vec<UdpSocket> = (0..=MOST_PEERS)
                .map(|_| UdpSocket::bind(format!("{loopback}:0")).expect("loopback has an address"))
                .collect();
            let heard = |sender: &UdpSocket| {
                sender.send_to(b"x", format!("{loopback}:{port}")).unwrap();
                receiver.recv(&mut [0; 8]).is_ok()
            };
            assert!(heard(&senders[0]), "without a filter");
            await_also(&socket, None).unwrap();
            assert!(!heard(&senders[0]));
            for sender in &senders {
                await_also(&socket, Some(sender.local_addr().unwrap())).unwrap();
                assert!(heard(sender), "{loopback}");
            }
            assert!(!heard(&senders[0]), "the first one has gone");
            assert!(heard(&senders[1]));
            let_in(&socket).unwrap();
            assert!(heard(&senders[0]));
        }
    }
}
