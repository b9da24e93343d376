//! Deciding, by tables and against a slow model that works on texts of bits and shares no code
//! with the crate but its types.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::model::{
    Action, Decision, Mode, Name, NamePattern, NetworkRule, Peer, Policy, PortRange, Target, Transport,
    narrowest_exec_rule, narrowest_listen_rule, narrowest_read_rule, narrowest_rule, narrowest_write_rule,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::IpAddr;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(address: &str, prefix: u8) -> Target {
    Target::Net { address: ip(address), prefix }
}

fn exact(name: &str) -> Target {
    Target::Name(NamePattern::Exact(Name::parse(name).unwrap()))
}

fn rule(to: Target, ports: &[(u16, u16)], transport: Transport) -> NetworkRule {
    NetworkRule {
        text: format!("{to:?} {ports:?} {transport:?}"),
        to,
        ports: ports.iter().map(|&(low, high)| PortRange { low, high }).collect(),
        transport,
        private: false,
        audit: false,
    }
}

fn tcp(to: Target) -> NetworkRule {
    rule(to, &[(443, 443)], Transport::Tcp)
}

fn with(allow: Vec<NetworkRule>) -> Policy {
    let mut policy = Policy::default();
    policy.network.allow = allow;
    policy
}

fn connects(allow: &[NetworkRule], address: &str) -> bool {
    let policy = with(allow.to_vec());
    let peer = Peer::inet(ip(address), 443, Transport::Tcp);
    policy.decide_connect(&peer, &[]).action == Action::Allow
}

#[test]
fn credentials_need_an_exact_rule() {
    for address in ["169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"] {
        let everything = rule(Target::Any, &[], Transport::Tcp);
        for wide in [
            tcp(Target::Any),
            everything,
            tcp(net("0.0.0.0", 0)),
            tcp(net("169.254.0.0", 16)),
            tcp(net("::", 0)),
        ] {
            assert!(!connects(std::slice::from_ref(&wide), address), "{address} by {}", wide.text);
        }
        let full = if ip(address).is_ipv4() { 32 } else { 128 };
        assert!(connects(&[tcp(net(address, full))], address), "{address}");
        // A name bound to it opens nothing either.
        let policy = with(vec![tcp(exact("rebound.example"))]);
        let peer = Peer::inet(ip(address), 443, Transport::Tcp);
        let decision = policy.decide_connect(&peer, &[Name::parse("rebound.example").unwrap()]);
        assert_eq!(decision.action, Action::Deny, "{address}");
    }
    assert!(connects(&[tcp(net("169.254.0.0", 16))], "169.254.100.1"), "its neighbours are ordinary");
}

#[test]
fn other_forms_of_the_metadata_address() {
    let open = [tcp(net("0.0.0.0", 0)), tcp(net("::", 0)), tcp(Target::Any)];
    for address in [
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "::ffff:0:169.254.169.254",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::169.254.169.254",
        "2002:a9fe:a9fe::1",
        // Teredo, as server and as client (inverted).
        "2001:0:a9fe:a9fe:0:0:f5ff:fffe",
        "2001:0:c000:201:0:0:5601:5601",
    ] {
        assert!(!connects(&open, address), "{address}");
        let mut exactly = open.to_vec();
        exactly.push(tcp(net("169.254.169.254", 32)));
        assert!(connects(&exactly, address), "{address} with an exact rule for what it embeds");
    }
}

#[test]
fn embedded_addresses_need_both() {
    for (address, embedded) in [
        ("64:ff9b::10.0.0.1", "10.0.0.1"),
        ("64:ff9b:1::10.0.0.1", "10.0.0.1"),
        ("2002:a00:1::5", "10.0.0.1"),
        ("::10.0.0.1", "10.0.0.1"),
    ] {
        let (v6, v4) = (tcp(net(address, 128)), tcp(net(embedded, 32)));
        assert!(!connects(std::slice::from_ref(&v6), address), "{address}: the IPv6 form alone");
        assert!(!connects(std::slice::from_ref(&v4), address), "{address}: the IPv4 form alone");
        assert!(connects(&[v6, v4], address), "{address}: both");
    }
    // Teredo has two inside, and a mapped address is IPv4 and nothing else.
    let teredo = "2001:0:4136:e378:8000:63bf:3fff:fdd2";
    let parts = [tcp(net(teredo, 128)), tcp(net("65.54.227.120", 32)), tcp(net("192.0.2.45", 32))];
    assert!(connects(&parts, teredo));
    for left_out in 0..3 {
        let some: Vec<_> =
            parts.iter().enumerate().filter(|(i, _)| *i != left_out).map(|(_, r)| r.clone()).collect();
        assert!(!connects(&some, teredo), "without part {left_out}");
    }
    assert!(connects(&[tcp(net("10.0.0.1", 32))], "::ffff:10.0.0.1"));
    assert!(!connects(&[tcp(net("::", 0))], "::ffff:10.0.0.1"));
}

