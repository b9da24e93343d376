//! Reaching an address: by TCP, by datagram, in disguise, against the clock.

use crate::call;
use crate::raw::{Message, address, control, say, socket_for, tell, unix, v4_address};
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("connect", [to]) => connect(to),
        ("connect-and-send", [to, text]) => connect_and_send(to, text),
        ("connect-length", [to, length]) => connect_length(to, length),
        ("connect-udp", [to, text]) => connect_udp(to, text),
        ("connect-twice", [first, second]) => connect_twice(first, second),
        ("connect-unspec", [first, second]) => connect_unspec(first, second),
        ("connect-flip", [allowed, forbidden, rounds]) => connect_flip(allowed, forbidden, rounds),
        ("connect-descriptor-flip", [allowed, forbidden, rounds]) => {
            descriptor_flip(allowed, forbidden, rounds)
        }
        ("connect-timer", [to, rounds, restart @ ..]) => connect_timer(to, rounds, !restart.is_empty()),
        ("sends-timer", [path, rounds]) => sends_timer(path, rounds),
        ("binds-timer", [at, rounds]) => binds_timer(at, rounds),
        ("connect-and-give-up", [hung, rounds, honest]) => connect_and_give_up(hung, rounds, honest),
        ("messages-in-pieces", [to, many, pieces]) => messages_in_pieces(to, many, pieces),
        ("connect-blocking", [to]) => say("connect", blocking(to)),
        ("sendto", [to, text]) => send_to(to, text),
        ("sendto-unspec", [to, text]) => send_unspecified(to, text),
        ("sendmsg-unspec", [to, text]) => send_message_unspecified(to, text),
        ("bind-unspec", []) => bind_unspecified(),
        ("v4-on-v6", [to, text]) => v4_on_v6(to, text),
        ("more", [to]) => more(to),
        ("more-by-message", [to]) => more_by_message(to),
        ("cork", [to]) => cork(to),
        ("segment", [to]) => segment(to),
        ("sendmsg", [to, text]) => send_message(to, text, &[]),
        ("sendmmsg", [first, second, third]) => send_messages(&[first, second, third]),
        ("sendmsg-flip", [allowed, forbidden, rounds]) => send_flip(allowed, forbidden, rounds),
        ("control", [to, what]) => send_control(to, what),
        ("rights", [path]) => rights(path),
        ("fast-open", [to, text]) => fast_open(to, text),
        ("fast-open-query", [call, way, to, label, reads @ ..]) => {
            fast_open_query(call, way, to, label);
            if !reads.is_empty() {
                read_to_the_end();
            }
        }
        ("resolver", [to, text]) => resolver(to, text),
        ("pointer-high-bits", [to, text]) => pointer_high_bits(to, text),
        ("pointers", []) => pointers(),
        ("lengths", [to]) => lengths(to),
        ("unix-stream", [name]) => unix_stream(name),
        ("unix-datagram", [path, text]) => unix_datagram(path, text),
        ("listen-unbound", []) => listen_unbound(),
        ("bind-listen", [at]) => bind_listen(at),
        ("bind-listen-any", [at]) => bind_listen_any(at),
        ("unix-listen", [path]) => unix_listen(path),
        _ => return false,
    }
    true
}

fn connect(to: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

fn blocking(to: &str) -> i64 {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len())
}

fn connect_and_send(to: &str, text: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
    say("write", call!(SYS_write, socket, text.as_ptr(), text.len()));
}

/// An IPv6 address with another length than its structure's.
fn connect_length(to: &str, length: &str) {
    let mut bytes = address(to);
    let length: usize = length.parse().expect("a length");
    bytes.resize(length.max(28), 0);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), length));
}

fn connect_udp(to: &str, text: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
    say("write", call!(SYS_write, socket, text.as_ptr(), text.len()));
}

/// The same datagram socket connected to one peer and then to another.
fn connect_twice(first: &str, second: &str) {
    let (first, second) = (address(first), address(second));
    let socket = socket_for(&first, libc::SOCK_DGRAM);
    say("first", call!(SYS_connect, socket, first.as_ptr(), first.len()));
    say("write-first", call!(SYS_write, socket, b"one".as_ptr(), 3));
    say("second", call!(SYS_connect, socket, second.as_ptr(), second.len()));
    say("write-second", call!(SYS_write, socket, b"two".as_ptr(), 3));
}

