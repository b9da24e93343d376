//! What is really in force, read from /proc by code that installed none of it.
//!
//! Raw calls read, procfs parses. Nothing here knows how a filter is installed or an environment
//! scrubbed; a step of arming that only claimed to have worked is noticed here. What /proc does not
//! show, a Landlock domain, is tried: that is `trial`.

use crate::sys::{Errno, path};
use procfs::process::{LimitValue, Limits, Status};
use procfs::{FromBufRead, FromRead};

/// What /proc says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many threads it has.
    pub(crate) threads: usize,
    /// Whether every thread is in seccomp mode 2 (a filter).
    pub(crate) filtered: bool,
    /// Whether every thread has no_new_privs.
    pub(crate) no_new_privileges: bool,
    /// Effective capabilities that any thread holds.
    pub(crate) capabilities: u64,
    /// Its open descriptors.
    pub(crate) descriptors: Vec<Descriptor>,
    /// Soft and hard limit of core dumps; `u64::MAX` is none.
    pub(crate) core_limit: (u64, u64),
    /// Soft and hard limit of open files.
    pub(crate) descriptor_limit: (u64, u64),
    /// The bytes of its environment, as the kernel serves them.
    pub(crate) environment: Vec<u8>,
}

/// An open descriptor, as /proc/PID/fd shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// Its number.
    pub(crate) number: i32,
    /// What it refers to: a path, `pipe:[INODE]`, `anon_inode:seccomp notify`.
    pub(crate) target: Vec<u8>,
}

impl Seen {
    /// How many seccomp listeners it holds.
    pub(crate) fn listeners(&self) -> usize {
        self.descriptors.iter().filter(|fd| fd.target == b"anon_inode:seccomp notify").count()
    }

    /// What a descriptor refers to.
    pub(crate) fn target(&self, number: i32) -> Option<&[u8]> {
        self.descriptors.iter().find(|fd| fd.number == number).map(|fd| fd.target.as_slice())
    }

    /// Whether its memory can end in a core dump. A limit of 1 keeps every kernel from that; 0 does
    /// not where the pattern is a pipe (core(5)).
    pub(crate) fn dumps_core(&self) -> bool {
        let piped = || {
            let pattern = path::read_file(c"/proc/sys/kernel/core_pattern", 256).unwrap_or_default();
            pattern.first().is_none_or(|first| b"|@".contains(first))
        };
        match self.core_limit {
            (1, 1) => false,
            (0 | 1, 0 | 1) => piped(),
            _ => true,
        }
    }
}

/// Reads a process's entries in /proc (proc_pid_status(5)).
///
/// # Errors
///
/// What can't be read.
pub(crate) fn see(pid: i32) -> Result<Seen, Errno> {
    let mut seen = Seen {
        threads: 0,
        filtered: true,
        no_new_privileges: true,
        capabilities: 0,
        descriptors: Vec::new(),
        core_limit: (u64::MAX, u64::MAX),
        descriptor_limit: (u64::MAX, u64::MAX),
        environment: Vec::new(),
    };
    for thread in path::list(&entry(pid, "task"))? {
        let thread = String::from_utf8_lossy(&thread);
        let status = status(&format!("/proc/{pid}/task/{thread}/status"))?;
        seen.threads += 1;
        seen.filtered &= status.seccomp == Some(2);
        seen.no_new_privileges &= status.nonewprivs == Some(1);
        seen.capabilities |= status.capeff;
    }
    for number in path::list(&entry(pid, "fd"))? {
        let Some(number) = std::str::from_utf8(&number).ok().and_then(|number| number.parse().ok()) else {
            continue;
        };
        // A descriptor that is gone by now was the listing's own.
        let Ok(target) = path::read_link(&entry(pid, &format!("fd/{number}"))) else { continue };
        seen.descriptors.push(Descriptor { number, target });
    }
    let limits = path::read_file(&entry(pid, "limits"), 16 * 1024)?;
    let limits = Limits::from_buf_read(limits.as_slice()).map_err(|_| Errno(libc::EPROTO))?;
    let number = |limit| match limit {
        LimitValue::Unlimited => u64::MAX,
        LimitValue::Value(number) => number,
    };
    let core = limits.max_core_file_size;
    seen.core_limit = (number(core.soft_limit), number(core.hard_limit));
    let files = limits.max_open_files;
    seen.descriptor_limit = (number(files.soft_limit), number(files.hard_limit));
    seen.environment = path::read_file(&entry(pid, "environ"), 4 << 20)?;
    Ok(seen)
}

