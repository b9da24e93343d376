//! Threads, identity, scheduling and the end of the process: what a process does to itself.

use super::super::abi::{ENOSYS, arch_prctl, clone, personality, prctl, who};
use super::super::row::{Answer, Rule, Set, When, allow, allow_if, int, pointer, refuse, rule, rule_when};

const CLONE: &[Rule] = &[
    rule(
        "exactly glibc's thread flags",
        &[int(0).is(clone::GLIBC_THREAD)],
        "a thread that shares everything",
    ),
    rule("exactly musl's thread flags", &[int(0).is(clone::MUSL_THREAD)], "a thread that shares everything"),
    rule("exactly Go's thread flags", &[int(0).is(clone::GO_THREAD)], "a thread that shares everything"),
    rule(
        "exactly Go's thread flags with CLONE_SETTLS",
        &[int(0).is(clone::GO_THREAD_TLS)],
        "a thread that shares everything",
    ),
    rule_when(When::Children, "exactly glibc's fork flags", &[int(0).is(clone::GLIBC_FORK)], "a child"),
    rule_when(When::Children, "exactly musl's fork flags", &[int(0).is(clone::MUSL_FORK)], "a child"),
    rule_when(
        When::Children,
        "exactly posix_spawn's flags",
        &[int(0).is(clone::SPAWN)],
        "a child until its exec",
    ),
    rule_when(
        When::Children,
        "exactly posix_spawn's flags with CLONE_PIDFD",
        &[int(0).is(clone::GO_SPAWN)],
        "a child until its exec",
    ),
];
const CHILD: &[Rule] = &[rule_when(When::Children, "", &[], "a child")];

const ARCH_PRCTL: &[Rule] = &[
    rule("ARCH_SET_FS", &[int(0).is(arch_prctl::SET_FS)], "the thread pointer, at the start of a program"),
    rule("ARCH_GET_FS", &[int(0).is(arch_prctl::GET_FS)], "asks"),
    rule("ARCH_SET_GS", &[int(0).is(arch_prctl::SET_GS)], "the thread's own register"),
    rule("ARCH_GET_GS", &[int(0).is(arch_prctl::GET_GS)], "asks"),
    rule("ARCH_GET_CPUID", &[int(0).is(arch_prctl::GET_CPUID)], "asks"),
    rule("ARCH_GET_XCOMP_SUPP", &[int(0).is(arch_prctl::GET_XCOMP_SUPP)], "asks"),
    rule("ARCH_GET_XCOMP_PERM", &[int(0).is(arch_prctl::GET_XCOMP_PERM)], "asks"),
    rule(
        "ARCH_REQ_XCOMP_PERM",
        &[int(0).is(arch_prctl::REQ_XCOMP_PERM)],
        "numeric libraries enable AMX by it",
    ),
    rule("ARCH_CET_STATUS", &[int(0).is(arch_prctl::CET_STATUS)], "glibc asks at the start of a program"),
    rule(
        "ARCH_SHSTK_ENABLE",
        &[int(0).is(arch_prctl::SHSTK_ENABLE)],
        "glibc at the start of a program; it tightens",
    ),
    rule(
        "ARCH_SHSTK_LOCK",
        &[int(0).is(arch_prctl::SHSTK_LOCK)],
        "glibc at the start of a program; it tightens",
    ),
    rule("ARCH_SHSTK_STATUS", &[int(0).is(arch_prctl::SHSTK_STATUS)], "glibc asks at the start of a program"),
];

/// Threads and what they wait on.
pub(super) const THREADS: Set = Set {
    name: "Threads",
    note: "A thread must share the descriptor table, or the arbiter would look at another's: so the flags are compared whole, and unshare is notified.",
    rows: &[
        allow_if("clone", CLONE, "by exactly the flags the C libraries and Go pass"),
        allow_if("fork", CHILD, "fork must never fail with EINTR, so where it is allowed it is not notified"),
        allow_if(
            "vfork",
            CHILD,
            "vfork must never fail with EINTR, so where it is allowed it is not notified",
        ),
        allow("futex", "locks"),
        allow("futex_waitv", "locks"),
        allow("futex_wait", "locks"),
        allow("futex_wake", "locks"),
        allow("futex_requeue", "locks"),
        allow("set_robust_list", "locks; every C library at thread start"),
        allow("rseq", "every glibc thread since 2.35"),
        allow("membarrier", "fences"),
        allow("set_tid_address", "every C library at start"),
        allow_if("arch_prctl", ARCH_PRCTL, "by operation"),
        allow("getcpu", "asks"),
    ],
};

