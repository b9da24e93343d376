//! The gate: only sockets that the arbiter itself aimed at the proxy are served.
//!
//! The proxy listens on loopback, where any process of the machine can reach it. A peer is known by
//! its source address, which the arbiter sees to before it connects; so it is in the book before
//! the proxy can hear from it, and the book is never held over a call that could wait.

use fnguard_policy::model::Transport;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

/// How many announced peers of a transport are remembered; the oldest is forgotten first.
const MAX_PEERS: usize = 1024;

#[derive(Default)]
pub(super) struct Peers {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    tcp: VecDeque<SocketAddr>,
    udp: VecDeque<SocketAddr>,
}

impl Peers {
    /// Announces a peer.
    pub(super) fn expect(&self, transport: Transport, peer: SocketAddr) {
        let mut book = self.lock();
        let list = book.list(transport);
        let peer = on_loopback(peer);
        list.retain(|known| *known != peer);
        if list.len() >= MAX_PEERS {
            list.pop_front();
        }
        list.push_back(peer);
    }

    /// Takes an announcement back.
    pub(super) fn forget(&self, transport: Transport, peer: SocketAddr) {
        let peer = on_loopback(peer);
        self.lock().list(transport).retain(|known| *known != peer);
    }

    /// Whether this is an announced peer. A TCP peer is admitted once: its port may be
    /// somebody else's after the connection has ended.
    pub(super) fn admit(&self, transport: Transport, peer: SocketAddr) -> bool {
        let mut book = self.lock();
        let list = book.list(transport);
        let Some(position) = list.iter().position(|known| *known == peer) else { return false };
        if transport == Transport::Tcp {
            list.remove(position);
        }
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn list(&mut self, transport: Transport) -> &mut VecDeque<SocketAddr> {
        match transport {
            Transport::Tcp => &mut self.tcp,
            Transport::Udp => &mut self.udp,
        }
    }
}

/// A datagram socket that was never connected has the unspecified address; what it sends to
/// loopback comes from loopback. A mapped address arrives as the IPv4 address.
fn on_loopback(peer: SocketAddr) -> SocketAddr {
    let ip = match super::reach::normal(peer.ip()) {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, peer.port())
}

#[cfg(test)]
mod tests {
    use super::{MAX_PEERS, Peers};
    use fnguard_policy::model::Transport;

    #[test]
    fn a_tcp_peer_is_admitted_once_and_a_udp_peer_as_long_as_it_is_remembered() {
        let peers = Peers::default();
        let one = "127.0.0.1:4000".parse().unwrap();
        assert!(!peers.admit(Transport::Tcp, one));
        peers.expect(Transport::Tcp, one);
        assert!(!peers.admit(Transport::Udp, one));
        assert!(peers.admit(Transport::Tcp, one));
        assert!(!peers.admit(Transport::Tcp, one));
        peers.expect(Transport::Udp, "0.0.0.0:4000".parse().unwrap());
        assert!(peers.admit(Transport::Udp, one));
        assert!(peers.admit(Transport::Udp, one));
        peers.expect(Transport::Udp, "[::ffff:127.0.0.1]:4001".parse().unwrap());
        assert!(peers.admit(Transport::Udp, "127.0.0.1:4001".parse().unwrap()));
        for port in 0..MAX_PEERS {
            let port = u16::try_from(port).unwrap() + 5000;
            peers.expect(Transport::Udp, ([127, 0, 0, 1], port).into());
        }
        assert!(!peers.admit(Transport::Udp, one), "the oldest is forgotten");
        assert!(peers.admit(Transport::Udp, "127.0.0.1:5000".parse().unwrap()));
    }

    #[test]
    fn an_announcement_that_was_taken_back_admits_nobody() {
        let peers = Peers::default();
        let one = "127.0.0.1:4000".parse().unwrap();
        peers.expect(Transport::Tcp, one);
        peers.forget(Transport::Udp, one);
        peers.forget(Transport::Tcp, one);
        assert!(!peers.admit(Transport::Tcp, one));
    }
}
