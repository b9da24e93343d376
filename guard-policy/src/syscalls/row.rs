//! The words in which a table is written: conditions, rules, rows, sets. Not the rows themselves.

use super::Arch;
use crate::model::{Executable, Mode, OwnCode, Policy};

/// How much of an argument register the kernel looks at. Getting this wrong is how filters have
/// been passed: a 64-bit compare on an `int` misses values with garbage above bit 31
/// (CVE-2019-7303), a 32-bit compare on a pointer takes 0x1_0000_0000 for null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// The lower 32 bits: `int`, `unsigned int`, `pid_t`, and flag words of which the kernel
    /// reads only low bits. What stands above changes nothing.
    Dword,
    /// All 64 bits: pointers. Any set bit counts.
    Qword,
}

/// A number to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The same on every architecture.
    Number(u64),
    /// A constant of the kernel's interface that differs between architectures.
    PerArch {
        /// On x86_64.
        x86_64: u64,
        /// On aarch64.
        aarch64: u64,
    },
}

impl Value {
    /// The number on one architecture.
    pub const fn on(self, arch: Arch) -> u64 {
        match (self, arch) {
            (Value::Number(number), _) => number,
            (Value::PerArch { x86_64, .. }, Arch::X86_64) => x86_64,
            (Value::PerArch { aarch64, .. }, Arch::Aarch64) => aarch64,
        }
    }
}

/// What a condition asks of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// It equals the number.
    Equals(u64),
    /// `argument & mask == value`.
    Masked {
        /// The bits looked at.
        mask: Value,
        /// What they must be.
        value: u64,
    },
    /// It is above the number, both unsigned.
    Above(u64),
    /// It is the function's own process id, which is written into the program at arming.
    OwnProcess,
}

/// One comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How much of it.
    pub width: Width,
    /// What it must be.
    pub test: Test,
}

/// An argument of 32 bits, to be followed by what is asked of it.
pub(super) const fn int(argument: u8) -> Argument {
    Argument { argument, width: Width::Dword }
}

/// An argument of 64 bits.
pub(super) const fn pointer(argument: u8) -> Argument {
    Argument { argument, width: Width::Qword }
}

/// An argument on the way to a [`Condition`].
#[derive(Clone, Copy)]
pub(super) struct Argument {
    argument: u8,
    width: Width,
}

impl Argument {
    const fn test(self, test: Test) -> Condition {
        Condition { argument: self.argument, width: self.width, test }
    }

    /// It equals `value`.
    pub(super) const fn is(self, value: u64) -> Condition {
        self.test(Test::Equals(value))
    }

    /// It is a null pointer, or zero.
    pub(super) const fn zero(self) -> Condition {
        self.test(Test::Equals(0))
    }

    /// None of these bits is set.
    pub(super) const fn without(self, mask: u64) -> Condition {
        self.test(Test::Masked { mask: Value::Number(mask), value: 0 })
    }

    /// None of these bits is set, and they differ by architecture.
    pub(super) const fn without_any(self, mask: Value) -> Condition {
        self.test(Test::Masked { mask, value: 0 })
    }

    /// All of these bits are set.
    pub(super) const fn with(self, mask: u64) -> Condition {
        self.test(Test::Masked { mask: Value::Number(mask), value: mask })
    }

    /// It is `value` but for these flag bits, which may be set or not. Every other bit counts.
    pub(super) const fn is_but_for(self, value: u64, flags: u64) -> Condition {
        let mask = match self.width {
            Width::Dword => !flags & 0xffff_ffff,
            Width::Qword => !flags,
        };
        self.test(Test::Masked { mask: Value::Number(mask), value })
    }

    /// It has no bit but these.
    pub(super) const fn only(self, flags: u64) -> Condition {
        self.is_but_for(0, flags)
    }

    /// It is above `value`, unsigned.
    pub(super) const fn above(self, value: u64) -> Condition {
        self.test(Test::Above(value))
    }

    /// It is the function's own process id.
    pub(super) const fn own_process(self) -> Condition {
        self.test(Test::OwnProcess)
    }
}

/// In which policies a rule stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// In all.
    Always,
    /// `[files]` says nothing about reading: neither `read` nor `own_code = "deny"`.
    ReadingFree,
    /// `[exec]` allows a program, or `fork`. A refused fork is decided by the arbiter; an allowed
    /// one must not be notified, as it could then fail with EINTR, which fork never does.
    Children,
    /// The function may have children, if only because `[exec]` is in audit.
    JobControl,
    /// `[memory] executable = "any"`.
    ExecutableMemory,
}

