//! What the platform allows, found by trying: one probe for each call that arming needs, made by
//! the same functions. Arming itself asks nobody here: it tries for real. This is for people, by
//! `fnguard doctor`.
//!
//! A probe changes the process that runs it for good (no_new_privs, a filter, limits), and some
//! platforms kill for trying: run each in a process of its own, which has one thread and an alarm.

use crate::sys::landlock::{self, Ruleset, access};
use crate::sys::process::{self, Forked, SingleThreaded};
use crate::sys::seccomp::{self, Instruction, Place, Wait};
use crate::sys::{Errno, capability, descriptor, limit, memory, path};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;

/// One thing to try.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// Its name on the command line and in JSON.
    pub name: &'static str,
    /// What is tried.
    pub what: &'static str,
    /// What fnguard needs it for.
    pub purpose: &'static str,
    attempt: fn() -> Result<String, Refusal>,
}

/// Why a probe did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A call failed.
    #[error("{call}: {error}")]
    Call {
        /// Which one.
        call: &'static str,
        /// With what.
        error: Errno,
    },
    /// Every call succeeded and the effect is not there.
    #[error("{0}")]
    Untrue(&'static str),
}

fn call(call: &'static str) -> impl FnOnce(Errno) -> Refusal {
    move |error| Refusal::Call { call, error }
}

impl Probe {
    /// Tries it in this process, which is changed by that. What is worth knowing about a success.
    ///
    /// # Errors
    ///
    /// [`Refusal`] where the platform refuses, or claims success without effect.
    pub fn run(&self) -> Result<String, Refusal> {
        (self.attempt)()
    }

    /// The probe of that name.
    pub fn named(name: &str) -> Option<&'static Probe> {
        PROBES.iter().find(|probe| probe.name == name)
    }
}

/// Every probe, in the order of arming.
pub static PROBES: &[Probe] = &[
    Probe {
        name: "no_new_privs",
        what: "prctl(PR_SET_NO_NEW_PRIVS)",
        purpose: "a filter and a Landlock domain without privilege",
        attempt: || process::set_no_new_privileges().map_err(call("prctl")).map(|()| String::new()),
    },
    Probe {
        name: "parent_death_signal",
        what: "prctl(PR_SET_PDEATHSIG)",
        purpose: "no function is left running without its arbiter",
        attempt: || {
            process::set_parent_death_signal(libc::SIGKILL).map_err(call("prctl")).map(|()| String::new())
        },
    },
    Probe {
        name: "not_dumpable",
        what: "prctl(PR_SET_DUMPABLE, 0)",
        purpose: "the arbiter is out of its function's reach",
        attempt: not_dumpable,
    },
    Probe {
        name: "drop_capabilities",
        what: "capset(2), dropping every capability",
        purpose: "root's rights do not pass the policy by",
        attempt: drop_capabilities,
    },
    Probe {
        name: "seccomp_filter",
        what: "seccomp(SECCOMP_SET_MODE_FILTER)",
        purpose: "the arbiter's own filter",
        attempt: filter,
    },
    Probe {
        name: "seccomp_listener",
        what: "SECCOMP_FILTER_FLAG_NEW_LISTENER (Linux 5.5)",
        purpose: "the function's filter, which asks the arbiter",
        attempt: || {
            process::set_no_new_privileges().map_err(call("prctl"))?;
            seccomp::install_with_listener(&NOTIFY_KCMP).map_err(call("seccomp")).map(|_| String::new())
        },
    },
    Probe {
        name: "wait_killable",
        what: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (Linux 5.19)",
        purpose: "a signal does not restart a call that is being decided",
        attempt: wait_killable,
    },
    Probe {
        name: "notification",
        what: "a trapped call, answered with SECCOMP_IOCTL_NOTIF_SEND",
        purpose: "deciding and performing calls",
        attempt: || trapped_call(Reply::Refuse),
    },
    Probe {
        name: "add_descriptor",
        what: "SECCOMP_IOCTL_NOTIF_ADDFD (Linux 5.9)",
        purpose: "the link from the function to its arbiter",
        attempt: || trapped_call(Reply::Descriptor),
    },
    Probe {
        name: "take_descriptor",
        what: "pidfd_getfd(2) of a child (Linux 5.6)",
        purpose: "the arbiter takes the listener, and a call's socket",
        attempt: take_descriptor,
    },
    Probe {
        name: "read_memory",
        what: "process_vm_readv(2) of a child",
        purpose: "the arbiter reads addresses and paths",
        attempt: read_memory,
    },
    Probe {
        name: "landlock",
        what: "Landlock (Linux 5.13)",
        purpose: "file and exec rules, and other processes' entries in /proc",
        attempt: landlock_domain,
    },
    Probe {
        name: "descriptor_limit",
        what: "RLIMIT_NOFILE 0, for good",
        purpose: "sealed descriptors, where seccomp is refused",
        attempt: descriptor_limit,
    },
];