#[test]
fn an_embedded_form_by_name_needs_the_name_only() {
    // DNS64: the resolver answers with the translated form.
    let policy = with(vec![tcp(exact("api.stripe.com"))]);
    let peer = Peer::inet(ip("64:ff9b::203.0.113.9"), 443, Transport::Tcp);
    let name = Name::parse("api.stripe.com").unwrap();
    assert_eq!(policy.decide_connect(&peer, &[name]).action, Action::Allow);
    assert_eq!(policy.decide_connect(&peer, &[]).action, Action::Deny);
}

#[test]
fn multicast_and_broadcast_need_an_exact_rule() {
    for address in ["224.0.0.251", "239.255.255.250", "255.255.255.255", "ff02::fb"] {
        for wide in
            [tcp(Target::Any), tcp(net("224.0.0.0", 4)), tcp(net("0.0.0.0", 0)), tcp(net("ff00::", 8))]
        {
            assert!(!connects(std::slice::from_ref(&wide), address), "{address} by {}", wide.text);
        }
        let full = if ip(address).is_ipv4() { 32 } else { 128 };
        assert!(connects(&[tcp(net(address, full))], address), "{address}");
    }
}

#[test]
fn no_rule_opens_port_0() {
    for open in [rule(Target::Any, &[], Transport::Tcp), rule(Target::Any, &[(0, 65535)], Transport::Tcp)] {
        let peer = Peer::inet(ip("203.0.113.9"), 0, Transport::Tcp);
        assert_eq!(with(vec![open]).decide_connect(&peer, &[]).action, Action::Deny);
    }
    // To listen on, it is any free port.
    let mut policy = Policy::default();
    policy.network.listen = vec![rule(net("127.0.0.1", 32), &[(0, 0)], Transport::Tcp)];
    assert_eq!(policy.decide_listen(&Peer::local(ip("127.0.0.1"), 0, Transport::Tcp)).action, Action::Allow);
    assert_eq!(
        policy.decide_listen(&Peer::local(ip("127.0.0.1"), 8080, Transport::Tcp)).action,
        Action::Deny
    );
}

#[test]
fn a_tcp_rule_opens_no_udp() {
    let policy = with(vec![tcp(net("203.0.113.9", 32))]);
    let quic = Peer::inet(ip("203.0.113.9"), 443, Transport::Udp);
    assert_eq!(policy.decide_connect(&quic, &[]).action, Action::Deny);
}

#[test]
fn the_unspecified_address() {
    // To connect to, it is loopback; to listen on, it is every address and not loopback.
    assert!(connects(&[tcp(net("127.0.0.1", 32))], "0.0.0.0"));
    assert!(connects(&[tcp(net("127.0.0.1", 32))], "::ffff:0.0.0.0"));
    assert!(connects(&[tcp(net("::1", 128))], "::"));
    let mut policy = Policy::default();
    policy.network.listen = vec![tcp(net("127.0.0.1", 32)), tcp(net("::1", 128))];
    for every in ["0.0.0.0", "::", "::ffff:0.0.0.0"] {
        assert_eq!(
            policy.decide_listen(&Peer::local(ip(every), 443, Transport::Tcp)).action,
            Action::Deny,
            "{every}"
        );
    }
    policy.network.listen = vec![tcp(net("0.0.0.0", 32))];
    assert_eq!(policy.decide_listen(&Peer::local(ip("0.0.0.0"), 443, Transport::Tcp)).action, Action::Allow);
}