const PRCTL: &[Rule] = &[
    rule("PR_SET_NAME", &[int(0).is(prctl::SET_NAME)], "the thread's name"),
    rule(
        "PR_SET_VMA with PR_SET_VMA_ANON_NAME",
        &[int(0).is(prctl::SET_VMA), pointer(1).is(prctl::SET_VMA_ANON_NAME)],
        "a mapping's name; Go and allocators",
    ),
    rule("PR_SET_THP_DISABLE", &[int(0).is(prctl::SET_THP_DISABLE)], "page size"),
    rule("PR_CAPBSET_READ", &[int(0).is(prctl::CAPBSET_READ)], "asks"),
    rule("PR_GET_NAME", &[int(0).is(prctl::GET_NAME)], "asks"),
    rule("PR_GET_PDEATHSIG", &[int(0).is(prctl::GET_PDEATHSIG)], "asks"),
    rule("PR_GET_DUMPABLE", &[int(0).is(prctl::GET_DUMPABLE)], "asks"),
    rule("PR_GET_KEEPCAPS", &[int(0).is(prctl::GET_KEEPCAPS)], "asks"),
    rule("PR_GET_SECCOMP", &[int(0).is(prctl::GET_SECCOMP)], "asks"),
    rule("PR_GET_TSC", &[int(0).is(prctl::GET_TSC)], "asks"),
    rule("PR_GET_SECUREBITS", &[int(0).is(prctl::GET_SECUREBITS)], "asks"),
    rule("PR_GET_TIMERSLACK", &[int(0).is(prctl::GET_TIMERSLACK)], "asks"),
    rule("PR_GET_CHILD_SUBREAPER", &[int(0).is(prctl::GET_CHILD_SUBREAPER)], "asks"),
    rule("PR_GET_NO_NEW_PRIVS", &[int(0).is(prctl::GET_NO_NEW_PRIVS)], "asks"),
    rule("PR_GET_TID_ADDRESS", &[int(0).is(prctl::GET_TID_ADDRESS)], "asks"),
    rule("PR_GET_THP_DISABLE", &[int(0).is(prctl::GET_THP_DISABLE)], "asks"),
    rule("PR_GET_SPECULATION_CTRL", &[int(0).is(prctl::GET_SPECULATION_CTRL)], "asks"),
    rule("PR_SVE_GET_VL", &[int(0).is(prctl::SVE_GET_VL)], "asks"),
    rule("PR_SME_GET_VL", &[int(0).is(prctl::SME_GET_VL)], "asks"),
    rule("PR_GET_TAGGED_ADDR_CTRL", &[int(0).is(prctl::GET_TAGGED_ADDR_CTRL)], "asks"),
    rule("PR_GET_MDWE", &[int(0).is(prctl::GET_MDWE)], "asks"),
    rule("PR_GET_AUXV", &[int(0).is(prctl::GET_AUXV)], "asks"),
];
const PERSONALITY: &[Rule] = &[
    rule("0xffffffff", &[int(0).is(personality::QUERY)], "asks"),
    rule(
        "PER_LINUX",
        &[int(0).is(personality::PER_LINUX)],
        "the default; READ_IMPLIES_EXEC would make data executable",
    ),
];

/// Who the process is.
pub(super) const IDENTITY: Set = Set {
    name: "Identity",
    note: "Reading it. Changing it (set*id, capset, setgroups) is notified.",
    rows: &[
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
        allow("getresuid", "asks"),
        allow("getresgid", "asks"),
        allow("getgroups", "asks"),
        allow("capget", "asks"),
        allow("uname", "asks"),
        allow("sysinfo", "asks"),
        allow("getrandom", "random bytes"),
        allow_if(
            "prctl",
            PRCTL,
            "by option; PR_SET_DUMPABLE, PR_SET_PTRACER, PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_MM and what is new would change who can see or hold the process",
        ),
        allow_if("personality", PERSONALITY, "by value"),
    ],
};