/// Loads the number; kcmp(2) is notified, the rest allowed.
const NOTIFY_KCMP: [Instruction; 4] = [
    Instruction { code: 0x20, jt: 0, jf: 0, k: 0 },
    Instruction { code: 0x15, jt: 0, jf: 1, k: libc::SYS_kcmp as u32 },
    Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fc0_0000 },
    Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 },
];
const ALLOW_ALL: [Instruction; 1] = [Instruction { code: 0x06, jt: 0, jf: 0, k: 0x7fff_0000 }];

fn not_dumpable() -> Result<String, Refusal> {
    process::set_not_dumpable().map_err(call("prctl(PR_SET_DUMPABLE)"))?;
    match process::is_dumpable() {
        Ok(false) => Ok(String::new()),
        Ok(true) => Err(Refusal::Untrue("prctl said yes and the process is dumpable")),
        Err(error) => Err(call("prctl(PR_GET_DUMPABLE)")(error)),
    }
}

fn drop_capabilities() -> Result<String, Refusal> {
    let (before, _) = capability::held().map_err(call("capget"))?;
    capability::drop_all().map_err(call("capset"))?;
    match capability::held().map_err(call("capget"))? {
        (0, 0) if before == 0 => Ok("there were none".to_owned()),
        (0, 0) => Ok(String::new()),
        _ => Err(Refusal::Untrue("capset said yes and capabilities are left")),
    }
}

fn filter() -> Result<String, Refusal> {
    process::set_no_new_privileges().map_err(call("prctl"))?;
    seccomp::install_on_all_threads(&ALLOW_ALL).map_err(call("seccomp")).map(|()| String::new())
}

fn wait_killable() -> Result<String, Refusal> {
    process::set_no_new_privileges().map_err(call("prctl"))?;
    match seccomp::install_with_listener(&NOTIFY_KCMP).map_err(call("seccomp"))? {
        (_, Wait::Killable) => Ok(String::new()),
        (_, Wait::Interruptible) => Err(Refusal::Untrue("this kernel does not know the flag")),
    }
}

/// How a trapped call is answered.
#[derive(Clone, Copy)]
enum Reply {
    Refuse,
    Descriptor,
}

/// Traps a call of one thread and answers it from another. Feature bits are not believed: only an
/// answer that came counts.
fn trapped_call(reply: Reply) -> Result<String, Refusal> {
    let (to_arbiter, from_caller) = mpsc::channel();
    let caller = std::thread::spawn(move || {
        let listener = process::set_no_new_privileges()
            .map_err(call("prctl"))
            .and_then(|()| seccomp::install_with_listener(&NOTIFY_KCMP).map_err(call("seccomp")));
        let installed = listener.is_ok();
        // The other side has gone only if this process ends.
        let _ = to_arbiter.send(listener.map(|(listener, _)| listener));
        installed.then(|| process::ask_listener(u32::MAX, u32::MAX, u32::MAX))
    });
    let listener = from_caller.recv().map_err(|_| Refusal::Untrue("the trapped thread ended"))??;
    let trapped = seccomp::receive(listener.as_fd()).map_err(call("SECCOMP_IOCTL_NOTIF_RECV"))?;
    let answer = match reply {
        Reply::Refuse => Err(Errno(libc::EDOM)),
        Reply::Descriptor => {
            let null = path::open(c"/dev/null", libc::O_RDONLY).map_err(call("open"))?;
            let number =
                seccomp::add_descriptor(listener.as_fd(), trapped.id, null.as_fd(), Place::Free, true);
            // Answered whatever came of it, or the caller would wait for ever.
            number.map(i64::from)
        }
    };
    seccomp::answer(listener.as_fd(), trapped.id, answer).map_err(call("SECCOMP_IOCTL_NOTIF_SEND"))?;
    let came = caller.join().map_err(|_| Refusal::Untrue("the trapped thread panicked"))?;
    match (reply, came, answer) {
        (Reply::Descriptor, _, Err(error)) => Err(call("SECCOMP_IOCTL_NOTIF_ADDFD")(error)),
        (Reply::Descriptor, Some(Ok(_)), Ok(_)) | (Reply::Refuse, Some(Err(Errno(libc::EDOM))), _) => {
            Ok(String::new())
        }
        _ => Err(Refusal::Untrue("the trapped call did not get the answer")),
    }
}

