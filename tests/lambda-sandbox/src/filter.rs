//! The filter: which calls answer what. FIELD reports are its source; each entry was refused to
//! somebody on the platform, or is refused to every ordinary user by the container's usual profile.

use libc::sock_filter;

/// AUDIT_ARCH_* of this machine.
#[cfg(target_arch = "x86_64")]
const NATIVE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE: u32 = 0xc000_00b7;

/// The first number that Linux 5.10 does not have (epoll_pwait2, of 5.11).
const AFTER_5_10: u32 = 441;

/// Namespaces by clone(2).
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

const NOT_PERMITTED: [libc::c_long; 29] = [
    libc::SYS_prctl,
    libc::SYS_seccomp,
    libc::SYS_ptrace,
    libc::SYS_fallocate,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_kexec_load,
];

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;
const ERRNO: u32 = 0x0005_0000;

/// The program.
pub fn program() -> Vec<sock_filter> {
    let one = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let errno = |errno: i32| one(RETURN, 0, 0, ERRNO | errno as u32);
    let mut program = vec![
        one(LOAD, 0, 0, 4),
        one(EQUAL, 1, 0, NATIVE),
        one(RETURN, 0, 0, KILL),
        one(LOAD, 0, 0, 0),
        one(AT_LEAST, 0, 1, AFTER_5_10),
        errno(libc::ENOSYS),
        // The flags of clone3 are behind a pointer; libc falls back to clone.
        one(EQUAL, 0, 1, libc::SYS_clone3 as u32),
        errno(libc::ENOSYS),
    ];
    for number in NOT_PERMITTED {
        program.push(one(EQUAL, 0, 1, number as u32));
        program.push(errno(libc::EPERM));
    }
    program.extend([
        one(EQUAL, 0, 4, libc::SYS_clone as u32),
        one(LOAD, 0, 0, 16),
        one(AND, 0, 0, NAMESPACES),
        one(EQUAL, 1, 0, 0),
        errno(libc::EPERM),
        one(RETURN, 0, 0, ALLOW),
    ]);
    program
}
