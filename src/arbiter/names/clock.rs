//! The clock that answers age by. Not the time-outs of sockets, which are `Instant`s.

use std::time::Duration;

/// A clock that never goes back.
pub trait Clock: Send + Sync {
    /// Time since a fixed point in the past.
    fn now(&self) -> Duration;
}

/// `CLOCK_BOOTTIME` (clock_gettime(2), Linux 2.6.39): it also counts while the machine is
/// suspended. A platform freezes a function between two invocations and thaws it minutes or
/// hours later; by `CLOCK_MONOTONIC` an answer would come out of a suspended machine as fresh
/// as it went in.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootClock;

impl Clock for BootClock {
    /// A clock that cannot be read says the end of time: every binding is then expired, which
    /// refuses, rather than eternal.
    fn now(&self) -> Duration {
        match nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME) {
            Ok(time) => Duration::from(time),
            Err(_) => Duration::MAX,
        }
    }
}
