//! The rest of the kernel's surface: every number, other entries, filters, options by number.

use crate::call;
use crate::raw::{call, say, tell};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("sweep", [from, to]) => sweep(from, to),
        ("numbers", []) => numbers(),
        ("int80", []) => int80(),
        ("unknown-numbers-then-unlink", [path]) => {
            for number in 1024..2048 {
                call(number, &[0; 6]);
            }
            let path = std::ffi::CString::new(*path).expect("no NUL");
            say("unlink", call!(SYS_unlink, path.as_ptr()));
        }
        ("prctl", []) => prctl(),
        ("ioctl", []) => ioctl(),
        ("administration", [path]) => administration(path),
        ("filter", []) => filter(),
        ("dispatch", [to]) => dispatch(to),
        ("io_uring", []) => {
            let parameters = [0u64; 30];
            say("io_uring_setup", call!(SYS_io_uring_setup, 4, parameters.as_ptr()).min(0));
            say("io_uring_enter", call!(SYS_io_uring_enter, 3, 0, 0, 0, 0, 0));
            say("io_uring_register", call!(SYS_io_uring_register, 3, 0, 0, 0));
            let mut context = 0u64;
            say("io_setup", call!(SYS_io_setup, 4, &raw mut context));
        }
        ("sleep-through-stop", []) => sleep_through_stop(),
        ("files", [directory, open]) => files(directory, open),
        _ => return false,
    }
    true
}

const URETPROBE: i64 = 335;
const UPROBE: i64 = 336;

/// Every number with arguments that name nothing, and what came of it. Those that would end or
/// block this process are left out.
fn sweep(from: &str, to: &str) {
    let (from, to): (i64, i64) = (from.parse().expect("a number"), to.parse().expect("a number"));
    let harmful = [
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_rt_sigreturn,
        libc::SYS_pause,
        libc::SYS_rt_sigsuspend,
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_clone,
        libc::SYS_select,
        libc::SYS_pselect6,
        libc::SYS_poll,
        libc::SYS_ppoll,
        libc::SYS_wait4,
        libc::SYS_brk,
        libc::SYS_set_tid_address,
        libc::SYS_alarm,
        libc::SYS_vhangup,
        libc::SYS_sync,
        libc::SYS_personality,
        libc::SYS_arch_prctl,
        libc::SYS_restart_syscall,
        libc::SYS_munmap,
        libc::SYS_close_range,
        libc::SYS_rt_sigtimedwait,
        libc::SYS_setpgid,
        libc::SYS_setsid,
        // The kernel lets its own trampolines for user probes pass every filter, and kills who
        // calls them from elsewhere.
        UPROBE,
        URETPROBE,
    ];
    for number in from..=to {
        if harmful.contains(&number) {
            continue;
        }
        let bad = -1i64 as u64;
        let result = call(number, &[bad, bad, bad, bad, bad, bad]);
        tell("call", &format!("{number} {result}"));
    }
}

/// Numbers that are none.
fn numbers() {
    for number in [
        -1,
        -2,
        0x4000_0000,
        0x4000_0000 | libc::SYS_connect,
        0x4000_0000 | 520,
        1024,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
    ] {
        tell("number", &format!("{number} {}", call(number, &[0; 6])));
    }
    // The kernel takes the lower half of the register only.
    tell("number", &format!("high {}", call(libc::SYS_getpid | 1 << 32, &[0; 6]).min(1)));
    say("restart_syscall", call!(SYS_restart_syscall));
}

/// The 32-bit entry: getpid is 20 there, connect is behind socketcall.
#[cfg(target_arch = "x86_64")]
fn int80() {
    let mut value: i64 = 20;
    // SAFETY: getpid has no arguments; the entry clobbers r8 to r11.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") value,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    say("int80", value.min(1));
}

#[cfg(not(target_arch = "x86_64"))]
fn int80() {}

