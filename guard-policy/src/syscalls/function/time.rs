//! Time: reading clocks, sleeping, timers. Setting a clock is not here.

use super::super::row::{Set, allow};

/// Clocks and timers.
pub(super) const TIME: Set = Set {
    name: "Time",
    note: "A timer signals its own process only: the kernel refuses SIGEV_THREAD_ID for a thread of another.",
    rows: &[
        allow("clock_gettime", "asks"),
        allow("clock_getres", "asks"),
        allow("gettimeofday", "asks"),
        allow("time", "asks"),
        allow("nanosleep", "sleeps"),
        allow("clock_nanosleep", "sleeps"),
        allow("alarm", "a timer of its own"),
        allow("getitimer", "a timer of its own"),
        allow("setitimer", "a timer of its own"),
        allow("timer_create", "a timer of its own"),
        allow("timer_settime", "a timer of its own"),
        allow("timer_gettime", "a timer of its own"),
        allow("timer_getoverrun", "a timer of its own"),
        allow("timer_delete", "a timer of its own"),
    ],
};
