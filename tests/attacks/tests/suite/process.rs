//! Against the arbiter, and what becomes of both processes.

use crate::arming::C_VICTIM;
use crate::attack::{ALLOWED, FORBIDDEN, Gate, Guard, NET, c_program, fresh, is_root, text, victim};
use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::{Program, Running};
use fnguard_attacks::sink::Tcp;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

fnguard_attacks::tests! { "process":
    signals, stop, stops_itself, every_process, threads_of_the_arbiter, couriers, limits, scheduling, groups, identities,
    first_thread_gone, made_unreadable, descriptors_unreadable, program_unreadable, arbiter_killed, arbiter_outlived, one_listener, filter_on_every_thread,
    ends_are_mirrored, orphans_are_held, links_misused,
    threads_and_children,
}

/// The attack in a pid namespace of its own, below a shell that says whether it is still there.
fn beside(program: Program) -> Outcome {
    program
        .under(["sh", "-c", "\"$@\"; echo \"parent lives, status $?\"", "sh"])
        .under(["sh", "-c", "\"$@\"; echo end", "sh"])
        .in_pid_namespace()
        .limit(Duration::from_secs(10))
        .run()
}

/// Under the guard the parent is the arbiter, and the shell sees how that ended.
fn arbiter_lives(outcome: &Outcome) -> bool {
    outcome.shows(b"parent lives, status 42")
}

