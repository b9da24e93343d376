//! Load: floods of refused calls, calls that hang.

use crate::call;
use crate::raw::{address, say, socket_for};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("flood", [threads, seconds, to]) => flood(threads, seconds, to),
        ("hung-connects", [many, hung, refused]) => hung_connects(many, hung, refused),
        _ => return false,
    }
    true
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
