//! The rest of the kernel's surface.

use crate::attack::{FORBIDDEN, Guard, NET, victim};
use fnguard_attacks::sink::Tcp;
use fnguard_policy::syscalls::{self, Arch};
use std::collections::{BTreeMap, BTreeSet};

fnguard_attacks::tests! { "kernel":
    every_number, no_numbers, thirty_two_bit_entry, process_options, device_commands, administration,
    own_filter, user_dispatch, rings, interrupted_sleep,
}

const PERMISSION: i64 = -(libc::EPERM as i64);

/// What the guard answers to a call that nobody may make.
const REFUSED: [i64; 3] = [PERMISSION, -(libc::EACCES as i64), -(libc::ENOSYS as i64)];

/// Calls that the arbiter performs, and so answers as the kernel would for arguments that name
/// nothing.
const PERFORMED: [&str; 45] = [
    "connect",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "bind",
    "listen",
    "execve",
    "execveat",
    "open",
    "openat",
    "openat2",
    "creat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "truncate",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "pidfd_send_signal",
    "close",
    "dup2",
    "dup3",
];

/// Every number up to 1023: what no row of the table names gets the guard's answer.
fn every_number() {
    let guarded = victim(["sweep", "0", "1023"]).under_guard(NET);
    let arch = Arch::of_host().expect("a known architecture");
    let named: BTreeMap<i64, &str> = syscalls::rows()
        .filter_map(|(_, row)| Some((i64::from(syscalls::number(arch, row.name)?), row.name)))
        .collect();
    let mut seen = 0;
    for line in guarded.list("call") {
        let (number, result) = line.split_once(' ').expect("number and result");
        let (number, result): (i64, i64) =
            (number.parse().expect("a number"), result.parse().expect("a result"));
        seen += 1;
        let name = syscalls::name(arch, number);
        if named.contains_key(&number) || name.is_some_and(|name| PERFORMED.contains(&name)) {
            continue;
        }
        assert!(REFUSED.contains(&result), "{number} ({name:?}) answers {result}");
        if name.is_none() {
            assert_eq!(result, PERMISSION, "{number} is no call");
        }
    }
    assert!(seen > 990, "{seen}");
    let ended = guarded.records("ended").remove(0);
    assert!(ended["blocked"].as_u64() > Some(600), "{ended}");
}

/// -1, x32, beyond the table, and dirt above the lower half.
fn no_numbers() {
    let guarded = victim(["numbers"]).under_guard(NET);
    for line in guarded.list("number") {
        let (number, result) = line.split_once(' ').expect("number and result");
        let result: i64 = result.parse().expect("a result");
        if number == "high" {
            // The kernel may take the lower half, or say that there is no such call.
            assert!(result == 1 || result < 0, "{line}");
        } else {
            assert!(result == PERMISSION, "{line}\n{}", guarded.text());
        }
    }
    assert!(guarded.said("restart_syscall") < 0);
    let plain = victim(["numbers"]).plain();
    assert!(
        plain.list("number").iter().all(|line| line.starts_with("high") || line.ends_with("-38")),
        "{}",
        plain.text()
    );
}

/// Another architecture's calls end the process before they are looked at.
fn thirty_two_bit_entry() -> fnguard_attacks::runner::Verdict {
    let plain = victim(["int80"]).run();
    if plain.status != Some(42) || plain.said("int80") != 1 {
        return fnguard_attacks::runner::Verdict::NotPossible("this kernel has no 32-bit entry".to_owned());
    }
    let guarded = victim(["int80"]).guard(NET).run();
    assert_eq!(guarded.signal, Some(libc::SIGSYS), "{}", guarded.text());
    assert!(guarded.records("ended")[0]["signal"] == "SIGSYS", "{}", guarded.text());
    fnguard_attacks::runner::Verdict::Holds
}

fn process_options() {
    let guarded = victim(["prctl"]).under_guard(NET);
    let plain = victim(["prctl"]).plain();
    let mut open = 0;
    for name in [
        "PR_SET_PDEATHSIG",
        "PR_SET_DUMPABLE",
        "PR_SET_KEEPCAPS",
        "PR_SET_SECCOMP",
        "PR_CAPBSET_DROP",
        "PR_SET_TSC",
        "PR_SET_SECUREBITS",
        "PR_SET_MM",
        "PR_SET_CHILD_SUBREAPER",
        "PR_CAP_AMBIENT",
        "PR_SET_SPECULATION_CTRL",
        "PR_SET_SYSCALL_USER_DISPATCH",
        "PR_SCHED_CORE",
        "PR_SET_MDWE",
        "PR_SET_MEMORY_MERGE",
        "PR_SET_PTRACER",
        "PR_SET_TIMERSLACK",
        "PR_TASK_PERF_EVENTS_DISABLE",
        "unknown",
    ] {
        assert_eq!(guarded.said(name), PERMISSION, "{name}\n{}", guarded.text());
        assert!(guarded.said(&format!("{name}-dirty")) < 0, "{name}");
        open += i64::from(plain.said(name) == 0);
    }
    assert!(open >= 6, "{}", plain.text());
    assert_eq!((guarded.said("PR_SET_NAME"), guarded.said("PR_GET_DUMPABLE")), (0, 0));
    assert_eq!(
        guarded.said("PR_SET_NAME-dirty"),
        0,
        "the kernel takes the lower half, and so does the filter"
    );
}

