//! The tables' constants against libc, which has them from another source. libc has this
//! machine's, so the few that differ between architectures are held here for the one that runs
//! the test; `filter_calls` has both written down.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used)] // in a test, a failed unwrap is the finding

use fnguard_policy::syscalls::Arch;
use fnguard_policy::syscalls::abi;
use std::process::{Command, Stdio};

/// libc's constants have the types of the functions that take them.
macro_rules! same {
    ($module:ident: $($ours:ident $(= $theirs:ident)?),* $(,)?) => {$(
        same!(@ $module $ours $($theirs)?);
    )*};
    (@ $module:ident $name:ident) => { same!(@ $module $name $name) };
    (@ $module:ident $ours:ident $theirs:ident) => {
        assert_eq!(abi::$module::$ours as u32, libc::$theirs as u32, stringify!($theirs));
    };
}

#[test]
fn constants_are_libcs() {
    same!(open:
        ACCMODE = O_ACCMODE, CREAT = O_CREAT, TRUNC = O_TRUNC, NONBLOCK = O_NONBLOCK, ASYNC = O_ASYNC,
        CLOEXEC = O_CLOEXEC,
    );
    same!(fcntl:
        DUPFD = F_DUPFD, GETFD = F_GETFD, SETFD = F_SETFD, GETFL = F_GETFL, SETFL = F_SETFL,
        GETLK = F_GETLK, SETLK = F_SETLK, SETLKW = F_SETLKW, OFD_GETLK = F_OFD_GETLK,
        OFD_SETLK = F_OFD_SETLK, OFD_SETLKW = F_OFD_SETLKW, DUPFD_CLOEXEC = F_DUPFD_CLOEXEC,
        GETPIPE_SZ = F_GETPIPE_SZ, ADD_SEALS = F_ADD_SEALS, GET_SEALS = F_GET_SEALS,
    );
    same!(close_range:
        CLOEXEC = CLOSE_RANGE_CLOEXEC,
    );
    same!(splice:
        MORE = SPLICE_F_MORE,
    );
    same!(ioctl:
        TCGETS, TIOCGPGRP, TIOCOUTQ, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2,
        SIOCGIFNAME, SIOCGIFCONF, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR,
        SIOCGIFNETMASK, SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX,
    );
    same!(mman:
        PROT_EXEC, MAP_ANONYMOUS, NORMAL = MADV_NORMAL, RANDOM = MADV_RANDOM, SEQUENTIAL = MADV_SEQUENTIAL,
        WILLNEED = MADV_WILLNEED, DONTNEED = MADV_DONTNEED, FREE = MADV_FREE, DONTFORK = MADV_DONTFORK,
        DOFORK = MADV_DOFORK, HUGEPAGE = MADV_HUGEPAGE, NOHUGEPAGE = MADV_NOHUGEPAGE,
        DONTDUMP = MADV_DONTDUMP, WIPEONFORK = MADV_WIPEONFORK, KEEPONFORK = MADV_KEEPONFORK,
        COLD = MADV_COLD, PAGEOUT = MADV_PAGEOUT, COLLAPSE = MADV_COLLAPSE,
    );
    same!(prctl:
        GET_PDEATHSIG = PR_GET_PDEATHSIG, GET_DUMPABLE = PR_GET_DUMPABLE, SET_DUMPABLE = PR_SET_DUMPABLE,
        GET_KEEPCAPS = PR_GET_KEEPCAPS, SET_NAME = PR_SET_NAME, GET_NAME = PR_GET_NAME,
        GET_SECCOMP = PR_GET_SECCOMP, CAPBSET_READ = PR_CAPBSET_READ, GET_TSC = PR_GET_TSC,
        GET_SECUREBITS = PR_GET_SECUREBITS, GET_TIMERSLACK = PR_GET_TIMERSLACK,
        GET_CHILD_SUBREAPER = PR_GET_CHILD_SUBREAPER, GET_NO_NEW_PRIVS = PR_GET_NO_NEW_PRIVS,
        GET_TID_ADDRESS = PR_GET_TID_ADDRESS, SET_THP_DISABLE = PR_SET_THP_DISABLE,
        GET_THP_DISABLE = PR_GET_THP_DISABLE, GET_SPECULATION_CTRL = PR_GET_SPECULATION_CTRL,
        GET_MDWE = PR_GET_MDWE,
        SET_VMA = PR_SET_VMA, SET_VMA_ANON_NAME = PR_SET_VMA_ANON_NAME,
    );
    same!(socket:
        AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET,
        IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6, NETLINK_ROUTE, MSG_DONTWAIT, MSG_EOR,
        MSG_NOSIGNAL, SOL_SOCKET, SO_REUSEADDR, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE,
        SO_LINGER, SO_REUSEPORT, SO_RCVLOWAT, SO_RCVTIMEO_OLD = SO_RCVTIMEO, SO_SNDTIMEO_OLD = SO_SNDTIMEO,
        SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW, TCP_NODELAY, TCP_MAXSEG, TCP_CORK, TCP_KEEPIDLE, TCP_KEEPINTVL,
        TCP_KEEPCNT, TCP_SYNCNT, TCP_QUICKACK, TCP_USER_TIMEOUT, TCP_NOTSENT_LOWAT, IP_TOS, IP_PKTINFO,
        IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL, IP_RECVTOS, IP_BIND_ADDRESS_NO_PORT, IPV6_MTU_DISCOVER,
        IPV6_RECVERR, IPV6_V6ONLY, IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_DONTFRAG, IPV6_RECVTCLASS,
        IPV6_TCLASS, UDP_GRO,
    );
    same!(socket:
        SO_TIMESTAMP_OLD = SO_TIMESTAMP, SO_TIMESTAMPNS_OLD = SO_TIMESTAMPNS,
    );
    same!(seccomp:
        RET_ALLOW = SECCOMP_RET_ALLOW, RET_USER_NOTIF = SECCOMP_RET_USER_NOTIF,
    );
    same!(seccomp:
        RET_ERRNO = SECCOMP_RET_ERRNO, RET_KILL_PROCESS = SECCOMP_RET_KILL_PROCESS,
    );
    assert_eq!(abi::who::PRIO_PROCESS, u64::from(libc::PRIO_PROCESS));
    assert_eq!(i32::from(abi::EPERM), libc::EPERM);
    assert_eq!(i32::from(abi::ENOSYS), libc::ENOSYS);
    assert_eq!(abi::open::TMPFILE, u64::from((libc::O_TMPFILE & !libc::O_DIRECTORY) as u32));
    let host = abi::open::ASYNC_OR_DIRECT.on(Arch::X86_64);
    assert_eq!(host, u64::from((libc::O_ASYNC | libc::O_DIRECT) as u32));
}

