//! The DNS proxy from outside: a function's socket on one side, a scripted nameserver on the
//! other, and what each of them sees. Messages are written and read by hand here, so that no
//! mistake of the proxy's own reader can hide itself.
//!
//! `glibc_ends_at_once` needs unshare(1), mount(8) and ip(8), and user namespaces.

#![cfg(target_os = "linux")]
// A test's own machinery stops the test where it cannot go on.
#![allow(clippy::unwrap_used)]

use fnguard::arbiter::names::{
    Binding, Clock, Failure, GRACE, Lookup, Names, RecordType, Refusal, TTL_FLOOR, Upstream, Verdict,
};
use fnguard_policy::model::{Mode, Name, NamePattern, NetworkRule, Policy, PortRange, Target, Transport};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const A: u16 = 1;
const AAAA: u16 = 28;
const TXT: u16 = 16;

/// Longer than anything takes; a test that waits this long has failed.
const LONG: Duration = Duration::from_secs(30);

// --- messages by hand ---------------------------------------------------------------------

fn name_on_wire(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = name_on_wire(name);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&1u16.to_be_bytes());
    bytes
}

fn message(id: u16, flags: u16, counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [id, flags].into_iter().chain(counts) {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes.extend_from_slice(body);
    bytes
}

fn query(id: u16, name: &str, kind: u16) -> Vec<u8> {
    message(id, 0x0100, [1, 0, 0, 0], &question(name, kind))
}

fn record(owner: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = name_on_wire(owner);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&1u16.to_be_bytes());
    bytes.extend_from_slice(&ttl.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn address_record(owner: &str, ttl: u32, address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(v4) => record(owner, A, ttl, &v4.octets()),
        IpAddr::V6(v6) => record(owner, AAAA, ttl, &v6.octets()),
    }
}

fn id_of(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[0], message[1]])
}

fn code_of(message: &[u8]) -> u8 {
    message[3] & 0x0f
}

fn answers_in(message: &[u8]) -> u16 {
    u16::from_be_bytes([message[6], message[7]])
}

/// The name and type of a query that has one plain question.
fn asked(message: &[u8]) -> (String, u16) {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8(message[at + 1..end].to_vec()).unwrap());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([message[at + 1], message[at + 2]]))
}

/// An answer to `query` with these records.
fn answer(query: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
    let (name, kind) = asked(query);
    let count = u16::try_from(records.len()).unwrap();
    message(id_of(query), 0x8180, [1, count, 0, 0], &[question(&name, kind), records.concat()].concat())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn write_frame(mut stream: &TcpStream, message: &[u8]) -> std::io::Result<()> {
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed)
}

/// One message, or nothing when the stream has ended.
fn read_frame(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

// --- the nameserver -----------------------------------------------------------------------

/// What a nameserver answers to a query that came this way: any number of messages.
type Script = dyn Fn(&[u8], Transport) -> Vec<Vec<u8>> + Send + Sync;

/// What a nameserver got, and how.
type Seen = Arc<Mutex<Vec<(Transport, Vec<u8>)>>>;

/// A nameserver that keeps what it got. Its threads end with the test process.
struct Nameserver {
    address: SocketAddr,
    seen: Seen,
}

impl Nameserver {
    fn start(script: impl Fn(&[u8], Transport) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
            // The port may be taken for the other transport.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
                break (tcp, udp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let seen = Seen::default();
        let script: Arc<Script> = Arc::new(script);
        let (of_udp, script_of_udp) = (seen.clone(), script.clone());
        thread::spawn(move || {
            let mut buffer = [0; 65536];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                of_udp.lock().unwrap().push((Transport::Udp, buffer[..length].to_vec()));
                for reply in script_of_udp(&buffer[..length], Transport::Udp) {
                    udp.send_to(&reply, peer).unwrap();
                }
            }
        });
        let of_tcp = seen.clone();
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let stream = stream.unwrap();
                while let Some(message) = read_frame(&stream) {
                    of_tcp.lock().unwrap().push((Transport::Tcp, message.clone()));
                    for reply in script(&message, Transport::Tcp) {
                        write_frame(&stream, &reply).unwrap();
                    }
                }
            }
        });
        Nameserver { address, seen }
    }

    /// One that answers every A question with this address, and others with nothing.
    fn with(address: &'static str, ttl: u32) -> Self {
        Self::start(move |query, _| {
            let (name, kind) = asked(query);
            let fits = (kind == AAAA) == address.contains(':');
            let records = if fits { vec![address_record(&name, ttl, address)] } else { Vec::new() };
            vec![answer(query, &records)]
        })
    }

    fn silent() -> Self {
        Self::start(|_, _| Vec::new())
    }

    fn seen(&self) -> Vec<(Transport, Vec<u8>)> {
        self.seen.lock().unwrap().clone()
    }

    fn names_seen(&self) -> Vec<String> {
        self.seen().iter().map(|(_, message)| asked(message).0).collect()
    }

    fn upstream(&self) -> Upstream {
        Upstream::at([self.address])
    }
}