/// A stream socket that is disconnected by AF_UNSPEC and connected elsewhere.
fn connect_unspec(first: &str, second: &str) {
    let (first, second) = (address(first), address(second));
    let socket = socket_for(&first, libc::SOCK_STREAM);
    say("first", call!(SYS_connect, socket, first.as_ptr(), first.len()));
    let nothing = [0u8; 16];
    say("disconnect", call!(SYS_connect, socket, nothing.as_ptr(), nothing.len()));
    say("second", call!(SYS_connect, socket, second.as_ptr(), second.len()));
}

/// Waits until the other thread runs: without it there is no race.
fn wait_for(turns: &AtomicU64) {
    while turns.load(Ordering::Relaxed) < 100 {
        std::thread::yield_now();
    }
}

/// A sibling thread exchanges the address while connect reads it.
fn connect_flip(allowed: &str, forbidden: &str, rounds: &str) {
    let rounds: usize = rounds.parse().expect("a number");
    let (allowed, forbidden) = (address(allowed), address(forbidden));
    let shared: &'static mut [u8] = Box::leak(allowed.clone().into_boxed_slice());
    let (at, length) = (shared.as_mut_ptr() as usize, shared.len());
    static STOP: AtomicBool = AtomicBool::new(false);
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let flipper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
            for bytes in [&forbidden, &allowed] {
                // SAFETY: the race is the point; both addresses have this length.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, length) };
                for _ in 0..50 {
                    std::hint::spin_loop();
                }
            }
        }
    });
    wait_for(&TURNS);
    let (mut went, mut refused) = (0, 0);
    for _ in 0..rounds {
        let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
        if call!(SYS_connect, socket, at, length) == 0 {
            went += 1;
            call!(SYS_write, socket, b"x".as_ptr(), 1);
        } else {
            refused += 1;
        }
        call!(SYS_close, socket);
    }
    STOP.store(true, Ordering::Relaxed);
    let _ = flipper.join();
    say("went", went);
    say("refused", refused);
}

/// A sibling thread exchanges what the socket's number means while connect is decided: the one is
/// a datagram socket, for which the address is allowed, the other a stream.
fn descriptor_flip(udp_allowed: &str, tcp_forbidden: &str, rounds: &str) {
    let rounds: usize = rounds.parse().expect("a number");
    assert_eq!(udp_allowed, tcp_forbidden, "one address, two transports");
    let bytes = address(udp_allowed);
    static STOP: AtomicBool = AtomicBool::new(false);
    static TURNS: AtomicU64 = AtomicU64::new(0);
    const NUMBER: i32 = 200;
    let datagram = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    call!(SYS_dup2, datagram, NUMBER);
    let flipper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
            // Non-blocking: a listener's full queue shall hold up nobody.
            let kind = libc::SOCK_STREAM | libc::SOCK_NONBLOCK;
            let stream = call!(SYS_socket, libc::AF_INET, kind, 0);
            call!(SYS_dup2, stream, NUMBER);
            call!(SYS_close, stream);
            let datagram = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
            call!(SYS_dup2, datagram, NUMBER);
            call!(SYS_close, datagram);
        }
    });
    wait_for(&TURNS);
    let (mut went, mut refused) = (0, 0);
    for _ in 0..rounds {
        match call!(SYS_connect, NUMBER, bytes.as_ptr(), bytes.len()) {
            0 => went += 1,
            errno => refused += i64::from(errno == -13),
        }
    }
    STOP.store(true, Ordering::Relaxed);
    let _ = flipper.join();
    say("went", went);
    say("refused", refused);
}

/// Interrupts by a signal again and again; whether system calls are restarted is the handler's word.
fn interrupt(restart: bool, every_us: i64) {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: a handler that does nothing; a timer.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        action.sa_flags = if restart { libc::SA_RESTART } else { 0 };
        libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut());
    }
    let timer = [0, every_us, 0, every_us];
    call!(SYS_setitimer, 0, timer.as_ptr(), 0);
}

