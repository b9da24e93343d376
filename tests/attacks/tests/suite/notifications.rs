//! Notified calls: performed once, on what was looked at; and the proof that the races of this
//! suite win where a guard looks first and lets the call go on.

use crate::attack::{ALLOWED, FORBIDDEN, Guard, NET, ROUNDS_TO_WIN, fresh, loses, rounds, text, victim};
use crate::load::FullListener;
use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::Program;
use fnguard_attacks::sink::{Tcp, Udp};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fnguard_attacks::tests! { "notifications": naive_guard_loses, interrupted_connects_are_made_once, restarted_connects_are_made_once,
sends_are_made_once, binds_are_made_once, connects_given_up_are_bounded, pieces_of_a_call_are_bounded, unreadable_pointers, lying_lengths }

fn naive_guard_loses() {
    let (allowed, forbidden) = (Udp::on(ALLOWED), Udp::on(FORBIDDEN));
    let good = allowed.address.to_string();
    let attack = victim(["connect-flip", &good, &forbidden.address.to_string(), ROUNDS_TO_WIN])
        .limit(Duration::from_secs(120));
    loses(&attack, "connect", &good, |_| !forbidden.datagrams().is_empty());
}

/// A listener that counts and lets go at once.
fn counting(address: &str) -> (String, Arc<AtomicU64>, Arc<AtomicBool>, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind(format!("{address}:0")).expect("a listener");
    let to = listener.local_addr().expect("an address").to_string();
    let (count, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (counted, stopped) = (Arc::clone(&count), Arc::clone(&stop));
    let thread = std::thread::spawn(move || {
        while !stopped.load(Ordering::SeqCst) {
            if listener.accept().is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    (to, count, stop, thread)
}

/// Whether a signal leaves a call alone that the arbiter has seen: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
/// (Linux 5.19), by the kernel's age.
fn waits_unless_killed() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(['.', '-', '+']).map_while(|number| number.trim().parse::<u32>().ok());
    let release = (numbers.next().expect("a version"), numbers.next().unwrap_or(0));
    release >= (5, 19)
}

/// How many connections wait to be accepted at an address: the kernel shows it as the listener's
/// receive queue (proc_net_tcp).
fn queued(to: &str) -> u64 {
    let port = to.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).expect("a port");
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, _, state, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (state == "0A" && local.ends_with(&format!(":{port:04X}")))
                .then(|| u64::from_str_radix(queues.rsplit(':').next()?, 16).ok())?
        })
        .sum()
}

/// A timer interrupts every millisecond. Each connection that was made is one that the function
/// was told of, and the other way round.
fn interrupted_connects_are_made_once() {
    connects_are_made_once(NET);
}

/// The same under any policy that allows [`ALLOWED`].
pub fn connects_are_made_once(policy: &str) {
    let (to, count, stop, thread) = counting(ALLOWED);
    let total = rounds();
    let attack = victim(["connect-timer", &to, &total.to_string()]).limit(Duration::from_secs(300));
    let guarded = attack.under_guard(policy);
    // All that was made is out of the queue, and the next connection is the last.
    while queued(&to) > 0 {
        std::thread::yield_now();
    }
    stop.store(true, Ordering::SeqCst);
    let last = std::net::TcpStream::connect(&to);
    thread.join().expect("the listener's thread");
    drop(last);
    let (went, interrupted) = (guarded.said("went"), guarded.said("interrupted"));
    assert_eq!(guarded.said("others"), 0, "{}", guarded.text());
    assert_eq!(went + interrupted, i64::from(total));
    let accepted = count.load(Ordering::SeqCst) as i64 - 1;
    let told = format!("made {accepted}, told {went}, interrupted {interrupted}");
    if waits_unless_killed() {
        assert_eq!(accepted, went, "{told}");
        assert!(went > i64::from(total) / 2, "{told}");
    } else {
        // As in connect(2) itself: interrupted, the connection may come about all the same, once.
        assert!(went > 0 && (went..=went + interrupted).contains(&accepted), "{told}");
    }
    guarded.no_record();
}

/// The program as it is, and on a kernel that does not know SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
/// (bit 5 of the flags): there any signal interrupts a call that waits for its answer, and the call
/// is notified again.
fn both_ways_of_waiting(program: &Program, policy: &str) -> [Program; 2] {
    let without = format!("{}@1&32={}", libc::SYS_seccomp, libc::EINVAL);
    let guarded = program.guard(policy);
    [guarded.clone(), guarded.under([env!("CARGO_BIN_EXE_impose"), &without, "--"])]
}