// --- the proxy and a function's side of it -------------------------------------------------

fn rule(pattern: NamePattern, private: bool) -> NetworkRule {
    NetworkRule {
        text: format!("{pattern:?}:443"),
        to: Target::Name(pattern),
        ports: vec![PortRange { low: 443, high: 443 }],
        transport: Transport::Tcp,
        private,
        audit: false,
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// `api.test`, `db.test` (private), `*.wild.test`.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.network.allow = vec![
        rule(NamePattern::Exact(name("api.test")), false),
        rule(NamePattern::Exact(name("db.test")), true),
        rule(NamePattern::OneLabel(name("wild.test")), false),
    ];
    policy
}

/// A clock that is set by hand.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

struct Guarded {
    names: Names,
    lookups: Receiver<Lookup>,
    clock: Arc<Hand>,
}

fn guard(policy: Policy, upstream: Upstream) -> Guarded {
    let (observed, lookups) = mpsc::channel();
    let clock = Arc::new(Hand::default());
    let observed = Mutex::new(observed);
    let observer = Arc::new(move |lookup| {
        // A test may have ended before its proxy.
        let _ = observed.lock().unwrap().send(lookup);
    });
    let names = Names::start_with_clock(Arc::new(policy), upstream, observer, clock.clone()).unwrap();
    Guarded { names, lookups, clock }
}

/// A stream to the proxy that is announced before it connects.
fn announced_stream(names: &Names, to: SocketAddr) -> TcpStream {
    use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrStorage};
    use std::os::fd::AsRawFd;
    let family = if to.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let socket = socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    let any = SocketAddr::new(to.ip(), 0);
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(any)).unwrap();
    let stream = TcpStream::from(socket);
    names.expect_peer(Transport::Tcp, stream.local_addr().unwrap());
    socket::connect(stream.as_raw_fd(), &SockaddrStorage::from(to)).unwrap();
    stream
}

impl Guarded {
    /// A stream as the arbiter makes it for a function that connects to some port 53.
    fn tcp(&self) -> TcpStream {
        let address = self.names.tcp_address(false).unwrap();
        let stream = announced_stream(&self.names, address);
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    fn udp(&self) -> UdpSocket {
        let address = self.names.udp_address(false).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        self.names.expect_peer(Transport::Udp, socket.local_addr().unwrap());
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket
    }

    fn over_tcp(&self, message: &[u8]) -> Vec<u8> {
        let stream = self.tcp();
        write_frame(&stream, message).unwrap();
        read_frame(&stream).unwrap()
    }

    fn over_udp(&self, message: &[u8]) -> Vec<u8> {
        let socket = self.udp();
        socket.send(message).unwrap();
        let mut buffer = [0; 65536];
        let length = socket.recv(&mut buffer).unwrap();
        buffer[..length].to_vec()
    }

    fn lookup(&self) -> Lookup {
        self.lookups.recv_timeout(LONG).unwrap()
    }

    fn names_of(&self, address: &str) -> Vec<String> {
        self.names.names_of(address.parse().unwrap()).iter().map(ToString::to_string).collect()
    }
}

// --- tests --------------------------------------------------------------------------------

#[test]
fn an_answer_is_bound_before_it_is_delivered() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    for (transport, reply) in [
        (Transport::Tcp, guarded.over_tcp(&query(7, "api.test", A))),
        (Transport::Udp, guarded.over_udp(&query(7, "api.test", A))),
    ] {
        assert_eq!(guarded.names_of("203.0.113.9"), ["api.test"]);
        let mut expected = message(7, 0x8180, [1, 1, 0, 0], &question("api.test", A));
        // The owner is a pointer to the question.
        expected.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 9]);
        assert_eq!(reply, expected);
        let lookup = guarded.lookup();
        assert_eq!((lookup.name.as_str(), lookup.kind), ("api.test", RecordType::A));
        assert_eq!(lookup.transport, transport);
        assert_eq!(lookup.rule.text.as_deref(), Some(policy().network.allow[0].text.as_str()));
        let verdict = Verdict::Answered {
            audited: false,
            bound: vec!["203.0.113.9".parse().unwrap()],
            unbound: Vec::new(),
        };
        assert_eq!(lookup.verdict, verdict);
    }
    assert_eq!(guarded.names.history_of("203.0.113.10".parse().unwrap()), Binding::NeverAsked);
}

/// The clock is read when an answer is bound; this one looks whether the function has anything
/// to read by then.
#[derive(Default)]
struct Watching {
    stream: Mutex<Option<TcpStream>>,
    delivered_first: Mutex<Vec<bool>>,
}

impl Clock for Watching {
    fn now(&self) -> Duration {
        if let Some(stream) = &*self.stream.lock().unwrap() {
            let arrived = stream.peek(&mut [0; 1]).is_ok();
            self.delivered_first.lock().unwrap().push(arrived);
        }
        Duration::ZERO
    }
}

