//! Sockets: which may be made, which options they take, what moves over them. Whom they reach
//! (connect, an addressed sendto, sendmsg, sendmmsg, bind, listen) is not here: the arbiter
//! decides it and performs it.

use super::super::abi::socket::*;
use super::super::row::{Condition, Rule, Set, allow, allow_if, int, pointer, rule};

const fn family(value: u64) -> Condition {
    int(0).is(value)
}

// The kernel takes the type from the lower four bits and refuses flags it does not know; here
// every bit but the two flags counts.
const fn kind(value: u64) -> Condition {
    int(1).is_but_for(value, TYPE_FLAGS)
}

const fn protocol(value: u64) -> Condition {
    int(2).is(value)
}

const UNIX_STREAM: Rule = rule(
    "AF_UNIX, SOCK_STREAM, 0",
    &[family(AF_UNIX), kind(SOCK_STREAM), protocol(0)],
    "reaches nobody until connect",
);
const UNIX_DATAGRAM: Rule = rule(
    "AF_UNIX, SOCK_DGRAM, 0",
    &[family(AF_UNIX), kind(SOCK_DGRAM), protocol(0)],
    "reaches nobody until connect or sendto",
);
const UNIX_SEQPACKET: Rule = rule(
    "AF_UNIX, SOCK_SEQPACKET, 0",
    &[family(AF_UNIX), kind(SOCK_SEQPACKET), protocol(0)],
    "reaches nobody until connect",
);

const SOCKET: &[Rule] = &[
    rule("AF_INET, SOCK_STREAM, 0", &[family(AF_INET), kind(SOCK_STREAM), protocol(0)], "TCP"),
    rule(
        "AF_INET, SOCK_STREAM, IPPROTO_TCP",
        &[family(AF_INET), kind(SOCK_STREAM), protocol(IPPROTO_TCP)],
        "TCP",
    ),
    rule("AF_INET6, SOCK_STREAM, 0", &[family(AF_INET6), kind(SOCK_STREAM), protocol(0)], "TCP"),
    rule(
        "AF_INET6, SOCK_STREAM, IPPROTO_TCP",
        &[family(AF_INET6), kind(SOCK_STREAM), protocol(IPPROTO_TCP)],
        "TCP",
    ),
    UNIX_STREAM,
    UNIX_DATAGRAM,
    UNIX_SEQPACKET,
    rule(
        "AF_NETLINK, SOCK_RAW, NETLINK_ROUTE",
        &[family(AF_NETLINK), kind(SOCK_RAW), protocol(NETLINK_ROUTE)],
        "getifaddrs and the resolver list interfaces; changing them needs a capability that was dropped",
    ),
    rule(
        "AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE",
        &[family(AF_NETLINK), kind(SOCK_DGRAM), protocol(NETLINK_ROUTE)],
        "getifaddrs and the resolver list interfaces; changing them needs a capability that was dropped",
    ),
];
const SOCKETPAIR: &[Rule] = &[UNIX_STREAM, UNIX_DATAGRAM, UNIX_SEQPACKET];

/// Making sockets.
pub(super) const SOCKETS: Set = Set {
    name: "Sockets",
    note: "By family, type and protocol: the same family and type with another protocol is MPTCP, SCTP, DCCP, UDP-Lite or ping. UDP sockets are notified, and made by the arbiter: a write to one that has no peer gives it a port, and from then on it hears everybody, unless it has a filter before.",
    rows: &[
        allow_if("socket", SOCKET, "by family, type and protocol"),
        allow_if("socketpair", SOCKETPAIR, "two ends within the process"),
        allow("accept", "a peer of a socket whose listen was decided"),
        allow("accept4", "a peer of a socket whose listen was decided"),
        allow("shutdown", "ends"),
        allow("getsockname", "asks"),
        allow("getpeername", "asks"),
        allow("getsockopt", "asks"),
    ],
};

