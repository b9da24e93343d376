//! The notified calls that the arbiter decides, by name, and what decides them. The arbiter does not
//! look here: it dispatches by number, and a test holds the two to the same calls. It is for whoever
//! explains a policy; a notified call that is not named here is denied.

/// A call that the arbiter decides, and what it decides by.
const MEDIATED: &[(&str, &str)] = &[
    ("connect", PEER),
    ("sendto", PEER),
    ("sendmsg", PEER),
    ("sendmmsg", PEER),
    ("bind", "[network] listen"),
    ("listen", "[network] listen"),
    ("execve", "[exec] allow"),
    ("execveat", "[exec] allow"),
    ("clone", CHILDREN),
    ("fork", CHILDREN),
    ("vfork", CHILDREN),
    ("kill", OWN),
    ("rt_sigqueueinfo", OWN),
    ("tgkill", OWN),
    ("rt_tgsigqueueinfo", OWN),
    ("tkill", OWN),
    ("pidfd_send_signal", OWN),
    ("prlimit64", OWN),
    ("sched_setaffinity", OWN),
    ("sched_setscheduler", OWN),
    ("sched_setparam", OWN),
    ("sched_setattr", OWN),
    ("setpriority", OWN),
    ("mmap", MEMORY),
    ("mprotect", MEMORY),
    ("pkey_mprotect", MEMORY),
    ("close", STREAMS),
    ("close_range", STREAMS),
    ("dup2", STREAMS),
    ("dup3", STREAMS),
    ("open", OPENING),
    ("openat", OPENING),
    ("openat2", OPENING),
    ("creat", CHANGE),
    ("unlink", CHANGE),
    ("unlinkat", CHANGE),
    ("rmdir", CHANGE),
    ("mkdir", CHANGE),
    ("mkdirat", CHANGE),
    ("mknod", CHANGE),
    ("mknodat", CHANGE),
    ("symlink", CHANGE),
    ("symlinkat", CHANGE),
    ("rename", CHANGE),
    ("renameat", CHANGE),
    ("renameat2", CHANGE),
    ("link", CHANGE),
    ("linkat", CHANGE),
    ("truncate", CHANGE),
    ("chmod", CHANGE),
    ("fchmod", CHANGE),
    ("fchmodat", CHANGE),
    ("fchmodat2", CHANGE),
    ("chown", CHANGE),
    ("lchown", CHANGE),
    ("fchown", CHANGE),
    ("fchownat", CHANGE),
    ("setxattr", CHANGE),
    ("lsetxattr", CHANGE),
    ("fsetxattr", CHANGE),
    ("removexattr", CHANGE),
    ("lremovexattr", CHANGE),
    ("fremovexattr", CHANGE),
];

const PEER: &str = "[network] allow";
const CHILDREN: &str = "[exec] allow and fork";
const OWN: &str = "whether it aims at the caller's own process or a child of it";
const MEMORY: &str = "[memory] executable";
const STREAMS: &str = "whether stdout and stderr still lead to the arbiter";
const OPENING: &str = "[files] write, read and own_code";
const CHANGE: &str = "[files] write";

/// What the arbiter decides a notified call by; `None` where it denies and reports it. Not here are
/// three calls that it takes in one case only: `ioctl` on a terminal that `fnguard run --tty` gave,
/// `kcmp` as the library's own question, and `socket` for UDP ([`super::is_udp`]).
///
/// ```
/// use fnguard_policy::syscalls::mediated_by;
/// assert_eq!(mediated_by("connect"), Some("[network] allow"));
/// assert_eq!(mediated_by("ptrace"), None);
/// ```
pub fn mediated_by(name: &str) -> Option<&'static str> {
    MEDIATED.iter().find(|(known, _)| *known == name).map(|(_, by)| *by)
}