fn prctl() {
    let list: [(&str, u64, [u64; 4]); 26] = [
        ("PR_SET_PDEATHSIG", 1, [0; 4]),
        ("PR_SET_DUMPABLE", 4, [0; 4]),
        ("PR_SET_KEEPCAPS", 8, [1, 0, 0, 0]),
        ("PR_SET_TIMING", 14, [0; 4]),
        ("PR_SET_SECCOMP", 22, [2, 0, 0, 0]),
        ("PR_CAPBSET_DROP", 24, [0; 4]),
        ("PR_SET_TSC", 26, [1, 0, 0, 0]),
        ("PR_SET_SECUREBITS", 28, [0; 4]),
        ("PR_SET_TIMERSLACK", 29, [1; 4]),
        ("PR_TASK_PERF_EVENTS_DISABLE", 31, [0; 4]),
        ("PR_MCE_KILL", 33, [0; 4]),
        ("PR_SET_MM", 35, [10, 0, 0, 0]),
        ("PR_SET_CHILD_SUBREAPER", 36, [1, 0, 0, 0]),
        ("PR_SET_NO_NEW_PRIVS", 38, [1, 0, 0, 0]),
        ("PR_CAP_AMBIENT", 47, [4, 0, 0, 0]),
        ("PR_SET_SPECULATION_CTRL", 53, [0, 2, 0, 0]),
        ("PR_SET_IO_FLUSHER", 57, [1, 0, 0, 0]),
        ("PR_SET_SYSCALL_USER_DISPATCH", 59, [0; 4]),
        ("PR_SCHED_CORE", 62, [1, 0, 0, 0]),
        ("PR_SET_MDWE", 65, [1, 0, 0, 0]),
        ("PR_SET_MEMORY_MERGE", 67, [1, 0, 0, 0]),
        ("PR_SET_SHADOW_STACK", 75, [0; 4]),
        ("PR_SET_PTRACER", 0x5961_6d61, [u64::MAX, 0, 0, 0]),
        ("unknown", 4000, [0; 4]),
        ("PR_SET_NAME", 15, [c"victim".as_ptr() as u64, 0, 0, 0]),
        ("PR_GET_DUMPABLE", 3, [0; 4]),
    ];
    for (name, option, args) in list {
        say(name, call!(SYS_prctl, option, args[0], args[1], args[2], args[3]).min(0));
        // The kernel looks at the lower half.
        say(
            &format!("{name}-dirty"),
            call!(SYS_prctl, option | 1 << 40, args[0], args[1], args[2], args[3]).min(0),
        );
    }
}

fn ioctl() {
    let value = 1i32;
    let mut pair = [0i32; 2];
    call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
    let list: [(&str, u64); 12] = [
        ("TIOCSTI", 0x5412),
        ("TIOCLINUX", 0x541c),
        ("TIOCSCTTY", 0x540e),
        ("TIOCSPGRP", 0x5410),
        ("FIOSETOWN", 0x8901),
        ("SIOCSPGRP", 0x8902),
        ("FIOASYNC", 0x5452),
        ("FICLONE", 0x4004_9409),
        ("FS_IOC_SETFLAGS", 0x4008_6602),
        ("SECCOMP_IOCTL_NOTIF_RECV", 0xc050_2100),
        ("SIOCETHTOOL", 0x8946),
        ("TCSETS", 0x5402),
    ];
    for (name, command) in list {
        say(name, call!(SYS_ioctl, pair[0], command, &raw const value));
        say(&format!("{name}-dirty"), call!(SYS_ioctl, pair[0], command | 1 << 32, &raw const value));
    }
    say("FIONREAD", call!(SYS_ioctl, pair[0], 0x541b, &raw const value));
    say("FIONREAD-dirty", call!(SYS_ioctl, pair[0], 0x541bu64 | 1 << 32, &raw const value));
}

