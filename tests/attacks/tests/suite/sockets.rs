//! Sockets that are none of the three kinds, and options that change where bytes go.

use crate::attack::{Guard, NET, victim};
use std::collections::BTreeSet;

fnguard_attacks::tests! { "sockets": kinds, options }

/// Of every family, type and protocol exactly the plain ones are left.
fn kinds() {
    let attack = victim(["sockets"]);
    let plain: BTreeSet<String> = attack.plain().list("made").into_iter().collect();
    // At least: packet-free families of the kernel, MPTCP, UDP-Lite, ping, netlink of all kinds.
    for made in ["2 1 262", "2 2 136", "2 2 1", "16 3 4", "16 3 15", "16 3 16"] {
        assert!(plain.contains(made), "{made} is possible without the guard: {plain:?}");
    }
    let guarded = attack.under_guard(NET);
    let left: BTreeSet<String> = guarded.list("made").into_iter().collect();
    let expected: BTreeSet<String> = [
        "1 1 0", "1 2 0", "1 5 0", "2 1 0", "2 1 6", "2 2 0", "2 2 17", "10 1 0", "10 1 6", "10 2 0",
        "10 2 17", "16 2 0", "16 3 0",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(left, expected);
    for (made, shown) in [
        ("2 1 262", "family 2, type 0x1, protocol 262"),
        ("2 2 1", "family 2, type 0x2, protocol 1"),
        ("40 1 0", "family 40, type 0x1, protocol 0"),
        ("16 3 4", "family 16, type 0x3, protocol 4"),
        ("17 3 768", "family 17, type 0x3, protocol 768"),
    ] {
        let attack = victim(["socket"].into_iter().chain(made.split(' ')));
        attack.under_guard(NET).only_record("network", "socket", shown);
    }
    assert!(!guarded.records("suppressed").is_empty(), "what is beyond the limit is counted");
}

/// Options that steer, join, split, join groups or reach into the kernel.
fn options() {
    let attack = victim(["options"]);
    let plain = attack.plain();
    let steering = [
        "UDP_CORK",
        "UDP_SEGMENT",
        "UDP_ENCAP",
        "IP_OPTIONS",
        "IP_UNICAST_IF",
        "IP_ADD_MEMBERSHIP",
        "IP_TTL",
        "IP_TRANSPARENT",
        "SO_BINDTODEVICE",
        "SO_MARK",
        "SO_BROADCAST",
        "SO_TXTIME",
        "IPV6_RTHDR",
        "TCP_FASTOPEN_CONNECT",
        "TCP_ULP",
        "TCP_REPAIR",
        "UDP_CORK-dirty",
    ];
    let possible = steering.iter().filter(|name| plain.said(name) == 0).count();
    assert!(possible >= 7, "most are open to anybody without the guard\n{}", plain.text());
    let guarded = attack.under_guard(NET);
    for name in steering {
        assert_eq!(guarded.said(name), -1, "{name}");
    }
    assert_eq!((guarded.said("TCP_NODELAY"), guarded.said("SO_KEEPALIVE")), (0, 0));
    let records = guarded.violations("network", "setsockopt", "option");
    assert_eq!(records.len(), steering.len() - 1, "one each, the repeated one counted\n{}", guarded.text());
}