/// A timer that sends the calling thread SIGALRM again and again.
fn interrupt_this_thread() -> i32 {
    // struct sigevent: value, signal, SIGEV_THREAD_ID, thread.
    let mut event = [0u8; 64];
    event[8..12].copy_from_slice(&libc::SIGALRM.to_ne_bytes());
    event[12..16].copy_from_slice(&4i32.to_ne_bytes());
    event[16..20].copy_from_slice(&(call!(SYS_gettid) as i32).to_ne_bytes());
    let mut timer = 0i32;
    call!(SYS_timer_create, libc::CLOCK_MONOTONIC, event.as_ptr(), &raw mut timer);
    let often = [0i64, 20_000_000, 0, 20_000_000];
    call!(SYS_timer_settime, timer, 0, often.as_ptr(), 0);
    timer
}

/// Sends numbers to a unix socket, in order, while a timer interrupts.
fn sends_timer(path: &str, rounds: &str) {
    let rounds: u32 = rounds.parse().expect("a number");
    let to = unix(&[path.as_bytes(), &[0]].concat());
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0);
    interrupt(true, 200);
    let mut failed = 0;
    for round in 0..rounds {
        let bytes = round.to_ne_bytes();
        let sent = match round % 3 {
            0 => call!(SYS_sendto, socket, bytes.as_ptr(), 4, 0, to.as_ptr(), to.len()),
            1 => call!(SYS_sendmsg, socket, Message::new(&to, &bytes, &[]).at(), 0),
            _ => 4 * call!(SYS_sendmmsg, socket, Message::new(&to, &bytes, &[]).at(), 1, 0),
        };
        failed += i64::from(sent != 4);
    }
    interrupt(true, 0);
    say("failed", failed);
}

/// Binds new sockets while a timer interrupts: one that is bound a second time fails.
fn binds_timer(at: &str, rounds: &str) {
    let rounds: u32 = rounds.parse().expect("a number");
    let bytes = address(at);
    interrupt(true, 200);
    let mut failed = 0;
    for _ in 0..rounds {
        let socket = socket_for(&bytes, libc::SOCK_DGRAM);
        failed += i64::from(call!(SYS_bind, socket, bytes.as_ptr(), bytes.len()) != 0);
        call!(SYS_close, socket);
    }
    interrupt(true, 0);
    say("failed", failed);
}

/// Connects again and again while a timer interrupts every millisecond; each success counts.
fn connect_timer(to: &str, rounds: &str, restart: bool) {
    let rounds: usize = rounds.parse().expect("a number");
    let bytes = address(to);
    interrupt(restart, if restart { 200 } else { 1000 });
    let (mut went, mut interrupted, mut other) = (0, 0, 0);
    for _ in 0..rounds {
        let socket = socket_for(&bytes, libc::SOCK_STREAM);
        match call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()) {
            0 => went += 1,
            -4 => interrupted += 1,
            errno => {
                other += 1;
                say("other", errno);
            }
        }
        call!(SYS_close, socket);
    }
    interrupt(restart, 0);
    say("went", went);
    say("interrupted", interrupted);
    say("others", other);
}

