//! Signals, the function's end, and the arbiter's own: the main thread's work.
//!
//! The function stays in the arbiter's process group and session, so that the platform's SIGKILL
//! to the group reaches both and a terminal's job control works. What a process sent to the
//! arbiter is passed on; what the terminal sent to the whole group reached the function already;
//! what the function sent is not passed on.
//!
//! With a terminal of its own (`--tty`) the function is in a session of its own instead: then the
//! terminal's signals are meant for this process, and what they mean is carried over.

use super::Arbiter;
use crate::report::Ended;
use crate::sys::descriptor::{self, PollFd};
use crate::sys::path;
use crate::sys::process::{self, End};
use crate::sys::signal::{self, Received};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// How long the pumps, and then the records, may stand still after the function's end before what is
/// left is given up: the platform does not read its log.
const DRAIN: Duration = Duration::from_millis(500);

/// Waits for the function's end, drains everything, and ends this process the same way.
pub(super) fn run(arbiter: &Arbiter, pidfd: &OwnedFd, signals: &OwnedFd) -> ! {
    let mut jobs = Jobs::default();
    let end = loop {
        let mut entries =
            [PollFd::new(pidfd.as_fd(), libc::POLLIN), PollFd::new(signals.as_fd(), libc::POLLIN)];
        if descriptor::poll(&mut entries, -1).is_err() {
            continue;
        }
        if entries[1].happened() != 0 {
            while let Ok(Some(received)) = signal::receive(signals.as_fd()) {
                jobs.hear(received);
                pass_on(arbiter, received);
            }
        }
        if let Some(end) = reap(arbiter, &mut jobs) {
            break end;
        }
    };
    finish(arbiter, end)
}

/// Takes what has changed in child processes. As pid 1 the arbiter inherits every orphan, and
/// must reap them all.
fn reap(arbiter: &Arbiter, jobs: &mut Jobs) -> Option<End> {
    loop {
        match process::wait(-1, false) {
            Ok(Some((pid, End::Stopped(stopped)))) if pid == arbiter.function => {
                jobs.mirror_stop(arbiter, stopped);
            }
            Ok(Some((pid, end @ (End::Exited(_) | End::Killed(_))))) if pid == arbiter.function => {
                return Some(end);
            }
            Ok(Some(_)) => {}
            Ok(None) => return None,
            // No child is left: the function was reaped by nobody else, so this cannot be.
            Err(_) => return Some(End::Exited(125)),
        }
    }
}

/// Passes a signal on to the function.
fn pass_on(arbiter: &Arbiter, received: Received) {
    let Received { signal: number, code, sender } = received;
    let of_terminal = code > 0;
    let from_function =
        i32::try_from(sender).is_ok_and(|sender| sender == arbiter.function || sender == process::own_pid());
    match (number, &arbiter.terminal) {
        (libc::SIGCHLD, _) => {}
        _ if from_function => {}
        (libc::SIGWINCH, Some(terminal)) => terminal.resize(),
        (libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU, Some(terminal)) => terminal.stop(),
        (libc::SIGHUP, Some(_)) if of_terminal => {
            if let Some(output) = arbiter.output.get() {
                output.hang_up();
            }
        }
        // A key that was pressed before the terminal was raw.
        (number, Some(terminal)) if !of_terminal || matches!(number, libc::SIGINT | libc::SIGQUIT) => {
            if number == libc::SIGCONT {
                terminal.resume();
            }
            let _ = signal::send(arbiter.function, number);
        }
        // The function's own job-control stops are mirrored when wait tells of them.
        _ if of_terminal => {}
        (number, _) => {
            // It has ended already: its end is on its way.
            let _ = signal::send(arbiter.function, number);
        }
    }
}

/// What the terminal has told, for job control: a shell sees a job stop when the process that it
/// started does, and that is the arbiter.
///
/// A stopped arbiter answers nothing and writes no record, so the function must not be able to
/// stop it, least of all one that goes on by itself afterwards (a timer of its own may send it
/// SIGCONT). Hence a stop is mirrored only where the terminal is known to have asked for it: the
/// group is in the terminal's foreground, or the kernel itself sent the signal to the arbiter too, as
/// it does to a whole background group that reads the terminal. The default action of the signal is
/// what stops the arbiter, so that in a group that nobody could continue nothing happens
/// (setpgid(2), orphaned process groups).
#[derive(Debug, Default)]
struct Jobs {
    /// The kernel has sent the arbiter a stop signal of job control.
    asked: bool,
}

impl Jobs {
    fn hear(&mut self, received: Received) {
        match received.signal {
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU => self.asked |= received.code > 0,
            libc::SIGCONT => self.asked = false,
            _ => {}
        }
    }

