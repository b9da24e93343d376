//! Load: honest calls go on, and the arbiter stays small.

use crate::attack::{ALLOWED, FORBIDDEN, Guard, NET, is_long, victim};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fnguard_attacks::tests! { "load": flood_of_refused_calls, hung_connects, lines_without_end }

/// Private memory of a process in KiB.
fn private_memory(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
    };
    field("RssAnon:").unwrap_or(0)
}

/// Memory while a program runs: after a while, and the most later on.
fn watch(running: &fnguard_attacks::program::Running, done: &AtomicBool) -> (u64, u64) {
    let (mut early, mut most) = (0, 0);
    let began = std::time::Instant::now();
    while !done.load(Ordering::SeqCst) {
        let now = private_memory(running.id());
        if began.elapsed() < Duration::from_secs(1) {
            early = early.max(now);
        }
        most = most.max(now);
        std::thread::yield_now();
        if now == 0 && began.elapsed() > Duration::from_secs(1) {
            break;
        }
    }
    (early, most)
}

/// 64 threads that only make refused calls; one that makes honest ones.
fn flood_of_refused_calls() {
    let listener = TcpListener::bind(format!("{ALLOWED}:0")).expect("a listener");
    let to = listener.local_addr().expect("an address").to_string();
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let accepting = std::thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let _ = listener.accept();
        }
    });
    let running = victim(["flood", "64", "3", &to]).guard(NET).start();
    let (early, most) = watch(&running, &done);
    let outcome = running.finish();
    done.store(true, Ordering::SeqCst);
    let _ = std::net::TcpStream::connect(&to);
    accepting.join().expect("the listener's thread");
    outcome.finished();
    assert_eq!(outcome.said("failed"), 0, "{}", outcome.text());
    assert!(outcome.said("calls") > 10_000, "{}", outcome.text());
    assert!(outcome.said("honest") > 50, "{}", outcome.text());
    assert!(outcome.said("longest-us") < 2_000_000, "{}", outcome.text());
    assert!(most < early + 2048 && most < 16 * 1024, "{early} KiB early, {most} KiB at most");
    assert!(outcome.records("violation").len() <= 64, "records are limited");
    let ended = outcome.records("ended").remove(0);
    assert_eq!(ended["blocked"].as_i64(), Some(outcome.said("calls")), "every call is counted");
}

/// A thousand connects that nobody answers, since the listener's queue is full.
fn hung_connects() {
    // SAFETY: a socket of our own.
    let listener = unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        let address: std::net::SocketAddrV4 = format!("{ALLOWED}:4777").parse().expect("an address");
        let mut raw: libc::sockaddr_in = std::mem::zeroed();
        raw.sin_family = libc::AF_INET as u16;
        raw.sin_port = address.port().to_be();
        raw.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
        assert_eq!(libc::bind(socket, (&raw const raw).cast(), 16), 0);
        assert_eq!(libc::listen(socket, 0), 0);
        socket
    };
    let filling: Vec<_> = (0..4)
        .map(|_| {
            std::net::TcpStream::connect_timeout(
                &format!("{ALLOWED}:4777").parse().expect("an address"),
                Duration::from_millis(200),
            )
        })
        .collect();
    let attack = victim(["hung-connects", "1000", &format!("{ALLOWED}:4777"), &format!("{FORBIDDEN}:9")]);
    let guarded = attack.limit(Duration::from_secs(60)).guard(NET).run();
    drop(filling);
    // SAFETY: our own.
    unsafe { libc::close(listener) };
    guarded.finished();
    assert!(guarded.list("refused").iter().all(|result| result == "-13"), "{}", guarded.text());
    assert!(guarded.said("longest-us") < 1_000_000, "{}", guarded.text());
    assert!(guarded.took < Duration::from_secs(30), "{:?}", guarded.took);
    guarded.one_record("network", "connect", &format!("{FORBIDDEN}:9"));
}

/// Megabytes without a line's end.
fn lines_without_end() {
    let many = if is_long() { 262_144 } else { 2_048 };
    let attack = victim(["flood-lines", &many.to_string()])
        .variable("TOKEN", "s3cr3t-Value-of-the-function")
        .limit(Duration::from_secs(1200));
    let running = attack.guard("[secrets]\nenv = [\"TOKEN\"]\n").start();
    let (_, most) = watch(&running, &AtomicBool::new(false));
    let outcome = running.finish();
    outcome.finished();
    assert_eq!(outcome.stdout.iter().filter(|&&byte| byte == b'x').count(), many * 4095);
    assert!(most < 16 * 1024, "{most} KiB at most");
}