/// Threads connect to a peer that does not answer, are interrupted by timers of their own, and connect anew,
/// again and again; then one connects to a peer that answers.
fn connect_and_give_up(hung: &str, rounds: &str, honest: &str) {
    const THREADS: usize = 320;
    static INTERRUPTED: AtomicU64 = AtomicU64::new(0);
    static AGAIN: AtomicU64 = AtomicU64::new(0);
    let rounds = rounds.parse::<usize>().expect("a number") / THREADS;
    let bytes = address(hung);
    // The handler only.
    interrupt(false, 0);
    let threads = (0..THREADS).map(|_| {
        let bytes = bytes.clone();
        std::thread::spawn(move || {
            let timer = interrupt_this_thread();
            for _ in 0..rounds {
                let socket = socket_for(&bytes, libc::SOCK_STREAM);
                match call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()) {
                    -4 => drop(INTERRUPTED.fetch_add(1, Ordering::Relaxed)),
                    -11 => drop(AGAIN.fetch_add(1, Ordering::Relaxed)),
                    errno => say("other", errno),
                }
                call!(SYS_close, socket);
            }
            call!(SYS_timer_delete, timer);
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        let _ = thread.join();
    }
    say("interrupted", INTERRUPTED.load(Ordering::Relaxed) as i64);
    say("again", AGAIN.load(Ordering::Relaxed) as i64);
    // As long as so many are under way there may be no room for another.
    let began = std::time::Instant::now();
    let mut answer = blocking(honest);
    while answer == -11 && began.elapsed().as_secs() < 10 {
        answer = blocking(honest);
    }
    say("honest", answer);
}

/// Messages of many pieces of a byte each, in as few calls as it takes; what each call returned.
fn messages_in_pieces(to: &str, many: &str, pieces: &str) {
    let (many, pieces): (u8, usize) = (many.parse().expect("a number"), pieces.parse().expect("a number"));
    let to = address(to);
    let socket = socket_for(&to, libc::SOCK_DGRAM);
    let data: Vec<u8> = (0..many).collect();
    let vectors: Vec<Vec<u64>> =
        data.iter().map(|byte| [std::ptr::from_ref(byte) as u64, 1].repeat(pieces)).collect();
    let headers: Vec<u64> = vectors
        .iter()
        .flat_map(|vector| {
            [to.as_ptr() as u64, to.len() as u64, vector.as_ptr() as u64, pieces as u64, 0, 0, 0, 0]
        })
        .collect();
    let mut sent = 0;
    while sent < usize::from(many) {
        let rest = usize::from(many) - sent;
        let result = call!(SYS_sendmmsg, socket, headers[8 * sent..].as_ptr(), rest, 0);
        say("sendmmsg", result);
        let Some(more) = usize::try_from(result).ok().filter(|&more| more > 0) else { return };
        sent += more;
    }
}

fn send_to(to: &str, text: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), 0, bytes.as_ptr(), bytes.len()));
}

/// The kernel takes AF_UNSPEC for AF_INET when it sends a datagram (udp_sendmsg).
fn unspecified(to: &str) -> Vec<u8> {
    let v4: SocketAddrV4 = to.parse().expect("an IPv4 address");
    v4_address(v4.ip().octets(), v4.port(), libc::AF_UNSPEC)
}

fn send_unspecified(to: &str, text: &str) {
    let bytes = unspecified(to);
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), 0, bytes.as_ptr(), bytes.len()));
}

fn send_message_unspecified(to: &str, text: &str) {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    let message = Message::new(&unspecified(to), text.as_bytes(), &[]);
    say("sendmsg", call!(SYS_sendmsg, socket, message.at(), 0));
}

/// bind(2) with AF_UNSPEC and a port.
fn bind_unspecified() {
    let bytes = v4_address([0, 0, 0, 0], 4555, libc::AF_UNSPEC);
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    say("bind", call!(SYS_bind, socket, bytes.as_ptr(), bytes.len()));
    let mut own = [0u8; 16];
    let mut length = 16u32;
    call!(SYS_getsockname, socket, own.as_mut_ptr(), &raw mut length);
    say("port", i64::from(u16::from_be_bytes([own[2], own[3]])));
}

/// A datagram to an IPv4 address by an IPv6 socket.
fn v4_on_v6(to: &str, text: &str) {
    let bytes = address(to);
    let socket = call!(SYS_socket, libc::AF_INET6, libc::SOCK_DGRAM, 0);
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), 0, bytes.as_ptr(), bytes.len()));
}

/// A checked datagram that is held open, and unchecked bytes that join it.
fn more(to: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let more = libc::MSG_MORE;
    say("checked", call!(SYS_sendto, socket, b"CHECKED|".as_ptr(), 8, more, bytes.as_ptr(), bytes.len()));
    say("joined", call!(SYS_sendto, socket, b"unchecked".as_ptr(), 9, 0, 0, 0));
}

fn more_by_message(to: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let first = Message::new(&bytes, b"CHECKED|", &[]);
    say("checked", call!(SYS_sendmsg, socket, first.at(), libc::MSG_MORE));
    say("joined", call!(SYS_write, socket, b"unchecked".as_ptr(), 9));
}

fn cork(to: &str) {
    const UDP_CORK: i32 = 1;
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let on = 1i32;
    say("cork", call!(SYS_setsockopt, socket, libc::IPPROTO_UDP, UDP_CORK, &raw const on, 4));
    say("checked", call!(SYS_sendto, socket, b"CHECKED|".as_ptr(), 8, 0, bytes.as_ptr(), bytes.len()));
    say("joined", call!(SYS_write, socket, b"unchecked".as_ptr(), 9));
    let off = 0i32;
    call!(SYS_setsockopt, socket, libc::IPPROTO_UDP, UDP_CORK, &raw const off, 4);
}