/// What libc does not have is in linux-raw-sys, which is made from the kernel's headers.
#[test]
fn younger_constants_are_the_headers() {
    use linux_raw_sys::{general, prctl};
    assert_eq!(abi::mman::GUARD_INSTALL, u64::from(general::MADV_GUARD_INSTALL));
    assert_eq!(abi::mman::GUARD_REMOVE, u64::from(general::MADV_GUARD_REMOVE));
    assert_eq!(abi::prctl::SVE_GET_VL, u64::from(prctl::PR_SVE_GET_VL));
    assert_eq!(abi::prctl::SME_GET_VL, u64::from(prctl::PR_SME_GET_VL));
    assert_eq!(abi::prctl::GET_TAGGED_ADDR_CTRL, u64::from(prctl::PR_GET_TAGGED_ADDR_CTRL));
    assert_eq!(abi::prctl::GET_AUXV, u64::from(prctl::PR_GET_AUXV));
}

/// arch_prctl's operations are in neither: the installed header has those of its age.
#[test]
fn operations_of_arch_prctl_are_the_headers() {
    use abi::arch_prctl::*;
    let ours = [
        ("ARCH_SET_GS", SET_GS),
        ("ARCH_SET_FS", SET_FS),
        ("ARCH_GET_FS", GET_FS),
        ("ARCH_GET_GS", GET_GS),
        ("ARCH_GET_CPUID", GET_CPUID),
        ("ARCH_GET_XCOMP_SUPP", GET_XCOMP_SUPP),
        ("ARCH_GET_XCOMP_PERM", GET_XCOMP_PERM),
        ("ARCH_REQ_XCOMP_PERM", REQ_XCOMP_PERM),
        ("ARCH_SHSTK_ENABLE", SHSTK_ENABLE),
        ("ARCH_SHSTK_LOCK", SHSTK_LOCK),
        ("ARCH_SHSTK_STATUS", SHSTK_STATUS),
    ];
    let done = Command::new("cc")
        .args(["-E", "-dM", "-include", "asm/prctl.h", "-x", "c", "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let header = String::from_utf8(done.stdout).unwrap();
    let mut found = 0;
    for (name, value) in ours {
        let define = format!("#define {name} ");
        // Shadow stacks are younger (6.6) than the headers of Debian 12.
        let Some(line) = header.lines().find_map(|line| line.strip_prefix(&define)) else {
            assert!(name.contains("SHSTK"), "{name} is not in asm/prctl.h");
            continue;
        };
        let digits = line.trim().trim_start_matches("0x");
        assert_eq!(u64::from_str_radix(digits, 16), Ok(value), "{name}");
        found += 1;
    }
    assert!(found >= 8);
}