#[test]
fn everything_is_also_unix_but_a_port_is_not() {
    let docker = Peer::UnixPath("/run/docker.sock".to_owned());
    let hidden = Peer::UnixAbstract(b"\0\xff".to_vec());
    for (open, expected) in
        [(rule(Target::Any, &[], Transport::Tcp), Action::Allow), (tcp(Target::Any), Action::Deny)]
    {
        let policy = with(vec![open]);
        assert_eq!(policy.decide_connect(&docker, &[]).action, expected);
        assert_eq!(policy.decide_connect(&hidden, &[]).action, expected);
    }
}

#[test]
fn abstract_sockets_are_compared_by_their_bytes() {
    let policy = with(vec![rule(Target::UnixAbstract(b"app".to_vec()), &[], Transport::Tcp)]);
    for (name, expected) in [
        (b"app".as_slice(), Action::Allow),
        (b"app\0", Action::Deny),
        (b"ap", Action::Deny),
        (b"", Action::Deny),
        (b"APP", Action::Deny),
    ] {
        assert_eq!(
            policy.decide_connect(&Peer::UnixAbstract(name.to_vec()), &[]).action,
            expected,
            "{name:?}"
        );
    }
    // A path of the same letters is another socket.
    assert_eq!(policy.decide_connect(&Peer::UnixPath("app".to_owned()), &[]).action, Action::Deny);
}

#[test]
fn a_callers_own_peer_is_normalised() {
    let mapped = Peer::Inet { address: ip("::ffff:169.254.169.254"), port: 443, transport: Transport::Tcp };
    let open = with(vec![rule(Target::Any, &[], Transport::Tcp), tcp(net("::", 0))]);
    assert_eq!(open.decide_connect(&mapped, &[]).action, Action::Deny);
}

#[test]
fn modes_and_rules_in_audit() {
    let peer = Peer::inet(ip("203.0.113.9"), 443, Transport::Tcp);
    let mut audited = tcp(net("203.0.113.9", 32));
    audited.audit = true;
    let policy = with(vec![audited.clone(), tcp(net("203.0.113.0", 24))]);
    let decision = policy.decide_connect(&peer, &[]);
    // The first rule that covers decides.
    assert_eq!((decision.action, decision.rule.text), (Action::Audit, Some(audited.text)));
    let decision = Policy::default().into_audit().decide_connect(&peer, &[]);
    assert_eq!(
        (decision.action, decision.rule.key, decision.rule.text),
        (Action::Audit, "network.allow", None)
    );
    let decision = Policy::default().decide_connect(&peer, &[]);
    assert_eq!(
        (decision.action, decision.rule.key, decision.rule.text),
        (Action::Deny, "network.allow", None)
    );
}

