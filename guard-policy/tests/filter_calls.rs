//! What the filters answer, call by call, written down by hand: real argument values in, the
//! answer expected of the kernel out. Constants are libc's, so that they are not the table's own.
//! Where both architectures agree on a constant the case runs on both.
#![allow(clippy::unwrap_used)] // in a test, a failed unwrap is the finding

mod bpf;

use bpf::{Machine, Syscall};
use fnguard_policy::filter::{self, FilterError, OWN_PROCESS_PLACEHOLDER};
use fnguard_policy::model::{Executable, Mode, OwnCode, Policy, Program};
use fnguard_policy::syscalls::{self, ARBITER, Answer, Arch, FUNCTION, When, Width};
use std::sync::LazyLock;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const NOTIFY: u32 = libc::SECCOMP_RET_USER_NOTIF;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
const OWN: u64 = 4711;

/// A filter as arming would install it. Tests make few of them, and keep them.
fn armed(program: Result<Program, FilterError>) -> Machine<'static> {
    let mut program = program.unwrap();
    for &slot in &program.pid_slots {
        program.instructions[usize::from(slot)].3 = OWN as u32;
    }
    Machine::new(program.instructions.leak())
}

fn function(policy: &Policy, arch: Arch) -> Machine<'static> {
    armed(filter::compile(policy, arch))
}

/// The filter of the default policy, which most cases ask.
fn default(arch: Arch) -> Machine<'static> {
    static DEFAULT: LazyLock<Vec<(Arch, Machine<'static>)>> =
        LazyLock::new(|| Arch::ALL.map(|arch| (arch, function(&Policy::default(), arch))).to_vec());
    DEFAULT.iter().find(|(of, _)| *of == arch).unwrap().1
}

fn answer(filter: Machine<'_>, arch: Arch, name: &str, args: &[u64]) -> Option<u32> {
    let nr = syscalls::number(arch, name)?;
    let mut registers = [0; 6];
    registers[..args.len()].copy_from_slice(args);
    let data = Syscall {
        nr: nr as i32,
        arch: arch.audit_value(),
        instruction_pointer: 0x7fff_1234_5678,
        args: registers,
    };
    Some(filter.run(&data))
}

/// Runs cases on every architecture that has the call; a call that none has is an error.
#[track_caller]
fn expect(filter: impl Fn(Arch) -> Machine<'static>, cases: &[(&str, &[u64], u32)]) {
    for arch in Arch::ALL {
        let filter = filter(arch);
        for &(name, args, expected) in cases {
            assert!(Arch::ALL.into_iter().any(|arch| syscalls::number(arch, name).is_some()), "{name}");
            if let Some(found) = answer(filter, arch, name, args) {
                assert_eq!(found, expected, "{arch}: {name}{args:x?}: {found:#x}, expected {expected:#x}");
            }
        }
    }
}

#[track_caller]
fn expect_default(cases: &[(&str, &[u64], u32)]) {
    expect(default, cases);
}

/// A C `int` in a register, sign-extended as compilers do.
const fn int(value: libc::c_int) -> u64 {
    value as i64 as u64
}

const GARBAGE: u64 = 0xdead_beef_0000_0000;