#[test]
fn nothing_is_delivered_when_it_is_bound() {
    let server = Nameserver::with("203.0.113.9", 60);
    let clock = Arc::new(Watching::default());
    let names =
        Names::start_with_clock(Arc::new(policy()), server.upstream(), Arc::new(|_| {}), clock.clone())
            .unwrap();
    let address = names.tcp_address(false).unwrap();
    let stream = announced_stream(&names, address);
    for _ in 0..100 {
        // O_NONBLOCK is of the file description, and so of both.
        stream.set_nonblocking(true).unwrap();
        *clock.stream.lock().unwrap() = Some(stream.try_clone().unwrap());
        write_frame(&stream, &query(7, "api.test", A)).unwrap();
        let deadline = Instant::now() + LONG;
        while clock.delivered_first.lock().unwrap().is_empty() {
            assert!(Instant::now() < deadline, "nothing is bound");
            thread::yield_now();
        }
        *clock.stream.lock().unwrap() = None;
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        read_frame(&stream).unwrap();
        assert_eq!(*clock.delivered_first.lock().unwrap(), [false]);
        clock.delivered_first.lock().unwrap().clear();
    }
}

#[test]
fn what_is_refused_never_reaches_the_nameserver() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let tunnel = format!("{}.{}.evil.example", "k".repeat(63), "v".repeat(63));
    let dotted = message(7, 0x0100, [1, 0, 0, 0], b"\x08api.test\x00\x00\x01\x00\x01");
    let two = message(7, 0x0100, [2, 0, 0, 0], &[question("api.test", A), question("evil.test", A)].concat());
    let chaos = message(7, 0x0100, [1, 0, 0, 0], b"\x03api\x04test\x00\x00\x01\x00\x03");
    let update = message(7, 5 << 11, [1, 0, 0, 0], &question("api.test", A));
    let looped = message(7, 0x0100, [1, 0, 0, 0], b"\xc0\x0c\x00\x01\x00\x01");
    let table = [
        (query(7, "evil.example", A), 3, Refusal::NotAllowed, "evil.example"),
        (query(7, &tunnel, TXT), 3, Refusal::NotAllowed, tunnel.as_str()),
        (query(7, "a.b.wild.test", A), 3, Refusal::NotAllowed, "a.b.wild.test"),
        (query(7, "api.test.svc.cluster.local", AAAA), 3, Refusal::NotAllowed, "api.test.svc.cluster.local"),
        (query(7, "api.test", TXT), 0, Refusal::RecordType, "api.test"),
        (query(7, "api.test", 65), 0, Refusal::RecordType, "api.test"),
        (query(7, "api.test", 252), 0, Refusal::RecordType, "api.test"),
        (dotted, 3, Refusal::NotAHostName, r"api\.test"),
        (two, 1, Refusal::Format, "api.test"),
        (chaos, 5, Refusal::Class, "api.test"),
        (update, 4, Refusal::Operation, "api.test"),
        (looped, 1, Refusal::Format, ""),
    ];
    for (bytes, code, refusal, shown) in &table {
        for reply in [guarded.over_tcp(bytes), guarded.over_udp(bytes)] {
            assert_eq!((id_of(&reply), code_of(&reply), answers_in(&reply)), (7, *code, 0), "{shown}");
            let lookup = guarded.lookup();
            assert_eq!(lookup.name, *shown);
            assert_eq!(lookup.verdict, Verdict::Refused(*refusal), "{shown}");
        }
    }
    // Exactly one record each.
    assert!(guarded.lookups.try_recv().is_err());
    assert_eq!(server.names_seen(), Vec::<String>::new());
    // The capture does work: the server sees this one.
    assert_eq!(code_of(&guarded.over_udp(&query(7, "api.test", A))), 0);
    assert_eq!(server.names_seen(), ["api.test"]);
}

#[test]
fn no_byte_of_the_functions_is_forwarded() {
    const MARK: &[u8] = b"stolen-key-0123";
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    // Letters that carry bits, an EDNS option, flags, a second message, and what is no message.
    let mut option = vec![0xfd, 0xe9, 0, u8::try_from(MARK.len()).unwrap()];
    option.extend_from_slice(MARK);
    let mut edns = vec![0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, u8::try_from(option.len()).unwrap()];
    edns.extend_from_slice(&option);
    let body = [question("aPi.TeSt", A), edns, query(9, "evil.test", TXT), MARK.to_vec()].concat();
    let bytes = message(0x5345, 0x0130, [1, 0, 0, 1], &body);
    for reply in [guarded.over_tcp(&bytes), guarded.over_udp(&bytes)] {
        assert_eq!((id_of(&reply), code_of(&reply), answers_in(&reply)), (0x5345, 0, 1));
        // Its own letters come back to it, and nothing else of its own.
        assert_eq!(reply[12..12 + 14], question("aPi.TeSt", A));
        assert!(!contains(&reply, MARK));
    }
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for (transport, upstream) in seen {
        let edns = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
        let body = [question("api.test", A), edns.to_vec()].concat();
        assert_eq!(transport, Transport::Udp);
        // All but the id, which is the proxy's own.
        assert_eq!(upstream, message(id_of(&upstream), 0x0100, [1, 0, 0, 1], &body));
    }
}