/// Under how many filters the calling thread is. A kernel that does not count them (before 5.9) shows
/// one for any number.
pub(crate) fn filters() -> u32 {
    let text = path::read_file(c"/proc/thread-self/status", 16 * 1024).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    field("Seccomp_filters:").unwrap_or_else(|| u32::from(field("Seccomp:") == Some(2)))
}

/// What a descriptor of this process refers to, as [`Descriptor::target`] has it.
pub(crate) fn own_target(number: i32) -> Option<Vec<u8>> {
    path::read_link(&path::proc_path(&format!("/proc/self/fd/{number}"))).ok()
}

fn entry(pid: i32, name: &str) -> std::ffi::CString {
    path::proc_path(&format!("/proc/{pid}/{name}"))
}

fn status(file: &str) -> Result<Status, Errno> {
    let text = path::read_file(&path::proc_path(file), 16 * 1024)?;
    Status::from_read(text.as_slice()).map_err(|_| Errno(libc::EPROTO))
}

/// Whether a process's descriptor is open for writing (proc_pid_fdinfo(5)). What can't be read is taken
/// for writable.
pub(crate) fn is_writable(pid: i32, number: i32) -> bool {
    let information = path::read_file(&entry(pid, &format!("fdinfo/{number}")), 4096).unwrap_or_default();
    let text = String::from_utf8_lossy(&information);
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| i32::from_str_radix(flags.trim(), 8).ok());
    flags.is_none_or(|flags| flags & libc::O_ACCMODE != libc::O_RDONLY)
}

/// The kernel's release (proc_sys_kernel(5)).
pub(crate) fn kernel_release() -> Option<String> {
    let text = path::read_file(c"/proc/sys/kernel/osrelease", 256).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let seen = see(std::process::id() as i32).unwrap();
        assert!(seen.threads >= 1);
        assert_eq!(seen.listeners(), 0);
        assert_eq!(seen.environment, std::fs::read("/proc/self/environ").unwrap());
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(seen.filtered, own.contains("Seccomp:\t2"));
        assert_eq!(filters() > 0, own.contains("Seccomp:\t2"));
        assert_eq!(seen.core_limit, crate::sys::limit::get(libc::RLIMIT_CORE).unwrap());
        assert_eq!(seen.descriptor_limit, crate::sys::limit::get(libc::RLIMIT_NOFILE).unwrap());
    }

    #[test]
    fn descriptors_are_told_apart() {
        let (reader, writer) = std::io::pipe().unwrap();
        let seen = see(std::process::id() as i32).unwrap();
        let of = |number| seen.descriptors.iter().find(|fd| fd.number == number).unwrap();
        let (reader, writer) = (of(reader.as_raw_fd()), of(writer.as_raw_fd()));
        let writable = |fd: &Descriptor| is_writable(std::process::id() as i32, fd.number);
        assert!(!writable(reader) && writable(writer));
        assert_eq!(reader.target, writer.target);
        assert!(reader.target.starts_with(b"pipe:["));
        assert_eq!(own_target(reader.number).as_ref(), Some(&reader.target));
    }

    #[test]
    fn only_the_limit_of_one_keeps_a_piped_dump_away() {
        let mut seen = see(std::process::id() as i32).unwrap();
        for (limit, dumps) in [((1, 1), false), ((0, u64::MAX), true), ((u64::MAX, u64::MAX), true)] {
            seen.core_limit = limit;
            assert_eq!(seen.dumps_core(), dumps, "{limit:?}");
        }
    }
}