fn segment(to: &str) {
    const UDP_SEGMENT: i32 = 103;
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let size = 4i32;
    say("segment", call!(SYS_setsockopt, socket, libc::IPPROTO_UDP, UDP_SEGMENT, &raw const size, 4));
    say("sendto", call!(SYS_sendto, socket, b"aaaabbbbcccc".as_ptr(), 12, 0, bytes.as_ptr(), bytes.len()));
}

fn send_message(to: &str, text: &str, control: &[u8]) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let message = Message::new(&bytes, text.as_bytes(), control);
    say("sendmsg", call!(SYS_sendmsg, socket, message.at(), 0));
}

/// One call, several messages.
fn send_messages(all: &[&str]) {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    let messages: Vec<Message> = all.iter().map(|to| Message::new(&address(to), b"entry", &[])).collect();
    let mut vector: Vec<u64> = Vec::new();
    for message in &messages {
        vector.extend(message.header.iter());
    }
    say("sendmmsg", call!(SYS_sendmmsg, socket, vector.as_ptr(), messages.len(), 0));
}

/// The address of a message is exchanged while it is sent.
fn send_flip(allowed: &str, forbidden: &str, rounds: &str) {
    let rounds: usize = rounds.parse().expect("a number");
    let (allowed, forbidden) = (address(allowed), address(forbidden));
    let shared: &'static mut [u8] = Box::leak(allowed.clone().into_boxed_slice());
    let (at, length) = (shared.as_mut_ptr() as usize, shared.len());
    static STOP: AtomicBool = AtomicBool::new(false);
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let flipper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
            for bytes in [&forbidden, &allowed] {
                // SAFETY: the race is the point.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, length) };
                for _ in 0..50 {
                    std::hint::spin_loop();
                }
            }
        }
    });
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    let data = b"x";
    let iov = [data.as_ptr() as u64, 1u64];
    let header = [at as u64, length as u64, iov.as_ptr() as u64, 1, 0, 0, 0, 0];
    wait_for(&TURNS);
    let (mut went, mut refused) = (0, 0);
    for _ in 0..rounds {
        match call!(SYS_sendmsg, socket, header.as_ptr(), 0) {
            1 => went += 1,
            _ => refused += 1,
        }
    }
    STOP.store(true, Ordering::Relaxed);
    let _ = flipper.join();
    say("went", went);
    say("refused", refused);
}

const IPV6_RTHDR: i32 = 57;
const IPV6_2292RTHDR: i32 = 5;

/// A routing header of a type, with one stop on the way (RFC 8200, RFC 6275): 2001:db8:bad::9.
fn by_way_of(kind: u8) -> Vec<u8> {
    let stop: std::net::Ipv6Addr = "2001:db8:bad::9".parse().expect("an address");
    [&[0, 2, kind, 1, 0, 0, 0, 0][..], &stop.octets()].concat()
}