fn signals() {
    for way in
        ["kill", "kill-dirty", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"]
    {
        let attack = victim(["signal", way, "9"]);
        let plain = beside(attack.clone());
        assert!(!plain.shows(b"parent lives"), "{way}\n{}", plain.text());
        let guarded = beside(attack.guard(NET));
        assert!(arbiter_lives(&guarded), "{way}\n{}", guarded.text());
        let call = way.trim_end_matches("-dirty");
        guarded.only_record("process", call, "signal 9 to");
    }
}

/// A stopped arbiter would be worse than a dead one: nothing would be answered.
fn stop() {
    let attack = victim(["signal", "kill", "19"]);
    let plain = attack
        .clone()
        .under(["sh", "-c", "\"$@\"; echo \"parent lives, status $?\"", "sh"])
        .under(["sh", "-c", "\"$@\"; echo end", "sh"])
        .in_pid_namespace()
        .limit(Duration::from_secs(2))
        .run();
    assert!(plain.timed_out, "unguarded it hangs\n{}", plain.text());
    let guarded = beside(attack.guard(NET));
    assert!(arbiter_lives(&guarded), "{}", guarded.text());
    guarded.only_record("process", "kill", "signal 19");
}

/// A function that stops itself does not stop the arbiter, whether or not it goes on by itself.
fn stops_itself() {
    for signal in ["20", "21", "22"] {
        let attack = victim(["stops-itself", signal, "for-good"]);
        let plain = attack.clone().limit(Duration::from_secs(1)).run();
        assert!(plain.timed_out, "unguarded it stops\n{}", plain.text());
        for attack in [attack, victim(["stops-itself", signal, "resumed"])] {
            let guarded = attack.limit(Duration::from_secs(10)).under_guard(NET);
            guarded.only_record("network", "connect", "203.0.113.9:4444");
            assert_eq!(guarded.said("connect"), -13);
        }
    }
}

/// The group, everything, and the group by its number: the arbiter is among them.
fn every_process() {
    for way in ["group", "all", "group-by-number"] {
        let attack = victim(["signal", way, "9"]);
        let plain = beside(attack.clone());
        assert!(!plain.shows(b"parent lives"), "{way}\n{}", plain.text());
        let guarded = beside(attack.guard(NET));
        assert!(arbiter_lives(&guarded), "{way}\n{}", guarded.text());
        guarded.only_record("process", "kill", "signal 9");
    }
}

/// Any thread's number stands for its process in kill(2).
fn threads_of_the_arbiter() {
    let guarded = beside(victim(["signal", "threads", "9"]).guard(NET));
    assert!(arbiter_lives(&guarded), "{}", guarded.text());
    assert_eq!(guarded.said("signal"), -1, "it has threads, and none took the signal\n{}", guarded.text());
}

/// Signals that the kernel brings when a descriptor is ready.
fn couriers() {
    for (way, step) in [("fcntl", "F_SETOWN"), ("fcntl-ex", "F_SETOWN"), ("ioctl", "FIOSETOWN")] {
        let attack = victim(["courier", way, "9"]);
        let plain = beside(attack.clone());
        assert!(!plain.shows(b"parent lives"), "{way}\n{}", plain.text());
        let guarded = beside(attack.guard(NET));
        assert!(arbiter_lives(&guarded), "{way}\n{}", guarded.text());
        assert_eq!(guarded.said(step), -1);
        let call = if way == "ioctl" { "ioctl" } else { "fcntl" };
        assert!(!guarded.violations("syscall", call, "").is_empty());
    }
}

fn limits() {
    // RLIMIT_NOFILE: the shell shows it. RLIMIT_CPU of zero kills within a second.
    let attack = victim(["limit", "7", "5"]);
    let shown = |program: Program| {
        program
            .under(["sh", "-c", "\"$@\"; echo \"parent lives, status $?\"; echo limit $(ulimit -n)", "sh"])
            .in_pid_namespace()
            .run()
    };
    assert!(shown(attack.clone()).shows(b"limit 5"));
    let guarded = shown(attack.guard(NET));
    assert!(!guarded.shows(b"limit 5") && arbiter_lives(&guarded), "{}", guarded.text());
    guarded.only_record("process", "prlimit64", "resource 7");
    for resource in ["0", "1", "9"] {
        let guarded = beside(victim(["limit", resource, "1"]).guard(NET));
        assert!(arbiter_lives(&guarded), "{}", guarded.text());
        guarded.only_record("process", "prlimit64", &format!("resource {resource}"));
    }
}

/// One's own threads and children are signalled as without a guard. A limit of a child's is set by the
/// child alone: its number could mean another process by the time the kernel reads it.
fn threads_and_children() {
    let attack = victim(["relatives"]);
    let plain = attack.clone().in_pid_namespace().run();
    let guarded = attack.guard("[exec]\nfork = true\n").in_pid_namespace().run();
    for step in ["tkill", "prlimit", "prlimit-read", "rt_tgsigqueueinfo", "tgkill"] {
        let refused = ["prlimit", "rt_tgsigqueueinfo"].contains(&step);
        assert_eq!(plain.said(step), 0, "{step}\n{}", plain.text());
        assert_eq!(guarded.said(step), if refused { -1 } else { 0 }, "{step}\n{}", guarded.text());
        assert_eq!(guarded.violations("process", "*", "").len(), 3, "{}", guarded.text());
    }
    for outcome in [&plain, &guarded] {
        assert_eq!((outcome.said("reached"), outcome.said("ended-by")), (1, 15), "{}", outcome.text());
    }
    // There is no such thread any more: the kernel says so, or the guard that it is not the function's.
    assert_eq!((plain.said("tkill-after"), guarded.said("tkill-after")), (-3, -1));
}

fn scheduling() {
    let attack = victim(["schedule"]);
    let in_shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    let plain = attack.clone().under(in_shell).in_pid_namespace().run();
    for step in ["sched_setaffinity", "sched_setscheduler", "sched_setattr", "setpriority", "ioprio_set"] {
        assert_eq!(plain.said(step), 0, "{step}\n{}", plain.text());
    }
    let guarded = attack.guard(NET).in_pid_namespace().run();
    guarded.finished();
    for step in [
        "sched_setaffinity",
        "sched_setscheduler",
        "sched_setparam",
        "sched_setattr",
        "setpriority",
        "setpriority-group",
        "ioprio_set",
    ] {
        assert_eq!(guarded.said(step), -1, "{step}\n{}", guarded.text());
    }
    assert_eq!((guarded.said("own-affinity"), guarded.said("own-priority")), (0, 0), "its own are its own");
    assert!(guarded.records("violation").len() >= 6, "{}", guarded.text());
}

/// Out of the group that the platform signals, or the arbiter into another.
fn groups() {
    let attack = victim(["group"]);
    let plain = attack.clone().under(["sh", "-c", "\"$@\"; exit $?", "sh"]).in_pid_namespace().run();
    assert_eq!(plain.said("setpgid"), 0, "{}", plain.text());
    let guarded = attack.guard(NET).in_pid_namespace().run();
    guarded.finished();
    for step in ["setpgid-parent", "setpgid", "setsid", "subreaper"] {
        assert_eq!(guarded.said(step), -1, "{step}\n{}", guarded.text());
    }
}

fn identities() {
    let guarded = victim(["identity"]).under_guard(NET);
    for step in ["capset", "setresuid", "setuid", "setgroups"] {
        assert_eq!(guarded.said(step), -1, "{step}");
    }
    assert_eq!(guarded.records("violation").len(), 4, "{}", guarded.text());
    let posture = guarded.posture();
    assert_eq!(posture["controls"]["capabilities"], "held");
    let plain = victim(["identity"]).plain();
    if is_root() {
        assert_eq!(plain.said("setresuid"), 0, "{}", plain.text());
    } else {
        println!("process::identities: an ordinary user has no other identity to take, unguarded either");
        assert!(plain.said("setresuid") < 0, "{}", plain.text());
    }
}

/// With the first thread gone the process's id leads to nothing that can be read.
fn first_thread_gone() {
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["leader-exits", &sink.address.to_string()]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.connections(), 0);
    assert!(guarded.said("connect") < 0);
    guarded.only_record("network", "connect", &sink.address.to_string());
    // Allowed where the kernel opens a thread of its own (PIDFD_THREAD, Linux 6.9); below it is refused,
    // and said.
    let allowed = Tcp::on(ALLOWED);
    let to = allowed.address.to_string();
    let attack = victim(["leader-exits", &to]).guard(NET);
    let without = format!("{}@1&{PIDFD_THREAD}={}", libc::SYS_pidfd_open, libc::EINVAL);
    let older = attack.clone().under([env!("CARGO_BIN_EXE_impose"), &without, "--"]);
    for (guarded, opens_threads) in [(attack, opens_threads()), (older, false)] {
        let outcome = guarded.run();
        outcome.finished();
        assert_eq!(allowed.connections(), usize::from(opens_threads), "{}", outcome.text());
        if opens_threads {
            assert_eq!(outcome.no_record().said("connect"), 0);
        } else {
            assert_eq!(outcome.said("connect"), -i64::from(libc::EACCES), "{}", outcome.text());
            outcome.only_record("guard", "connect", "could not be read");
        }
    }
}

