//! Load: floods of refused calls, calls that hang.

use crate::call;
use crate::raw::{address, say, socket_for};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("flood", [threads, seconds, to]) => flood(threads, seconds, to),
        ("hung-connects", [many, hung, refused]) => hung_connects(many, hung, refused),
        ("fill", [what, place, many, first, second]) => fill(what, place, many, [first, second]),
        ("fill-log-and-connect", [to, gate]) => fill_log_and_connect(to, gate),
        _ => return false,
    }
    true
}

/// Causes records of every kind that a function can cause at will, and lines of its own; then one
/// refused connection. Waits at the gate.
fn fill_log_and_connect(to: &str, gate: &str) {
    let link = call!(SYS_kcmp, 0x666e_6775, 0x6172_6421, 1, 0, 0);
    let ask = |packet: &[u8]| {
        let mut answer = [u8::MAX; 64];
        call!(SYS_write, link, packet.as_ptr(), packet.len());
        call!(SYS_read, link, answer.as_mut_ptr(), answer.len());
        answer[0]
    };
    const DONE: u8 = 0;
    for number in 0..500 {
        // Start and Finish of an invocation, and what is written behind it.
        let id = format!("{number:0100}");
        ask(&[&[2, 100], id.as_bytes()].concat());
        // "Soon" may be too soon, and is for good once the log takes nothing more.
        let finish = [&[3, 100], id.as_bytes(), &[1]].concat();
        let _ = (0..10).find(|_| ask(&finish) == DONE);
        call!(SYS_write, 1, b"late\n".as_ptr(), 5);
    }
    for number in 0..100 {
        register(number);
    }
    for number in 0..1_000 {
        let _ = fnguard::protect(&format!("{}-{number}", "N".repeat(200)), &"short".to_owned().into());
    }
    for number in 0..1_000 {
        write_if_there_is_room(number);
    }
    let bytes = address(to);
    let socket = socket_for(&bytes, libc::SOCK_STREAM);
    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
    let _ = std::fs::read(gate);
}

/// Makes the arbiter meet something new again and again, twice as often as is asked: after each half
/// the outside may look. `place` is a directory for paths.
fn fill(what: &str, place: &str, many: &str, gates: [&str; 2]) {
    let place = place.to_owned();
    let many: u32 = many.parse().expect("a number");
    let mut numbers = 0u32..;
    let mut once: Box<dyn FnMut(u32)> = match what {
        "connects" => Box::new(connect_to),
        "paths" => Box::new(move |number| make_directory(&place, number)),
        "secrets" => Box::new(register),
        "answers" => Box::new(ask(|_| "orders.example".to_owned())),
        "names" => Box::new(ask(|number| format!("n{number}.{}.attacker.example", "x".repeat(40)))),
        "writes" => Box::new(write_if_there_is_room),
        _ => panic!("no such flood: {what}"),
    };
    for gate in gates {
        for number in numbers.by_ref().take(many as usize) {
            once(number);
        }
        let _ = std::fs::read(gate);
    }
}

/// An address and a port that nobody has tried.
fn connect_to(number: u32) {
    let [_, high, middle, low] = number.to_be_bytes();
    let bytes =
        crate::raw::v4_address([203, high, middle, low], 1000 + (number % 60_000) as u16, libc::AF_INET);
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
    call!(SYS_close, socket);
}

/// A directory that nobody has tried to make.
fn make_directory(place: &str, number: u32) {
    let path = std::ffi::CString::new(format!("{place}/{number:010}")).expect("no NUL");
    let answer = call!(SYS_mkdir, path.as_ptr(), 0o700);
    if answer != -13 {
        say("mkdir", answer);
    }
}

/// A late secret.
fn register(number: u32) {
    let name = format!("{}-{number}", "N".repeat(200));
    let _ = fnguard::protect(&name, &format!("{number:08}-{}", "v".repeat(40)).into());
}