// The arbiter has the same user: without these, the function could stop it by a limit or starve it.
const ONLY_SELF: &[Rule] = &[
    rule("of the caller (0)", &[int(0).is(0)], "the caller itself"),
    rule("of the function's own process id", &[int(0).own_process()], "the function itself"),
];
const READ_OWN_LIMIT: &[Rule] = &[
    rule("of the caller (0), new limit null", &[int(0).is(0), pointer(2).zero()], "asks"),
    rule(
        "of the function's own process id, new limit null",
        &[int(0).own_process(), pointer(2).zero()],
        "asks",
    ),
];
const PRIORITY_OF_SELF: &[Rule] = &[
    rule(
        "PRIO_PROCESS of the caller (0)",
        &[int(0).is(who::PRIO_PROCESS), int(1).is(0)],
        "the caller itself",
    ),
    rule(
        "PRIO_PROCESS of the function's own process id",
        &[int(0).is(who::PRIO_PROCESS), int(1).own_process()],
        "the function itself",
    ),
];
const IO_PRIORITY_OF_SELF: &[Rule] = &[
    rule(
        "IOPRIO_WHO_PROCESS of the caller (0)",
        &[int(0).is(who::IOPRIO_PROCESS), int(1).is(0)],
        "the caller itself",
    ),
    rule(
        "IOPRIO_WHO_PROCESS of the function's own process id",
        &[int(0).is(who::IOPRIO_PROCESS), int(1).own_process()],
        "the function itself",
    ),
];

/// Scheduling and limits.
pub(super) const SCHEDULING: Set = Set {
    name: "Scheduling and limits",
    note: "Reading is free. Setting is allowed on the function itself only: the same calls could starve or stop the arbiter, which has the same user.",
    rows: &[
        allow("sched_yield", "gives way"),
        allow("sched_getaffinity", "asks"),
        allow("sched_getattr", "asks"),
        allow("sched_getparam", "asks"),
        allow("sched_getscheduler", "asks"),
        allow("sched_get_priority_max", "asks"),
        allow("sched_get_priority_min", "asks"),
        allow("sched_rr_get_interval", "asks"),
        allow("getpriority", "asks"),
        allow("ioprio_get", "asks"),
        allow("getrlimit", "asks"),
        allow("getrusage", "asks"),
        allow("times", "asks"),
        allow_if("sched_setaffinity", ONLY_SELF, "by process"),
        allow_if("sched_setattr", ONLY_SELF, "by process"),
        allow_if("sched_setparam", ONLY_SELF, "by process"),
        allow_if("sched_setscheduler", ONLY_SELF, "by process"),
        allow_if("setpriority", PRIORITY_OF_SELF, "by process"),
        allow_if("ioprio_set", IO_PRIORITY_OF_SELF, "by process"),
        allow_if(
            "prlimit64",
            READ_OWN_LIMIT,
            "reads; RLIMIT_CPU or RLIMIT_NOFILE set on the arbiter would end it",
        ),
    ],
};

const JOB_CONTROL: &[Rule] =
    &[rule_when(When::JobControl, "", &[], "shells and process pools place their children")];

/// The end of the process, and of its children.
pub(super) const LIFE: Set = Set {
    name: "Life and end",
    note: "A function without children stays in the platform's process group, so that a signal to the group reaches it.",
    rows: &[
        allow("exit", "ends a thread"),
        allow("exit_group", "ends the process"),
        allow("wait4", "waits for children"),
        allow("waitid", "waits for children"),
        allow_if("setpgid", JOB_CONTROL, "the kernel lets a process place itself and its children only"),
        allow_if("setsid", JOB_CONTROL, "the kernel lets a process place itself only"),
    ],
};

/// The call that gets an errno from the filter and no notification. `io_uring_setup` is not here:
/// nobody makes it in passing, so the arbiter answers ENOSYS and writes a record.
pub(super) const ANSWERED_AT_ONCE: Set = Set {
    name: "Answered at once",
    note: "ENOSYS is what a kernel without the call says, and every caller has a way to go on.",
    rows: &[refuse(
        "clone3",
        Answer::Errno(ENOSYS),
        "its flags are behind a pointer; libc falls back to clone, whose flags are a register",
    )],
};
