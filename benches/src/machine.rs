//! The machine while it measures: one CPU for everything that is timed, ahead of others; and what
//! can be said of it beside a figure.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::process::{Command, Stdio};

/// What the timings ran under.
#[derive(Debug)]
pub struct Conditions {
    /// The CPU that all processes share, if they could be pinned.
    cpu: Option<usize>,
    /// Whether the processes run ahead of others (nice -10).
    ahead: bool,
}

impl Conditions {
    /// Pins this process, and so its children, to one CPU and moves it ahead of others where that
    /// is allowed. One CPU is what most functions have, and the only placement that repeats: a
    /// round trip between two CPUs takes two to four times as long as on one.
    pub fn settle(pinned: bool) -> Self {
        let this = Pid::from_raw(0);
        let cpu = sched_getaffinity(this).ok().filter(|_| pinned).and_then(|set| {
            let cpu = (0..CpuSet::count()).rev().find(|&cpu| set.is_set(cpu) == Ok(true))?;
            let mut one = CpuSet::new();
            one.set(cpu).ok()?;
            sched_setaffinity(this, &one).ok()?;
            Some(cpu)
        });
        let ahead = Command::new("renice")
            .args(["-n", "-10", "-p", &std::process::id().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        // Where the scheduler groups processes by session (autogroup, sched(7)), the nice value
        // counts within the group only, and the group has one of its own.
        let _ = std::fs::write("/proc/self/autogroup", "-10");
        Conditions { cpu, ahead }
    }

    /// One line to stand beside the figures.
    pub fn describe(&self) -> String {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let kernel = read("/proc/sys/kernel/osrelease");
        let kernel: String = kernel.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().unwrap_or_default();
        let cpus = read("/proc/cpuinfo").matches("processor\t:").count();
        let virtual_machine =
            if read("/proc/cpuinfo").contains(" hypervisor") { "virtual machine" } else { "machine" };
        let placed = match self.cpu {
            Some(_) => "pinned to one CPU",
            None => "not pinned",
        };
        let ahead = if self.ahead { "nice -10" } else { "no priority over others" };
        format!(
            "{cpus} CPUs, {virtual_machine}, Linux {kernel}, {}; {placed}, {ahead}; load average {load}",
            std::env::consts::ARCH
        )
    }
}
