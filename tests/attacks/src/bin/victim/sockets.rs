//! Sockets of other kinds, and options that change where bytes go.

use crate::call;
use crate::raw::{say, tell};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("socket", [family, kind, protocol]) => {
            let number = |word: &str| word.parse::<i32>().expect("a number");
            say("socket", call!(SYS_socket, number(family), number(kind), number(protocol)).min(0));
        }
        ("sockets", []) => sockets(),
        ("options", []) => options(),
        _ => return false,
    }
    true
}

/// Every family by every type and some protocols; what could be made is said.
fn sockets() {
    for family in 0..=50 {
        for kind in [1, 2, 3, 4, 5, 6, 10] {
            for protocol in [0, 1, 2, 4, 6, 9, 12, 15, 16, 17, 33, 58, 132, 136, 255, 256, 262, 0x0300] {
                let socket = call!(SYS_socket, family, kind, protocol);
                if socket >= 0 {
                    tell("made", &format!("{family} {kind} {protocol}"));
                    call!(SYS_close, socket);
                }
            }
        }
    }
    // High bits that the kernel ignores, and flags it does not know.
    for kind in [0x8000_0003u64, 0x1_0000_0003, 3 | 0o2000000] {
        let socket = call!(SYS_socket, libc::AF_INET, kind, 1);
        if socket >= 0 {
            tell("made", &format!("2 {kind:#x} 1"));
        }
    }
}

/// Options by name, level and number; each on a socket it fits, with a plausible value.
fn options() {
    let (tcp, udp, udp6) = (
        call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
        call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0),
        call!(SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, 0),
    );
    let one = 1i32.to_ne_bytes().to_vec();
    let loopback_index = 1u32.to_be_bytes().to_vec();
    let membership: Vec<u8> = [[224, 0, 0, 251], [0, 0, 0, 0]].concat();
    let record_route = vec![7u8, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let list: [(&str, i64, i32, i32, Vec<u8>); 16] = [
        ("UDP_CORK", udp, 17, 1, one.clone()),
        ("UDP_SEGMENT", udp, 17, 103, one.clone()),
        ("UDP_ENCAP", udp, 17, 100, vec![2, 0, 0, 0]),
        ("IP_OPTIONS", udp, 0, 4, record_route),
        ("IP_UNICAST_IF", udp, 0, 50, loopback_index),
        ("IP_ADD_MEMBERSHIP", udp, 0, 35, membership),
        ("IP_TTL", udp, 0, 2, one.clone()),
        ("IP_TRANSPARENT", udp, 0, 19, one.clone()),
        ("SO_BINDTODEVICE", udp, 1, 25, b"lo\0".to_vec()),
        ("SO_MARK", udp, 1, 36, one.clone()),
        ("SO_BROADCAST", udp, 1, 6, one.clone()),
        ("SO_TXTIME", udp, 1, 61, vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ("IPV6_RTHDR", udp6, 41, 57, Vec::new()),
        ("TCP_FASTOPEN_CONNECT", tcp, 6, 30, one.clone()),
        ("TCP_ULP", tcp, 6, 31, b"tls\0".to_vec()),
        ("TCP_REPAIR", tcp, 6, 19, one.clone()),
    ];
    for (name, socket, level, option, value) in list {
        say(name, call!(SYS_setsockopt, socket, level, option, value.as_ptr(), value.len()));
    }
    // What honest clients set.
    say("TCP_NODELAY", call!(SYS_setsockopt, tcp, 6, 1, one.as_ptr(), 4));
    say("SO_KEEPALIVE", call!(SYS_setsockopt, tcp, 1, 9, one.as_ptr(), 4));
    // The name in the lower half, dirt in the upper.
    say("UDP_CORK-dirty", call!(SYS_setsockopt, udp, 17u64 | 1 << 40, 1u64 | 1 << 40, one.as_ptr(), 4));
}