/// Control messages that choose another way than the address.
fn send_control(to: &str, what: &str) {
    let zero = [0u8; 12];
    let control = match what {
        "pktinfo" => {
            let mut info = zero.to_vec();
            info[..4].copy_from_slice(&1i32.to_ne_bytes());
            control(libc::SOL_IP, libc::IP_PKTINFO, &info)
        }
        // Record route: a list for four addresses.
        "retopts" => control(
            libc::SOL_IP,
            libc::IP_RETOPTS,
            &[7, 19, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        "segment" => control(libc::IPPROTO_UDP, 103, &4u16.to_ne_bytes()),
        // An allowed one first, then the one that is meant.
        "hidden" => [
            control(libc::SOL_IP, libc::IP_TOS, &4i32.to_ne_bytes()),
            control(libc::SOL_IP, libc::IP_PKTINFO, &zero),
        ]
        .concat(),
        "tos" => control(libc::SOL_IP, libc::IP_TOS, &4i32.to_ne_bytes()),
        "mark" => control(libc::SOL_SOCKET, libc::SO_MARK, &7i32.to_ne_bytes()),
        // Out by the first interface (struct in6_pktinfo: address, index).
        "pktinfo6" => {
            control(libc::SOL_IPV6, libc::IPV6_PKTINFO, &[&[0; 16][..], &1i32.to_ne_bytes()].concat())
        }
        "rthdr" => control(libc::SOL_IPV6, IPV6_RTHDR, &by_way_of(2)),
        "rthdr-source" => control(libc::SOL_IPV6, IPV6_RTHDR, &by_way_of(0)),
        "2292rthdr" => control(libc::SOL_IPV6, IPV6_2292RTHDR, &by_way_of(2)),
        "tclass" => control(libc::SOL_IPV6, libc::IPV6_TCLASS, &4i32.to_ne_bytes()),
        _ => panic!("no such control message: {what}"),
    };
    send_message(to, "with control", &control);
}

/// Sends descriptors to a unix socket: here they are /dev/null, but the same numbers mean the real
/// stdout, the listener and pidfds in the arbiter's table.
fn rights(path: &str) {
    let bytes = unix(path.as_bytes());
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0);
    let nothing = call!(SYS_openat, libc::AT_FDCWD, c"/dev/null".as_ptr(), libc::O_RDONLY, 0);
    for number in 3..12i32 {
        if i64::from(number) != socket && i64::from(number) != nothing {
            call!(SYS_dup2, nothing, number);
        }
        let control = control(libc::SOL_SOCKET, libc::SCM_RIGHTS, &number.to_ne_bytes());
        let message = Message::new(&bytes, b"rights", &control);
        say(&format!("rights-{number}"), call!(SYS_sendmsg, socket, message.at(), 0));
    }
}

fn fast_open(to: &str, text: &str) {
    const TCP_FASTOPEN_CONNECT: i32 = 30;
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    let on = 1i32;
    say("option", call!(SYS_setsockopt, socket, libc::IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &raw const on, 4));
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    let flags = libc::MSG_FASTOPEN;
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), flags, bytes.as_ptr(), bytes.len()));
}

/// A query that goes with the connection's first packet, or as soon as the connection is there; by
/// one of the three calls. The socket is left at descriptor 9.
fn fast_open_query(call: &str, way: &str, to: &str, label: &str) {
    let bytes = address(to);
    let query = crate::resolver::query(label);
    let framed = [&(query.len() as u16).to_be_bytes()[..], &query].concat();
    let message = Message::new(&bytes, &framed, &[]);
    let kind = if way == "waits" { libc::SOCK_STREAM } else { libc::SOCK_STREAM | libc::SOCK_NONBLOCK };
    let socket = socket_for(&bytes, kind);
    let flags = libc::MSG_FASTOPEN;
    let (at, size) = (bytes.as_ptr(), bytes.len());
    let sent = match call {
        "sendto" => call!(SYS_sendto, socket, framed.as_ptr(), framed.len(), flags, at, size),
        "sendmsg" => call!(SYS_sendmsg, socket, message.at(), flags),
        "sendmmsg" => {
            let vector = message.header.to_vec();
            call!(SYS_sendmmsg, socket, vector.as_ptr(), 1, flags)
        }
        _ => panic!("no such call: {call}"),
    };
    say("sent", sent);
    if sent == -i64::from(libc::EINPROGRESS) {
        let mut entry = libc::pollfd { fd: socket as i32, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut entry, 1, 10_000) };
        say("sent-later", call!(SYS_write, socket, framed.as_ptr(), framed.len()));
    }
    call!(SYS_shutdown, socket, libc::SHUT_WR);
    call!(SYS_dup3, socket, 9, 0);
}

/// Reads the socket at descriptor 9 until the other side has answered and ended.
fn read_to_the_end() {
    let mut buffer = [0u8; 512];
    while call!(SYS_recvfrom, 9, buffer.as_mut_ptr(), buffer.len(), 0, 0, 0) == -i64::from(libc::EAGAIN) {
        std::thread::yield_now();
    }
    while call!(SYS_recvfrom, 9, buffer.as_mut_ptr(), buffer.len(), 0, 0, 0) > 0 {}
}