#[test]
fn only_the_questions_own_chain_binds_and_is_delivered() {
    let server = Nameserver::start(|query, _| {
        vec![answer(
            query,
            &[
                address_record("bank.test", 60, "203.0.113.66"),
                record("api.test", 5, 60, &name_on_wire("edge.test")),
                address_record("api.test", 60, "203.0.113.67"),
                address_record("edge.test", 60, "203.0.113.9"),
                address_record("edge.test", 60, "2001:db8::9"),
            ],
        )]
    });
    let guarded = guard(policy(), server.upstream());
    let reply = guarded.over_tcp(&query(7, "api.test", A));
    assert_eq!((code_of(&reply), answers_in(&reply)), (0, 2));
    assert!(contains(&reply, &[203, 0, 113, 9]));
    assert_eq!(guarded.names_of("203.0.113.9"), ["api.test"]);
    for stray in ["203.0.113.66", "203.0.113.67", "2001:db8::9"] {
        assert_eq!(guarded.names.history_of(stray.parse().unwrap()), Binding::NeverAsked, "{stray}");
    }
    assert!(!contains(&reply, &[203, 0, 113, 66]) && !contains(&reply, &[203, 0, 113, 67]));
}

#[test]
fn a_name_leads_to_no_place_that_is_not_its_own() {
    let places = ["203.0.113.9", "10.1.2.3", "127.0.0.1", "169.254.169.254", "0.0.0.0"];
    let server = Nameserver::start(move |query, _| {
        let (name, _) = asked(query);
        vec![answer(query, &places.map(|place| address_record(&name, 60, place)))]
    });
    let outcome = |policy: Policy, name: &str| {
        let guarded = guard(policy, server.upstream());
        let reply = guarded.over_tcp(&query(7, name, A));
        let bound: Vec<&str> =
            places.into_iter().filter(|place| !guarded.names_of(place).is_empty()).collect();
        let Verdict::Answered { audited, unbound, .. } = guarded.lookup().verdict else {
            panic!("{name} is not answered")
        };
        (answers_in(&reply), bound, unbound.len(), audited)
    };
    assert_eq!(outcome(policy(), "api.test"), (1, vec!["203.0.113.9"], 4, false));
    assert_eq!(outcome(policy(), "db.test"), (2, vec!["203.0.113.9", "10.1.2.3"], 3, false));
    let audit = policy().into_audit();
    assert_eq!(outcome(audit.clone(), "api.test"), (5, vec!["203.0.113.9"], 4, false));
    assert_eq!(audit.network.mode, Mode::Audit);
    assert_eq!(outcome(audit, "evil.test"), (5, vec!["203.0.113.9"], 4, true));
}

#[test]
fn translated_forms_of_metadata_do_not_bind() {
    let places =
        ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:169.254.169.254", "fd00:ec2::254", "fe80::1"];
    let server = Nameserver::start(move |query, _| {
        let records: Vec<Vec<u8>> = places
            .iter()
            .map(|place| {
                let v6: std::net::Ipv6Addr = place.parse().unwrap();
                record("db.test", AAAA, 60, &v6.octets())
            })
            .collect();
        vec![answer(query, &records)]
    });
    let guarded = guard(policy(), server.upstream());
    let reply = guarded.over_tcp(&query(7, "db.test", AAAA));
    assert_eq!((code_of(&reply), answers_in(&reply)), (0, 0));
    for place in places {
        assert_eq!(guarded.names.history_of(place.parse().unwrap()), Binding::NeverAsked, "{place}");
    }
}

#[test]
fn lies_on_the_way_are_ignored() {
    let server = Nameserver::start(|query, _| {
        let (name, _) = asked(query);
        let evil = [address_record(&name, 60, "203.0.113.66")];
        let mut wrong_id = answer(query, &evil);
        wrong_id[0] ^= 1;
        let mut wrong_question = answer(query, &evil);
        wrong_question[13] ^= 1;
        let mut no_answer = answer(query, &evil);
        no_answer[2] &= 0x7f;
        let noise = vec![0xc0; 40];
        let right = answer(query, &[address_record(&name, 60, "203.0.113.9")]);
        vec![wrong_id, wrong_question, no_answer, noise, right]
    });
    let guarded = guard(policy(), server.upstream());
    let reply = guarded.over_udp(&query(7, "api.test", A));
    assert!(contains(&reply, &[203, 0, 113, 9]));
    assert_eq!(guarded.names.history_of("203.0.113.66".parse().unwrap()), Binding::NeverAsked);
    assert_eq!(guarded.names_of("203.0.113.9"), ["api.test"]);
    assert_eq!(server.names_seen().len(), 1);
}

