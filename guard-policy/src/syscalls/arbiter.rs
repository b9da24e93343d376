//! The arbiter's own table: what the deciding process needs, and nothing that starts a program,
//! controls another process, or makes memory executable. Those end it, and the function with
//! it: an arbiter that tries has been taken over. Everything else fails with EPERM. Nothing is
//! notified: nobody stands above the arbiter to be asked.
//!
//! One call writes into another process, process_vm_writev(2): sendmmsg(2) returns its counts
//! through the caller's memory, and an arbiter that performs it has to as well. A filter can't see
//! whose memory is meant; the kernel lets the arbiter reach what it may trace, which is the
//! processes below it and others of its user that are dumpable.

use super::abi::{ENOSYS, EPERM, clone, mman, prctl, socket::*};
use super::row::{int, pointer, refuse, rule};
use super::{Answer, Condition, Row, Rule, Set, Table};

const ANYHOW: &[Rule] = &[rule("", &[], "")];

const fn allow(name: &'static str, reason: &'static str) -> Row {
    Row { name, rules: ANYHOW, otherwise: Answer::Errno(EPERM), reason }
}

const fn allow_if(name: &'static str, rules: &'static [Rule], reason: &'static str) -> Row {
    Row { name, rules, otherwise: Answer::Errno(EPERM), reason }
}

const fn or_kill(name: &'static str, rules: &'static [Rule], reason: &'static str) -> Row {
    Row { name, rules, otherwise: Answer::Kill, reason }
}

const fn kill(name: &'static str, reason: &'static str) -> Row {
    refuse(name, Answer::Kill, reason)
}

const DATA_ONLY: &[Rule] = &[rule("without PROT_EXEC", &[int(2).without(mman::PROT_EXEC)], "data")];

const fn family(value: u64) -> Condition {
    int(0).is(value)
}

const fn kind(value: u64) -> Condition {
    int(1).is_but_for(value, TYPE_FLAGS)
}

const SOCKET: &[Rule] = &[
    rule("AF_INET, SOCK_STREAM", &[family(AF_INET), kind(SOCK_STREAM)], "the name proxy"),
    rule("AF_INET, SOCK_DGRAM", &[family(AF_INET), kind(SOCK_DGRAM)], "the name proxy"),
    rule("AF_INET6, SOCK_STREAM", &[family(AF_INET6), kind(SOCK_STREAM)], "the name proxy"),
    rule("AF_INET6, SOCK_DGRAM", &[family(AF_INET6), kind(SOCK_DGRAM)], "the name proxy"),
    rule("AF_UNIX, SOCK_STREAM", &[family(AF_UNIX), kind(SOCK_STREAM)], "performed calls"),
    rule("AF_UNIX, SOCK_DGRAM", &[family(AF_UNIX), kind(SOCK_DGRAM)], "performed calls"),
    rule("AF_UNIX, SOCK_SEQPACKET", &[family(AF_UNIX), kind(SOCK_SEQPACKET)], "the link"),
];

const CLONE: &[Rule] = &[
    rule("exactly glibc's thread flags", &[int(0).is(clone::GLIBC_THREAD)], "its own threads"),
    rule("exactly musl's thread flags", &[int(0).is(clone::MUSL_THREAD)], "its own threads"),
];

const PRCTL: &[Rule] = &[
    rule("PR_SET_NAME", &[int(0).is(prctl::SET_NAME)], "names of threads"),
    rule("PR_SET_DUMPABLE, 0", &[int(0).is(prctl::SET_DUMPABLE), pointer(1).zero()], "only ever off"),
    rule(
        "PR_SET_VMA with PR_SET_VMA_ANON_NAME",
        &[int(0).is(prctl::SET_VMA), pointer(1).is(prctl::SET_VMA_ANON_NAME)],
        "allocators",
    ),
    rule("PR_GET_NAME", &[int(0).is(prctl::GET_NAME)], "asks"),
    rule("PR_GET_DUMPABLE", &[int(0).is(prctl::GET_DUMPABLE)], "asks"),
    rule("PR_GET_PDEATHSIG", &[int(0).is(prctl::GET_PDEATHSIG)], "asks"),
    rule("PR_GET_SECCOMP", &[int(0).is(prctl::GET_SECCOMP)], "asks"),
    rule("PR_GET_NO_NEW_PRIVS", &[int(0).is(prctl::GET_NO_NEW_PRIVS)], "asks"),
    rule("PR_CAPBSET_READ", &[int(0).is(prctl::CAPBSET_READ)], "asks"),
];