/// A handler that has calls restarted: each is made once and told of once.
fn restarted_connects_are_made_once() {
    let total = rounds();
    let (to, count, stop, thread) = counting(ALLOWED);
    let attack =
        victim(["connect-timer", &to, &total.to_string(), "restart"]).limit(Duration::from_secs(300));
    let allowed = [0, i64::from(total) * TOGETHER as i64 / 1000];
    for (guarded, most_twice) in both_ways_of_waiting(&attack, NET).into_iter().zip(allowed) {
        let outcome = guarded.run();
        outcome.finished().no_record();
        // Connected already is what a second connect(2) finds.
        let not_told = i64::from(total) - outcome.said("went");
        assert!((0..=most_twice).contains(&not_told), "{}", outcome.text());
    }
    stop.store(true, Ordering::SeqCst);
    let last = std::net::TcpStream::connect(&to);
    thread.join().expect("the listener's thread");
    drop(last);
    assert_eq!(count.load(Ordering::SeqCst) - 1, 2 * u64::from(total));
}

/// Where any signal interrupts a call that waits, one that comes together with the answer wins: the kernel
/// takes the answer, and makes the call again all the same. So many in a thousand may be made twice there.
const TOGETHER: usize = 10;

/// Every datagram arrives once and in order: the receiver sees the numbers that were sent.
fn sends_are_made_once() {
    let (total, path) = (rounds(), fresh("datagrams"));
    let receiver = UnixDatagram::bind(&path).expect("a socket");
    let policy = format!("[network]\nallow = [\"unix:{}\"]\n", text(&path));
    let attack = victim(["sends-timer", text(&path), &total.to_string()]).limit(Duration::from_secs(300));
    let receiver = Arc::new(receiver);
    let allowed = [0, total as usize * TOGETHER / 1000];
    for (guarded, most_twice) in both_ways_of_waiting(&attack, &policy).into_iter().zip(allowed) {
        let receiving = Arc::clone(&receiver);
        receiver.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out");
        let numbers = std::thread::spawn(move || {
            let mut numbers = Vec::new();
            let mut bytes = [0u8; 8];
            while let Ok(4) = receiving.recv(&mut bytes) {
                numbers.push(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            }
            numbers
        });
        let outcome = guarded.run();
        // Five bytes end the receiver.
        UnixDatagram::unbound().expect("a socket").send_to(b"ended", &path).expect("the end");
        let mut numbers = numbers.join().expect("the receiver");
        let received = numbers.len();
        numbers.dedup();
        assert!(received - numbers.len() <= most_twice, "{received} of {total}\n{}", outcome.text());
        outcome.finished().no_record();
        assert_eq!(outcome.said("failed"), 0, "{}", outcome.text());
        let wrong = numbers.iter().zip(0..).find(|&(&number, expected)| number != expected);
        assert_eq!((wrong, numbers.len()), (None, total as usize), "{}", outcome.text());
    }
}

fn binds_are_made_once() {
    let attack = victim(["binds-timer", &format!("{ALLOWED}:0"), &rounds().to_string()])
        .limit(Duration::from_secs(300));
    let allowed = [0, i64::from(rounds()) * TOGETHER as i64 / 1000];
    for (guarded, most_twice) in both_ways_of_waiting(&attack, NET).into_iter().zip(allowed) {
        let outcome = guarded.run();
        outcome.finished().no_record();
        // Bound already is what a second bind(2) finds.
        assert!((0..=most_twice).contains(&outcome.said("failed")), "{}", outcome.text());
    }
}

/// Where a signal interrupts a call that waits (below Linux 5.19), a thread leaves a connect under way in
/// the arbiter each time that it is interrupted and connects anew. So many at once, and no more; and when they
/// have been given up there is room again.
fn connects_given_up_are_bounded() {
    const AT_ONCE: usize = 256;
    // Those that serve, some of which have just come back from a call, the pumps' and others.
    const OTHERS: usize = 64;
    let sink = Tcp::on(ALLOWED);
    let (full, hung) = FullListener::new(4778);
    let total = 20 * AT_ONCE;
    let attack = victim(["connect-and-give-up", &hung, &total.to_string(), &sink.address.to_string()])
        .limit(Duration::from_secs(60));
    let plain = attack.plain();
    assert_eq!((plain.said("interrupted"), plain.said("honest")), (total as i64, 0), "{}", plain.text());
    assert_eq!(sink.connections(), 1);

    let [_, guarded] = both_ways_of_waiting(&attack, NET);
    let running = guarded.start();
    let (threads, done) = (format!("/proc/{}/task", running.id()), Arc::new(AtomicBool::new(false)));
    let stop = Arc::clone(&done);
    let counting = std::thread::spawn(move || {
        let mut most = 0;
        while !stop.load(Ordering::SeqCst) {
            most = most.max(std::fs::read_dir(&threads).map_or(0, Iterator::count));
            std::thread::yield_now();
        }
        most
    });
    let outcome = running.finish();
    done.store(true, Ordering::SeqCst);
    let most = counting.join().expect("the counting thread");
    drop(full);
    outcome.finished().no_record();
    let (interrupted, again) = (outcome.said("interrupted"), outcome.said("again"));
    assert_eq!(interrupted + again, total as i64, "{}", outcome.text());
    assert!(interrupted > 0 && again > 0, "the bound is reached\n{}", outcome.text());
    assert!(most <= AT_ONCE + OTHERS, "{most} threads at most\n{}", outcome.text());
    assert_eq!((outcome.said("honest"), sink.connections()), (0, 1), "{}", outcome.text());
}

/// One call hands over ten thousand pieces: the arbiter takes 4,096 of them and says so, as the kernel may,
/// and the rest goes with the next calls. Each message arrives once, whole, and in order.
fn pieces_of_a_call_are_bounded() {
    let sink = Udp::on(ALLOWED);
    let attack = victim(["messages-in-pieces", &sink.address.to_string(), "10", "1000"]);
    let expected: Vec<Vec<u8>> = (0..10).map(|number| vec![number; 1000]).collect();
    let plain = attack.plain();
    assert_eq!((plain.list("sendmmsg"), sink.datagrams()), (vec!["10".to_owned()], expected.clone()));
    let guarded = attack.under_guard(NET);
    assert_eq!(guarded.no_record().list("sendmmsg"), ["4", "4", "2"], "{}", guarded.text());
    assert_eq!(sink.datagrams(), expected);
    // More than a message may have (UIO_MAXIOV).
    let attack = victim(["messages-in-pieces", &sink.address.to_string(), "1", "1025"]);
    for outcome in [attack.plain(), attack.under_guard(NET)] {
        assert_eq!(outcome.list("sendmmsg"), [(-libc::EMSGSIZE).to_string()]);
    }
    assert!(sink.datagrams().is_empty());
}

/// What the kernel says of a pointer that leads nowhere, the guard says too; and it lives.
fn unreadable_pointers() {
    // Everything is allowed, so that the kernel's answer is the one that counts.
    let attack = victim(["pointers"]);
    let (plain, guarded) = (attack.plain(), attack.under_guard(OPEN));
    same(&plain, &guarded);
}

/// Lengths that are negative, too long, or overflow when they are added.
fn lying_lengths() {
    let sink = Udp::on(ALLOWED);
    let attack = victim(["lengths", &sink.address.to_string()]);
    let plain = attack.plain();
    let sent = sink.datagrams().len();
    let guarded = attack.under_guard(OPEN);
    assert_eq!(sink.datagrams().len(), sent);
    same(&plain, &guarded);
}

/// Everything may be reached and written.
const OPEN: &str = "[network]\nallow_any = true\nallow = [\"*\"]\nlisten = [\"*\"]\n\
    [files]\nallow_any = true\nwrite = [\"/\"]\n";

/// Two runs of a victim say the same.
#[track_caller]
fn same(plain: &Outcome, guarded: &Outcome) {
    let (plain, guarded) = (
        String::from_utf8_lossy(&plain.stdout).into_owned(),
        String::from_utf8_lossy(&guarded.stdout).into_owned(),
    );
    let different: Vec<String> = plain
        .lines()
        .zip(guarded.lines())
        .filter(|(plain, guarded)| plain != guarded)
        .map(|(plain, guarded)| format!("without the guard {plain}, with it {guarded}"))
        .collect();
    assert!(
        different.is_empty() && plain.lines().count() == guarded.lines().count(),
        "{}",
        different.join("\n")
    );
}