/// A query by a connected datagram socket, of which nothing is ever looked at by address.
fn resolver(to: &str, label: &str) {
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for part in label.split('.') {
        query.push(part.len() as u8);
        query.extend(part.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
    say("write", call!(SYS_write, socket, query.as_ptr(), query.len()));
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    say("sendto", call!(SYS_sendto, socket, query.as_ptr(), query.len(), 0, bytes.as_ptr(), bytes.len()));
}

/// An address in memory whose lower 32 bits are zero: to a filter that compares the lower half it
/// is null, and the call a plain send.
fn pointer_high_bits(to: &str, text: &str) {
    let at = 0x1_0000_0000u64;
    let fixed = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let map = call!(SYS_mmap, at, 4096, libc::PROT_READ | libc::PROT_WRITE, fixed, -1i64, 0);
    assert_eq!(map as u64, at, "the page must be there");
    let bytes = address(to);
    // SAFETY: the page was just made.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), 0, at, bytes.len()));
}

/// `@name` is abstract, everything else a path; `\0` in it is a NUL.
fn unix_bytes(name: &str) -> Vec<u8> {
    let text = name.replace("\\0", "\0");
    match text.strip_prefix('@') {
        Some(name) => unix(&[b"\0", name.as_bytes()].concat()),
        None => unix(text.as_bytes()),
    }
}

fn unix_stream(name: &str) {
    let bytes = unix_bytes(name);
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

fn unix_datagram(path: &str, text: &str) {
    let bytes = unix_bytes(path);
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_DGRAM, 0);
    say("sendto", call!(SYS_sendto, socket, text.as_ptr(), text.len(), 0, bytes.as_ptr(), bytes.len()));
}

/// listen(2) without bind(2) takes a port of the kernel's choice. The backdoor then waits for one
/// byte on descriptor 5, so that the outside can look.
fn listen_unbound() {
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    say("listen", call!(SYS_listen, socket, 5));
    show_listeners();
}

fn bind_listen(at: &str) {
    let bytes = address(at);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    say("bind", call!(SYS_bind, socket, bytes.as_ptr(), bytes.len()));
    say("listen", call!(SYS_listen, socket, 5));
    let to: SocketAddr = at.parse().expect("an address");
    let reached = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    tell("open", &reached.contains(&format!(":{:04X} 00000000:0000 0A", to.port())).to_string());
}

/// As a server does that takes any free port.
fn bind_listen_any(at: &str) {
    let bytes = address(at);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    say("bind", call!(SYS_bind, socket, bytes.as_ptr(), bytes.len()));
    say("listen", call!(SYS_listen, socket, 5));
    show_listeners();
}

/// Whether the kernel's own list has a listening socket of this process's.
fn show_listeners() {
    let list = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    say("listeners", list.lines().filter(|line| line.contains(" 0A ")).count() as i64);
}

fn unix_listen(path: &str) {
    let bytes = unix_bytes(path);
    let socket = call!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    say("bind", call!(SYS_bind, socket, bytes.as_ptr(), bytes.len()));
    say("listen", call!(SYS_listen, socket, 5));
}

/// Places that can't be read, or not wholly.
fn unreadable() -> Vec<(&'static str, u64)> {
    let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let both = libc::PROT_READ | libc::PROT_WRITE;
    let closed = call!(SYS_mmap, 0, 4096, libc::PROT_NONE, anonymous, -1i64, 0) as u64;
    let gone = call!(SYS_mmap, 0, 4096, both, anonymous, -1i64, 0) as u64;
    call!(SYS_munmap, gone, 4096);
    // Eight bytes before the end of a page, behind which there is nothing.
    let half = call!(SYS_mmap, 0, 8192, both, anonymous, -1i64, 0) as u64;
    call!(SYS_munmap, half + 4096, 4096);
    // A file that ends before the mapping does.
    let file = call!(SYS_memfd_create, c"x".as_ptr(), 0);
    let beyond = call!(SYS_mmap, 0, 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0) as u64;
    vec![
        ("closed", closed),
        ("gone", gone),
        ("half", half + 4088),
        ("beyond", beyond),
        ("kernel", 0xffff_8000_0000_0000),
        ("last", u64::MAX - 7),
        ("low", 8),
    ]
}

/// Every call with a pointer, at each of these places.
fn pointers() {
    let stream = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    let datagram = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    let data = [0u8; 8];
    for (place, at) in unreadable() {
        let say = |call: &str, value: i64| say(&format!("{call}-{place}"), value);
        say("connect", call!(SYS_connect, stream, at, 16));
        say("bind", call!(SYS_bind, stream, at, 16));
        say("sendto-address", call!(SYS_sendto, datagram, data.as_ptr(), 8, 0, at, 16));
        say("sendmsg", call!(SYS_sendmsg, datagram, at, 0));
        say("sendmmsg", call!(SYS_sendmmsg, datagram, at, 1, 0));
        let iov = [at, 16];
        let address = crate::raw::v4_address([198, 51, 100, 7], 9, libc::AF_INET);
        let header = [address.as_ptr() as u64, 16, iov.as_ptr() as u64, 1, 0, 0, 0, 0];
        say("sendmsg-data", call!(SYS_sendmsg, datagram, header.as_ptr(), 0));
        let header = [address.as_ptr() as u64, 16, at, 1, 0, 0, 0, 0];
        say("sendmsg-vector", call!(SYS_sendmsg, datagram, header.as_ptr(), 0));
        let header = [at, 16, 0, 0, 0, 0, 0, 0];
        say("sendmsg-name", call!(SYS_sendmsg, datagram, header.as_ptr(), 0));
        // A string may end within what can be read: "half" is eight zeros.
        if place != "half" {
            say("open", call!(SYS_openat, libc::AT_FDCWD, at, libc::O_WRONLY, 0));
            say("unlink", call!(SYS_unlink, at));
            say("mkdir", call!(SYS_mkdir, at, 0o700));
            say("rename", call!(SYS_rename, c"/tmp".as_ptr(), at));
        }
        say("openat2", call!(SYS_openat2, libc::AT_FDCWD, c"/tmp".as_ptr(), at, 24));
    }
}

/// Lengths that lie.
fn lengths(to: &str) {
    let bytes = address(to);
    let stream = socket_for(&bytes, libc::SOCK_STREAM);
    let datagram = socket_for(&bytes, libc::SOCK_DGRAM);
    for length in [-1i64, 0, 1, 2, 15, 129, 4096, i64::from(i32::MAX), 1 << 32] {
        say(&format!("connect-{length}"), call!(SYS_connect, stream, bytes.as_ptr(), length));
        say(&format!("bind-{length}"), call!(SYS_bind, stream, bytes.as_ptr(), length));
        say(
            &format!("sendto-{length}"),
            call!(SYS_sendto, datagram, b"x".as_ptr(), 1, 0, bytes.as_ptr(), length),
        );
    }
    let big = vec![0u8; 70_000];
    let send = |step: &str, iov: &[u64], count: u64| {
        let header = [bytes.as_ptr() as u64, 16, iov.as_ptr() as u64, count, 0, 0, 0, 0];
        say(step, call!(SYS_sendmsg, datagram, header.as_ptr(), 0));
    };
    send("vector-of-1025", &[big.as_ptr() as u64, 1].repeat(1025), 1025);
    send("vector-of-2^32", &[big.as_ptr() as u64, 1], 1 << 32);
    send("length-2^63", &[big.as_ptr() as u64, 1 << 63], 1);
    send("length-too-long", &[big.as_ptr() as u64, 70_000], 1);
    send("sum-overflows", &[big.as_ptr() as u64, u64::MAX >> 1, big.as_ptr() as u64, u64::MAX >> 1], 2);
    send("null-of-0", &[0, 0], 1);
    let header = [bytes.as_ptr() as u64, 16, 0, 0, big.as_ptr() as u64, 1 << 32, 0, 0];
    say("control-2^32", call!(SYS_sendmsg, datagram, header.as_ptr(), 0).min(0));
    let header = [bytes.as_ptr() as u64, u64::from(u32::MAX), 0, 0, 0, 0, 0, 0];
    say("name-length-2^32-1", call!(SYS_sendmsg, datagram, header.as_ptr(), 0));
    let vector = vec![0u64; 8 * 2000];
    say("vector-of-2000-messages", call!(SYS_sendmmsg, datagram, vector.as_ptr(), 2000, 0).min(0));
    say("no-messages", call!(SYS_sendmmsg, datagram, vector.as_ptr(), 0, 0));
    for number in [-1i64, 10_000, 1 << 32, i64::MAX] {
        say(&format!("connect-by-{number}"), call!(SYS_connect, number, bytes.as_ptr(), bytes.len()));
    }
    say("connect-file", call!(SYS_connect, 0, bytes.as_ptr(), bytes.len()));
}
