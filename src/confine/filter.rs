//! The seccomp filter of the function process: patched with its own process id, installed with a
//! listener.

use super::domain::{DomainState, Entered};
use super::privileges::Unprivileged;
use crate::error::ArmError;
use crate::sys::seccomp::{Instruction, Wait, install_with_listener};
use crate::sys::{Errno, process};
use fnguard_policy::model::Program;
use std::os::fd::OwnedFd;

/// Proof that the process has done to itself what it can; what came of it.
#[derive(Debug)]
pub(crate) struct Confined {
    /// The listener, on its way to the arbiter, or why there is none.
    pub(crate) listener: Result<(OwnedFd, Wait), Errno>,
    /// The Landlock domain, or why there is none.
    pub(crate) domain: Result<DomainState, Errno>,
    /// Whether no_new_privs is set, or why not.
    pub(crate) no_new_privileges: Result<(), Errno>,
    /// Whether the parent's end will end this process too.
    pub(crate) dies_with_parent: bool,
    _proof: (),
}

/// Step 6: installs the filter, or says why not. `wanted` is false where the policy or an
/// earlier attempt rules seccomp out.
pub(crate) fn confine(
    program: &Program,
    wanted: bool,
    unprivileged: Unprivileged,
    entered: Entered,
) -> Result<Confined, ArmError> {
    let listener = if wanted {
        let instructions = patch(program, process::own_pid())?;
        unprivileged.no_new_privileges.and_then(|()| install_with_listener(&instructions))
    } else {
        Err(Errno(libc::ENOSYS))
    };
    Ok(Confined {
        listener,
        domain: entered.outcome(),
        no_new_privileges: unprivileged.no_new_privileges,
        dies_with_parent: unprivileged.dies_with_parent,
        _proof: (),
    })
}

/// Writes the process id into the instructions that compare with it.
///
/// # Errors
///
/// A slot outside the program: the compiled policy is damaged.
pub(crate) fn patch(program: &Program, pid: i32) -> Result<Vec<Instruction>, ArmError> {
    let mut instructions: Vec<Instruction> =
        program.instructions.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
    for &slot in &program.pid_slots {
        let instruction = instructions.get_mut(usize::from(slot)).ok_or_else(|| {
            fnguard_policy::model::compiled::DecodeError::Damaged(
                "a pid slot lies outside the program".into(),
            )
        })?;
        instruction.k = pid as u32;
    }
    Ok(instructions)
}