    /// Stops this process as the function was stopped, or lets the function go on.
    ///
    /// With a terminal of its own the function is no job of that shell, and its stop is its own: its
    /// group is orphaned, which the kernel does not stop from a terminal.
    fn mirror_stop(&mut self, arbiter: &Arbiter, stopped: i32) {
        if arbiter.terminal.is_some() || !matches!(stopped, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU) {
            return;
        }
        let asked = std::mem::take(&mut self.asked);
        let status = path::read_file(&path::proc_path("/proc/self/stat"), 4096).unwrap_or_default();
        if has_terminal(&status, asked) {
            // Continued, the group's SIGCONT has reached the function as well.
            signal::stop_by(stopped);
        } else {
            let _ = signal::send(arbiter.function, libc::SIGCONT);
        }
    }
}

/// Whether there is a controlling terminal, and this group is its foreground or was `asked` by it;
/// from /proc/PID/stat (proc(5)): pid, name, state, parent, group, session, terminal, foreground.
fn has_terminal(status: &[u8], asked: bool) -> bool {
    let Some(end) = status.iter().rposition(|&byte| byte == b')') else { return false };
    let rest = String::from_utf8_lossy(status.get(end + 1..).unwrap_or_default());
    let mut fields = rest.split_ascii_whitespace().skip(2).map(|word| word.parse::<i32>().ok());
    match (fields.next(), fields.nth(1), fields.next()) {
        (Some(Some(group)), Some(Some(terminal)), Some(Some(foreground))) => {
            terminal != 0 && (asked || foreground == group)
        }
        _ => false,
    }
}

fn finish(arbiter: &Arbiter, end: End) -> ! {
    if let Some(output) = arbiter.output.get() {
        output.end(DRAIN);
    }
    if let Some(names) = arbiter.names.get() {
        names.settle(DRAIN);
    }
    let late = arbiter.invocations().take_late();
    for output in late {
        arbiter.witness.record(output);
    }
    arbiter.witness.summarise();
    let counts = arbiter.witness.counts();
    let pid = u32::try_from(arbiter.function).ok();
    match end {
        End::Killed(number) => {
            arbiter.witness.record(Ended { exit: None, signal: Some(signal_name(number)), counts, pid })
        }
        End::Exited(status) if status != 0 || counts.blocked > 0 || counts.audited > 0 => {
            arbiter.witness.record(Ended { exit: Some(status), signal: None, counts, pid });
        }
        // Nothing happened that a reader of the log could want to know: most runs of a program by
        // hand end so, and each would print a line.
        _ => {}
    }
    // Nobody is left to tell where the rest is lost.
    let _ = arbiter.witness.end(DRAIN);
    if let Some(terminal) = &arbiter.terminal {
        terminal.restore();
    }
    match end {
        End::Killed(number) => {
            signal::end_by(number);
            // Still here: pid 1 of a namespace can't end itself by a signal.
            process::exit(128 + number)
        }
        End::Exited(status) => process::exit(status),
        End::Stopped(_) | End::Continued => process::exit(125),
    }
}

/// A signal's name, or its number.
fn signal_name(number: i32) -> String {
    const NAMES: [(i32, &str); 20] = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGPROF, "SIGPROF"),
    ];
    NAMES
        .iter()
        .find(|(known, _)| *known == number)
        .map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_mirrored_for_a_terminal_only() {
        let status = |group, terminal, foreground| {
            format!("7 (a) 9 (b) S 1 {group} 5 {terminal} {foreground} 4194560 0 0\n").into_bytes()
        };
        assert!(has_terminal(&status(7, 34816, 7), false), "the foreground");
        assert!(!has_terminal(&status(7, 34816, 8), false), "the background");
        assert!(has_terminal(&status(7, 34816, 8), true), "the background that the terminal stopped");
        assert!(!has_terminal(&status(7, 0, -1), true), "no terminal");
        assert!(!has_terminal(b"", true));
        assert!(!has_terminal(b"7 (a) S 1 x 5 34816 x", true));
    }

    #[test]
    fn only_the_kernel_speaks_for_the_terminal() {
        let mut jobs = Jobs::default();
        let tell = |signal, code| Received { signal, code, sender: 0 };
        jobs.hear(tell(libc::SIGTSTP, 0));
        assert!(!jobs.asked, "a process sent it");
        jobs.hear(tell(libc::SIGTTIN, 128));
        assert!(jobs.asked);
        jobs.hear(tell(libc::SIGCONT, 0));
        assert!(!jobs.asked);
    }
}
