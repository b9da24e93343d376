//! What is really in force, read from /proc by code that installed none of it.
//!
//! Raw calls read, procfs parses. Nothing here knows how a filter is installed or an environment
//! scrubbed; a step of arming that only claimed to have worked is noticed here.

use crate::sys::{Errno, path};
use procfs::FromRead;
use procfs::process::Status;

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
    /// Descriptors that are seccomp listeners.
    pub(crate) listeners: usize,
    /// The bytes of its environment, as the kernel serves them.
    pub(crate) environment: Vec<u8>,
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
        listeners: 0,
        environment: Vec::new(),
    };
    for thread in path::list(&path::proc_path(&format!("/proc/{pid}/task")))? {
        let thread = String::from_utf8_lossy(&thread);
        let text =
            path::read_file(&path::proc_path(&format!("/proc/{pid}/task/{thread}/status")), 16 * 1024)?;
        let status = Status::from_read(text.as_slice()).map_err(|_| Errno(libc::EPROTO))?;
        seen.threads += 1;
        seen.filtered &= status.seccomp == Some(2);
        seen.no_new_privileges &= status.nonewprivs == Some(1);
        seen.capabilities |= status.capeff;
    }
    for descriptor in path::list(&path::proc_path(&format!("/proc/{pid}/fd")))? {
        let descriptor = String::from_utf8_lossy(&descriptor);
        let target = path::read_link(&path::proc_path(&format!("/proc/{pid}/fd/{descriptor}")));
        seen.listeners += usize::from(target.is_ok_and(|target| target == b"anon_inode:seccomp notify"));
    }
    seen.environment = path::read_file(&path::proc_path(&format!("/proc/{pid}/environ")), 4 << 20)?;
    Ok(seen)
}

/// The kernel's release (proc_sys_kernel(5)).
pub(crate) fn kernel_release() -> Option<String> {
    let text = path::read_file(c"/proc/sys/kernel/osrelease", 256).ok()?;
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen_as_it_is() {
        let seen = see(std::process::id() as i32).unwrap();
        assert!(seen.threads >= 1);
        assert_eq!(seen.listeners, 0);
        assert_eq!(seen.environment, std::fs::read("/proc/self/environ").unwrap());
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(seen.filtered, own.contains("Seccomp:\t2"));
    }
}