/// What only an administrator does, each in a form that could go on.
fn administration(path: &str) {
    let path = std::ffi::CString::new(path).expect("no NUL");
    let here = path.as_ptr();
    let zero = [0u64; 64];
    say("chroot", call!(SYS_chroot, here));
    say("mount", call!(SYS_mount, c"none".as_ptr(), here, c"tmpfs".as_ptr(), 0, 0));
    say("umount2", call!(SYS_umount2, here, 2));
    say("pivot_root", call!(SYS_pivot_root, here, here));
    say("open_tree", call!(SYS_open_tree, libc::AT_FDCWD, here, 1).min(0));
    say("fsopen", call!(SYS_fsopen, c"tmpfs".as_ptr(), 0).min(0));
    say("sethostname", call!(SYS_sethostname, c"x".as_ptr(), 1));
    say("swapon", call!(SYS_swapon, here, 0));
    say("acct", call!(SYS_acct, 0));
    say("syslog", call!(SYS_syslog, 10, 0, 0).min(0));
    say("bpf", call!(SYS_bpf, 0, zero.as_ptr(), 64).min(0));
    say("perf_event_open", call!(SYS_perf_event_open, zero.as_ptr(), 0, -1i64, -1i64, 0).min(0));
    say("userfaultfd", call!(SYS_userfaultfd, 1).min(0));
    say("keyctl", call!(SYS_keyctl, 0, -3i64, 0).min(0));
    say("add_key", call!(SYS_add_key, c"user".as_ptr(), c"x".as_ptr(), c"y".as_ptr(), 1, -3i64).min(0));
    say("request_key", call!(SYS_request_key, c"user".as_ptr(), c"nope".as_ptr(), 0, 0).min(0));
    say("init_module", call!(SYS_init_module, zero.as_ptr(), 8, c"".as_ptr()));
    say("kexec_load", call!(SYS_kexec_load, 0, 0, 0, 0));
    say("ptrace-traceme", call!(SYS_ptrace, 0, 0, 0, 0));
    say("process_madvise", call!(SYS_process_madvise, -1i64, zero.as_ptr(), 0, 0, 0));
    say("move_pages", call!(SYS_move_pages, 0, 0, 0, 0, 0, 0));
    say("mbind", call!(SYS_mbind, 0, 0, 0, 0, 0, 0));
    say("shmget", call!(SYS_shmget, 0, 4096, 0o1600).min(0));
    say("msgget", call!(SYS_msgget, 0, 0o1600).min(0));
    say("semget", call!(SYS_semget, 0, 1, 0o1600).min(0));
    say("mq_open", call!(SYS_mq_open, c"fnguard-attack".as_ptr(), 0o102, 0o600, 0).min(0));
    say("fanotify_init", call!(SYS_fanotify_init, 0x200, 0).min(0));
    say(
        "name_to_handle_at",
        call!(SYS_name_to_handle_at, libc::AT_FDCWD, here, zero.as_ptr(), zero.as_ptr(), 0),
    );
    say("open_by_handle_at", call!(SYS_open_by_handle_at, libc::AT_FDCWD, zero.as_ptr(), 0));
    say("modify_ldt", call!(SYS_modify_ldt, 0, zero.as_ptr(), 8).min(0));
    say("iopl", call!(SYS_iopl, 3));
    say("ioperm", call!(SYS_ioperm, 0x80, 1, 1));
    say("settimeofday", call!(SYS_settimeofday, 0, 0));
    say("adjtimex", call!(SYS_adjtimex, zero.as_ptr()).min(0));
    say("reboot", call!(SYS_reboot, 0, 0, 0, 0));
    say("quotactl", call!(SYS_quotactl, 0, 0, 0, 0));
    say("landlock_create_ruleset", call(444, &[0, 0, 1]).min(0));
    say("mincore", call!(SYS_mincore, 0, 0, 0));
    say("remap_file_pages", call!(SYS_remap_file_pages, 0, 0, 0, 0, 0));
    say("vhangup", call!(SYS_vhangup));
}