const SETSOCKOPT: &[Rule] = &[
    rule(
        "SOL_SOCKET, SO_REUSEADDR",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_REUSEADDR)],
        "binding is decided by the arbiter",
    ),
    rule(
        "SOL_SOCKET, SO_REUSEPORT",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_REUSEPORT)],
        "binding is decided by the arbiter",
    ),
    rule(
        "SOL_SOCKET, SO_KEEPALIVE",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_KEEPALIVE)],
        "empty probes to the peer",
    ),
    rule(
        "SOL_SOCKET, SO_SNDBUF",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_SNDBUF)],
        "memory, within the system's limit",
    ),
    rule(
        "SOL_SOCKET, SO_RCVBUF",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_RCVBUF)],
        "memory, within the system's limit",
    ),
    rule("SOL_SOCKET, SO_LINGER", &[int(1).is(SOL_SOCKET), int(2).is(SO_LINGER)], "how close waits"),
    rule("SOL_SOCKET, SO_RCVTIMEO", &[int(1).is(SOL_SOCKET), int(2).is(SO_RCVTIMEO_OLD)], "a time-out"),
    rule("SOL_SOCKET, SO_SNDTIMEO", &[int(1).is(SOL_SOCKET), int(2).is(SO_SNDTIMEO_OLD)], "a time-out"),
    rule("SOL_SOCKET, SO_RCVTIMEO_NEW", &[int(1).is(SOL_SOCKET), int(2).is(SO_RCVTIMEO_NEW)], "a time-out"),
    rule("SOL_SOCKET, SO_SNDTIMEO_NEW", &[int(1).is(SOL_SOCKET), int(2).is(SO_SNDTIMEO_NEW)], "a time-out"),
    rule("SOL_SOCKET, SO_RCVLOWAT", &[int(1).is(SOL_SOCKET), int(2).is(SO_RCVLOWAT)], "when poll wakes"),
    rule("SOL_SOCKET, SO_OOBINLINE", &[int(1).is(SOL_SOCKET), int(2).is(SO_OOBINLINE)], "receiving only"),
    rule("SOL_SOCKET, SO_TIMESTAMP", &[int(1).is(SOL_SOCKET), int(2).is(SO_TIMESTAMP_OLD)], "receiving only"),
    rule(
        "SOL_SOCKET, SO_TIMESTAMPNS",
        &[int(1).is(SOL_SOCKET), int(2).is(SO_TIMESTAMPNS_OLD)],
        "receiving only",
    ),
    rule(
        "IPPROTO_TCP, TCP_NODELAY",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_NODELAY)],
        "when segments leave",
    ),
    rule(
        "IPPROTO_TCP, TCP_CORK",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_CORK)],
        "when segments leave; a stream has one peer",
    ),
    rule(
        "IPPROTO_TCP, TCP_QUICKACK",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_QUICKACK)],
        "when segments leave",
    ),
    rule(
        "IPPROTO_TCP, TCP_NOTSENT_LOWAT",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_NOTSENT_LOWAT)],
        "when poll wakes",
    ),
    rule(
        "IPPROTO_TCP, TCP_KEEPIDLE",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_KEEPIDLE)],
        "empty probes to the peer",
    ),
    rule(
        "IPPROTO_TCP, TCP_KEEPINTVL",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_KEEPINTVL)],
        "empty probes to the peer",
    ),
    rule(
        "IPPROTO_TCP, TCP_KEEPCNT",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_KEEPCNT)],
        "empty probes to the peer",
    ),
    rule(
        "IPPROTO_TCP, TCP_USER_TIMEOUT",
        &[int(1).is(IPPROTO_TCP), int(2).is(TCP_USER_TIMEOUT)],
        "a time-out",
    ),
    rule("IPPROTO_TCP, TCP_SYNCNT", &[int(1).is(IPPROTO_TCP), int(2).is(TCP_SYNCNT)], "a time-out"),
    rule("IPPROTO_TCP, TCP_MAXSEG", &[int(1).is(IPPROTO_TCP), int(2).is(TCP_MAXSEG)], "size of segments"),
    rule(
        "IPPROTO_IP, IP_TOS",
        &[int(1).is(IPPROTO_IP), int(2).is(IP_TOS)],
        "a mark of the packets; HTTP and QUIC set it",
    ),
    rule(
        "IPPROTO_IP, IP_MTU_DISCOVER",
        &[int(1).is(IPPROTO_IP), int(2).is(IP_MTU_DISCOVER)],
        "size of packets",
    ),
    rule("IPPROTO_IP, IP_RECVERR", &[int(1).is(IPPROTO_IP), int(2).is(IP_RECVERR)], "receiving only"),
    rule("IPPROTO_IP, IP_RECVTOS", &[int(1).is(IPPROTO_IP), int(2).is(IP_RECVTOS)], "receiving only"),
    rule("IPPROTO_IP, IP_RECVTTL", &[int(1).is(IPPROTO_IP), int(2).is(IP_RECVTTL)], "receiving only"),
    rule(
        "IPPROTO_IP, IP_PKTINFO",
        &[int(1).is(IPPROTO_IP), int(2).is(IP_PKTINFO)],
        "receiving only: as an option it is a switch, as ancillary data it would route",
    ),
    rule(
        "IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT",
        &[int(1).is(IPPROTO_IP), int(2).is(IP_BIND_ADDRESS_NO_PORT)],
        "binding is decided by the arbiter",
    ),
    rule("IPPROTO_IPV6, IPV6_V6ONLY", &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_V6ONLY)], "narrows"),
    rule(
        "IPPROTO_IPV6, IPV6_TCLASS",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_TCLASS)],
        "a mark of the packets; HTTP and QUIC set it",
    ),
    rule(
        "IPPROTO_IPV6, IPV6_MTU_DISCOVER",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_MTU_DISCOVER)],
        "size of packets",
    ),
    rule(
        "IPPROTO_IPV6, IPV6_DONTFRAG",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_DONTFRAG)],
        "size of packets",
    ),
    rule("IPPROTO_IPV6, IPV6_RECVERR", &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_RECVERR)], "receiving only"),
    rule(
        "IPPROTO_IPV6, IPV6_RECVPKTINFO",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_RECVPKTINFO)],
        "receiving only",
    ),
    rule(
        "IPPROTO_IPV6, IPV6_RECVHOPLIMIT",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_RECVHOPLIMIT)],
        "receiving only",
    ),
    rule(
        "IPPROTO_IPV6, IPV6_RECVTCLASS",
        &[int(1).is(IPPROTO_IPV6), int(2).is(IPV6_RECVTCLASS)],
        "receiving only",
    ),
    rule("IPPROTO_UDP, UDP_GRO", &[int(1).is(IPPROTO_UDP), int(2).is(UDP_GRO)], "receiving only"),
];