const PIDFD_THREAD: i32 = libc::O_EXCL;

/// Whether pidfd_open(2) takes a thread that is not its process's first.
fn opens_threads() -> bool {
    let opened = std::thread::spawn(|| {
        // SAFETY: a descriptor of our own, which is closed again.
        unsafe {
            let thread = libc::syscall(libc::SYS_gettid);
            let pidfd = libc::syscall(libc::SYS_pidfd_open, thread, PIDFD_THREAD) as i32;
            pidfd >= 0 && libc::close(pidfd) == 0
        }
    });
    opened.join().expect("a thread")
}

fn made_unreadable() {
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["undumpable", &sink.address.to_string()]);
    assert_eq!(attack.plain().said("PR_SET_DUMPABLE"), 0);
    assert_eq!(sink.connections(), 1);
    let guarded = attack.under_guard(NET);
    assert_eq!(sink.connections(), 0);
    for step in ["PR_SET_DUMPABLE", "PR_SET_PTRACER", "PR_SET_PDEATHSIG"] {
        assert_eq!(guarded.said(step), -1, "{step}");
    }
    guarded.one_record("network", "connect", &sink.address.to_string());
}

fn children(pid: i32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A platform that lets the arbiter take the listener, and no descriptor of a thread's: what can't be looked
/// at is refused and told of, though the address is allowed.
fn descriptors_unreadable() {
    let sink = Tcp::on(FORBIDDEN);
    // One that maps no library: that would be refused first.
    let program = c_program(C_VICTIM, &["-static"]);
    let attack = Program::new([text(&program), &sink.address.port().to_string()]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    let guarded = attack.guard(&format!("[network]\nallow = [\"{}\"]\n", sink.address));
    guarded.run().finished().no_record();
    assert_eq!(sink.connections(), 1);
    let refused = format!("{}@1&{PIDFD_THREAD}={}", libc::SYS_pidfd_open, libc::EPERM);
    let guarded = guarded.under([env!("CARGO_BIN_EXE_impose"), &refused, "--"]).run();
    assert_eq!(sink.connections(), 0);
    assert_eq!(guarded.finished().said("connect"), -i64::from(libc::EACCES));
    guarded.only_record("guard", "connect", "could not be read");
}

/// A program that may be executed and not read: the kernel makes its process one that nobody without
/// CAP_SYS_PTRACE may look at. Its calls are refused and told of.
fn program_unreadable() {
    use std::os::unix::fs::PermissionsExt;
    let sink = Tcp::on(FORBIDDEN);
    let program = c_program(C_VICTIM, &["-static"]);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o111)).expect("a mode");
    let attack = victim(["execve", text(&program), &sink.address.port().to_string()]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    for network in ["allow = []", "allow_any = true\nallow = [\"*\"]"] {
        let policy = format!("[network]\n{network}\n[exec]\nallow_any = true\nallow = [\"*\"]\n");
        let guarded = attack.under_guard(&policy);
        assert_eq!(sink.connections(), 0, "{}", guarded.text());
        assert_eq!(guarded.said("connect"), -i64::from(libc::EACCES));
        guarded.only_record("guard", "connect", "could not be read");
    }
}

/// The function's process: the arbiter's only child.
#[track_caller]
fn function(running: &Running) -> i32 {
    let found = children(running.id());
    assert_eq!(found.len(), 1, "the arbiter has one child");
    found[0]
}

/// Whether a process has ended within a limit.
fn ends_within(pid: i32, limit: Duration) -> bool {
    // SAFETY: a descriptor of our own, closed at the end.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        if pidfd < 0 {
            return true;
        }
        let mut entry = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
        let ended = libc::poll(&mut entry, 1, limit.as_millis() as i32) == 1;
        libc::close(pidfd);
        ended
    }
}