/// A filter on top, which could answer for calls before they reach the arbiter.
fn filter() {
    // ret ERRNO(0): every connect would seem to have gone well.
    #[cfg(target_arch = "x86_64")]
    const CONNECT: u32 = 42;
    #[cfg(not(target_arch = "x86_64"))]
    const CONNECT: u32 = 203;
    let program: [u64; 4] = [
        0x0020,                                 // ld [nr]
        0x0100_0015 | u64::from(CONNECT) << 32, // jeq CONNECT, else skip one
        0x0006 | 0x0005_0000 << 32,             // ret ERRNO(0)
        0x0006 | 0x7fff_0000 << 32,             // ret ALLOW
    ];
    let head = [4u64, program.as_ptr() as u64];
    for (name, flags) in [("plain", 0), ("tsync", 1), ("log", 2), ("listener", 8), ("killable", 40)] {
        say(&format!("seccomp-{name}"), call!(SYS_seccomp, 1, flags, head.as_ptr()).min(0));
    }
    say("prctl-filter", call!(SYS_prctl, 22, 2, head.as_ptr(), 0, 0));
    say("seccomp-dirty", call!(SYS_seccomp, 1u64 | 1 << 40, 0, head.as_ptr()).min(0));
    let bytes = crate::raw::address("203.0.113.9:4444");
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

/// System calls that the process itself answers by SIGSYS.
fn dispatch(to: &str) {
    // For good: the kernel looks at it until the end.
    let selector = std::ptr::from_mut(Box::leak(Box::new(0u8)));
    say("dispatch", call!(SYS_prctl, 59, 1, 0, 0, selector));
    let bytes = crate::raw::address(to);
    let socket = crate::raw::socket_for(&bytes, libc::SOCK_STREAM);
    say("connect", call!(SYS_connect, socket, bytes.as_ptr(), bytes.len()));
}

/// A sleep that is interrupted by a stop goes on by restart_syscall.
fn sleep_through_stop() {
    say("pid", i64::from(std::process::id()));
    let time = [1i64, 0];
    say("nanosleep", call!(SYS_nanosleep, time.as_ptr(), 0));
}

/// Every call that changes a path, aimed at one directory that may not be written.
fn files(directory: &str, open: &str) {
    let path = |name: &str| std::ffi::CString::new(format!("{directory}/{name}")).expect("no NUL");
    let own = |name: &str| std::ffi::CString::new(format!("{open}/{name}")).expect("no NUL");
    let (own_path, own_link, own_taken) = (own("own"), own("link"), own("taken"));
    let (own_path, own_link, own_taken) = (own_path.as_ptr(), own_link.as_ptr(), own_taken.as_ptr());
    let (there, new) = (path("there"), path("new"));
    let at = libc::AT_FDCWD;
    let (there, new) = (there.as_ptr(), new.as_ptr());
    say("own", call!(SYS_openat, at, own_path, libc::O_CREAT | libc::O_RDWR, 0o600).min(0));
    say("open-write", call!(SYS_openat, at, there, libc::O_WRONLY, 0).min(0));
    say("open-append", call!(SYS_openat, at, there, libc::O_WRONLY | libc::O_APPEND, 0).min(0));
    say("open-truncate", call!(SYS_openat, at, there, libc::O_RDONLY | libc::O_TRUNC, 0).min(0));
    say("open-create", call!(SYS_openat, at, new, libc::O_CREAT | libc::O_RDONLY, 0o600).min(0));
    say("open-dirty", call!(SYS_openat, at, there, libc::O_WRONLY as u64 | 1 << 40, 0).min(0));
    say("open-old", call!(SYS_open, there, libc::O_WRONLY, 0).min(0));
    say("creat", call!(SYS_creat, new, 0o600).min(0));
    let how = [(libc::O_WRONLY) as u64, 0, 0];
    say("openat2", call!(SYS_openat2, at, there, how.as_ptr(), 24).min(0));
    let directory_c = std::ffi::CString::new(directory).expect("no NUL");
    say("tmpfile", call!(SYS_openat, at, directory_c.as_ptr(), libc::O_TMPFILE | libc::O_RDWR, 0o600).min(0));
    say("truncate", call!(SYS_truncate, there, 0));
    say("unlink", call!(SYS_unlink, there));
    say("unlinkat", call!(SYS_unlinkat, at, there, 0));
    say("mkdir", call!(SYS_mkdir, new, 0o700));
    say("mkdirat", call!(SYS_mkdirat, at, new, 0o700));
    say("rmdir", call!(SYS_rmdir, path("folder").as_ptr()));
    say("mknod", call!(SYS_mknod, new, 0o010600, 0));
    say("mknodat", call!(SYS_mknodat, at, new, 0o010600, 0));
    say("symlink", call!(SYS_symlink, c"/etc/passwd".as_ptr(), new));
    say("symlinkat", call!(SYS_symlinkat, c"/etc/passwd".as_ptr(), at, new));
    say("link", call!(SYS_link, own_path, new));
    say("link-out", call!(SYS_link, there, own_link));
    say("linkat", call!(SYS_linkat, at, own_path, at, new, 0));
    say("rename-in", call!(SYS_rename, own_path, new));
    say("rename-out", call!(SYS_rename, there, own_taken));
    say("renameat2", call!(SYS_renameat2, at, own_path, at, there, 2));
    say("chmod", call!(SYS_chmod, there, 0o777));
    say("fchmodat", call!(SYS_fchmodat, at, there, 0o777));
    say("fchmodat2", call(452, &[at as u64, there as u64, 0o777, 0]));
    say("chown", call!(SYS_chown, there, -1i64, -1i64));
    say("setxattr", call!(SYS_setxattr, there, c"user.x".as_ptr(), c"y".as_ptr(), 1, 0));
    let readable = call!(SYS_openat, at, there, libc::O_RDONLY, 0);
    say("fchmod", call!(SYS_fchmod, readable, 0o777));
    let named_so = call!(SYS_openat, at, path("named (deleted)").as_ptr(), libc::O_RDONLY, 0);
    say("fchmod-named-so", call!(SYS_fchmod, named_so, 0o777));
    let c = |text: String| std::ffi::CString::new(text).expect("no NUL");
    let by_descriptor = call!(SYS_openat, at, path("by-descriptor").as_ptr(), libc::O_RDONLY, 0);
    let again = c(format!("/proc/self/fd/{by_descriptor}"));
    say("reopen", call!(SYS_openat, at, again.as_ptr(), libc::O_WRONLY, 0).min(0));
    let by_root = c(format!("/proc/self/root{directory}/by-root"));
    say("by-root", call!(SYS_openat, at, by_root.as_ptr(), libc::O_WRONLY, 0).min(0));
    let by_thread = c(format!("/proc/thread-self/root{directory}/made-by-thread"));
    say("by-thread", call!(SYS_mkdir, by_thread.as_ptr(), 0o700));
    let taken = c(format!("/proc/self/root{directory}/unlinked-by-root"));
    say("unlink-by-root", call!(SYS_unlink, taken.as_ptr()));
    // What has no path is its maker's.
    let memory = call!(SYS_memfd_create, c"mine".as_ptr(), 0);
    let memory = c(format!("/proc/self/fd/{memory}"));
    say("memory", call!(SYS_openat, at, memory.as_ptr(), libc::O_RDWR, 0).min(0));
    call!(SYS_unlink, own_path);
}
