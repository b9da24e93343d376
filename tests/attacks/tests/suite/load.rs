//! Load: honest calls go on, and the arbiter stays small.

use crate::attack::{ALLOWED, FORBIDDEN, Gate, Guard, NET, fresh, is_long, text, victim};
use crate::resolver::with_resolv_conf;
use fnguard_attacks::program::{Program, Running};
use fnguard_attacks::sink::{Nameserver, Tcp};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fnguard_attacks::tests! { "load":
    flood_of_refused_calls, hung_connects, lines_without_end, memory_is_flat, memory_is_flat_with_an_unread_log,
    unread_log_keeps_violations,
}

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

/// What of a process's memory is its alone and not in a file, in KiB. An ordinary user may not read the
/// arbiter's /proc/PID/smaps_rollup, but the nearly same number in its status.
fn own_memory(pid: i32) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
        return private_memory(pid);
    };
    let field = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:"));
    field.and_then(|value| value.trim().trim_end_matches(" kB").parse().ok()).expect("a number")
}

/// What a flood of one kind may have the arbiter hold, in KiB: after the first half, in which every
/// table may fill up, and how much more after the second.
const MOST_HELD: u64 = 8 * 1024;
const MOST_MORE: u64 = 512;

/// A directory whose path is nearly as long as a path can be.
fn long_place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let mut place = fresh("long");
        while place.as_os_str().len() < 3_900 {
            place.push("x".repeat(100));
        }
        std::fs::create_dir_all(&place).expect("a directory");
        place
    })
}

/// The arbiter's memory after each half of a flood.
fn memory_after(what: &str, many: u32, start: impl FnOnce(Program) -> Running) -> (Running, [u64; 2]) {
    let gates = [Gate::new(), Gate::new()];
    let [first, second] = [&gates[0], &gates[1]].map(|gate| text(&gate.path));
    let attack = victim(["fill", what, text(long_place()), &many.to_string(), first, second]);
    let running = start(attack.limit(Duration::from_secs(600)));
    let measured = gates.map(|gate| {
        let held = gate.reached();
        let measured = own_memory(running.id());
        drop(held);
        measured
    });
    (running, measured)
}

/// Whatever is ever new costs the arbiter no more after a while.
fn memory_is_flat() {
    let times = if is_long() { 10 } else { 1 };
    let platforms = Nameserver::answering(ALLOWED, |before| {
        let [.., high, middle, low] = before.to_be_bytes();
        [11, high, middle, low]
    });
    let file = fresh("resolv.conf");
    std::fs::write(&file, format!("nameserver {ALLOWED}\n")).expect("a file");
    let policy = "[network]\nallow = [\"orders.example:443\"]\n[files]\nwrite = []\n";
    for (what, many) in [
        ("connects", 20_000),
        ("paths", 5_000),
        ("names", 5_000),
        // More than there are bindings of an address and a name.
        ("answers", 12_000),
    ] {
        let (running, [early, late]) = memory_after(what, many * times, |attack| {
            with_resolv_conf(attack.guard(policy), text(&file)).start()
        });
        let outcome = running.finish();
        outcome.finished();
        let (made, blocked) = (2 * many * times, &outcome.records("ended").remove(0)["blocked"]);
        assert!(!outcome.says("unanswered"), "{}", outcome.text());
        match what {
            "answers" => assert_eq!(platforms.queries(), made as usize, "{}", outcome.text()),
            _ => assert_eq!(*blocked, made, "each is refused\n{}", outcome.text()),
        }
        assert!(early < MOST_HELD && late < early + MOST_MORE, "{what}: {early} KiB, then {late} KiB");
    }
}

/// A pipe that takes a program's log, and that nobody reads: the program, and the reading end.
fn unread(program: Program) -> (Running, std::io::PipeReader) {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let into = ["sh", "-c", "exec \"$@\" >&9 2>&9 9>&-", "sh"];
    (program.under(into).inherit(writer.as_raw_fd(), 9).start(), reader)
}

