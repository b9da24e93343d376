//! The generated number tables: against libc for this machine, against the kernel's rules for
//! both architectures, and against the headers they were generated from.

use fnguard_policy::syscalls::{self, Arch};
use std::path::Path;
use std::process::Command;

/// libc has the host's numbers, from another source than ours.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn the_hosts_numbers_are_libcs() {
    let arch = Arch::of_host().unwrap();
    macro_rules! same {
        ($($constant:ident)*) => {$(
            let name = stringify!($constant).trim_start_matches("SYS_");
            let number = i64::try_from(libc::$constant).unwrap();
            assert_eq!(syscalls::name(arch, number), Some(name));
            assert_eq!(syscalls::number(arch, name).map(i64::from), Some(number), "{name}");
        )*};
    }
    same!(
        SYS_read SYS_write SYS_close SYS_mmap SYS_mprotect SYS_munmap SYS_brk SYS_rt_sigaction SYS_rt_sigreturn
        SYS_ioctl SYS_socket SYS_connect SYS_accept4 SYS_sendto SYS_recvfrom SYS_sendmsg SYS_sendmmsg
        SYS_bind SYS_listen SYS_socketpair SYS_setsockopt SYS_clone SYS_clone3 SYS_execve SYS_execveat
        SYS_exit_group SYS_kill SYS_tkill SYS_tgkill SYS_fcntl SYS_openat SYS_openat2 SYS_unlinkat
        SYS_renameat2 SYS_ptrace SYS_prctl SYS_prlimit64 SYS_seccomp SYS_bpf SYS_io_uring_setup
        SYS_process_vm_readv SYS_pidfd_open SYS_pidfd_getfd SYS_pidfd_send_signal SYS_memfd_create
        SYS_landlock_create_ruleset SYS_close_range SYS_faccessat2 SYS_fchmodat2 SYS_mseal SYS_newfstatat
        SYS_restart_syscall SYS_rseq SYS_membarrier SYS_statx SYS_epoll_pwait2 SYS_futex_waitv
    );
}

/// From 424 on all architectures number their calls alike (Documentation/process/adding-syscalls).
#[test]
fn younger_calls_have_one_number() {
    for &(number, name) in syscalls::all(Arch::X86_64) {
        // x86_64 has uretprobe at 335 and the like below; 424 is pidfd_send_signal.
        if number >= 424 {
            assert_eq!(syscalls::number(Arch::Aarch64, name), Some(number), "{name}");
        }
    }
}

#[test]
fn tables_are_sorted_and_both_ways() {
    for arch in Arch::ALL {
        let table = syscalls::all(arch);
        assert!(table.len() > 300, "{arch}");
        assert!(table.windows(2).all(|pair| pair[0].0 < pair[1].0), "{arch}: by number, no number twice");
        for &(number, name) in table {
            assert_eq!(syscalls::name(arch, i64::from(number)), Some(name));
            assert_eq!(syscalls::number(arch, name), Some(number));
        }
        for garbage in [-1, i64::MIN, i64::MAX, 1 << 32, 0x4000_0000, 1024] {
            assert_eq!(syscalls::name(arch, garbage), None);
        }
        assert_eq!(Arch::from_name(arch.as_str()), Some(arch));
    }
    assert_eq!(Arch::X86_64.audit_value(), 0xc000_003e);
    assert_eq!(Arch::Aarch64.audit_value(), 0xc000_00b7);
}

/// Regenerates from the installed kernel headers and compares. Needs python3, a C compiler and
/// linux-libc-dev, as a build of the workspace's tests does anyway.
#[test]
fn the_tables_are_what_the_headers_say() {
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/syscall_numbers.py");
    let done = Command::new("python3").arg(generator).arg("--check").output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}