/// When the arbiter is killed the function ends, in bounded time, and the platform sees it.
fn arbiter_killed() {
    let gate = Gate::new();
    let running = victim(["wait-for", text(&gate.path)]).guard(NET).start();
    let held = gate.reached();
    let function = function(&running);
    running.signal(libc::SIGKILL);
    let began = Instant::now();
    assert!(ends_within(function, Duration::from_secs(2)), "the function goes on without its arbiter");
    assert!(began.elapsed() < Duration::from_secs(2));
    drop(held);
    let outcome = running.finish();
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{}", outcome.text());
}

/// Where the kernel does not end the function with the arbiter, a call that only the arbiter answers is
/// answered with ENOSYS: nobody else holds the listener, or the call would wait for good.
fn arbiter_outlived() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let (gate, file) = (Gate::new(), fresh("answer"));
    let attack = victim(["connect-when-opened", text(&gate.path), text(&file), &to]);
    let running = attack.start();
    drop(gate.reached());
    running.finish().finished();
    assert_eq!(std::fs::read_to_string(&file).expect("an answer"), "0");
    assert_eq!(sink.connections(), 1, "unguarded it connects");
    std::fs::remove_file(&file).expect("it is there");

    let answer = format!("prctl:{}={}", libc::PR_SET_PDEATHSIG, libc::EPERM);
    let running = attack.guard(NET).under([env!("CARGO_BIN_EXE_impose"), &answer, "--"]).start();
    let held = gate.reached();
    let (arbiter, function) = (running.id(), function(&running));
    let before = listeners();
    running.signal(libc::SIGKILL);
    assert!(ends_within(arbiter, Duration::from_secs(5)));
    let after = listeners();
    drop(held);
    let ended = ends_within(function, Duration::from_secs(10));
    if !ended {
        // SAFETY: a child of a child of ours, which nobody has waited for.
        unsafe { libc::kill(function, libc::SIGKILL) };
    }
    let outcome = running.finish();
    assert!(ended, "the call hangs\n{}", outcome.text());
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{}", outcome.text());
    let answer = std::fs::read_to_string(&file).expect("the function lived on");
    assert_eq!(answer, (-libc::ENOSYS).to_string());
    assert_eq!(sink.connections(), 0);
    // To its own user the arbiter's descriptors are closed, the function's are not.
    assert_eq!(before, if is_root() { vec![arbiter] } else { Vec::new() });
    assert_eq!(after, Vec::<i32>::new(), "a second holder");
}

/// Processes that hold a seccomp listener.
fn listeners() -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        for descriptor in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let target = std::fs::read_link(descriptor.path()).unwrap_or_default();
            if target == Path::new("anon_inode:seccomp notify") {
                found.push(pid);
            }
        }
    }
    found
}

/// A second holder would turn the arbiter's death into a hang, and could answer in its place.
fn one_listener() -> fnguard_attacks::runner::Verdict {
    let gate = Gate::new();
    let running = victim(["wait-for", text(&gate.path)]).guard(NET).start();
    let held = gate.reached();
    let found = listeners();
    let function = function(&running);
    let arbiter = running.id();
    drop(held);
    running.finish().finished();
    if !is_root() {
        // The arbiter's descriptors are closed to its own user: the function's are not.
        assert!(!found.contains(&function), "the function holds a listener");
        return fnguard_attacks::runner::Verdict::NotPossible(
            "only root sees the arbiter's descriptors".to_owned(),
        );
    }
    assert_eq!(found, [arbiter], "exactly the arbiter holds it");
    fnguard_attacks::runner::Verdict::Holds
}

