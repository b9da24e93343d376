//! Constants of the kernel's interface that the tables compare with, in the kernel's spelling,
//! each block with the header it is from. They are the *target's*, so they do not come from
//! `libc`, which has the host's; a test holds those of x86_64 against it.
//!
//! Where no architecture is named, x86_64 and aarch64 agree.

use super::Value;

/// linux/audit.h and linux/seccomp.h: what a filter returns.
pub mod seccomp {
    /// The call runs.
    pub const RET_ALLOW: u32 = 0x7fff_0000;
    /// The listener's owner is asked.
    pub const RET_USER_NOTIF: u32 = 0x7fc0_0000;
    /// The call fails with the errno in the lower 16 bits.
    pub const RET_ERRNO: u32 = 0x0005_0000;
    /// The process ends with SIGSYS.
    pub const RET_KILL_PROCESS: u32 = 0x8000_0000;
    /// linux/bpf_common.h, `BPF_MAXINSNS`: instructions in a program.
    pub const MAX_INSTRUCTIONS: usize = 4096;
    /// asm/unistd.h, `__X32_SYSCALL_BIT`: set in the numbers of x32 calls, which carry the same
    /// architecture value as native ones.
    pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;
}

/// asm-generic/errno-base.h.
pub const EPERM: u16 = 1;
/// asm-generic/errno.h.
pub const ENOSYS: u16 = 38;

/// asm-generic/fcntl.h: flags of open(2).
pub mod open {
    use super::Value;
    /// `O_ACCMODE`; zero in it is `O_RDONLY`.
    pub const ACCMODE: u64 = 0o3;
    /// `O_CREAT`.
    pub const CREAT: u64 = 0o100;
    /// `O_TRUNC`.
    pub const TRUNC: u64 = 0o1000;
    /// `O_NONBLOCK`.
    pub const NONBLOCK: u64 = 0o4000;
    /// `FASYNC`, which is `O_ASYNC`.
    pub const ASYNC: u64 = 0o20000;
    /// `O_CLOEXEC`.
    pub const CLOEXEC: u64 = 0o2000000;
    /// `__O_TMPFILE`, the bit that `O_TMPFILE` adds to `O_DIRECTORY`.
    pub const TMPFILE: u64 = 0o20000000;
    /// Any of these makes an open more than reading.
    pub const WRITING: u64 = ACCMODE | CREAT | TRUNC | TMPFILE;
    /// `O_ASYNC | O_DIRECT`; `O_DIRECT` is another bit on Arm (arch/arm64/include/uapi/asm/fcntl.h).
    pub const ASYNC_OR_DIRECT: Value = Value::PerArch { x86_64: ASYNC | 0o40000, aarch64: ASYNC | 0o200000 };
}

/// linux/fcntl.h and asm-generic/fcntl.h: commands of fcntl(2).
pub mod fcntl {
    #![allow(missing_docs)] // F_ and the name, as in the header
    pub const DUPFD: u64 = 0;
    pub const GETFD: u64 = 1;
    pub const SETFD: u64 = 2;
    pub const GETFL: u64 = 3;
    pub const SETFL: u64 = 4;
    pub const GETLK: u64 = 5;
    pub const SETLK: u64 = 6;
    pub const SETLKW: u64 = 7;
    pub const OFD_GETLK: u64 = 36;
    pub const OFD_SETLK: u64 = 37;
    pub const OFD_SETLKW: u64 = 38;
    pub const DUPFD_CLOEXEC: u64 = 1030;
    pub const GETPIPE_SZ: u64 = 1032;
    pub const ADD_SEALS: u64 = 1033;
    pub const GET_SEALS: u64 = 1034;
}

/// linux/close_range.h.
pub mod close_range {
    /// `CLOSE_RANGE_CLOEXEC`.
    pub const CLOEXEC: u64 = 4;
}

/// linux/splice.h.
pub mod splice {
    /// `SPLICE_F_MORE`.
    pub const MORE: u64 = 4;
}

