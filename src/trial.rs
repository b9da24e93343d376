//! What a Landlock domain must refuse, tried: no entry in /proc shows a domain, so the process that
//! is to be in one tries, before it enters and after, what the policy does not allow. Only what
//! worked before and is refused afterwards shows that the domain is in force. And what sealed
//! descriptors must refuse, whose limit /proc shows as a number only.
//!
//! Nothing here knows how a domain or a seal is made, and what is tried passes none of the calls that
//! make one. Judging the outcome is the arbiter's.

use crate::sys::{Errno, descriptor, limit, memory, network, path, process, signal};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// What became of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// It worked before, and is refused now.
    Refused,
    /// It works as it did.
    Worked,
    /// It could not be tried: it did not work before either, or the policy allows it.
    #[default]
    NotTried,
}

/// What became of every attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    /// Opening a file for writing that no rule of `[files] write` covers.
    pub(crate) write: Outcome,
    /// Reading what no rule of `[files] read` covers.
    pub(crate) read: Outcome,
    /// Reading this program's own file.
    pub(crate) own_code: Outcome,
    /// Asking whether the parent could be signalled (signal 0 sends none).
    pub(crate) signal: Outcome,
    /// Making a block device: refused in either case, but by another error.
    pub(crate) device: Outcome,
}

impl Outcomes {
    /// Whether anything shows that a domain is in force: one is entered as a whole or not at all.
    pub(crate) fn shows_domain(&self) -> bool {
        [self.write, self.read, self.own_code, self.signal, self.device].contains(&Outcome::Refused)
    }
}

/// Files that a process may write to whatever its user: its own name, and a device that swallows.
const WRITABLE: [&CStr; 2] = [c"/proc/self/comm", c"/dev/random"];
/// What a process may read whatever its user.
const READABLE: [&CStr; 4] = [c"/proc/self/comm", c"/dev/random", c"/etc", c"/"];
/// Directories in which anybody may make files.
const OPEN_TO_ALL: [&str; 3] = ["/tmp", "/dev/shm", "/var/tmp"];

/// What is to be tried, as far as it works in this process now.
#[derive(Debug)]
pub(crate) struct Trial {
    write: Vec<&'static CStr>,
    read: Vec<&'static CStr>,
    own_code: Option<CString>,
    parent: Option<i32>,
    device: Option<CString>,
}

/// The paths that the domain is to leave open, as the policy names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowed<'a> {
    /// `[files] write`, unless it holds nothing.
    pub(crate) write: Option<&'a [String]>,
    /// `[files] read`, if it is set.
    pub(crate) read: Option<&'a [String]>,
    /// This program's file, if it may not be read.
    pub(crate) own_code: Option<&'a str>,
}

impl Trial {
    /// Tries everything before the domain is entered, with the privileges that it is entered with.
    pub(crate) fn before(allowed: Allowed<'_>, parent: i32) -> Self {
        let outside = |rules: &[String], path: &CStr| {
            let path = path.to_str().unwrap_or_default();
            !rules.iter().any(|rule| lies_below(path, rule))
        };
        let written = allowed.write.unwrap_or_default();
        let write = WRITABLE
            .into_iter()
            .filter(|path| {
                allowed.write.is_some_and(|write| outside(write, path))
                    && path::open(path, libc::O_WRONLY).is_ok()
            })
            .collect();
        let read = READABLE.into_iter().filter(|path| {
            // What may be written to may be read as well.
            allowed.read.is_some_and(|read| outside(read, path))
                && outside(written, path)
                && path::open(path, libc::O_RDONLY | libc::O_NONBLOCK).is_ok()
        });
        let own_code = allowed.own_code.and_then(|program| CString::new(program).ok());
        let device = OPEN_TO_ALL
            .into_iter()
            .filter(|folder| !written.iter().any(|rule| lies_below(folder, rule)))
            .filter_map(|folder| CString::new(format!("{folder}/.fnguard-{}", process::own_pid())).ok())
            // EPERM is the missing capability's; EACCES, or a file system that is read-only, would
            // hide the domain's own refusal.
            .find(|path| path::make_block_device(path) == Err(Errno(libc::EPERM)));
        Trial {
            write,
            read: read.collect(),
            own_code: own_code.filter(|program| path::open(program, libc::O_RDONLY).is_ok()),
            parent: signal::send(parent, 0).is_ok().then_some(parent),
            device,
        }
    }

