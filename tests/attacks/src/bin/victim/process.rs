//! Against the arbiter: signals, limits, scheduling, and what can be seen of it.

use crate::call;
use crate::raw::{say, tell};
use std::sync::atomic::{AtomicI64, Ordering};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("signal", [way, number]) => signal(way, number),
        ("stops-itself", [signal, resumed]) => stops_itself(signal, resumed),
        ("courier", [way, number]) => courier(way, number),
        ("limit", [resource, value]) => limit(resource, value),
        ("schedule", []) => schedule(),
        ("group", []) => group(),
        ("identity", []) => identity(),
        ("leader-exits", [to]) => leader_exits(to),
        ("undumpable", [to]) => undumpable(to),
        ("wait-for", [path]) => wait_for(path),
        ("connect-when-opened", [gate, file, to]) => connect_when_opened(gate, file, to),
        ("threads", [path]) => threads(path),
        ("links", [name]) => links(name),
        ("inherited", [from, to]) => inherited(from, to),
        ("orphan", [gate, file, to]) => orphan(gate, file, to),
        ("relatives", []) => relatives(),
        _ => return false,
    }
    true
}

/// What is open under some numbers, and whether a timer runs, that this program did not make.
fn inherited(from: &str, to: &str) {
    let (from, to): (i32, i32) = (from.parse().expect("a number"), to.parse().expect("a number"));
    for number in from..=to {
        if let Ok(target) = std::fs::read_link(format!("/proc/self/fd/{number}")) {
            tell("inherited", &format!("{number} {}", target.display()));
        }
    }
    let mut timer = [0i64; 4];
    call!(SYS_getitimer, libc::ITIMER_REAL, timer.as_mut_ptr());
    say("timer", i64::from(timer[2] != 0 || timer[3] != 0));
}

fn parent() -> i64 {
    call!(SYS_getppid)
}

/// What a process may do to its own threads and children, all by their numbers.
fn relatives() {
    static REACHED: AtomicI64 = AtomicI64::new(0);
    extern "C" fn reached(_: i32) {
        REACHED.store(call!(SYS_gettid), Ordering::SeqCst);
    }
    let handler: extern "C" fn(i32) = reached;
    // SAFETY: the handler makes one system call and stores its result.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    let (told, thread) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        told.send(call!(SYS_gettid)).expect("somebody listens");
        loop {
            std::thread::park();
        }
    });
    let thread = thread.recv().expect("a thread's number");
    say("tkill", call!(SYS_tkill, thread, libc::SIGUSR1));
    while REACHED.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    say("reached", i64::from(REACHED.load(Ordering::SeqCst) == thread));

    let child = call!(SYS_clone, libc::SIGCHLD, 0, 0, 0, 0);
    if child == 0 {
        loop {
            call!(SYS_ppoll, 0, 0, 0, 0);
        }
    }
    let (limit, mut old, mut info) = ([5u64, 5], [0u64; 2], [0u8; 128]);
    info[8..12].copy_from_slice(&(-1i32).to_ne_bytes());
    say("prlimit", call!(SYS_prlimit64, child, libc::RLIMIT_NOFILE, limit.as_ptr(), 0));
    say("prlimit-read", call!(SYS_prlimit64, child, libc::RLIMIT_NOFILE, 0, old.as_mut_ptr()));
    say("rt_tgsigqueueinfo", call!(SYS_rt_tgsigqueueinfo, child, child, libc::SIGTERM, info.as_ptr()));
    say("tgkill", call!(SYS_tgkill, child, child, libc::SIGTERM));
    let mut status = 0i32;
    call!(SYS_wait4, child, &raw mut status, 0, 0);
    say("ended-by", i64::from(libc::WTERMSIG(status)));
    say("tkill-after", call!(SYS_tkill, child, libc::SIGTERM));
}

/// One signal to the parent, by one of the calls that can send it.
fn signal(way: &str, number: &str) {
    let number: i32 = number.parse().expect("a signal");
    let parent = parent();
    let mut info = [0u8; 128];
    info[..4].copy_from_slice(&number.to_ne_bytes());
    info[8..12].copy_from_slice(&(-1i32).to_ne_bytes());
    let result = match way {
        "kill" => call!(SYS_kill, parent, number),
        "kill-dirty" => call!(SYS_kill, parent as u64 | 1 << 40, number),
        "tkill" => call!(SYS_tkill, parent, number),
        "tgkill" => call!(SYS_tgkill, parent, parent, number),
        "rt_sigqueueinfo" => call!(SYS_rt_sigqueueinfo, parent, number, info.as_ptr()),
        "rt_tgsigqueueinfo" => call!(SYS_rt_tgsigqueueinfo, parent, parent, number, info.as_ptr()),
        "pidfd_send_signal" => {
            let pidfd = call!(SYS_pidfd_open, parent, 0);
            call!(SYS_pidfd_send_signal, pidfd, number, 0, 0)
        }
        // Everything below, the group, all: none may go on, since the arbiter is among them.
        "group" => call!(SYS_kill, 0, number),
        "all" => call!(SYS_kill, -1i64, number),
        "group-by-number" => call!(SYS_kill, -call!(SYS_getpgrp), number),
        // Every thread of the parent's by its own number.
        "threads" => {
            let mut result = 0;
            for thread in parent + 1..parent + 40 {
                let status = std::fs::read_to_string(format!("/proc/{thread}/status")).unwrap_or_default();
                if status.lines().any(|line| line == format!("Tgid:\t{parent}")) {
                    result = call!(SYS_kill, thread, number).min(call!(SYS_tkill, thread, number));
                }
            }
            result
        }
        _ => panic!("no such way: {way}"),
    };
    say("signal", result);
}