fn memory_is_flat_with_an_unread_log() {
    for (what, many) in [("writes", 20_000), ("secrets", 2_000), ("connects", 20_000), ("paths", 5_000)] {
        let mut log = None;
        let (running, [early, late]) = memory_after(what, many, |attack| {
            let (running, reader) = unread(attack.guard("[files]\nwrite = []\n"));
            log = Some(reader);
            running
        });
        let began = std::time::Instant::now();
        let outcome = running.finish();
        outcome.finished();
        assert!(began.elapsed() < Duration::from_secs(10), "the end waits for nobody: {:?}", began.elapsed());
        drop(log);
        assert!(early < MOST_HELD && late < early + MOST_MORE, "{what}: {early} KiB, then {late} KiB");
    }
}

/// Records that the function causes at will come before its violation, and nobody reads the log. What
/// reads it in the end finds the violation.
fn unread_log_keeps_violations() {
    let (sink, gate) = (Tcp::on(FORBIDDEN), Gate::new());
    let to = sink.address.to_string();
    let attack = victim(["fill-log-and-connect", &to, text(&gate.path)]).limit(Duration::from_secs(120));
    let running = attack.start();
    drop(gate.reached());
    running.finish().finished();
    assert_eq!(sink.connections(), 1, "unguarded it connects");

    let (running, mut reader) = unread(attack.guard(NET));
    let held = gate.reached();
    let reading = std::thread::spawn(move || {
        let mut log = Vec::new();
        reader.read_to_end(&mut log).map(|_| log)
    });
    drop(held);
    running.finish().finished();
    let log = reading.join().expect("a thread").expect("the log");
    assert_eq!(sink.connections(), 0);
    let records = fnguard_attacks::record::in_log(&log);
    let of = |kind: &str| records.iter().filter(|record| record["fnguard"] == kind).count();
    let counts = format!("{} late outputs, {} late secrets", of("late_output"), of("late_secret"));
    assert!(of("late_output") > 0 && of("late_secret") > 100, "{counts}");
    let told = records.iter().filter(|record| record["fnguard"] == "violation" && record["address"] == to);
    assert_eq!(told.count(), 1, "{counts}\n{}", String::from_utf8_lossy(&log));
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

/// A listener whose queue is full, so that it answers nobody.
pub struct FullListener {
    _listener: OwnedFd,
    _filling: Vec<std::io::Result<std::net::TcpStream>>,
}

impl FullListener {
    /// At a port of [`ALLOWED`]; its address.
    pub fn new(port: u16) -> (Self, String) {
        let to = std::net::SocketAddrV4::new(ALLOWED.parse().expect("an address"), port);
        // SAFETY: a socket of our own.
        let listener = unsafe {
            let socket = OwnedFd::from_raw_fd(libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0));
            let mut raw: libc::sockaddr_in = std::mem::zeroed();
            raw.sin_family = libc::AF_INET as u16;
            raw.sin_port = to.port().to_be();
            raw.sin_addr.s_addr = u32::from_ne_bytes(to.ip().octets());
            assert_eq!(libc::bind(socket.as_raw_fd(), (&raw const raw).cast(), 16), 0);
            assert_eq!(libc::listen(socket.as_raw_fd(), 0), 0);
            socket
        };
        let filling = (0..4)
            .map(|_| std::net::TcpStream::connect_timeout(&to.into(), Duration::from_millis(200)))
            .collect();
        (FullListener { _listener: listener, _filling: filling }, to.to_string())
    }
}

/// A thousand connects that nobody answers, since the listener's queue is full.
fn hung_connects() {
    let (full, to) = FullListener::new(4777);
    let attack = victim(["hung-connects", "1000", &to, &format!("{FORBIDDEN}:9")]);
    let guarded = attack.limit(Duration::from_secs(60)).guard(NET).run();
    drop(full);
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