fn device_commands() {
    let guarded = victim(["ioctl"]).under_guard(NET);
    for name in [
        "TIOCSTI",
        "TIOCLINUX",
        "TIOCSCTTY",
        "TIOCSPGRP",
        "FIOSETOWN",
        "SIOCSPGRP",
        "FIOASYNC",
        "FICLONE",
        "FS_IOC_SETFLAGS",
        "SECCOMP_IOCTL_NOTIF_RECV",
        "SIOCETHTOOL",
        "TCSETS",
    ] {
        assert_eq!(guarded.said(name), PERMISSION, "{name}");
        assert_eq!(guarded.said(&format!("{name}-dirty")), PERMISSION, "{name} with dirt above");
    }
    assert_eq!((guarded.said("FIONREAD"), guarded.said("FIONREAD-dirty")), (0, 0));
    guarded.one_record("syscall", "ioctl", "command 0x5412");
}

/// What only an administrator does. It is not tried without the guard: as root it would work.
fn administration() {
    let attack = victim(["administration", "/tmp"]);
    let guarded = attack.guard(NET).in_pid_namespace().run();
    guarded.finished();
    let text = String::from_utf8_lossy(&guarded.stdout).into_owned();
    let steps: BTreeSet<(String, i64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("= ")?.split_once(' '))
        .map(|(step, value)| (step.to_owned(), value.parse().expect("a number")))
        .collect();
    assert!(steps.len() >= 40, "{}", steps.len());
    for (step, value) in &steps {
        assert_eq!(*value, PERMISSION, "{step}");
    }
    assert_eq!(guarded.records("violation").len(), steps.len(), "one record each\n{}", guarded.text());
}

/// A filter on top answers first: connect would seem to have gone well, and nobody would hear.
fn own_filter() {
    let sink = Tcp::at("203.0.113.9:4444");
    let plain = victim(["filter"]).under(["setpriv", "--no-new-privs"]).run();
    assert_eq!((plain.said("seccomp-plain"), plain.said("connect")), (0, 0), "{}", plain.text());
    assert_eq!(sink.connections(), 0, "it only seemed so");
    let guarded = victim(["filter"]).under_guard(NET);
    for step in [
        "seccomp-plain",
        "seccomp-tsync",
        "seccomp-log",
        "seccomp-listener",
        "seccomp-killable",
        "prctl-filter",
        "seccomp-dirty",
    ] {
        assert_eq!(guarded.said(step), PERMISSION, "{step}");
    }
    assert_eq!(guarded.said("connect"), -13);
    guarded.one_record("network", "connect", FORBIDDEN);
}

fn user_dispatch() {
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["dispatch", &sink.address.to_string()]);
    assert_eq!(attack.plain().said("dispatch"), 0);
    sink.connections();
    let guarded = attack.under_guard(NET);
    assert_eq!(guarded.said("dispatch"), PERMISSION);
    assert_eq!(sink.connections(), 0);
    guarded.one_record("network", "connect", &sink.address.to_string());
}

/// Rings make calls that no filter sees.
fn rings() {
    let plain = victim(["io_uring"]).plain();
    assert_eq!(plain.said("io_setup"), 0, "{}", plain.text());
    let guarded = victim(["io_uring"]).under_guard(NET);
    assert_eq!(guarded.said("io_uring_setup"), -38);
    for step in ["io_uring_enter", "io_uring_register", "io_setup"] {
        assert!(guarded.said(step) < 0, "{step}");
    }
    assert_eq!(guarded.records("violation").len(), 4, "{}", guarded.text());
}

/// A sleep that a stop interrupts goes on by restart_syscall, which must be free.
fn interrupted_sleep() {
    let running = victim(["sleep-through-stop"]).guard(NET).start();
    // Found when the arbiter has its child and the child sleeps.
    let function = loop {
        let path = format!("/proc/{0}/task/{0}/children", running.id());
        let child = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok());
        if let Some(child) = child {
            let call = std::fs::read_to_string(format!("/proc/{child}/syscall")).unwrap_or_default();
            let wait = std::fs::read_to_string(format!("/proc/{child}/wchan")).unwrap_or_default();
            if call.starts_with(&format!("{} ", libc::SYS_nanosleep)) || wait.contains("nanosleep") {
                break child;
            }
        }
        std::thread::yield_now();
    };
    // SAFETY: a child of a child of ours.
    unsafe {
        libc::kill(function, libc::SIGSTOP);
        libc::kill(function, libc::SIGCONT);
    }
    let outcome = running.finish();
    outcome.finished().no_record();
    assert_eq!(outcome.said("nanosleep"), 0, "{}", outcome.text());
}
