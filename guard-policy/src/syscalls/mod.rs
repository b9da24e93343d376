//! System calls: their numbers and names on both architectures, and the allow-list.
//!
//! Words, smallest first. A **condition** compares one argument register. A **rule** is a set of
//! conditions that must all hold. A **row** is one system call with its rules, any one of which
//! is enough. A **set** is rows with one meaning. A **table** is sets, and what becomes of a call
//! that no row names. `filter` turns a table into BPF; nothing here does.
//!
//! In a proc macro `libc::SYS_*` are the numbers of the *host*: nothing in this crate may use
//! them for the target's. That is what [`number`] is for.

mod numbers_aarch64;
mod numbers_x86_64;

#[cfg(feature = "filter")]
pub mod abi;
#[cfg(feature = "filter")]
mod arbiter;
#[cfg(feature = "filter")]
mod function;
#[cfg(feature = "filter")]
mod markdown;
#[cfg(feature = "filter")]
mod mediated;
#[cfg(feature = "filter")]
mod row;
#[cfg(feature = "filter")]
mod table;

#[cfg(feature = "filter")]
pub use arbiter::ARBITER;
#[cfg(feature = "filter")]
pub use function::FUNCTION;
#[cfg(feature = "filter")]
pub use markdown::markdown;
#[cfg(feature = "filter")]
pub use mediated::mediated_by;
#[cfg(feature = "filter")]
pub use row::{Answer, Condition, Row, Rule, Set, Test, Value, When, Width};
#[cfg(feature = "filter")]
pub use table::{Table, rows};

/// An architecture that a function can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm, little endian.
    Aarch64,
}

impl Arch {
    /// Every architecture there is a table for.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// The architecture this code was compiled for; `None` on one without a table.
    pub const fn of_host() -> Option<Arch> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Arch::X86_64)
        } else if cfg!(all(target_arch = "aarch64", target_pointer_width = "64", target_endian = "little")) {
            Some(Arch::Aarch64)
        } else {
            None
        }
    }

    /// The architecture by its name in `std::env::consts::ARCH` and in target triples.
    pub fn from_name(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.as_str() == name)
    }

    /// The name in `std::env::consts::ARCH`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// `AUDIT_ARCH_*` of linux/audit.h: what the kernel writes into `seccomp_data.arch` for a
    /// native call. Machine number, `__AUDIT_ARCH_64BIT`, `__AUDIT_ARCH_LE`.
    pub const fn audit_value(self) -> u32 {
        match self {
            Arch::X86_64 => 62 | 0x8000_0000 | 0x4000_0000,
            Arch::Aarch64 => 183 | 0x8000_0000 | 0x4000_0000,
        }
    }

    const fn numbers(self) -> &'static [(u32, &'static str)] {
        match self {
            Arch::X86_64 => numbers_x86_64::TABLE,
            Arch::Aarch64 => numbers_aarch64::TABLE,
        }
    }
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a system call, as in the kernel's `__NR_` macros; `None` for a number the headers
/// do not have (a newer kernel's call, an x32 number, garbage).
///
/// ```
/// use fnguard_policy::syscalls::{self, Arch};
/// assert_eq!(syscalls::name(Arch::X86_64, 42), Some("connect"));
/// assert_eq!(syscalls::name(Arch::Aarch64, 203), Some("connect"));
/// assert_eq!(syscalls::name(Arch::X86_64, -1), None);
/// ```
pub fn name(arch: Arch, nr: i64) -> Option<&'static str> {
    let nr = u32::try_from(nr).ok()?;
    let table = arch.numbers();
    let index = table.binary_search_by_key(&nr, |&(number, _)| number).ok()?;
    table.get(index).map(|&(_, name)| name)
}

/// The number of a system call; `None` where the architecture has no call of that name (`open`
/// on aarch64).
///
/// ```
/// use fnguard_policy::syscalls::{self, Arch};
/// assert_eq!(syscalls::number(Arch::X86_64, "open"), Some(2));
/// assert_eq!(syscalls::number(Arch::Aarch64, "open"), None);
/// ```
pub fn number(arch: Arch, name: &str) -> Option<u32> {
    arch.numbers().iter().find(|&&(_, candidate)| candidate == name).map(|&(number, _)| number)
}

/// Whether socket(2) with these arguments makes a UDP socket. The filter lets none be made without the
/// arbiter, which makes it, since it may need a filter of its own before anybody can use it.
///
/// ```
/// use fnguard_policy::syscalls::is_udp;
/// // AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP; the same for ping.
/// assert!(is_udp(2, 2 | 0o2000000, 17));
/// assert!(!is_udp(2, 2 | 0o2000000, 1));
/// ```
pub const fn is_udp(family: i32, kind: i32, protocol: i32) -> bool {
    const INET: i32 = 2;
    const INET6: i32 = 10;
    const DATAGRAM: i32 = 2;
    // SOCK_NONBLOCK and SOCK_CLOEXEC, on every architecture that has a table here.
    const FLAGS: i32 = 0o4000 | 0o2000000;
    const UDP: i32 = 17;
    matches!(family, INET | INET6) && kind & !FLAGS == DATAGRAM && matches!(protocol, 0 | UDP)
}

/// Every call of the architecture, `(number, name)`, by number.
pub fn all(arch: Arch) -> &'static [(u32, &'static str)] {
    arch.numbers()
}
