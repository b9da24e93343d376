//! The rest of the kernel's surface.

use crate::attack::{FORBIDDEN, Guard, NET, victim};
use fnguard_attacks::sink::Tcp;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fnguard_attacks::tests! { "kernel":
    every_number, no_numbers, thirty_two_bit_entry, process_options, device_commands, administration,
    own_filter, user_dispatch, rings, interrupted_sleep, numbers_hide_nothing,
}

const PERMISSION: i64 = -(libc::EPERM as i64);

/// What the guard answers to a call that nobody may make.
const REFUSED: [i64; 3] = [PERMISSION, -(libc::EACCES as i64), -(libc::ENOSYS as i64)];

/// Names and numbers of calls, by libc: nothing here is taken from the table that is tested.
macro_rules! calls {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), libc::$name)),+] };
}

/// Calls that the arbiter performs, and so answers as the kernel would for arguments that name
/// nothing.
#[rustfmt::skip]
const PERFORMED: &[(&str, i64)] = calls![
    SYS_connect, SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_bind, SYS_listen, SYS_execve, SYS_execveat,
    SYS_open, SYS_openat, SYS_openat2, SYS_creat, SYS_unlink, SYS_unlinkat, SYS_rmdir, SYS_mkdir,
    SYS_mkdirat, SYS_mknod, SYS_mknodat, SYS_symlink, SYS_symlinkat, SYS_rename, SYS_renameat,
    SYS_renameat2, SYS_link, SYS_linkat, SYS_chmod, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_chown,
    SYS_lchown, SYS_fchown, SYS_fchownat, SYS_truncate, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr,
    SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_rt_sigqueueinfo, SYS_pidfd_send_signal, SYS_close, SYS_dup2,
    SYS_dup3,
];

/// Calls that every function may make, so that the kernel itself answers to arguments that name
/// nothing. Kept by hand, and read by hand: each of them reaches nothing that the policy keeps from
/// the function, or only what it holds already.
#[rustfmt::skip]
const FREE: &[(&str, i64)] = calls![
    SYS_read, SYS_write, SYS_stat, SYS_fstat, SYS_lstat, SYS_lseek, SYS_rt_sigaction, SYS_rt_sigprocmask,
    SYS_pread64, SYS_pwrite64, SYS_readv, SYS_writev, SYS_access, SYS_pipe, SYS_sched_yield, SYS_mremap,
    SYS_msync, SYS_dup, SYS_nanosleep, SYS_getitimer, SYS_setitimer, SYS_getpid, SYS_sendfile, SYS_accept,
    SYS_recvfrom, SYS_recvmsg, SYS_shutdown, SYS_getsockname, SYS_getpeername, SYS_getsockopt, SYS_uname,
    SYS_flock, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_getdents, SYS_getcwd, SYS_chdir, SYS_fchdir,
    SYS_readlink, SYS_umask, SYS_gettimeofday, SYS_getrlimit, SYS_getrusage, SYS_sysinfo, SYS_times,
    SYS_getuid, SYS_getgid, SYS_geteuid, SYS_getegid, SYS_getppid, SYS_getpgrp, SYS_getgroups,
    SYS_getresuid, SYS_getresgid, SYS_getpgid, SYS_getsid, SYS_capget, SYS_rt_sigpending, SYS_sigaltstack,
    SYS_utime, SYS_statfs, SYS_fstatfs, SYS_getpriority, SYS_sched_getparam, SYS_sched_getscheduler,
    SYS_sched_get_priority_max, SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_mlock,
    SYS_munlock, SYS_gettid, SYS_readahead, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr,
    SYS_llistxattr, SYS_flistxattr, SYS_time, SYS_sched_getaffinity, SYS_epoll_create, SYS_getdents64,
    SYS_fadvise64, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun,
    SYS_timer_delete, SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_epoll_wait,
    SYS_epoll_ctl, SYS_utimes, SYS_get_mempolicy, SYS_waitid, SYS_ioprio_get, SYS_inotify_init,
    SYS_inotify_add_watch, SYS_inotify_rm_watch, SYS_futimesat, SYS_newfstatat, SYS_readlinkat,
    SYS_faccessat, SYS_set_robust_list, SYS_sync_file_range, SYS_utimensat, SYS_epoll_pwait, SYS_signalfd,
    SYS_timerfd_create, SYS_eventfd, SYS_fallocate, SYS_timerfd_settime, SYS_timerfd_gettime, SYS_accept4,
    SYS_signalfd4, SYS_eventfd2, SYS_epoll_create1, SYS_pipe2, SYS_inotify_init1, SYS_preadv, SYS_pwritev,
    SYS_recvmmsg, SYS_syncfs, SYS_getcpu, SYS_sched_getattr, SYS_getrandom, SYS_memfd_create,
    SYS_membarrier, SYS_mlock2, SYS_copy_file_range, SYS_preadv2, SYS_pwritev2, SYS_pkey_alloc,
    SYS_pkey_free, SYS_statx, SYS_rseq, SYS_pidfd_open, SYS_faccessat2, SYS_epoll_pwait2, SYS_futex_waitv,
];

/// The same, of Linux 6.7: futex_wake, futex_wait, futex_requeue. libc has no names for them yet.
const FREE_AND_NEW: [i64; 3] = [454, 455, 456];

/// Every number up to 1023: what nobody wrote down as free gets the guard's answer, and what is
/// free never does.
fn every_number() {
    let guarded = victim(["sweep", "0", "1023"]).under_guard(NET);
    let name = |number: i64| {
        FREE.iter().chain(PERFORMED).find(|(_, known)| *known == number).map_or("", |(name, _)| *name)
    };
    let free = |number: i64| FREE.iter().any(|(_, known)| *known == number) || FREE_AND_NEW.contains(&number);
    let performed = |number: i64| PERFORMED.iter().any(|(_, known)| *known == number);
    let mut seen = 0;
    for line in guarded.list("call") {
        let (number, result) = line.split_once(' ').expect("number and result");
        let (number, result): (i64, i64) =
            (number.parse().expect("a number"), result.parse().expect("a result"));
        seen += 1;
        if free(number) {
            assert_ne!(result, PERMISSION, "{number} ({}) is free, and refused", name(number));
        } else if !performed(number) {
            assert!(REFUSED.contains(&result), "{number} answers {result}, and nobody wrote down why");
        }
        if number > LAST_CALL {
            assert_eq!(result, PERMISSION, "{number} is no call");
        }
    }
    assert!(seen > 990, "{seen}");
    let ended = guarded.records("ended").remove(0);
    assert!(ended["blocked"].as_u64() > Some(600), "{ended}");
}

/// No kernel yet has a call of a greater number.
const LAST_CALL: i64 = 600;

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
    let began = Instant::now();
    // Found when the arbiter has its child and the child sleeps.
    let function = loop {
        if began.elapsed() > Duration::from_secs(20) {
            running.signal(libc::SIGKILL);
            panic!("it does not come to sleep\n{}", running.finish().text());
        }
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

/// A thousand numbers that are no calls use up no room for those that are.
fn numbers_hide_nothing() {
    let guarded = victim(["unknown-numbers-then-unlink", "/etc/fnguard-attack"]).under_guard(NET);
    assert!(guarded.said("unlink") < 0);
    guarded.one_record("files", "unlink", "/etc/fnguard-attack");
    let numbers = guarded.violations("syscall", "*", "syscall_").len() as u64;
    let counted: u64 =
        guarded.records("suppressed").iter().filter_map(|record| record["count"].as_u64()).sum();
    assert!(numbers <= 64, "{numbers}");
    assert_eq!(numbers + counted, 1024, "every one is told of");
}
