//! Model to BPF: a policy and a table in, a finished program out. Also an interpreter of such
//! programs. Nothing here installs one: that is arming's, in the function's process.
//!
//! A program first tests the architecture and ends a process that calls through a foreign one;
//! then finds the call by a balanced tree over the numbers; then tests the call's arguments.
//! Conditions on arguments are compiled by seccompiler, one call at a time (`conditions`); the
//! tree (`dispatch`) and the layout (`assembler`) are our own, because the kernel runs a new
//! program once for each system call number, so that a linear chain of comparisons costs about a
//! millisecond to install and a tree a quarter of that.

mod assembler;
mod conditions;
mod dispatch;
pub mod interpreter;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use crate::model::{Policy, Program};
use crate::syscalls::abi::seccomp;
use crate::syscalls::{ARBITER, Answer, Arch, FUNCTION, Table};

/// Stands in a compiled program where arming writes the function's own process id. Larger than
/// any process id can be (`PID_MAX_LIMIT`, linux/threads.h, is 4,194,304), so a program in which
/// it was never replaced allows no process at all.
pub const OWN_PROCESS_PLACEHOLDER: u32 = 0x5f0e_91d1;

/// Why a table did not become a program. Each of these is a fault of the table or of this
/// compiler, not of the policy: nothing that a `guard.toml` can say leads here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// A row names a call that no architecture has.
    #[error("the {table} table names `{name}`, which is no system call on any architecture")]
    UnknownCall {
        /// Which table.
        table: &'static str,
        /// The name found.
        name: &'static str,
    },
    /// Two rows name the same call.
    #[error("the {table} table names `{name}` twice; join the two rows")]
    Twice {
        /// Which table.
        table: &'static str,
        /// The name found.
        name: &'static str,
    },
    /// A condition's number has bits that its width does not look at.
    #[error("`{name}`: the condition on argument {argument} compares 32 bits with {value:#x}")]
    TooWide {
        /// The call.
        name: &'static str,
        /// The argument.
        argument: u8,
        /// The number.
        value: u64,
    },
    /// A condition compares with the number that stands for the process id.
    #[error(
        "`{name}`: a condition compares with {OWN_PROCESS_PLACEHOLDER:#x}, which stands for the process id"
    )]
    Placeholder {
        /// The call.
        name: &'static str,
    },
    /// seccompiler refused a rule.
    #[error("`{name}`: seccompiler refuses the rule: {reason}")]
    Seccompiler {
        /// The call.
        name: &'static str,
        /// What it said.
        reason: String,
    },
    /// seccompiler's output is not of the form that is taken apart here.
    #[error("`{name}`: seccompiler's program differs from the expected form at instruction {at}: {expected}")]
    Shape {
        /// The call.
        name: &'static str,
        /// The instruction.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// A jump is longer than any program.
    #[error("a jump over {0} instructions does not fit")]
    Jump(usize),
    /// The program has more instructions than the kernel takes.
    #[error(
        "the {table} program has {found} instructions, more than the kernel's {}",
        seccomp::MAX_INSTRUCTIONS
    )]
    TooLong {
        /// Which table.
        table: &'static str,
        /// How many.
        found: usize,
    },
    /// The finished program returns something that no row asked for.
    #[error("the {table} program returns {found:#010x} at instruction {at}, which the table does not say")]
    StrayReturn {
        /// Which table.
        table: &'static str,
        /// The value.
        found: u32,
        /// The instruction.
        at: usize,
    },
    /// The finished program is one that the kernel would refuse.
    #[error("the {table} program is not valid: {reason}")]
    Invalid {
        /// Which table.
        table: &'static str,
        /// Why.
        reason: interpreter::Invalid,
    },
    /// The places of the process id are not exactly the instructions that hold its placeholder.
    #[error("the {table} program has the process id's placeholder at {found:?}, expected {expected:?}")]
    ProcessId {
        /// Which table.
        table: &'static str,
        /// Where it stands.
        found: Vec<u16>,
        /// Where it was put.
        expected: Vec<u16>,
    },
}

/// Compiles the function's filter for a policy. Audit is a property of the policy: compile
/// [`Policy::into_audit`] for the filter of an audited function.
///
/// ```
/// use fnguard_policy::{filter, model::Policy, syscalls::Arch};
/// let program = filter::compile(&Policy::default(), Arch::Aarch64)?;
/// assert!(!program.pid_slots.is_empty());
/// # Ok::<(), filter::FilterError>(())
/// ```
///
/// # Errors
///
/// [`FilterError`] names the fault of the table or of the compiler; tests hold that there is none.
pub fn compile(policy: &Policy, arch: Arch) -> Result<Program, FilterError> {
    compile_table(&FUNCTION, Some(policy), arch)
}

/// Compiles the arbiter's own filter, the same for every policy. It notifies nobody.
///
/// # Errors
///
/// As [`compile`].
pub fn compile_arbiter(arch: Arch) -> Result<Program, FilterError> {
    compile_table(&ARBITER, None, arch)
}

fn compile_table(table: &Table, policy: Option<&Policy>, arch: Arch) -> Result<Program, FilterError> {
    let calls = conditions::collect(table, policy, arch)?;
    let program = dispatch::emit(&calls, table.default, arch)?.finish();
    check(table, program)
}

/// The value a filter returns for an answer.
pub const fn return_value(answer: Answer) -> u32 {
    match answer {
        Answer::Allow => seccomp::RET_ALLOW,
        Answer::Notify => seccomp::RET_USER_NOTIF,
        Answer::Errno(errno) => seccomp::RET_ERRNO | errno as u32,
        Answer::Kill => seccomp::RET_KILL_PROCESS,
    }
}

/// The last look at a program, which trusts nothing that was done to make it.
fn check(table: &Table, program: Program) -> Result<Program, FilterError> {
    let found = program.instructions.len();
    if found > seccomp::MAX_INSTRUCTIONS {
        return Err(FilterError::TooLong { table: table.name, found });
    }
    interpreter::validate(&program.instructions)
        .map_err(|reason| FilterError::Invalid { table: table.name, reason })?;
    let mut said = vec![return_value(Answer::Allow), return_value(Answer::Kill), return_value(table.default)];
    said.extend(table.rows().map(|row| return_value(row.otherwise)));
    let mut placeholders = Vec::new();
    for (at, &(code, _, _, k)) in program.instructions.iter().enumerate() {
        if code == assembler::RETURN && !said.contains(&k) {
            return Err(FilterError::StrayReturn { table: table.name, found: k, at });
        }
        if k == OWN_PROCESS_PLACEHOLDER {
            placeholders.push(u16::try_from(at).map_err(|_| FilterError::Jump(at))?);
        }
    }
    if placeholders != program.pid_slots {
        return Err(FilterError::ProcessId {
            table: table.name,
            found: placeholders,
            expected: program.pid_slots,
        });
    }
    Ok(program)
}