#[test]
fn ids_and_ports_are_not_to_be_guessed() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    for _ in 0..32 {
        guarded.over_udp(&query(7, "api.test", A));
    }
    let ids: std::collections::HashSet<u16> = server.seen().iter().map(|(_, it)| id_of(it)).collect();
    // 32 of 65536: that more than two coincide has a chance of 1 in 10^6.
    assert!(ids.len() >= 30, "{ids:?}");
}

#[test]
fn a_truncated_answer_is_asked_again_over_tcp() {
    let server = Nameserver::start(|query, transport| {
        let (name, _) = asked(query);
        let records: Vec<Vec<u8>> =
            (0..60).map(|last| address_record(&name, 60, &format!("203.0.113.{last}"))).collect();
        let mut reply = answer(query, if transport == Transport::Tcp { &records } else { &records[..1] });
        if transport == Transport::Udp {
            reply[2] |= 0x02;
        }
        vec![reply]
    });
    let guarded = guard(policy(), server.upstream());
    let reply = guarded.over_tcp(&query(7, "api.test", A));
    assert_eq!((code_of(&reply), answers_in(&reply)), (0, 60));
    for last in 0..60 {
        assert_eq!(guarded.names_of(&format!("203.0.113.{last}")), ["api.test"]);
    }
    assert_eq!(server.seen().iter().map(|(it, _)| *it).collect::<Vec<_>>(), [Transport::Udp, Transport::Tcp]);
    // Over UDP the function is told to come by TCP, and nothing but that.
    let reply = guarded.over_udp(&query(8, "api.test", A));
    assert_eq!(reply, message(8, 0x8380, [1, 0, 0, 0], &question("api.test", A)));
}