impl When {
    /// Whether the rule stands in the table for this policy.
    pub fn holds(self, policy: &Policy) -> bool {
        let children = policy.exec.fork || policy.exec.any || !policy.exec.allow.is_empty();
        match self {
            When::Always => true,
            When::ReadingFree => policy.files.read.is_none() && policy.files.own_code == OwnCode::Allow,
            When::Children => children,
            When::JobControl => children || policy.exec.mode == Mode::Audit,
            When::ExecutableMemory => policy.memory.executable == Executable::Any,
        }
    }

    /// The condition as a reader of the policy would say it; empty for [`When::Always`].
    pub const fn describe(self) -> &'static str {
        match self {
            When::Always => "",
            When::ReadingFree => "unless `files.read` or `files.own_code = \"deny\"` is set",
            When::Children => "if `exec.allow` names a program or `exec.fork` is set",
            When::JobControl => {
                "if `exec.allow` names a program, `exec.fork` is set, or `[exec]` is in audit"
            }
            When::ExecutableMemory => "if `memory.executable = \"any\"`",
        }
    }
}

/// Conditions that must all hold; none at all holds always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The restriction in words, in the kernel's spelling: `TCP_NODELAY`.
    pub what: &'static str,
    /// What the call's arguments must be.
    pub conditions: &'static [Condition],
    /// In which policies.
    pub when: When,
    /// Why it may be allowed.
    pub reason: &'static str,
}

/// A rule of every policy.
pub(super) const fn rule(what: &'static str, conditions: &'static [Condition], reason: &'static str) -> Rule {
    Rule { what, conditions, when: When::Always, reason }
}

/// A rule of some policies.
pub(super) const fn rule_when(
    when: When,
    what: &'static str,
    conditions: &'static [Condition],
    reason: &'static str,
) -> Rule {
    Rule { what, conditions, when, reason }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// The kernel runs it: `SECCOMP_RET_ALLOW`.
    Allow,
    /// The arbiter is asked: `SECCOMP_RET_USER_NOTIF`.
    Notify,
    /// It fails with this errno, and nobody is asked: `SECCOMP_RET_ERRNO`.
    Errno(u16),
    /// The process ends with SIGSYS: `SECCOMP_RET_KILL_PROCESS`.
    Kill,
}

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its name in the kernel's headers. On an architecture without it the row says nothing.
    pub name: &'static str,
    /// It is allowed if any of these holds; a rule without conditions always does. With no rule
    /// at all it is never allowed.
    pub rules: &'static [Rule],
    /// What becomes of it otherwise.
    pub otherwise: Answer,
    /// Why it is here.
    pub reason: &'static str,
}

impl Row {
    /// The rules that stand under this policy (the arbiter's table is asked without one, and has
    /// rules of every policy only).
    pub fn rules_under<'a>(
        &self,
        policy: Option<&'a Policy>,
    ) -> impl Iterator<Item = &'static Rule> + use<'a> {
        self.rules.iter().filter(move |rule| match policy {
            Some(policy) => rule.when.holds(policy),
            None => rule.when == When::Always,
        })
    }
}

const ANYHOW: &[Rule] = &[Rule { what: "", conditions: &[], when: When::Always, reason: "" }];

/// A call that is always allowed.
pub(super) const fn allow(name: &'static str, reason: &'static str) -> Row {
    Row { name, rules: ANYHOW, otherwise: Answer::Notify, reason }
}

/// A call that is allowed if a rule holds, and notified if none does.
pub(super) const fn allow_if(name: &'static str, rules: &'static [Rule], reason: &'static str) -> Row {
    Row { name, rules, otherwise: Answer::Notify, reason }
}

/// A call that always gets the same answer, which is not to run it.
pub(super) const fn refuse(name: &'static str, answer: Answer, reason: &'static str) -> Row {
    Row { name, rules: &[], otherwise: answer, reason }
}

/// Rows with one meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set {
    /// What they are, as a heading.
    pub name: &'static str,
    /// What holds for all of them.
    pub note: &'static str,
    /// The calls.
    pub rows: &'static [Row],
}