/// Stops by a signal of job control, with a timer that lets it go on: its parent may take the stop
/// for its own.
fn stops_itself(signal: &str, resumed: &str) {
    let signal: i32 = signal.parse().expect("a signal");
    if resumed == "resumed" {
        // struct sigevent: value, signal, SIGEV_SIGNAL.
        let mut event = [0u8; 64];
        event[8..12].copy_from_slice(&libc::SIGCONT.to_ne_bytes());
        let mut timer = 0i32;
        say("timer_create", call!(SYS_timer_create, 1, event.as_ptr(), &raw mut timer));
        let each = [0i64, 50_000_000, 0, 50_000_000];
        say("timer_settime", call!(SYS_timer_settime, timer, 0, each.as_ptr(), 0));
    }
    say("kill", call!(SYS_kill, call!(SYS_getpid), signal));
    let bytes = crate::raw::address("203.0.113.9:4444");
    let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

/// A signal to the parent that no kill call carries: the kernel sends it when a descriptor is
/// ready.
fn courier(way: &str, number: &str) {
    let number: i32 = number.parse().expect("a signal");
    let parent = parent();
    let mut pair = [0i32; 2];
    call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
    const F_SETSIG: i32 = 10;
    const F_SETOWN_EX: i32 = 15;
    match way {
        "fcntl" | "fcntl-ex" => {
            if way == "fcntl" {
                say("F_SETOWN", call!(SYS_fcntl, pair[0], libc::F_SETOWN, parent));
            } else {
                let owner = [1i32, parent as i32];
                say("F_SETOWN", call!(SYS_fcntl, pair[0], F_SETOWN_EX, owner.as_ptr()));
            }
            say("F_SETSIG", call!(SYS_fcntl, pair[0], F_SETSIG, number));
            let flags = call!(SYS_fcntl, pair[0], libc::F_GETFL);
            say("O_ASYNC", call!(SYS_fcntl, pair[0], libc::F_SETFL, flags as i32 | libc::O_ASYNC));
        }
        "ioctl" => {
            const FIOSETOWN: u64 = 0x8901;
            const FIOASYNC: u64 = 0x5452;
            let owner = parent as i32;
            let on = 1i32;
            say("FIOSETOWN", call!(SYS_ioctl, pair[0], FIOSETOWN, &raw const owner));
            say("F_SETSIG", call!(SYS_fcntl, pair[0], F_SETSIG, number));
            say("FIOASYNC", call!(SYS_ioctl, pair[0], FIOASYNC, &raw const on));
        }
        _ => panic!("no such way: {way}"),
    }
    call!(SYS_write, pair[1], b"!".as_ptr(), 1);
}

fn limit(resource: &str, value: &str) {
    let resource: i32 = resource.parse().expect("a resource");
    let value: u64 = value.parse().expect("a limit");
    let limit = [value, value];
    say("prlimit", call!(SYS_prlimit64, parent(), resource, limit.as_ptr(), 0));
}

fn schedule() {
    let parent = parent();
    let mask = [1u64; 16];
    let parameter = [0i32];
    say("sched_setaffinity", call!(SYS_sched_setaffinity, parent, 8, mask.as_ptr()));
    say("sched_setscheduler", call!(SYS_sched_setscheduler, parent, 5, parameter.as_ptr()));
    say("sched_setparam", call!(SYS_sched_setparam, parent, parameter.as_ptr()));
    let mut attributes = [0u32; 12];
    attributes[0] = 48;
    attributes[1] = 5;
    say("sched_setattr", call!(SYS_sched_setattr, parent, attributes.as_ptr(), 0));
    say("setpriority", call!(SYS_setpriority, 0, parent, 19));
    say("setpriority-group", call!(SYS_setpriority, 1, 0, 19));
    say("ioprio_set", call!(SYS_ioprio_set, 1, parent, 3 << 13));
    let status = std::fs::read_to_string(format!("/proc/{parent}/status")).unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("Cpus_allowed:")) {
        tell("cpus", line);
    }
    say("own-affinity", call!(SYS_sched_setaffinity, 0, 8, mask.as_ptr()));
    // The lowest: whoever started this may have lowered it already, and to raise it again needs a privilege.
    say("own-priority", call!(SYS_setpriority, 0, 0, 19));
}