/// Runs something on a child that waits, and lets it end.
fn with_child(
    look: impl FnOnce(i32, &std::os::fd::OwnedFd) -> Result<String, Refusal>,
) -> Result<String, Refusal> {
    let (waits, ends) = descriptor::pipe().map_err(call("pipe2"))?;
    let alone =
        SingleThreaded::check().map_err(|_| Refusal::Untrue("a probe needs a process with one thread"))?;
    match process::fork(&alone).map_err(call("clone"))? {
        Forked::Child => {
            drop(ends);
            let _ = descriptor::read(waits.as_fd(), &mut [0]);
            process::exit(0)
        }
        Forked::Parent { child, pidfd } => {
            let seen = look(child, &pidfd);
            drop(ends);
            let _ = process::wait(child, true);
            seen
        }
    }
}

fn take_descriptor() -> Result<String, Refusal> {
    let marked = descriptor::event().map_err(call("eventfd2"))?;
    with_child(|_, pidfd| {
        process::take_descriptor(pidfd.as_fd(), marked.as_raw_fd())
            .map_err(call("pidfd_getfd"))
            .map(|_| String::new())
    })
}

fn read_memory() -> Result<String, Refusal> {
    let word = *b"fnguard reads it";
    with_child(|child, _| {
        let mut copy = [0; 16];
        // The child has a copy of this stack at the same address.
        let count =
            memory::read_process(child, word.as_ptr() as u64, &mut copy).map_err(call("process_vm_readv"))?;
        if count == copy.len() && copy == word {
            Ok(String::new())
        } else {
            Err(Refusal::Untrue("what was read is not what is there"))
        }
    })
}

fn landlock_domain() -> Result<String, Refusal> {
    let abi = landlock::abi().map_err(call("landlock_create_ruleset"))?;
    if abi == 0 {
        return Err(Refusal::Untrue("the kernel has none, or the platform hides it"));
    }
    process::set_no_new_privileges().map_err(call("prctl"))?;
    let rules = Ruleset::new(access::WRITE_FILE, 0).map_err(call("landlock_create_ruleset"))?;
    rules.restrict_self().map_err(call("landlock_restrict_self"))?;
    match path::open(c"/dev/null", libc::O_WRONLY) {
        Err(Errno(libc::EACCES)) => Ok(format!("ABI {abi}")),
        _ => Err(Refusal::Untrue("a domain without rules lets a file be opened for writing")),
    }
}

fn descriptor_limit() -> Result<String, Refusal> {
    // CAP_SYS_RESOURCE would lift it again.
    capability::drop_all().map_err(call("capset"))?;
    limit::set(libc::RLIMIT_NOFILE, 0, 0).map_err(call("prlimit64"))?;
    if descriptor::pipe().is_ok() {
        return Err(Refusal::Untrue("descriptors can still be made under a limit of 0"));
    }
    if limit::set(libc::RLIMIT_NOFILE, 64, 64).is_ok() {
        return Err(Refusal::Untrue("the limit could be raised again"));
    }
    Ok(String::new())
}