/// Asks for a name; whoever has answered is asked on.
fn ask(name: impl Fn(u32) -> String) -> impl FnMut(u32) {
    let bytes = address("192.0.2.53:53");
    let socket = socket_for(&bytes, libc::SOCK_DGRAM);
    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
    move |number| {
        let query = crate::resolver::query(&name(number));
        let mut answer = [0u8; 512];
        call!(SYS_write, socket, query.as_ptr(), query.len());
        let mut entry = libc::pollfd { fd: socket as i32, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        unsafe { libc::poll(&mut entry, 1, 10_000) };
        if call!(SYS_read, socket, answer.as_mut_ptr(), answer.len()) < 12 {
            say("unanswered", i64::from(number));
        }
    }
}

/// A line, if the pipe takes it: where nobody reads the log it soon takes none.
fn write_if_there_is_room(number: u32) {
    let line = format!("{number:08}{}\n", "x".repeat(4_000));
    for stream in [1, 2] {
        let mut entry = libc::pollfd { fd: stream, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one entry.
        if unsafe { libc::poll(&mut entry, 1, 0) } == 1 {
            call!(SYS_write, stream, line.as_ptr(), line.len());
        }
    }
}

/// Many threads make refused calls while one makes honest ones; the honest ones' longest wait.
fn flood(threads: &str, seconds: &str, to: &str) {
    static STOP: AtomicBool = AtomicBool::new(false);
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let seconds: u64 = seconds.parse().expect("seconds");
    let handles: Vec<_> = (0..threads.parse::<u8>().expect("a number"))
        .map(|thread| {
            std::thread::spawn(move || {
                let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
                let mut port = 1u16;
                while !STOP.load(Ordering::Relaxed) {
                    // Below are ports with a meaning: 53 is the arbiter's own resolver.
                    port = port.wrapping_add(1).max(1000);
                    let bytes = crate::raw::v4_address([203, 0, 113, thread], port, libc::AF_INET);
                    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
                    CALLS.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let bytes = address(to);
    let began = Instant::now();
    let (mut longest, mut honest, mut failed) = (0, 0, 0);
    while began.elapsed().as_secs() < seconds {
        let socket = socket_for(&bytes, libc::SOCK_STREAM);
        let start = Instant::now();
        if call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()) != 0 {
            failed += 1;
        }
        longest = longest.max(start.elapsed().as_micros() as i64);
        honest += 1;
        // An abortive end, so that no port stays taken.
        let linger = [1i32, 0];
        call!(SYS_setsockopt, socket, libc::SOL_SOCKET, libc::SO_LINGER, linger.as_ptr(), 8);
        call!(SYS_close, socket);
    }
    STOP.store(true, Ordering::Relaxed);
    for handle in handles {
        let _ = handle.join();
    }
    say("calls", CALLS.load(Ordering::Relaxed) as i64);
    say("honest", honest);
    say("failed", failed);
    say("longest-us", longest);
}

/// Many blocking connects that nobody answers; a refused call must still be quick.
fn hung_connects(many: &str, hung: &str, refused: &str) {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    static BACK: AtomicU64 = AtomicU64::new(0);
    let many: u64 = many.parse().expect("a number");
    let hung = address(hung);
    for _ in 0..many {
        let hung = hung.clone();
        std::thread::Builder::new()
            .stack_size(32 * 1024)
            .spawn(move || {
                let socket = socket_for(&hung, libc::SOCK_STREAM);
                ASKED.fetch_add(1, Ordering::SeqCst);
                call!(SYS_connect, socket, hung.as_ptr(), hung.len());
                BACK.fetch_add(1, Ordering::SeqCst);
            })
            .expect("a thread");
    }
    while ASKED.load(Ordering::SeqCst) < many {
        std::thread::yield_now();
    }
    let refused = address(refused);
    let socket = socket_for(&refused, libc::SOCK_STREAM);
    let mut longest = 0;
    for _ in 0..100 {
        let start = Instant::now();
        say("refused", call!(SYS_connect, socket, refused.as_ptr(), refused.len()));
        longest = longest.max(start.elapsed().as_micros() as i64);
    }
    say("longest-us", longest);
    say("back", BACK.load(Ordering::SeqCst) as i64);
}