#[test]
fn the_next_nameserver_is_asked() {
    let closed = {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let silent = Nameserver::silent();
    let failing = Nameserver::start(|query, _| {
        let mut reply = answer(query, &[]);
        reply[3] |= 2;
        vec![reply]
    });
    let good = Nameserver::with("203.0.113.9", 60);
    let patience = Duration::from_millis(50);
    let upstream =
        Upstream::at([closed, silent.address, failing.address, good.address]).with_timeout(patience);
    let guarded = guard(policy(), upstream);
    assert_eq!(answers_in(&guarded.over_tcp(&query(7, "api.test", A))), 1);
    assert_eq!((silent.names_seen().len(), failing.names_seen().len()), (1, 1));

    let guarded = guard(policy(), Upstream::at([silent.address]).with_timeout(patience));
    let reply = guarded.over_tcp(&query(7, "api.test", A));
    assert_eq!((code_of(&reply), answers_in(&reply)), (2, 0));
    assert_eq!(guarded.lookup().verdict, Verdict::Failed(Failure::Timeout));
    assert_eq!(silent.names_seen().len(), 3, "each server is asked twice");

    let guarded = guard(policy(), Upstream::at([failing.address]).with_timeout(patience));
    assert_eq!(code_of(&guarded.over_tcp(&query(7, "api.test", A))), 2);
    assert_eq!(guarded.lookup().verdict, Verdict::Failed(Failure::Server(2)));
}

#[test]
fn a_server_without_edns_is_asked_without() {
    let server = Nameserver::start(|query, _| {
        let has_edns = query[11] == 1;
        if has_edns {
            // The header alone, as servers from before 1999 do.
            return vec![message(id_of(query), 0x8181, [0, 0, 0, 0], &[])];
        }
        vec![answer(query, &[address_record("api.test", 60, "203.0.113.9")])]
    });
    let guarded = guard(policy(), server.upstream());
    assert_eq!(answers_in(&guarded.over_tcp(&query(7, "api.test", A))), 1);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn names_that_do_not_exist_and_types_that_are_not_there() {
    let server = Nameserver::start(|query, _| {
        let mut reply = answer(query, &[]);
        if asked(query).1 == A {
            reply[3] |= 3;
        }
        vec![reply]
    });
    let guarded = guard(policy(), server.upstream());
    assert_eq!(code_of(&guarded.over_tcp(&query(7, "api.test", A))), 3);
    let reply = guarded.over_tcp(&query(7, "api.test", AAAA));
    assert_eq!((code_of(&reply), answers_in(&reply)), (0, 0));
}

#[test]
fn a_binding_ends_with_its_grace() {
    let server = Nameserver::with("203.0.113.9", 0);
    let guarded = guard(policy(), server.upstream());
    let address: IpAddr = "203.0.113.9".parse().unwrap();
    guarded.over_tcp(&query(7, "api.test", A));
    let end = (TTL_FLOOR + GRACE).as_secs();
    guarded.clock.0.store(end - 1, Ordering::SeqCst);
    assert_eq!(guarded.names_of("203.0.113.9"), ["api.test"]);
    guarded.clock.0.store(end, Ordering::SeqCst);
    assert_eq!(guarded.names_of("203.0.113.9"), Vec::<String>::new());
    assert_eq!(guarded.names.history_of(address), Binding::Expired(vec![name("api.test")]));
    // Asked again, it is live again.
    guarded.over_tcp(&query(7, "api.test", A));
    assert_eq!(guarded.names.history_of(address), Binding::Live(vec![name("api.test")]));
}

#[test]
fn many_questions_on_one_stream_are_answered_by_their_ids() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let stream = guarded.tcp();
    let mut bytes = Vec::new();
    for id in 0..12 {
        let name = if id % 3 == 0 { "evil.test" } else { "api.test" };
        let query = query(id, name, if id % 2 == 0 { A } else { AAAA });
        bytes.extend_from_slice(&u16::try_from(query.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(&query);
    }
    // In pieces that respect no border.
    for piece in bytes.chunks(7) {
        (&stream).write_all(piece).unwrap();
    }
    let mut replies: Vec<Vec<u8>> = (0..12).map(|_| read_frame(&stream).unwrap()).collect();
    replies.sort_by_key(|reply| id_of(reply));
    for (id, reply) in (0..12).zip(&replies) {
        assert_eq!(id_of(reply), id);
        assert_eq!(code_of(reply), if id % 3 == 0 { 3 } else { 0 });
        assert_eq!(answers_in(reply), u16::from(id % 3 != 0 && id % 2 == 0));
    }
}

#[test]
fn refusing_does_not_wait_for_nameservers_and_waiting_is_bounded() {
    let silent = Nameserver::silent();
    let guarded = guard(policy(), Upstream::at([silent.address]).with_timeout(LONG));
    let stream = guarded.tcp();
    for id in 0..17 {
        write_frame(&stream, &query(id, "api.test", A)).unwrap();
    }
    // Sixteen wait; the seventeenth is told at once.
    let reply = read_frame(&stream).unwrap();
    assert_eq!((id_of(&reply), code_of(&reply)), (16, 2));
    assert_eq!(guarded.lookup().verdict, Verdict::Failed(Failure::Busy));
    let start = Instant::now();
    for id in 100..200 {
        write_frame(&stream, &query(id, "evil.test", A)).unwrap();
        assert_eq!(id_of(&read_frame(&stream).unwrap()), id);
    }
    assert_eq!(code_of(&guarded.over_udp(&query(7, "evil.test", A))), 3);
    assert!(start.elapsed() < LONG);
    // Never more than eight are asked at once.
    assert!(silent.names_seen().len() <= 8);
}

#[test]
fn strangers_are_not_served() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    // A stream that was not announced is closed without a word.
    let stranger = TcpStream::connect(guarded.names.tcp_address(false).unwrap()).unwrap();
    stranger.set_read_timeout(Some(LONG)).unwrap();
    let _ = write_frame(&stranger, &query(7, "api.test", A));
    assert!(read_frame(&stranger).is_none());
    // A datagram that was not announced has no answer; one that was, on the same queue, has.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    stranger.connect(guarded.names.udp_address(false).unwrap()).unwrap();
    stranger.send(&query(7, "api.test", A)).unwrap();
    assert_eq!(answers_in(&guarded.over_udp(&query(8, "api.test", A))), 1);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 512]).is_err());
    assert_eq!(server.names_seen().len(), 1);
}

#[test]
fn streams_are_bounded_and_their_places_come_back() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let serves = |stream: &TcpStream| {
        write_frame(stream, &query(7, "evil.test", A)).is_ok() && read_frame(stream).is_some()
    };
    let mut streams: Vec<TcpStream> = (0..64).map(|_| guarded.tcp()).collect();
    assert!(streams.iter().all(serves));
    assert!(!serves(&guarded.tcp()));
    streams.truncate(63);
    // The place comes back when the proxy has seen the end of the stream.
    let deadline = Instant::now() + LONG;
    while !serves(&guarded.tcp()) {
        assert!(Instant::now() < deadline, "no place came back");
        thread::yield_now();
    }
}

#[test]
fn a_stream_whose_answers_are_not_read_is_closed() {
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let stream = guarded.tcp();
    stream.set_write_timeout(Some(LONG)).unwrap();
    let refused = query(7, "evil.test", A);
    let start = Instant::now();
    while write_frame(&stream, &refused).is_ok() {
        assert!(start.elapsed() < LONG);
    }
    // By then the stream is closed, not only slow: its answers end.
    stream.set_read_timeout(Some(LONG)).unwrap();
    while read_frame(&stream).is_some() {}
    assert!(start.elapsed() < LONG);
    assert_eq!(answers_in(&guarded.over_tcp(&query(7, "api.test", A))), 1);
}