fn group() {
    let parent = parent();
    say("setpgid-parent", call!(SYS_setpgid, parent, 0));
    say("setpgid", call!(SYS_setpgid, 0, 0));
    say("setsid", call!(SYS_setsid).min(0));
    say("subreaper", call!(SYS_prctl, libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

fn identity() {
    let header = [0x2008_0522u32, 0];
    let data = [u32::MAX; 6];
    say("capset", call!(SYS_capset, header.as_ptr(), data.as_ptr()));
    say("setresuid", call!(SYS_setresuid, 1000, 1000, 1000));
    say("setuid", call!(SYS_setuid, 0));
    say("setgroups", call!(SYS_setgroups, 0, 0));
}

/// The first thread ends; another goes on and connects.
fn leader_exits(to: &str) {
    let to = to.to_owned();
    std::thread::spawn(move || {
        // The first thread is gone when its status says so.
        let own = std::process::id();
        loop {
            let status =
                std::fs::read_to_string(format!("/proc/{own}/task/{own}/status")).unwrap_or_default();
            if status.contains("State:\tZ") {
                break;
            }
            std::thread::yield_now();
        }
        let bytes = crate::raw::address(&to);
        let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
        say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
        std::process::exit(fnguard_attacks::outcome::FINISHED);
    });
    call!(SYS_exit, 0);
}

/// Memory that the arbiter can't read.
fn undumpable(to: &str) {
    say("PR_SET_DUMPABLE", call!(SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0));
    say("PR_SET_PTRACER", call!(SYS_prctl, 0x5961_6d61, 0, 0, 0, 0));
    say("PR_SET_PDEATHSIG", call!(SYS_prctl, libc::PR_SET_PDEATHSIG, 0, 0, 0, 0));
    let bytes = crate::raw::address(to);
    let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

/// Says who it is, and reads a FIFO to its end: until the outside is done looking.
fn wait_for(path: &str) {
    say("pid", i64::from(std::process::id()));
    let _ = std::fs::read(path);
}

/// Connects when the FIFO ends. What came of it stands in a file that was opened before: the pipe to
/// the log may have nobody left who reads it.
fn connect_when_opened(gate: &str, file: &str, to: &str) {
    let file = std::ffi::CString::new(file).expect("no NUL");
    let opened = call!(SYS_openat, libc::AT_FDCWD, file.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600);
    let bytes = crate::raw::address(to);
    let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
    let _ = std::fs::read(gate);
    let answer = call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()).to_string();
    call!(SYS_write, opened, answer.as_ptr(), answer.len());
}

fn threads(path: &str) {
    for _ in 0..5 {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    wait_for(path);
}

/// A child that goes on when its parent, the function, has ended: when the FIFO ends it connects,
/// and says what came of it in a file that was opened before.
fn orphan(gate: &str, file: &str, to: &str) {
    let mut pipe = [0i32; 2];
    call!(SYS_pipe2, pipe.as_mut_ptr(), 0);
    let pid = call!(SYS_fork);
    say("fork", pid.min(1));
    if pid == 0 {
        let file = std::ffi::CString::new(file).expect("no NUL");
        let opened = call!(SYS_openat, libc::AT_FDCWD, file.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600);
        let own = format!("{} ", call!(SYS_getpid));
        call!(SYS_write, opened, own.as_ptr(), own.len());
        call!(SYS_write, pipe[1], b"!".as_ptr(), 1);
        let _ = std::fs::read(gate);
        let bytes = crate::raw::address(to);
        let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
        let answer = call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()).to_string();
        call!(SYS_write, opened, answer.as_ptr(), answer.len());
        call!(SYS_exit_group, 0);
    }
    // It is there when it has said so.
    let mut byte = 0u8;
    call!(SYS_read, pipe[0], &raw mut byte, 1);
}

/// Links to the arbiter by the hundred, packets of garbage, requests whose answers nobody reads;
/// then an honest request.
fn links(name: &str) {
    let open = || call!(SYS_kcmp, 0x666e_6775, 0x6172_6421, 1, 0, 0);
    let all: Vec<i64> = (0..300).map(|_| open()).collect();
    let opened: Vec<i64> = all.iter().copied().filter(|&link| link >= 0).collect();
    say("opened", opened.len() as i64);
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut packet = vec![0u8; 100 * 1024];
    for round in 0..200usize {
        for byte in packet.iter_mut() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        let Some(&link) = opened.get(round % opened.len().max(1)) else { break };
        let length = [0, 1, 2, 17, 1000, 65_536, 96 * 1024, 100 * 1024][round % 8];
        call!(SYS_sendto, link, packet.as_ptr(), length, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL, 0, 0);
    }
    // "Describe", again and again.
    if let Some(&link) = opened.last() {
        for _ in 0..5000 {
            call!(SYS_sendto, link, [7u8].as_ptr(), 1, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL, 0, 0);
        }
    }
    for link in opened {
        call!(SYS_close, link);
    }
    // The arbiter frees them as it comes to see that they are closed.
    let began = std::time::Instant::now();
    let mut result = fnguard::secret(name).map(drop);
    while result.is_err() && began.elapsed().as_secs() < 5 {
        result = fnguard::secret(name).map(drop);
    }
    say("secret", result.map_or(-1, |()| 0));
}