#[test]
fn sockets_are_allowed_by_family_type_and_protocol() {
    let flags = int(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    let (unix, inet, inet6, netlink) =
        (int(libc::AF_UNIX), int(libc::AF_INET), int(libc::AF_INET6), int(libc::AF_NETLINK));
    let (stream, datagram, raw, seqpacket) =
        (int(libc::SOCK_STREAM), int(libc::SOCK_DGRAM), int(libc::SOCK_RAW), int(libc::SOCK_SEQPACKET));
    for (family, kind, protocol, expected) in [
        (inet, stream, 0, ALLOW),
        (inet, stream, 6, ALLOW),
        (inet6, stream, 0, ALLOW),
        (inet6, stream, 6, ALLOW),
        (unix, stream, 0, ALLOW),
        (unix, datagram, 0, ALLOW),
        (unix, seqpacket, 0, ALLOW),
        (netlink, raw, 0, ALLOW),
        (netlink, datagram, 0, ALLOW),
        // UDP: the arbiter makes the socket, with a filter against strangers.
        (inet, datagram, 0, NOTIFY),
        (inet, datagram, 17, NOTIFY),
        (inet6, datagram, 0, NOTIFY),
        (inet6, datagram, 17, NOTIFY),
        // protocols: crossed, MPTCP, SCTP, DCCP, UDP-Lite, ping
        (inet, stream, 17, NOTIFY),
        (inet, datagram, 6, NOTIFY),
        (inet, stream, int(libc::IPPROTO_MPTCP), NOTIFY),
        (inet6, stream, int(libc::IPPROTO_MPTCP), NOTIFY),
        (inet, stream, int(libc::IPPROTO_SCTP), NOTIFY),
        (inet, int(libc::SOCK_DCCP), int(libc::IPPROTO_DCCP), NOTIFY),
        (inet, datagram, int(libc::IPPROTO_UDPLITE), NOTIFY),
        (inet, datagram, int(libc::IPPROTO_ICMP), NOTIFY),
        (inet6, datagram, int(libc::IPPROTO_ICMPV6), NOTIFY),
        (inet, seqpacket, 0, NOTIFY),
        (inet, raw, 0, NOTIFY),
        (inet, raw, 255, NOTIFY),
        (unix, stream, 1, NOTIFY),
        (unix, raw, 0, NOTIFY),
        // netlink beyond ROUTE
        (netlink, raw, int(libc::NETLINK_SOCK_DIAG), NOTIFY),
        (netlink, raw, int(libc::NETLINK_GENERIC), NOTIFY),
        (netlink, stream, 0, NOTIFY),
        // other families, with type and protocol that are fine elsewhere
        (int(libc::AF_VSOCK), stream, 0, NOTIFY),
        (int(libc::AF_ALG), seqpacket, 0, NOTIFY),
        (int(libc::AF_PACKET), datagram, 0, NOTIFY),
        (0, stream, 0, NOTIFY),
        // type bits that are neither type nor flag
        (inet, stream | 0x10, 0, NOTIFY),
        (inet, stream | 0x8000_0000, 0, NOTIFY),
        (inet, 0, 0, NOTIFY),
    ] {
        for with in [0, flags, int(libc::SOCK_NONBLOCK), int(libc::SOCK_CLOEXEC)] {
            let call = [family, kind | with, protocol];
            expect_default(&[
                ("socket", &call, expected),
                ("socket", &call.map(|word| word | GARBAGE), expected),
            ]);
            let pair = if family == unix { expected } else { NOTIFY };
            expect_default(&[("socketpair", &call, pair)]);
        }
    }
}

#[test]
fn every_family_and_type_beyond_the_four_is_notified() {
    for arch in Arch::ALL {
        let filter = default(arch);
        for family in 0..64u64 {
            for kind in 0..16u64 {
                for protocol in [0, 1, 6, 17, 33, 58, 132, 136, 255, 256, 262] {
                    let found = answer(filter, arch, "socket", &[family, kind, protocol]).unwrap();
                    let known = match (family, kind) {
                        (1, 1 | 2 | 5) | (16, 2 | 3) => protocol == 0,
                        (2 | 10, 1) => protocol == 0 || protocol == 6,
                        _ => false,
                    };
                    let is_udp = matches!((family, kind, protocol), (2 | 10, 2, 0 | 17));
                    assert_eq!(syscalls::is_udp(family as i32, kind as i32, protocol as i32), is_udp);
                    assert_eq!(found == ALLOW, known, "{arch}: socket({family}, {kind}, {protocol})");
                }
            }
        }
    }
}

#[test]
fn socket_options_are_allowed_by_level_and_name() {
    let allowed = [
        (libc::SOL_SOCKET, libc::SO_REUSEADDR),
        (libc::SOL_SOCKET, libc::SO_KEEPALIVE),
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO),
        (libc::SOL_SOCKET, libc::SO_LINGER),
        (libc::IPPROTO_TCP, libc::TCP_NODELAY),
        (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
        (libc::IPPROTO_IP, libc::IP_TOS),
        (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY),
        (libc::IPPROTO_UDP, libc::UDP_GRO),
    ];
    let notified = [
        (libc::IPPROTO_UDP, libc::UDP_CORK),
        (libc::IPPROTO_UDP, libc::UDP_SEGMENT),
        (libc::IPPROTO_IP, libc::IP_OPTIONS),
        (libc::IPPROTO_IP, libc::IP_TTL),
        (libc::IPPROTO_IP, libc::IP_TRANSPARENT),
        (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
        (libc::IPPROTO_IP, libc::IP_HDRINCL),
        (libc::IPPROTO_IP, 50), // IP_UNICAST_IF
        (libc::IPPROTO_IPV6, libc::IPV6_RTHDR),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
        (libc::IPPROTO_IPV6, libc::IPV6_ADDRFORM),
        (libc::IPPROTO_IPV6, libc::IPV6_ADD_MEMBERSHIP),
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
        (libc::SOL_SOCKET, libc::SO_MARK),
        (libc::SOL_SOCKET, libc::SO_ATTACH_FILTER),
        (libc::SOL_SOCKET, libc::SO_TXTIME),
        (libc::SOL_SOCKET, libc::SO_BROADCAST),
        (libc::IPPROTO_TCP, libc::TCP_ULP),
        (libc::IPPROTO_TCP, libc::TCP_REPAIR),
        (libc::IPPROTO_TCP, libc::TCP_MD5SIG),
        (libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT),
        (libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP),
    ];
    for (cases, expected) in [(&allowed[..], ALLOW), (&notified[..], NOTIFY)] {
        for &(level, name) in cases {
            let call = [3, int(level), int(name), 0x7000_0000_1000, 4];
            let garbage = [3, int(level) | GARBAGE, int(name) | GARBAGE, 0x7000_0000_1000, 4];
            expect_default(&[("setsockopt", &call, expected), ("setsockopt", &garbage, expected)]);
        }
    }
    // A name of one level at another: IP_TOS is 1, and so are TCP_NODELAY and SO_DEBUG.
    expect_default(&[
        ("setsockopt", &[3, int(libc::SOL_SOCKET), int(libc::SO_DEBUG)], NOTIFY),
        ("setsockopt", &[3, int(libc::IPPROTO_UDP), 1], NOTIFY),
        ("setsockopt", &[3, int(libc::IPPROTO_IPV6), 1], NOTIFY),
    ]);
}

#[test]
fn sending_without_an_address_takes_harmless_flags_only() {
    let send = |flags: libc::c_int, address: u64| [3, 0x1000, 5, int(flags), address, 0];
    expect_default(&[
        ("sendto", &send(0, 0), ALLOW),
        ("sendto", &send(libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT | libc::MSG_EOR, 0), ALLOW),
        ("sendto", &send(libc::MSG_MORE, 0), NOTIFY),
        ("sendto", &send(libc::MSG_OOB, 0), NOTIFY),
        ("sendto", &send(libc::MSG_ZEROCOPY, 0), NOTIFY),
        ("sendto", &send(libc::MSG_FASTOPEN, 0), NOTIFY),
        ("sendto", &send(libc::MSG_CONFIRM, 0), NOTIFY),
        ("sendto", &send(0, 0x7fff_0000_1000), NOTIFY),
        // an address whose lower half is zero is an address
        ("sendto", &send(0, 0x1_0000_0000), NOTIFY),
        ("sendto", &send(0, 0x8000_0000_0000_0000), NOTIFY),
        // flags are an int
        ("sendto", &[3, 0x1000, 5, GARBAGE, 0, 0], ALLOW),
        ("connect", &[3, 0x1000, 16], NOTIFY),
        ("bind", &[3, 0x1000, 16], NOTIFY),
        ("listen", &[3, 1], NOTIFY),
        ("sendmsg", &[3, 0x1000, 0], NOTIFY),
        ("sendmmsg", &[3, 0x1000, 1, 0], NOTIFY),
        ("recvfrom", &[3, 0x1000, 5, 0, 0, 0], ALLOW),
        ("accept4", &[3, 0, 0, 0], ALLOW),
    ]);
}

#[test]
fn commands_are_allowed_one_by_one() {
    let tiocsti = 0x5412;
    expect_default(&[
        ("ioctl", &[0, 0x5421], ALLOW),           // FIONBIO
        ("ioctl", &[0, 0x5421 | GARBAGE], ALLOW), // an unsigned int to the kernel
        ("ioctl", &[0, 0x5401], ALLOW),           // TCGETS
        ("ioctl", &[0, 0x8912], ALLOW),           // SIOCGIFCONF
        ("ioctl", &[0, tiocsti], NOTIFY),
        ("ioctl", &[0, tiocsti | 1 << 32], NOTIFY),
        ("ioctl", &[0, 0x5452], NOTIFY), // FIOASYNC
        ("ioctl", &[0, 0x8901], NOTIFY), // FIOSETOWN
        ("ioctl", &[0, 0x8902], NOTIFY), // SIOCSPGRP
        ("ioctl", &[0, 0x5410], NOTIFY), // TIOCSPGRP
        ("ioctl", &[0, 0x540e], NOTIFY), // TIOCSCTTY
        ("ioctl", &[0, 0x8914], NOTIFY), // SIOCSIFFLAGS
        ("fcntl", &[3, int(libc::F_GETFL)], ALLOW),
        ("fcntl", &[3, int(libc::F_SETFD), 1], ALLOW),
        ("fcntl", &[3, int(libc::F_DUPFD_CLOEXEC), 0], ALLOW),
        ("fcntl", &[3, int(libc::F_SETLK), 0x1000], ALLOW),
        ("fcntl", &[3, int(libc::F_SETFL), int(libc::O_NONBLOCK | libc::O_APPEND | libc::O_RDWR)], ALLOW),
        ("fcntl", &[3, int(libc::F_SETFL), int(libc::O_ASYNC)], NOTIFY),
        ("fcntl", &[3, int(libc::F_SETFL), int(libc::O_ASYNC | libc::O_NONBLOCK) | GARBAGE], NOTIFY),
        ("fcntl", &[3, int(libc::F_SETOWN), OWN], NOTIFY),
        ("fcntl", &[3, 15, 0x1000], NOTIFY), // F_SETOWN_EX
        ("fcntl", &[3, 10, 9], NOTIFY),      // F_SETSIG
        ("fcntl", &[3, int(libc::F_NOTIFY), 1], NOTIFY),
        ("fcntl", &[3, int(libc::F_SETLEASE), 0], NOTIFY),
        ("fcntl", &[3, int(libc::F_SETPIPE_SZ), 4096], NOTIFY),
        ("prctl", &[int(libc::PR_SET_NAME)], ALLOW),
        ("prctl", &[int(libc::PR_GET_DUMPABLE)], ALLOW),
        ("prctl", &[int(libc::PR_SET_VMA), 0], ALLOW),
        ("prctl", &[int(libc::PR_SET_VMA), 1], NOTIFY),
        ("prctl", &[int(libc::PR_SET_VMA), 1 << 32], NOTIFY),
        ("prctl", &[int(libc::PR_SET_DUMPABLE), 0], NOTIFY),
        ("prctl", &[int(libc::PR_SET_PTRACER), OWN], NOTIFY),
        ("prctl", &[int(libc::PR_SET_PDEATHSIG), 0], NOTIFY),
        ("prctl", &[int(libc::PR_SET_CHILD_SUBREAPER), 1], NOTIFY),
        ("prctl", &[int(libc::PR_SET_SECCOMP), 2, 0x1000], NOTIFY),
        ("prctl", &[int(libc::PR_SET_SECCOMP) | GARBAGE, 2, 0x1000], NOTIFY),
        ("prctl", &[59, 1], NOTIFY), // PR_SET_SYSCALL_USER_DISPATCH
        ("prctl", &[int(libc::PR_SET_MM), 1], NOTIFY),
        ("prctl", &[int(libc::PR_SET_SECUREBITS), 0], NOTIFY),
        ("prctl", &[int(libc::PR_SET_SPECULATION_CTRL), 0], NOTIFY),
        ("prctl", &[int(libc::PR_CAP_AMBIENT), 2], NOTIFY),
        ("prctl", &[62, 1], NOTIFY), // PR_SCHED_CORE
        ("prctl", &[9999], NOTIFY),
        ("madvise", &[0, 0, int(libc::MADV_DONTNEED)], ALLOW),
        ("madvise", &[0, 0, int(libc::MADV_FREE)], ALLOW),
        ("madvise", &[0, 0, int(libc::MADV_DODUMP)], NOTIFY),
        ("madvise", &[0, 0, int(libc::MADV_MERGEABLE)], NOTIFY),
        ("madvise", &[0, 0, int(libc::MADV_POPULATE_WRITE)], NOTIFY),
        ("madvise", &[0, 0, int(libc::MADV_HWPOISON)], NOTIFY),
        ("madvise", &[0, 0, int(libc::MADV_REMOVE)], NOTIFY),
        ("personality", &[0xffff_ffff], ALLOW),
        ("personality", &[u64::MAX], ALLOW),
        ("personality", &[0], ALLOW),
        ("personality", &[0x0040_0000], NOTIFY), // READ_IMPLIES_EXEC
        ("personality", &[GARBAGE | 0x0040_0000], NOTIFY),
        ("arch_prctl", &[0x1002, 0x1000], ALLOW),
        ("arch_prctl", &[0x1012, 0], NOTIFY), // ARCH_SET_CPUID
        ("splice", &[3, 0, 4, 0, 10, 0], ALLOW),
        ("splice", &[3, 0, 4, 0, 10, 4], NOTIFY), // SPLICE_F_MORE
    ]);
}

#[test]
fn direct_io_is_another_bit_on_arm() {
    for (arch, direct, other) in [(Arch::X86_64, 0o40000, 0o200000), (Arch::Aarch64, 0o200000, 0o40000)] {
        let filter = default(arch);
        let set = |flags| answer(filter, arch, "fcntl", &[3, int(libc::F_SETFL), flags]).unwrap();
        assert_eq!(set(direct), NOTIFY, "{arch}: O_DIRECT");
        assert_eq!(set(other), ALLOW, "{arch}: O_DIRECTORY, which F_SETFL ignores");
    }
}

#[test]
fn executable_memory_is_notified() {
    let (read, write, exec) = (int(libc::PROT_READ), int(libc::PROT_WRITE), int(libc::PROT_EXEC));
    let private = int(libc::MAP_PRIVATE);
    let anonymous = int(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    for (prot, expected) in [
        (0, ALLOW),
        (read, ALLOW),
        (read | write, ALLOW),
        (exec, NOTIFY),
        (read | exec, NOTIFY),
        (read | write | exec, NOTIFY),
        (GARBAGE | read, ALLOW),
        (GARBAGE | exec, NOTIFY),
        (0x0100_0000 | write, ALLOW), // PROT_GROWSDOWN
        (0x0100_0000 | exec, NOTIFY),
    ] {
        for flags in [private, anonymous] {
            expect_default(&[("mmap", &[0, 4096, prot, flags, 3, 0], expected)]);
        }
        expect_default(&[
            ("mprotect", &[0x1000, 4096, prot], expected),
            ("pkey_mprotect", &[0x1000, 4096, prot, 1], expected),
        ]);
    }
    expect_default(&[
        ("mremap", &[0x1000, 4096, 8192, 1], ALLOW),
        ("remap_file_pages", &[0x1000, 4096, 0, 0, 0], NOTIFY),
        ("shmat", &[0, 0, 0o100000], NOTIFY),
    ]);

    let mut policy = Policy::default();
    policy.memory.executable = Executable::Files;
    expect(
        |arch| function(&policy, arch),
        &[("mmap", &[0, 4096, read | exec, private, 3, 0], NOTIFY), ("mprotect", &[0, 1, exec], NOTIFY)],
    );
    policy.memory.executable = Executable::Any;
    expect(
        |arch| function(&policy, arch),
        &[
            ("mmap", &[0, 4096, read | exec, anonymous, u64::MAX, 0], ALLOW),
            // the first one of a new program tells whether it is the one that was allowed
            ("mmap", &[0, 4096, read | exec, private, 3, 0], NOTIFY),
            ("mprotect", &[0x1000, 4096, read | write | exec], ALLOW),
        ],
    );
}

#[test]
fn threads_are_made_by_the_exact_flags_of_the_libraries() {
    const SHARED: libc::c_int = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    const PTHREAD: libc::c_int =
        SHARED | libc::CLONE_SETTLS | libc::CLONE_PARENT_SETTID | libc::CLONE_CHILD_CLEARTID;
    expect_default(&[
        ("clone", &[int(PTHREAD)], ALLOW),
        ("clone", &[int(PTHREAD | libc::CLONE_DETACHED)], ALLOW),
        ("clone", &[int(SHARED)], ALLOW),
        ("clone", &[int(SHARED | libc::CLONE_SETTLS)], ALLOW),
        ("clone", &[int(PTHREAD) | GARBAGE], ALLOW),
        // without the shared descriptor table the arbiter would look at another
        ("clone", &[int(PTHREAD & !libc::CLONE_FILES)], NOTIFY),
        ("clone", &[int(PTHREAD & !libc::CLONE_FS)], NOTIFY),
        ("clone3", &[0x1000, 88], ENOSYS),
        ("io_uring_setup", &[8, 0x1000], NOTIFY),
        ("io_uring_enter", &[3, 1, 1, 0, 0], NOTIFY),
        ("io_uring_register", &[3, 0, 0, 0], NOTIFY),
        ("unshare", &[int(libc::CLONE_FILES)], NOTIFY),
        ("setns", &[3, 0], NOTIFY),
    ]);
    for bit in 0..32 {
        let flags = int(PTHREAD) ^ (1 << bit);
        let detached = int(libc::CLONE_DETACHED);
        let expected = if 1 << bit == detached { ALLOW } else { NOTIFY };
        expect_default(&[("clone", &[flags & 0xffff_ffff], expected)]);
    }
}

#[test]
fn children_follow_the_exec_section() {
    let glibc = int(libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD);
    let spawn = int(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD);
    let cases = |expected: u32| {
        [
            ("fork", vec![], expected),
            ("vfork", vec![], expected),
            ("clone", vec![glibc], expected),
            ("clone", vec![int(libc::SIGCHLD)], expected),
            ("clone", vec![spawn], expected),
            ("clone", vec![spawn | int(libc::CLONE_PIDFD)], expected),
            // never: namespaces, another parent, a tracer's escape, no signal at the end
            ("clone", vec![int(libc::CLONE_NEWUSER | libc::SIGCHLD)], NOTIFY),
            ("clone", vec![int(libc::CLONE_PARENT | libc::SIGCHLD)], NOTIFY),
            ("clone", vec![int(libc::CLONE_UNTRACED | libc::SIGCHLD)], NOTIFY),
            ("clone", vec![0], NOTIFY),
            ("execve", vec![0x1000, 0x1000, 0x1000], NOTIFY),
            ("execveat", vec![3, 0x1000, 0x1000, 0x1000, 0x1000], NOTIFY),
        ]
    };
    let check = |policy: &Policy, forking: u32, placing: u32| {
        let cases = cases(forking);
        let cases: Vec<(&str, &[u64], u32)> =
            cases.iter().map(|(name, args, expected)| (*name, &args[..], *expected)).collect();
        expect(|arch| function(policy, arch), &cases);
        expect(|arch| function(policy, arch), &[("setsid", &[], placing), ("setpgid", &[0, 0], placing)]);
    };
    let policy = Policy::default();
    check(&policy, NOTIFY, NOTIFY);
    // In audit a fork is let through and reported, so the arbiter must see it.
    check(&policy.clone().into_audit(), NOTIFY, ALLOW);
    let mut fork = policy.clone();
    fork.exec.fork = true;
    check(&fork, ALLOW, ALLOW);
    let mut program = policy.clone();
    program.exec.allow = vec!["/usr/bin/convert".to_owned()];
    check(&program, ALLOW, ALLOW);
    let mut any = policy;
    any.exec.any = true;
    check(&any, ALLOW, ALLOW);
}

#[test]
fn signals_limits_and_priorities_reach_the_function_only() {
    let other = OWN + 1;
    for name in ["kill", "tgkill", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"] {
        for (target, expected) in [
            (OWN, ALLOW),
            (OWN | GARBAGE, ALLOW),
            (other, NOTIFY),
            (0, NOTIFY),
            (1, NOTIFY),
            (u64::MAX, NOTIFY),
            ((-(OWN as i64)) as u64, NOTIFY),
            (u64::from(OWN_PROCESS_PLACEHOLDER), NOTIFY),
        ] {
            expect_default(&[(name, &[target, 9, 9], expected)]);
        }
    }
    expect_default(&[
        ("pidfd_send_signal", &[3, 9, 0, 0], NOTIFY),
        ("pidfd_getfd", &[3, 1, 0], NOTIFY),
        ("prlimit64", &[0, 7, 0, 0x1000], ALLOW),
        ("prlimit64", &[OWN, 7, 0, 0x1000], ALLOW),
        ("prlimit64", &[0, 7, 0x1000, 0], NOTIFY),
        ("prlimit64", &[0, 7, 1 << 32, 0], NOTIFY),
        ("prlimit64", &[OWN, 7, 1 << 63, 0], NOTIFY),
        ("prlimit64", &[other, 7, 0, 0x1000], NOTIFY),
        ("setrlimit", &[7, 0x1000], NOTIFY),
        ("setpriority", &[0, 0, 10], ALLOW),
        ("setpriority", &[0, OWN, 10], ALLOW),
        ("setpriority", &[0, other, 10], NOTIFY),
        ("setpriority", &[1, 0, 10], NOTIFY),
        ("setpriority", &[2, 0, 10], NOTIFY),
        ("ioprio_set", &[1, 0, 0], ALLOW),
        ("ioprio_set", &[1, OWN, 0], ALLOW),
        ("ioprio_set", &[1, other, 0], NOTIFY),
        ("ioprio_set", &[2, 0, 0], NOTIFY),
        ("getpriority", &[0, other], ALLOW),
    ]);
    for name in ["sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"] {
        expect_default(&[
            (name, &[0, 8, 0x1000], ALLOW),
            (name, &[OWN, 8, 0x1000], ALLOW),
            (name, &[other, 8, 0x1000], NOTIFY),
        ]);
    }
}

#[test]
fn a_program_that_was_not_armed_lets_no_signal_through() {
    for arch in Arch::ALL {
        let program = filter::compile(&Policy::default(), arch).unwrap();
        let filter = Machine::new(&program.instructions);
        for pid in [0, 1, OWN, 4_194_304] {
            assert_eq!(answer(filter, arch, "kill", &[pid, 9]), Some(NOTIFY));
        }
    }
}

#[test]
fn stdout_and_stderr_stay_where_they_are() {
    expect_default(&[
        ("close", &[0], ALLOW),
        ("close", &[1], NOTIFY),
        ("close", &[2], NOTIFY),
        ("close", &[3], ALLOW),
        ("close", &[u64::MAX], ALLOW),
        ("close", &[1 | GARBAGE], NOTIFY),
        ("dup", &[1], ALLOW),
        ("dup2", &[5, 1], NOTIFY),
        ("dup2", &[5, 2], NOTIFY),
        ("dup2", &[1, 5], ALLOW),
        ("dup2", &[5, 0], ALLOW),
        ("dup3", &[5, 1, 0], NOTIFY),
        ("dup3", &[5, 2 | GARBAGE, 0], NOTIFY),
        ("dup3", &[1, 5, 0], ALLOW),
        ("close_range", &[3, 0xffff_ffff, 0], ALLOW),
        ("close_range", &[3, u64::MAX, 4], ALLOW),
        ("close_range", &[2, 0xffff_ffff, 0], NOTIFY),
        ("close_range", &[0, 0xffff_ffff, 0], NOTIFY),
        ("close_range", &[0, 1, 4], NOTIFY),
        ("close_range", &[3, 0xffff_ffff, 2], NOTIFY),
        ("close_range", &[3, 0xffff_ffff, 6], NOTIFY),
    ]);
}

#[test]
fn an_open_that_writes_is_notified() {
    let reading = int(libc::O_RDONLY | libc::O_CLOEXEC);
    let writing = [
        libc::O_WRONLY,
        libc::O_RDWR,
        libc::O_ACCMODE,
        libc::O_CREAT,
        libc::O_TRUNC,
        0o20000000, // __O_TMPFILE
        libc::O_RDONLY | libc::O_CREAT | libc::O_EXCL,
    ];
    expect_default(&[
        ("open", &[0x1000, reading], ALLOW),
        ("openat", &[int(libc::AT_FDCWD), 0x1000, reading], ALLOW),
        ("openat", &[int(libc::AT_FDCWD), 0x1000, reading | GARBAGE], ALLOW),
        ("openat", &[int(libc::AT_FDCWD), 0x1000, int(libc::O_PATH)], ALLOW),
        ("openat2", &[int(libc::AT_FDCWD), 0x1000, 0x1000, 24], NOTIFY),
        ("creat", &[0x1000, 0o644], NOTIFY),
    ]);
    for flags in writing {
        expect_default(&[
            ("open", &[0x1000, int(flags)], NOTIFY),
            ("openat", &[int(libc::AT_FDCWD), 0x1000, int(flags)], NOTIFY),
            ("openat", &[int(libc::AT_FDCWD), 0x1000, int(flags) | GARBAGE], NOTIFY),
        ]);
    }
    let mut read = Policy::default();
    read.files.read = Some(vec!["/opt".to_owned()]);
    let mut own_code = Policy::default();
    own_code.files.own_code = OwnCode::Deny;
    for policy in [read, own_code] {
        expect(
            |arch| function(&policy, arch),
            &[
                ("openat", &[int(libc::AT_FDCWD), 0x1000, reading], NOTIFY),
                ("open", &[0x1000, reading], NOTIFY),
            ],
        );
    }
}

/// What must never be allowed by a register's value, under any policy.
const NEVER: &[&str] = &[
    // programs, peers, paths
    "execve",
    "execveat",
    "uselib",
    "connect",
    "bind",
    "listen",
    "sendmsg",
    "sendmmsg",
    "openat2",
    "creat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "truncate",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "removexattr",
    "lremovexattr",
    "fremovexattr",
    "setxattrat",
    "removexattrat",
    "file_setattr",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "open_tree_attr",
    // filters, other processes
    "seccomp",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kcmp",
    "process_madvise",
    "process_mrelease",
    "move_pages",
    "migrate_pages",
    "mbind",
    "get_robust_list",
    "landlock_create_ruleset",
    "landlock_add_rule",
    "landlock_restrict_self",
    // rings and kernel surface
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "io_setup",
    "io_submit",
    "io_pgetevents",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "keyctl",
    "add_key",
    "request_key",
    "modify_ldt",
    "remap_file_pages",
    "mincore",
    "cachestat",
    "vmsplice",
    "tee",
    "mseal",
    // namespaces, mounts, administration
    "unshare",
    "setns",
    "mount",
    "umount2",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "statmount",
    "listmount",
    "pivot_root",
    "chroot",
    "swapon",
    "swapoff",
    "acct",
    "syslog",
    "reboot",
    "sethostname",
    "setdomainname",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "iopl",
    "ioperm",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "clock_adjtime",
    "quotactl",
    "quotactl_fd",
    "fanotify_init",
    "fanotify_mark",
    "lookup_dcookie",
    "vhangup",
    "nfsservctl",
    // identity, limits
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "setrlimit",
    // channels to other processes of the user
    "shmget",
    "shmat",
    "shmctl",
    "shmdt",
    "msgget",
    "msgsnd",
    "msgrcv",
    "msgctl",
    "semget",
    "semop",
    "semctl",
    "semtimedop",
    "mq_open",
    "mq_unlink",
    "mq_timedsend",
    "mq_timedreceive",
    "mq_notify",
    "mq_getsetattr",
    "clone3",
    "memfd_secret",
    "lsm_set_self_attr",
    "kexec_load",
];

fn policies() -> Vec<Policy> {
    let mut widest = Policy::default().into_audit();
    widest.exec.fork = true;
    widest.exec.any = true;
    widest.memory.executable = Executable::Any;
    let mut narrowest = Policy::default();
    narrowest.files.read = Some(Vec::new());
    narrowest.files.own_code = OwnCode::Deny;
    let mut children = Policy::default();
    children.exec.allow = vec!["/bin/true".to_owned()];
    children.exec.mode = Mode::Audit;
    vec![Policy::default(), Policy::default().into_audit(), widest, narrowest, children]
}

#[test]
fn what_must_never_be_allowed_is_not() {
    let values = [0, 1, 2, 3, OWN, 0x7fff_ffff, 0xffff_ffff, 1 << 32, u64::MAX];
    for policy in policies() {
        for arch in Arch::ALL {
            let filter = function(&policy, arch);
            for name in NEVER {
                for value in values {
                    for other in values {
                        let args = [value, other, value, other, value, other];
                        if let Some(found) = answer(filter, arch, name, &args) {
                            assert_ne!(found, ALLOW, "{arch}: {name}{args:x?}");
                        }
                    }
                }
            }
        }
    }
    for name in NEVER {
        let known = Arch::ALL.into_iter().any(|arch| syscalls::number(arch, name).is_some());
        assert!(known, "{name} is no system call");
    }
}

#[test]
fn numbers_outside_the_table_are_notified() {
    for policy in policies() {
        for arch in Arch::ALL {
            let filter = function(&policy, arch);
            let ask = |nr: i32, args: [u64; 6]| {
                let data = Syscall { nr, arch: arch.audit_value(), instruction_pointer: 0, args };
                filter.run(&data)
            };
            let named = |nr: i32| {
                syscalls::name(arch, i64::from(nr)).is_some_and(|name| FUNCTION.row(name).is_some())
            };
            for nr in (0..=1023).chain([-1, i32::MIN, i32::MAX, 0x3fff_ffff, -4095]) {
                for args in [[0; 6], [1; 6], [OWN; 6], [u64::MAX; 6]] {
                    if !named(nr) {
                        assert_eq!(ask(nr, args), NOTIFY, "{arch}: {nr}");
                    }
                    assert_eq!(ask(nr | 0x4000_0000, args), NOTIFY, "{arch}: x32 {nr}");
                    assert_eq!(ask(nr | i32::MIN, args), NOTIFY, "{arch}: negative {nr}");
                }
            }
        }
    }
}

#[test]
fn a_foreign_architecture_ends_the_process() {
    let i386 = 3 | 0x4000_0000;
    let arm = 40 | 0x4000_0000;
    for arch in Arch::ALL {
        for filter in [default(arch), armed(filter::compile_arbiter(arch))] {
            let others = Arch::ALL.into_iter().filter(|&other| other != arch).map(Arch::audit_value);
            for foreign in others.chain([i386, arm, 0, u32::MAX]) {
                for nr in -1..512 {
                    let data = Syscall { nr, arch: foreign, ..Default::default() };
                    assert_eq!(filter.run(&data), KILL);
                }
            }
        }
    }
}

#[test]
fn the_arbiter_may_decide_and_perform_and_nothing_else() {
    let exec = int(libc::PROT_READ | libc::PROT_EXEC);
    expect(
        |arch| armed(filter::compile_arbiter(arch)),
        &[
            ("read", &[3, 0x1000, 10], ALLOW),
            ("ioctl", &[3, 0xc050_2100], ALLOW),
            ("process_vm_readv", &[1], ALLOW),
            ("pidfd_getfd", &[3, 4, 0], ALLOW),
            ("connect", &[3, 0x1000, 16], ALLOW),
            ("sendmsg", &[3, 0x1000, 0], ALLOW),
            ("kill", &[OWN, 15], ALLOW),
            ("mmap", &[0, 4096, 3, 0x22, u64::MAX, 0], ALLOW),
            ("clone", &[0x003d_0f00], ALLOW),
            ("clone3", &[0x1000, 88], ENOSYS),
            ("prctl", &[int(libc::PR_SET_DUMPABLE), 0], ALLOW),
            ("prctl", &[int(libc::PR_SET_DUMPABLE), 1], EPERM),
            ("prctl", &[int(libc::PR_SET_PTRACER), 1], EPERM),
            ("prctl", &[int(libc::PR_SET_SECCOMP), 2], EPERM),
            ("prlimit64", &[0, 7, 0x1000, 0], ALLOW),
            ("prlimit64", &[OWN, 7, 0x1000, 0], EPERM),
            ("socket", &[2, 2, 0], ALLOW),
            ("socket", &[1, 5 | 0x80000, 0], ALLOW),
            ("socket", &[16, 3, 0], EPERM),
            ("socket", &[17, 3, 0], EPERM),
            ("clone", &[17], EPERM),
            ("fork", &[], EPERM),
            ("seccomp", &[1, 0, 0], EPERM),
            ("setns", &[3, 0], EPERM),
            ("bpf", &[0, 0, 0], EPERM),
            ("io_uring_setup", &[8, 0x1000], EPERM),
            ("mount", &[0, 0, 0, 0, 0], EPERM),
            ("fchmodat", &[int(libc::AT_FDCWD), 0x1000, 0o600], ALLOW),
            ("fchownat", &[3, 0x1000, 0, 0, int(libc::AT_EMPTY_PATH)], ALLOW),
            // No path is changed on anybody's behalf.
            ("unlinkat", &[3, 0x1000, 0], EPERM),
            ("renameat2", &[3, 0x1000, 3, 0x1000, 0], EPERM),
            ("mkdirat", &[3, 0x1000, 0o700], EPERM),
            ("mknodat", &[3, 0x1000, 0o600, 0], EPERM),
            ("linkat", &[3, 0x1000, 3, 0x1000, 0], EPERM),
            ("symlinkat", &[0x1000, 3, 0x1000], EPERM),
            ("truncate", &[0x1000, 0], EPERM),
            ("setxattr", &[0x1000, 0x1000, 0x1000, 1, 0], EPERM),
            ("execve", &[0x1000, 0, 0], KILL),
            ("execveat", &[3, 0x1000, 0, 0, 0x1000], KILL),
            ("ptrace", &[16, OWN], KILL),
            ("process_vm_writev", &[OWN], ALLOW),
            ("mmap", &[0, 4096, exec, 0x22, u64::MAX, 0], KILL),
            ("mprotect", &[0x1000, 4096, exec | GARBAGE], KILL),
            ("pkey_mprotect", &[0x1000, 4096, exec, 0], KILL),
        ],
    );
    for arch in Arch::ALL {
        let program = filter::compile_arbiter(arch).unwrap();
        assert!(program.pid_slots.is_empty());
        assert!(program.instructions.iter().all(|&(code, _, _, k)| code != 0x06 || k != NOTIFY), "{arch}");
        assert!(ARBITER.rows().all(|row| row.otherwise != Answer::Notify));
        assert!(ARBITER.rows().flat_map(|row| row.rules).all(|rule| rule.when == When::Always));
    }
}

#[test]
fn only_pointers_and_one_long_are_compared_whole() {
    // sendto(2) `dest_addr`, prlimit(2) `new_limit`, prctl(2) `arg2`, which is an unsigned long.
    let whole = [("sendto", 4), ("prlimit64", 2), ("prctl", 1)];
    for table in [FUNCTION, ARBITER] {
        for row in table.rows() {
            for condition in row.rules.iter().flat_map(|rule| rule.conditions) {
                let expected = match whole.contains(&(row.name, condition.argument)) {
                    true => Width::Qword,
                    false => Width::Dword,
                };
                assert_eq!(condition.width, expected, "{}: argument {}", row.name, condition.argument);
            }
        }
    }
}