#[test]
fn both_families_are_served() {
    let server = Nameserver::with("2001:db8::9", 60);
    let guarded = guard(policy(), server.upstream());
    let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
    assert_eq!(guarded.names.tcp_address(true).is_some(), has_v6);
    assert_eq!(guarded.names.udp_address(true).is_some(), has_v6);
    let Some(address) = guarded.names.tcp_address(true) else {
        // Past the harness, which keeps to itself what a test that passes has printed.
        let _ = writeln!(std::io::stderr(), "not possible here: names over IPv6, which this machine lacks");
        return;
    };
    let stream = announced_stream(&guarded.names, address);
    write_frame(&stream, &query(7, "api.test", AAAA)).unwrap();
    assert_eq!(answers_in(&read_frame(&stream).unwrap()), 1);
    assert_eq!(guarded.names_of("2001:db8::9"), ["api.test"]);
}

#[test]
fn a_flood_of_names_is_answered_and_keeps_nothing() {
    const NAMES: u32 = 100_000;
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let stream = guarded.tcp();
    let writer = stream.try_clone().unwrap();
    let before = resident_kib();
    let flood = thread::spawn(move || {
        for number in 0..NAMES {
            write_frame(&writer, &query(7, &format!("{number:040x}.evil.example"), TXT)).unwrap();
        }
    });
    for _ in 0..NAMES {
        assert_eq!(code_of(&read_frame(&stream).unwrap()), 3);
        assert_eq!(guarded.lookup().verdict, Verdict::Refused(Refusal::NotAllowed));
    }
    flood.join().unwrap();
    // Other tests run in this process too; a kilobyte a name would be 100 MiB.
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
    assert_eq!(server.names_seen(), Vec::<String>::new());
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn dropping_it_closes_its_sockets() {
    let guarded = guard(policy(), Upstream::at([]));
    let address = guarded.names.tcp_address(false).unwrap();
    TcpStream::connect(address).unwrap();
    drop(guarded);
    assert!(TcpStream::connect(address).is_err());
}

// --- a real getaddrinfo ---------------------------------------------------------------------

/// Set in the process that has namespaces of its own: which code a refusal is rewritten to, or
/// `none`.
const CHILD: &str = "FNGUARD_TEST_NAMES_CHILD";

/// What glibc does with each refusal code, and that the one the proxy uses ends getaddrinfo at
/// once, with and without a search list. Each line runs in namespaces of its own, whose
/// resolv.conf names three servers on loopback that lead to the proxy as the arbiter would.
///
/// `cargo test --test names glibc -- --nocapture` prints the table.
#[test]
fn glibc_ends_at_once() {
    println!("code      road  ndots  refused name: ms, queries   api.test: ms, queries");
    for code in ["none", "nodata", "servfail", "refused"] {
        for (road, options) in [("tcp", "use-vc"), ("udp", "")] {
            for ndots in ["1", "5"] {
                let mut line = glibc_in_namespaces(code, options, ndots);
                // A machine that is busy with other things is not what is measured.
                for _ in 0..4 {
                    if times(&line).iter().all(|&ms| ms < AT_ONCE_MS) {
                        break;
                    }
                    line = glibc_in_namespaces(code, options, ndots);
                }
                let words: Vec<&str> = line.split_whitespace().collect();
                let [refused_ms, refused_queries, refused_gai, api_ms, api_queries, api_found] = words[..]
                else {
                    panic!("not understood: {line}")
                };
                println!(
                    "{code:9} {road:5} {ndots:6} {refused_ms:>8} {refused_queries:>3} ({refused_gai}) \
                     {api_ms:>14} {api_queries:>3} ({api_found})"
                );
                if code == "none" {
                    assert_eq!(refused_gai, "NONAME");
                    assert_eq!(api_found, "203.0.113.9");
                    assert!(times(&line).iter().all(|&ms| ms < AT_ONCE_MS), "{line}");
                }
            }
        }
    }
}

/// What a look-up may take that ends at once.
const AT_ONCE_MS: f64 = 50.0;

/// The two times in a measured line.
fn times(line: &str) -> [f64; 2] {
    let word = |at| line.split_whitespace().nth(at).and_then(|word| word.parse().ok()).unwrap();
    [word(0), word(3)]
}

fn glibc_in_namespaces(code: &str, options: &str, ndots: &str) -> String {
    let directory =
        std::env::temp_dir().join(format!("fnguard-names-{}-{code}-{options}-{ndots}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let search = "search shop.svc.cluster.local svc.cluster.local cluster.local\n";
    let servers = "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n";
    std::fs::write(directory.join("resolv.conf"), format!("{servers}{search}options ndots:{ndots}\n"))
        .unwrap();
    std::fs::write(directory.join("nsswitch.conf"), "hosts: files dns\n").unwrap();
    let script = "ip link set lo up \
        && mount --bind \"$0/resolv.conf\" /etc/resolv.conf \
        && mount --bind \"$0/nsswitch.conf\" /etc/nsswitch.conf \
        && exec \"$1\" --exact glibc_child --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--", "sh", "-c", script])
        .arg(&directory)
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, code)
        .env("RES_OPTIONS", options)
        .output()
        .expect("unshare(1) of util-linux is needed");
    std::fs::remove_dir_all(&directory).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.split_once("MEASURED ").map(|(_, rest)| rest.to_owned()));
    result.unwrap_or_else(|| {
        panic!(
            "no result from the namespaces (ip(8), mount(8) and user namespaces are needed): {}\n{text}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

/// The other half of [`glibc_ends_at_once`]; by itself there is nothing for it to do.
#[test]
fn glibc_child() {
    let Ok(code) = std::env::var(CHILD) else { return };
    let rewrite = match code.as_str() {
        "none" => None,
        "nodata" => Some(0),
        "servfail" => Some(2),
        "refused" => Some(5),
        other => panic!("{other}"),
    };
    let server = Nameserver::with("203.0.113.9", 60);
    let guarded = guard(policy(), server.upstream());
    let Guarded { names, lookups, .. } = guarded;
    let names = Arc::new(names);
    for last in 1..=3 {
        redirect(&names, SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 53)), rewrite);
    }
    // The first call of a process loads what getaddrinfo needs; it is not what is measured.
    let _ = ("localhost", 0).to_socket_addrs();
    // The median of five; queries are those of one call.
    let measure = |name: &str| {
        let mut times = [0.0; 5];
        let mut outcome = None;
        for time in &mut times {
            while lookups.try_recv().is_ok() {}
            let start = Instant::now();
            let result = (name, 0).to_socket_addrs();
            *time = start.elapsed().as_secs_f64() * 1000.0;
            outcome = Some((lookups.try_iter().count(), result));
        }
        times.sort_by(f64::total_cmp);
        let (queries, result) = outcome.unwrap();
        (times[2], queries, result)
    };
    let (refused_ms, refused_queries, refused) = measure("a.evil.example");
    let (api_ms, api_queries, api) = measure("api.test");
    let refused = match refused.expect_err("it is refused").to_string() {
        text if text.contains("Name or service not known") => "NONAME",
        text if text.contains("No address associated with hostname") => "NODATA",
        text if text.contains("Temporary failure in name resolution") => "AGAIN",
        text => panic!("{text}"),
    };
    let found = match api {
        Ok(mut addresses) => addresses.next().map_or("nothing".to_owned(), |it| it.ip().to_string()),
        Err(_) => "fails".to_owned(),
    };
    println!("MEASURED {refused_ms:.2} {refused_queries} {refused} {api_ms:.2} {api_queries} {found}");
}

/// Does by hand what the arbiter does to a function's sockets: whoever comes to this address
/// ends on the proxy, announced. With `rewrite`, NXDOMAIN becomes that code on the way back.
fn redirect(names: &Arc<Names>, address: SocketAddr, rewrite: Option<u8>) {
    let patch = move |message: &mut [u8]| {
        if let (3, Some(code)) = (code_of(message), rewrite) {
            message[3] = message[3] & 0xf0 | code;
        }
    };
    let listener = TcpListener::bind(address).unwrap();
    let of_tcp = names.clone();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let names = of_tcp.clone();
            thread::spawn(move || {
                let target = names.tcp_address(false).unwrap();
                let proxy = announced_stream(&names, target);
                // The kernel joins the function to the proxy directly; this copy must not add the
                // 40 ms for which Nagle's algorithm waits for a delayed acknowledgement.
                client.set_nodelay(true).unwrap();
                proxy.set_nodelay(true).unwrap();
                let (to_client, from_proxy) = (client.try_clone().unwrap(), proxy.try_clone().unwrap());
                thread::spawn(move || {
                    while let Some(mut message) = read_frame(&from_proxy) {
                        patch(&mut message);
                        if write_frame(&to_client, &message).is_err() {
                            return;
                        }
                    }
                });
                while let Some(message) = read_frame(&client) {
                    write_frame(&proxy, &message).unwrap();
                }
            });
        }
    });
    let socket = Arc::new(UdpSocket::bind(address).unwrap());
    let names = names.clone();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let (names, socket, message) = (names.clone(), socket.clone(), buffer[..length].to_vec());
            thread::spawn(move || {
                let target = names.udp_address(false).unwrap();
                let proxy = UdpSocket::bind("127.0.0.1:0").unwrap();
                names.expect_peer(Transport::Udp, proxy.local_addr().unwrap());
                proxy.connect(target).unwrap();
                proxy.send(&message).unwrap();
                let mut buffer = [0; 4096];
                let length = proxy.recv(&mut buffer).unwrap();
                patch(&mut buffer[..length]);
                socket.send_to(&buffer[..length], client).unwrap();
            });
        }
    });
}