/// Options of sockets.
pub(super) const OPTIONS: Set = Set {
    name: "Socket options",
    note: "Everything else is notified: UDP_CORK and UDP_SEGMENT change what leaves after it was decided; IP_OPTIONS, IPV6_RTHDR, IPV6_PKTINFO, IP_UNICAST_IF, SO_BINDTODEVICE, SO_MARK and IP_TTL change where it goes; TCP_FASTOPEN_CONNECT and memberships send by themselves; TCP_ULP, TCP_REPAIR, SO_ATTACH_FILTER, SO_TXTIME and UDP_ENCAP are kernel surface.",
    rows: &[allow_if("setsockopt", SETSOCKOPT, "by level and name")],
};

const UNADDRESSED: &[Rule] = &[rule(
    "null address; flags of MSG_NOSIGNAL, MSG_DONTWAIT, MSG_EOR only",
    &[pointer(4).zero(), int(3).only(MSG_NOSIGNAL | MSG_DONTWAIT | MSG_EOR)],
    "send(2) to the peer that was decided at connect; MSG_MORE would let what is decided later join what was sent before",
)];

/// Bytes over sockets.
pub(super) const TRAFFIC: Set = Set {
    name: "Traffic",
    note: "Receiving is free. connect, bind, listen, sendmsg, sendmmsg and a sendto with an address are notified always, and performed by the arbiter on its own copy.",
    rows: &[
        allow("recvfrom", "receives"),
        allow("recvmsg", "receives"),
        allow("recvmmsg", "receives"),
        allow_if("sendto", UNADDRESSED, "the commonest way to write to a connected socket"),
    ],
};