    /// Tries the same again.
    pub(crate) fn after(&self) -> Outcomes {
        let opened = |path: &CStr, flags| path::open(path, flags | libc::O_NONBLOCK).map(drop);
        Outcomes {
            write: judge(self.write.iter().map(|path| opened(path, libc::O_WRONLY))),
            read: judge(self.read.iter().map(|path| opened(path, libc::O_RDONLY))),
            own_code: judge(self.own_code.iter().map(|path| opened(path, libc::O_RDONLY))),
            signal: judge(self.parent.iter().map(|&parent| signal::send(parent, 0))),
            device: judge(self.device.iter().map(|path| match path::make_block_device(path) {
                Err(Errno(libc::EPERM)) => Ok(()),
                other => other,
            })),
        }
    }
}

/// What a sealed process could still do: nothing, if the seal holds.
pub(crate) fn under_seal() -> Vec<String> {
    let raised = || {
        let (soft, hard) = limit::get(libc::RLIMIT_NOFILE).unwrap_or((0, 0));
        hard.checked_add(1).is_some_and(|more| limit::set(libc::RLIMIT_NOFILE, soft, more).is_ok())
    };
    let copied = || descriptor::borrow_number(2).is_some_and(|fd| descriptor::duplicate_from(fd, 3).is_ok());
    let tried = [
        ("opening a file", path::open(c"/", libc::O_RDONLY).is_ok()),
        ("opening a path", path::open(c"/", libc::O_PATH).is_ok()),
        ("making a socket", network::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).is_ok()),
        ("making a pipe", descriptor::pipe().is_ok()),
        ("making a counter", descriptor::event().is_ok()),
        ("copying a descriptor", copied()),
        ("raising the limit", raised()),
    ];
    tried.into_iter().filter(|(_, worked)| *worked).map(|(what, _)| what.to_owned()).collect()
}

/// Whether this process may read another's memory, and so write to it: the kernel asks the same of
/// either (process_vm_readv(2)), and asks it before it looks at the address.
pub(crate) fn reaches_memory_of(process: i32) -> bool {
    matches!(memory::read_process(process, 1, &mut [0]), Ok(_) | Err(Errno(libc::EFAULT)))
}

/// One that is refused shows it: a path of the policy may lead to another by a symbolic link.
fn judge(attempts: impl Iterator<Item = Result<(), Errno>>) -> Outcome {
    let mut outcome = Outcome::NotTried;
    for attempt in attempts {
        match attempt {
            Err(Errno(libc::EACCES | libc::EPERM)) => return Outcome::Refused,
            Ok(()) => outcome = Outcome::Worked,
            Err(_) => {}
        }
    }
    outcome
}

fn lies_below(path: &str, rule: &str) -> bool {
    path.strip_prefix(rule.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_a_domain_does_everything_as_before() {
        let rules = ["/srv".to_owned()];
        let allowed = Allowed { write: Some(&rules), read: Some(&rules), own_code: Some("/proc/self/exe") };
        let trial = Trial::before(allowed, std::process::id() as i32);
        let outcomes = trial.after();
        assert_eq!(
            (outcomes.write, outcomes.read, outcomes.own_code, outcomes.signal),
            (Outcome::Worked, Outcome::Worked, Outcome::Worked, Outcome::Worked)
        );
        assert_ne!(outcomes.device, Outcome::Refused);
        assert!(!outcomes.shows_domain());
    }

    #[test]
    fn what_the_policy_allows_is_not_tried() {
        let rules = ["/proc".to_owned(), "/dev/".to_owned(), "/tmp".to_owned(), "/var/tmp".to_owned()];
        let trial = Trial::before(Allowed { write: Some(&rules), read: None, own_code: None }, i32::MAX);
        assert_eq!(trial.after(), Outcomes::default());
    }

    #[test]
    fn without_a_seal_everything_is_made() {
        let worked = under_seal();
        for what in ["opening a file", "making a socket", "making a pipe", "copying a descriptor"] {
            assert!(worked.iter().any(|one| one == what), "{what}: {worked:?}");
        }
    }

    #[test]
    fn the_memory_of_this_process_is_reached_and_that_of_none_is_not() {
        assert!(reaches_memory_of(process::own_pid()));
        assert!(!reaches_memory_of(i32::MAX));
    }

    #[test]
    fn one_refusal_is_enough_and_other_errors_say_nothing() {
        let error = |number| Err(Errno(number));
        assert_eq!(judge([Ok(()), error(libc::EACCES)].into_iter()), Outcome::Refused);
        assert_eq!(judge([error(libc::EROFS)].into_iter()), Outcome::NotTried);
        assert_eq!(judge([error(libc::EROFS), Ok(())].into_iter()), Outcome::Worked);
    }

    #[test]
    fn below_is_by_whole_components() {
        assert!(lies_below("/proc/self", "/proc") && lies_below("/proc", "/proc/") && lies_below("/x", "/"));
        assert!(!lies_below("/process", "/proc"));
    }
}