fn filter_on_every_thread() {
    let gate = Gate::new();
    let running = victim(["threads", text(&gate.path)]).guard(NET).start();
    let held = gate.reached();
    let function = function(&running);
    let mut seen = BTreeSet::new();
    let mut count = 0;
    for thread in std::fs::read_dir(format!("/proc/{function}/task")).expect("threads").flatten() {
        let status = std::fs::read_to_string(thread.path().join("status")).expect("a status");
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .unwrap_or_default()
                .to_owned()
        };
        seen.insert((field("Seccomp:"), field("Seccomp_filters:"), field("NoNewPrivs:"), field("CapEff:")));
        count += 1;
    }
    drop(held);
    running.finish().finished();
    assert_eq!(count, 6);
    assert_eq!(seen.len(), 1, "{seen:?}");
    let (mode, _, no_new_privileges, capabilities) = seen.pop_first().expect("one");
    assert_eq!(
        (mode.as_str(), no_new_privileges.as_str(), capabilities.as_str()),
        ("2", "1", "0000000000000000")
    );
}

/// However the function ends, the platform sees that, and a record says so.
fn ends_are_mirrored() {
    for number in [libc::SIGKILL, libc::SIGTERM, libc::SIGUSR1, libc::SIGABRT] {
        let gate = Gate::new();
        let running = victim(["wait-for", text(&gate.path)]).guard(NET).start();
        let held = gate.reached();
        // SAFETY: a child of a child of ours that has not ended.
        unsafe { libc::kill(function(&running), number) };
        let outcome = running.finish();
        drop(held);
        assert_eq!(outcome.signal, Some(number), "{}", outcome.text());
        assert_eq!(outcome.records("ended").len(), 1, "{}", outcome.text());
    }
    // A signal that the platform sends to the process it knows reaches the function.
    let gate = Gate::new();
    let running = victim(["wait-for", text(&gate.path)]).guard(NET).start();
    let held = gate.reached();
    running.signal(libc::SIGTERM);
    let outcome = running.finish();
    drop(held);
    assert_eq!(outcome.signal, Some(libc::SIGTERM), "{}", outcome.text());
}

/// What comes over a link ends that message, or that link: never the arbiter.
fn links_misused() {
    let attack = victim(["links", "TOKEN"]).variable("TOKEN", "s3cr3t-Value-of-the-function");
    let guarded = attack.under_guard("[secrets]\nenv = [\"TOKEN\"]\n");
    assert!((1..=64).contains(&guarded.said("opened")), "{}", guarded.text());
    assert_eq!(guarded.said("secret"), 0, "{}", guarded.text());
    // Each such message is told of, in one record and a count.
    let record = guarded.one_record("guard", "link", "it cannot be understood");
    assert_eq!(record["rule"], "guard.link", "{record}");
    let counted = guarded.records("suppressed").into_iter().find(|record| record["rule"] == "guard.link");
    assert!(counted.is_some_and(|record| record["count"].as_u64() > Some(50)), "{}", guarded.text());
}

/// A child that goes on when the function has ended reaches nobody: its calls have no arbiter.
fn orphans_are_held() {
    let sink = Tcp::on(ALLOWED);
    let to = sink.address.to_string();
    let policy = format!("{NET}[exec]\nfork = true\n");
    // The child's id, and what its connect came to.
    let said = |program: &dyn Fn(Program) -> Program| {
        let (gate, file) = (Gate::new(), fresh("answer"));
        let outcome = program(victim(["orphan", text(&gate.path), text(&file), &to])).run();
        outcome.finished();
        assert!(
            outcome.took < Duration::from_secs(5),
            "a left-over child holds up nothing\n{}",
            outcome.text()
        );
        let pid = std::fs::read_to_string(&file).expect("the child was there");
        let pid: i32 = pid.trim().parse().expect("a process id");
        assert!(!ends_within(pid, Duration::ZERO), "the child waits at the gate\n{}", outcome.text());
        drop(gate.reached());
        assert!(ends_within(pid, Duration::from_secs(10)), "the child is still there");
        let said = std::fs::read_to_string(&file).expect("the child was there");
        said.split(' ').nth(1).expect("an answer").to_owned()
    };
    assert_eq!((said(&|attack| attack.under(DETACHED)).as_str(), sink.connections()), ("0", 1), "unguarded");
    let guarded = said(&|attack| attack.guard(&policy));
    assert_eq!((guarded, sink.connections()), ((-libc::ENOSYS).to_string(), 0));
}

/// Unguarded, a child that is left over holds the pipes of the log, whose end a run waits for.
const DETACHED: [&str; 4] = ["sh", "-c", "exec \"$@\" > /dev/null 2>&1", "sh"];