/// asm-generic/ioctls.h and linux/sockios.h: commands of ioctl(2).
pub mod ioctl {
    #![allow(missing_docs)] // the header's own names
    pub const TCGETS: u64 = 0x5401;
    pub const TIOCGPGRP: u64 = 0x540f;
    pub const TIOCOUTQ: u64 = 0x5411;
    pub const TIOCGWINSZ: u64 = 0x5413;
    pub const FIONREAD: u64 = 0x541b;
    pub const FIONBIO: u64 = 0x5421;
    pub const FIONCLEX: u64 = 0x5450;
    pub const FIOCLEX: u64 = 0x5451;
    /// `_IOR('T', 0x2A, struct termios2)`.
    pub const TCGETS2: u64 = 0x802c_542a;
    pub const SIOCGIFNAME: u64 = 0x8910;
    pub const SIOCGIFCONF: u64 = 0x8912;
    pub const SIOCGIFFLAGS: u64 = 0x8913;
    pub const SIOCGIFADDR: u64 = 0x8915;
    pub const SIOCGIFDSTADDR: u64 = 0x8917;
    pub const SIOCGIFBRDADDR: u64 = 0x8919;
    pub const SIOCGIFNETMASK: u64 = 0x891b;
    pub const SIOCGIFMTU: u64 = 0x8921;
    pub const SIOCGIFHWADDR: u64 = 0x8927;
    pub const SIOCGIFINDEX: u64 = 0x8933;
}

/// asm-generic/mman-common.h: mmap(2) and madvise(2).
pub mod mman {
    #![allow(missing_docs)] // PROT_, MAP_ and MADV_ with the names of the header
    pub const PROT_EXEC: u64 = 4;
    pub const MAP_ANONYMOUS: u64 = 0x20;
    pub const NORMAL: u64 = 0;
    pub const RANDOM: u64 = 1;
    pub const SEQUENTIAL: u64 = 2;
    pub const WILLNEED: u64 = 3;
    pub const DONTNEED: u64 = 4;
    pub const FREE: u64 = 8;
    pub const DONTFORK: u64 = 10;
    pub const DOFORK: u64 = 11;
    pub const HUGEPAGE: u64 = 14;
    pub const NOHUGEPAGE: u64 = 15;
    pub const DONTDUMP: u64 = 16;
    pub const WIPEONFORK: u64 = 18;
    pub const KEEPONFORK: u64 = 19;
    pub const COLD: u64 = 20;
    pub const PAGEOUT: u64 = 21;
    pub const COLLAPSE: u64 = 25;
    pub const GUARD_INSTALL: u64 = 102;
    pub const GUARD_REMOVE: u64 = 103;
}

/// linux/sched.h: the first argument of clone(2), as the C libraries and Go make it.
pub mod clone {
    const VM: u64 = 0x100;
    const FS: u64 = 0x200;
    const FILES: u64 = 0x400;
    const SIGHAND: u64 = 0x800;
    const PIDFD: u64 = 0x1000;
    const VFORK: u64 = 0x4000;
    const THREAD: u64 = 0x10000;
    const SYSVSEM: u64 = 0x40000;
    const SETTLS: u64 = 0x80000;
    const PARENT_SETTID: u64 = 0x0010_0000;
    const CHILD_CLEARTID: u64 = 0x0020_0000;
    const DETACHED: u64 = 0x0040_0000;
    const CHILD_SETTID: u64 = 0x0100_0000;
    const SIGCHLD: u64 = 17;