const OWN_LIMITS: &[Rule] = &[rule("of the caller (0)", &[int(0).is(0)], "its own limits")];

/// The table of the arbiter.
pub const ARBITER: Table = Table {
    name: "arbiter",
    sets: &[
        Set {
            name: "Ends the arbiter",
            note: "No honest arbiter makes these calls.",
            rows: &[
                kill("execve", "starts a program"),
                kill("execveat", "starts a program"),
                kill("ptrace", "controls another process"),
                or_kill("mmap", DATA_ONLY, "executable memory"),
                or_kill("mprotect", DATA_ONLY, "executable memory"),
                or_kill("pkey_mprotect", DATA_ONLY, "executable memory"),
            ],
        },
        Set {
            name: "Memory and threads",
            note: "",
            rows: &[
                allow("munmap", "memory"),
                allow("mremap", "memory"),
                allow("brk", "memory"),
                allow("madvise", "memory"),
                allow("mlock", "secrets stay out of swap"),
                allow("mlock2", "secrets stay out of swap"),
                allow("munlock", "memory"),
                allow_if("clone", CLONE, "threads; never a process"),
                refuse("clone3", Answer::Errno(ENOSYS), "libc falls back to clone"),
                allow("exit", "end of a thread"),
                allow("exit_group", "end"),
                allow("futex", "locks"),
                allow("set_robust_list", "thread start"),
                allow("rseq", "thread start"),
                allow("set_tid_address", "thread start"),
                allow("membarrier", "fences"),
                allow("sched_yield", "gives way"),
                allow("sched_getaffinity", "how many processors"),
                allow_if("prctl", PRCTL, "by option"),
                allow_if("prlimit64", OWN_LIMITS, "by process"),
                allow("getrlimit", "asks"),
                allow("getrandom", "random bytes"),
            ],
        },
        Set {
            name: "Signals and the function's process",
            note: "It forwards signals, mirrors the end, and looks at what it was notified of.",
            rows: &[
                allow("rt_sigaction", "its own"),
                allow("rt_sigprocmask", "its own"),
                allow("rt_sigpending", "its own"),
                allow("rt_sigsuspend", "its own"),
                allow("rt_sigtimedwait", "its own"),
                allow("rt_sigreturn", "its own"),
                allow("rt_sigqueueinfo", "forwards a signal with its value"),
                allow("rt_tgsigqueueinfo", "forwards a signal with its value"),
                allow("sigaltstack", "thread start"),
                allow("restart_syscall", "interrupted sleeps"),
                allow("kill", "forwards a signal, ends the function, ends itself as the function ended"),
                allow("tgkill", "asks whether a caller's thread is the function's"),
                allow("pidfd_open", "the function's end; a caller's thread"),
                allow("pidfd_getfd", "a caller's descriptor, on which it performs the call"),
                allow("pidfd_send_signal", "ends the function"),
                allow("process_vm_readv", "a caller's arguments"),
                allow(
                    "process_vm_writev",
                    "the counts that sendmmsg returns through its array; nothing else writes",
                ),
                allow("kcmp", "whether two descriptors are one file"),
                allow("wait4", "the function's end; as pid 1 every orphan's"),
                allow("waitid", "the function's end; as pid 1 every orphan's"),
                allow("getpid", "asks"),
                allow("gettid", "asks"),
                allow("getppid", "asks"),
                allow("getpgid", "asks"),
                allow("getpgrp", "asks"),
                allow("getsid", "asks"),
                allow("getuid", "asks"),
                allow("geteuid", "asks"),
                allow("getgid", "asks"),
                allow("getegid", "asks"),
                allow("uname", "asks"),
                allow("sysinfo", "asks"),
                allow("getrusage", "asks"),
            ],
        },
        Set {
            name: "Descriptors",
            note: "ioctl carries the listener's commands and a terminal's; the arbiter's own code passes them.",
            rows: &[
                allow("read", "logs, links, notifications"),
                allow("readv", "logs"),
                allow("pread64", "/proc"),
                allow("write", "logs"),
                allow("writev", "logs"),
                allow("close", "its own"),
                allow("dup", "its own"),
                allow("dup2", "its own"),
                allow("dup3", "its own"),
                allow("fcntl", "its own"),
                allow("ioctl", "the listener"),
                allow("pipe2", "its own threads"),
                allow("eventfd2", "its own threads"),
                allow("signalfd4", "signals"),
                allow("timerfd_create", "time-outs"),
                allow("timerfd_settime", "time-outs"),
                allow("timerfd_gettime", "time-outs"),
                allow("epoll_create1", "the loop"),
                allow("epoll_ctl", "the loop"),
                allow("epoll_wait", "the loop"),
                allow("epoll_pwait", "the loop"),
                allow("epoll_pwait2", "the loop"),
                allow("poll", "waits"),
                allow("ppoll", "waits"),
                allow("select", "waits"),
                allow("pselect6", "waits"),
            ],
        },
        Set {
            name: "Files",
            note: "Reading /proc, and what it performs on a copy: permission bits, and a chown that changes nothing. It changes no path: what may be changed the kernel changes, by Landlock's leave.",
            rows: &[
                allow("open", "/proc"),
                allow("openat", "/proc"),
                allow("openat2", "paths of the function's, link by link"),
                allow("lseek", "/proc"),
                allow("stat", "identity of files"),
                allow("lstat", "identity of files"),
                allow("fstat", "identity of files"),
                allow("newfstatat", "identity of files"),
                allow("statx", "identity of files"),
                allow("statfs", "identity of file systems"),
                allow("fstatfs", "identity of file systems"),
                allow("access", "asks"),
                allow("faccessat", "asks"),
                allow("faccessat2", "asks"),
                allow("readlink", "/proc"),
                allow("readlinkat", "/proc"),
                allow("getdents64", "/proc"),
                allow("fchmod", "performed calls: fchmod"),
                allow("fchmodat", "performed calls: chmod and its kin"),
                allow("fchownat", "performed calls: owners that stay as they are"),
            ],
        },
        Set {
            name: "Sockets",
            note: "The name proxy, the link, and the calls it performs for the function after deciding them.",
            rows: &[
                allow_if("socket", SOCKET, "by family and type"),
                allow("socketpair", "the link"),
                allow("connect", "performed calls"),
                allow("bind", "performed calls"),
                allow("listen", "performed calls"),
                allow("accept", "the name proxy"),
                allow("accept4", "the name proxy"),
                allow("sendto", "performed calls"),
                allow("sendmsg", "performed calls: sendmsg and sendmmsg, message by message"),
                allow("recvfrom", "the link, the name proxy"),
                allow("recvmsg", "the link, the name proxy"),
                allow("setsockopt", "its own"),
                allow("getsockopt", "identity of a socket"),
                allow("getsockname", "identity of a socket"),
                allow("getpeername", "identity of a socket"),
                allow("shutdown", "its own"),
            ],
        },
        Set {
            name: "Time",
            note: "",
            rows: &[
                allow("clock_gettime", "asks"),
                allow("clock_getres", "asks"),
                allow("gettimeofday", "asks"),
                allow("time", "asks"),
                allow("nanosleep", "waits"),
                allow("clock_nanosleep", "waits"),
            ],
        },
    ],
    default: Answer::Errno(EPERM),
};