#[test]
fn the_narrowest_rule() {
    let name = Name::parse("api.stripe.com").unwrap();
    for (address, transport, names, expected) in [
        ("203.0.113.9", Transport::Tcp, false, r#"[network] allow += "203.0.113.9:443""#),
        ("203.0.113.9", Transport::Udp, false, r#"[network] allow += "udp/203.0.113.9:443""#),
        ("203.0.113.9", Transport::Tcp, true, r#"[network] allow += "api.stripe.com:443""#),
        ("203.0.113.9", Transport::Udp, true, r#"[network] allow += "udp/api.stripe.com:443""#),
        (
            "10.1.2.3",
            Transport::Tcp,
            true,
            r#"[network] allow += { to = "api.stripe.com:443", private = true }"#,
        ),
        ("169.254.169.254", Transport::Tcp, true, r#"[network] allow += "169.254.169.254:443""#),
        ("2001:db8::1", Transport::Tcp, false, r#"[network] allow += "[2001:db8::1]:443""#),
        ("::ffff:203.0.113.9", Transport::Tcp, false, r#"[network] allow += "203.0.113.9:443""#),
        (
            "64:ff9b::10.0.0.1",
            Transport::Tcp,
            false,
            r#"[network] allow += "[64:ff9b::a00:1]:443", "10.0.0.1:443""#,
        ),
        ("0.0.0.0", Transport::Tcp, false, r#"[network] allow += "127.0.0.1:443""#),
    ] {
        let bound = if names { vec![name.clone()] } else { Vec::new() };
        assert_eq!(narrowest_rule(&Peer::inet(ip(address), 443, transport), &bound), expected);
    }
    for (peer, expected) in [
        (Peer::UnixPath("/run/a \"b".to_owned()), r#"[network] allow += "unix:/run/a \"b""#),
        (Peer::UnixAbstract(b"app".to_vec()), r#"[network] allow += "unix:@app""#),
        (Peer::UnixAbstract(vec![0xff]), "none: a rule can only name an abstract socket whose name is UTF-8"),
        (Peer::inet(ip("203.0.113.9"), 0, Transport::Tcp), "none: port 0 is no peer, and no rule opens it"),
    ] {
        assert_eq!(narrowest_rule(&peer, &[]), expected);
    }
    let listen = Peer::local(ip("0.0.0.0"), 8080, Transport::Tcp);
    assert_eq!(narrowest_listen_rule(&listen), r#"[network] listen += "0.0.0.0:8080""#);
    assert_eq!(narrowest_exec_rule("/bin/sh"), r#"[exec] allow += "/bin/sh""#);
    assert_eq!(
        narrowest_exec_rule("/lib64/ld-linux-x86-64.so.2"),
        "none: a dynamic loader runs any file; allow the program that it was to run"
    );
    assert_eq!(narrowest_exec_rule(""), "none: only a program with an absolute path can be allowed");
    assert_eq!(narrowest_write_rule("/etc/\u{1b}[2Jx"), r#"[files] write += "/etc/\u001B[2Jx""#);
    assert_eq!(narrowest_read_rule("/etc/passwd"), r#"[files] read += "/etc/passwd""#);
}

#[test]
fn paths() {
    let mut policy = Policy::default();
    policy.files.write = vec!["/tmp".to_owned(), "/mnt/data".to_owned()];
    for (path, expected) in [
        ("/tmp", Action::Allow),
        ("/tmp/x", Action::Allow),
        ("/tmp/x/y", Action::Allow),
        ("/tmpx", Action::Deny),
        ("/tm", Action::Deny),
        ("/", Action::Deny),
        ("", Action::Deny),
        ("tmp/x", Action::Deny),
        ("/tmp/../etc/passwd", Action::Deny),
        ("/tmp/..", Action::Deny),
        ("/tmp/..x", Action::Allow),
        ("/mnt", Action::Deny),
        ("/mnt/data/x", Action::Allow),
    ] {
        assert_eq!(policy.decide_write(path).action, expected, "{path:?}");
    }
    policy.files.write = vec!["/".to_owned()];
    assert_eq!(policy.decide_write("/etc/passwd").action, Action::Allow);
    // A rule that no policy's text can make: it opens nothing.
    policy.files.write = vec![String::new(), "tmp".to_owned()];
    assert_eq!(policy.decide_write("/etc/passwd").action, Action::Deny);
    assert_eq!(policy.decide_write("tmp/x").action, Action::Deny);
    assert_eq!(policy.decide_read("/etc/passwd").action, Action::Allow, "reading is left alone");
    policy.files.read = Some(vec!["/usr".to_owned()]);
    assert_eq!(policy.decide_read("/etc/passwd").action, Action::Deny);
    assert_eq!(policy.decide_read("/usr/lib/x").action, Action::Allow);
}

#[test]
fn programs() {
    let mut policy = Policy::default();
    assert_eq!(policy.decide_exec("/usr/bin/id").action, Action::Deny);
    policy.exec.allow = vec!["/usr/bin/id".to_owned()];
    assert_eq!(policy.decide_exec("/usr/bin/id").action, Action::Allow);
    for other in ["/usr/bin/idx", "/usr/bin/i", "/usr/bin/id/", "/usr/bin", "id", ""] {
        assert_eq!(policy.decide_exec(other).action, Action::Deny, "{other}");
    }
    policy.exec.mode = Mode::Audit;
    assert_eq!(policy.decide_exec("/bin/sh").action, Action::Audit);
    policy.exec.any = true;
    assert_eq!(policy.decide_exec("/bin/sh").action, Action::Allow);
}

/// The slow model: addresses as texts of bits.
mod slow {
    use super::*;

    fn bits(address: IpAddr) -> String {
        match address {
            IpAddr::V4(v4) => v4.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
            IpAddr::V6(v6) => v6.octets().iter().map(|octet| format!("{octet:08b}")).collect(),
        }
    }

    fn of(text: &str) -> String {
        bits(ip(text))
    }

    fn zeros(count: usize) -> String {
        "0".repeat(count)
    }

    fn normal(address: String) -> String {
        let mapped = zeros(80) + &"1".repeat(16);
        let address = match address.strip_prefix(&mapped) {
            Some(v4) if address.len() == 128 => v4.to_owned(),
            _ => address,
        };
        if address == zeros(32) {
            of("127.0.0.1")
        } else if address == zeros(128) {
            of("::1")
        } else {
            address
        }
    }

    /// The address itself first, then what it embeds.
    fn ends(address: &str) -> Vec<String> {
        let mut ends = vec![address.to_owned()];
        if address.len() == 32 || address == of("::1") {
            return ends;
        }
        let last: String = address[96..].to_owned();
        let tail_after =
            [&of("::")[..96], &of("64:ff9b::")[..96], &of("::ffff:0:0:0")[..96], &of("64:ff9b:1::")[..48]];
        if tail_after.iter().any(|prefix| address.starts_with(*prefix)) {
            ends.push(last);
        } else if address.starts_with(&of("2002::")[..16]) {
            ends.push(address[16..48].to_owned());
        } else if address.starts_with(&of("2001::")[..32]) {
            ends.push(address[32..64].to_owned());
            ends.push(last.chars().map(|bit| if bit == '0' { '1' } else { '0' }).collect());
        }
        let (own, inside) = ends.split_at(1);
        own.iter().cloned().chain(inside.iter().cloned().map(normal)).collect()
    }

    fn exact_only(address: &str) -> bool {
        let metadata = [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd20:ce::254",
        ];
        metadata.iter().any(|known| of(known) == address)
            || (address.len() == 128 && address.starts_with(&of("fd00:ec2::")[..32]))
            || (address.len() == 32 && (address.starts_with("1110") || address == "1".repeat(32)))
            || (address.len() == 128 && address.starts_with("11111111"))
    }

    fn covers(rule: &NetworkRule, address: &str, port: u16, transport: Transport, names: &[Name]) -> bool {
        let everything = rule.to == Target::Any && rule.ports.is_empty();
        let port_open = rule.ports.iter().any(|range| range.low <= port && port <= range.high);
        if port == 0 || !(everything || (port_open && rule.transport == transport)) {
            return false;
        }
        match &rule.to {
            Target::Net { address: net, prefix } => {
                let (net, prefix) = (bits(*net), usize::from(*prefix));
                let whole = net.len() == address.len() && prefix == net.len();
                net.len() == address.len()
                    && net[..prefix] == address[..prefix]
                    && (whole || !exact_only(address))
            }
            Target::Any => !exact_only(address),
            Target::Name(pattern) => {
                let written = pattern.to_string();
                !exact_only(address) && names.iter().any(|name| name.to_string() == written)
            }
            Target::UnixPath(_) | Target::UnixAbstract(_) => false,
        }
    }

    /// The action, and the text of the rule behind it.
    pub fn connect(
        policy: &Policy,
        (address, port, transport): (IpAddr, u16, Transport),
        names: &[Name],
    ) -> (Action, Option<String>) {
        let verdict = |address: &String| {
            for rule in &policy.network.allow {
                if covers(rule, address, port, transport, names) {
                    return (if rule.audit { Action::Audit } else { Action::Allow }, Some(rule.text.clone()));
                }
            }
            (if policy.network.mode == Mode::Audit { Action::Audit } else { Action::Deny }, None)
        };
        let verdicts: Vec<_> = ends(&normal(bits(address))).iter().map(verdict).collect();
        for strictest in [Action::Deny, Action::Audit] {
            if let Some(found) = verdicts.iter().find(|(action, _)| *action == strictest) {
                return found.clone();
            }
        }
        verdicts[0].clone()
    }

    pub fn below(path: &str, base: &str) -> bool {
        let parts = |text: &str| -> Vec<String> {
            text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        path.starts_with('/')
            && !parts(path).contains(&"..".to_owned())
            && parts(path).starts_with(&parts(base))
    }
}

const PLACES: &[&str] = &[
    "0.0.0.0",
    "127.0.0.1",
    "10.0.0.1",
    "10.0.0.2",
    "10.255.0.1",
    "203.0.113.9",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.100.1",
    "100.100.100.200",
    "224.0.0.1",
    "239.1.1.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "2001:db8::1",
    "2001:db8::2",
    "fd00:ec2::254",
    "fd00:ec2::",
    "fe80::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::10.0.0.1",
    "64:ff9b::",
    "2002:a00:1::",
    "2002:a9fe:a9fe::1",
    "2002::",
    "::10.0.0.1",
    "::ffff:0:10.0.0.1",
    "2001:0:a00:1::f5ff:fffe",
    "2001:0:cb00:7109:0:0:f5ff:fffe",
];

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        6 => select(PLACES).prop_map(ip),
        1 => any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
        1 => any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        // 10.0.0.1 and its neighbours inside the forms that embed.
        1 => (0u32..4).prop_map(|n| IpAddr::V6(((0x0064_ff9b_u128 << 96) | u128::from(0x0a00_0000 + n)).into())),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    let nets = (address(), 0u8..=128, any::<bool>()).prop_map(|(address, prefix, whole)| {
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
            v4 => v4,
        };
        let full = if address.is_ipv4() { 32 } else { 128 };
        Target::Net { address, prefix: if whole { full } else { prefix.min(full) } }
    });
    let names = select(vec!["a.example", "b.example", "a.example.org"]).prop_map(exact);
    prop_oneof![6 => nets, 2 => names, 1 => Just(Target::Any)]
}

fn port() -> impl Strategy<Value = u16> {
    select(vec![0, 1, 79, 80, 443, 444, 65535])
}

fn transport() -> impl Strategy<Value = Transport> {
    select(vec![Transport::Tcp, Transport::Udp])
}

prop_compose! {
    fn any_rule()(
        to in target(),
        ports in vec((port(), port()).prop_map(|(a, b)| (a.min(b), a.max(b))), 0..3),
        transport in transport(),
        audit in any::<bool>(),
    ) -> NetworkRule {
        NetworkRule { audit, ..rule(to, &ports, transport) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn connecting_is_as_the_slow_model_says(
        rules in vec(any_rule(), 0..5),
        audit in any::<bool>(),
        address in address(),
        port in port(),
        transport in transport(),
        bound in vec(select(vec!["a.example", "b.example", "c.example"]), 0..2),
    ) {
        let mut policy = with(rules);
        policy.network.mode = if audit { Mode::Audit } else { Mode::Enforce };
        let names: Vec<Name> = bound.iter().map(|name| Name::parse(name).unwrap()).collect();
        let expected = slow::connect(&policy, (address, port, transport), &names);
        let Decision { action, rule } = policy.decide_connect(&Peer::inet(address, port, transport), &names);
        prop_assert_eq!((action, rule.text), expected);
        // However the caller filled the fields.
        let raw = policy.decide_connect(&Peer::Inet { address, port, transport }, &names);
        prop_assert_eq!(raw.action, action);
    }

    #[test]
    fn paths_are_as_the_slow_model_says(
        path in "(/(a|b|ab|\\.\\.|\\.)){0,4}/?|(a|b)(/a)?",
        base in "(/(a|b|ab)){0,3}",
    ) {
        let base = if base.is_empty() { "/".to_owned() } else { base };
        let mut policy = Policy::default();
        policy.files.write = vec![base.clone()];
        let allowed = policy.decide_write(&path).action == Action::Allow;
        prop_assert_eq!(allowed, slow::below(&path, &base), "{} below {}", path, base);
    }

    #[test]
    fn glob_patterns(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
        fn slow(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern, text) {
                ([], []) => true,
                ([b'*', rest @ ..], _) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
                ([b'?', rest @ ..], [_, more @ ..]) => slow(rest, more),
                ([c, rest @ ..], [d, more @ ..]) if c == d => slow(rest, more),
                _ => false,
            }
        }
        let found = fnguard_policy::model::SecretPattern { text: pattern.clone() }.matches(text.as_bytes());
        prop_assert_eq!(found, slow(pattern.as_bytes(), text.as_bytes()));
    }
}