    /// glibc, sysdeps/unix/sysv/linux/createthread.c (2.34: pthread_create.c).
    pub const GLIBC_THREAD: u64 =
        VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | SETTLS | PARENT_SETTID | CHILD_CLEARTID;
    /// musl, src/thread/pthread_create.c.
    pub const MUSL_THREAD: u64 = GLIBC_THREAD | DETACHED;
    /// Go, src/runtime/os_linux.go, `cloneFlags`.
    pub const GO_THREAD: u64 = VM | FS | FILES | SIGHAND | SYSVSEM | THREAD;
    /// Go on amd64 adds the thread pointer, src/runtime/sys_linux_amd64.s.
    pub const GO_THREAD_TLS: u64 = GO_THREAD | SETTLS;
    /// glibc, sysdeps/unix/sysv/linux/arch-fork.h.
    pub const GLIBC_FORK: u64 = CHILD_SETTID | CHILD_CLEARTID | SIGCHLD;
    /// musl, src/process/_Fork.c, where there is no fork call.
    pub const MUSL_FORK: u64 = SIGCHLD;
    /// posix_spawn of both libraries, vfork where there is no call of that name, Go's forkExec.
    pub const SPAWN: u64 = VM | VFORK | SIGCHLD;
    /// Go's forkExec since 1.22.
    pub const GO_SPAWN: u64 = SPAWN | PIDFD;
}

/// linux/prctl.h: the first argument of prctl(2).
pub mod prctl {
    #![allow(missing_docs)] // PR_ and the name, as in the header
    pub const GET_PDEATHSIG: u64 = 2;
    pub const GET_DUMPABLE: u64 = 3;
    pub const SET_DUMPABLE: u64 = 4;
    pub const GET_KEEPCAPS: u64 = 7;
    pub const SET_NAME: u64 = 15;
    pub const GET_NAME: u64 = 16;
    pub const GET_SECCOMP: u64 = 21;
    pub const CAPBSET_READ: u64 = 23;
    pub const GET_TSC: u64 = 25;
    pub const GET_SECUREBITS: u64 = 27;
    pub const GET_TIMERSLACK: u64 = 30;
    pub const GET_CHILD_SUBREAPER: u64 = 37;
    pub const GET_NO_NEW_PRIVS: u64 = 39;
    pub const GET_TID_ADDRESS: u64 = 40;
    pub const SET_THP_DISABLE: u64 = 41;
    pub const GET_THP_DISABLE: u64 = 42;
    pub const SVE_GET_VL: u64 = 51;
    pub const GET_SPECULATION_CTRL: u64 = 52;
    pub const GET_TAGGED_ADDR_CTRL: u64 = 56;
    pub const SME_GET_VL: u64 = 64;
    pub const GET_MDWE: u64 = 66;
    pub const SET_VMA: u64 = 0x5356_4d41;
    pub const SET_VMA_ANON_NAME: u64 = 0;
    pub const GET_AUXV: u64 = 0x4155_5856;
}

/// arch/x86/include/uapi/asm/prctl.h: the first argument of arch_prctl(2).
pub mod arch_prctl {
    #![allow(missing_docs)] // ARCH_ and the name, as in the header
    pub const SET_GS: u64 = 0x1001;
    pub const SET_FS: u64 = 0x1002;
    pub const GET_FS: u64 = 0x1003;
    pub const GET_GS: u64 = 0x1004;
    pub const GET_CPUID: u64 = 0x1011;
    pub const GET_XCOMP_SUPP: u64 = 0x1021;
    pub const GET_XCOMP_PERM: u64 = 0x1022;
    pub const REQ_XCOMP_PERM: u64 = 0x1023;
    // glibc's own number, from before the kernel had shadow stacks; the kernel says EINVAL.
    pub const CET_STATUS: u64 = 0x3001;
    pub const SHSTK_ENABLE: u64 = 0x5001;
    pub const SHSTK_LOCK: u64 = 0x5003;
    pub const SHSTK_STATUS: u64 = 0x5005;
}

/// linux/personality.h.
pub mod personality {
    /// Asks, and changes nothing.
    pub const QUERY: u64 = 0xffff_ffff;
    /// `PER_LINUX`: no flag, no emulation.
    pub const PER_LINUX: u64 = 0;
}

/// linux/resource.h and linux/ioprio.h.
pub mod who {
    /// `PRIO_PROCESS` of setpriority(2).
    pub const PRIO_PROCESS: u64 = 0;
    /// `IOPRIO_WHO_PROCESS` of ioprio_set(2).
    pub const IOPRIO_PROCESS: u64 = 1;
}

