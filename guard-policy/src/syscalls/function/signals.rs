//! Signals: handling the process's own, and sending them to itself.

use super::super::row::{Rule, Set, allow, allow_if, int, rule};

/// Handling signals that arrive.
pub(super) const HANDLING: Set = Set {
    name: "Handling signals",
    note: "rt_sigreturn and restart_syscall are made by the kernel's own trampolines: without them no handler returns and no sleep survives a stop.",
    rows: &[
        allow("rt_sigaction", "the process's own"),
        allow("rt_sigprocmask", "the thread's own"),
        allow("rt_sigpending", "asks"),
        allow("rt_sigsuspend", "waits"),
        allow("rt_sigtimedwait", "waits"),
        allow("rt_sigreturn", "returns from a handler"),
        allow("sigaltstack", "the thread's own"),
        allow("pause", "waits"),
        allow("restart_syscall", "goes on with an interrupted sleep"),
    ],
};

const OWN_PROCESS: &[Rule] = &[rule(
    "to the function's own process id",
    &[int(0).own_process()],
    "raise, abort and runtimes signal themselves",
)];
const OWN_MAIN_THREAD: &[Rule] = &[rule(
    "to the function's own process id",
    &[int(0).own_process()],
    "the thread of that id is the function's main thread; any other is the arbiter's to look up",
)];

/// Sending signals.
pub(super) const SENDING: Set = Set {
    name: "Sending signals",
    note: "Only to itself. kill(0), kill(-1), groups and other processes are notified: SIGSTOP to the arbiter would be worse than its death. pidfd_send_signal is always notified.",
    rows: &[
        allow_if("kill", OWN_PROCESS, "by process"),
        allow_if("tgkill", OWN_PROCESS, "by process; the kernel checks that the thread is of that process"),
        allow_if("tkill", OWN_MAIN_THREAD, "by thread"),
        allow_if("rt_sigqueueinfo", OWN_PROCESS, "by process"),
        allow_if(
            "rt_tgsigqueueinfo",
            OWN_PROCESS,
            "by process; the kernel checks that the thread is of that process",
        ),
    ],
};