/// linux/socket.h, linux/net.h, linux/in.h and their neighbours.
pub mod socket {
    #![allow(missing_docs)] // the headers' own names
    pub const AF_UNIX: u64 = 1;
    pub const AF_INET: u64 = 2;
    pub const AF_INET6: u64 = 10;
    pub const AF_NETLINK: u64 = 16;
    pub const SOCK_STREAM: u64 = 1;
    pub const SOCK_DGRAM: u64 = 2;
    pub const SOCK_RAW: u64 = 3;
    pub const SOCK_SEQPACKET: u64 = 5;
    /// `SOCK_NONBLOCK | SOCK_CLOEXEC`, the only bits that may stand above the type.
    pub const TYPE_FLAGS: u64 = super::open::NONBLOCK | super::open::CLOEXEC;
    pub const IPPROTO_IP: u64 = 0;
    pub const IPPROTO_TCP: u64 = 6;
    pub const IPPROTO_UDP: u64 = 17;
    pub const IPPROTO_IPV6: u64 = 41;
    pub const NETLINK_ROUTE: u64 = 0;
    pub const MSG_DONTWAIT: u64 = 0x40;
    pub const MSG_EOR: u64 = 0x80;
    pub const MSG_NOSIGNAL: u64 = 0x4000;
    pub const SOL_SOCKET: u64 = 1;

    pub const SO_REUSEADDR: u64 = 2;
    pub const SO_SNDBUF: u64 = 7;
    pub const SO_RCVBUF: u64 = 8;
    pub const SO_KEEPALIVE: u64 = 9;
    pub const SO_OOBINLINE: u64 = 10;
    pub const SO_LINGER: u64 = 13;
    pub const SO_REUSEPORT: u64 = 15;
    pub const SO_RCVLOWAT: u64 = 18;
    pub const SO_RCVTIMEO_OLD: u64 = 20;
    pub const SO_SNDTIMEO_OLD: u64 = 21;
    pub const SO_TIMESTAMP_OLD: u64 = 29;
    pub const SO_TIMESTAMPNS_OLD: u64 = 35;
    pub const SO_RCVTIMEO_NEW: u64 = 66;
    pub const SO_SNDTIMEO_NEW: u64 = 67;

    pub const TCP_NODELAY: u64 = 1;
    pub const TCP_MAXSEG: u64 = 2;
    pub const TCP_CORK: u64 = 3;
    pub const TCP_KEEPIDLE: u64 = 4;
    pub const TCP_KEEPINTVL: u64 = 5;
    pub const TCP_KEEPCNT: u64 = 6;
    pub const TCP_SYNCNT: u64 = 7;
    pub const TCP_QUICKACK: u64 = 12;
    pub const TCP_USER_TIMEOUT: u64 = 18;
    pub const TCP_NOTSENT_LOWAT: u64 = 25;

    pub const IP_TOS: u64 = 1;
    pub const IP_PKTINFO: u64 = 8;
    pub const IP_MTU_DISCOVER: u64 = 10;
    pub const IP_RECVERR: u64 = 11;
    pub const IP_RECVTTL: u64 = 12;
    pub const IP_RECVTOS: u64 = 13;
    pub const IP_BIND_ADDRESS_NO_PORT: u64 = 24;

    pub const IPV6_MTU_DISCOVER: u64 = 23;
    pub const IPV6_RECVERR: u64 = 25;
    pub const IPV6_V6ONLY: u64 = 26;
    pub const IPV6_RECVPKTINFO: u64 = 49;
    pub const IPV6_RECVHOPLIMIT: u64 = 51;
    pub const IPV6_DONTFRAG: u64 = 62;
    pub const IPV6_RECVTCLASS: u64 = 66;
    pub const IPV6_TCLASS: u64 = 67;

    pub const UDP_GRO: u64 = 104;
}
