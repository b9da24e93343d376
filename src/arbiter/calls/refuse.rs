//! Refusing: the errno that the caller sees, and the record.

use super::super::Arbiter;
use super::super::target::Caller;
use super::{Outcome, Proceed};
use crate::report::{Action, Control, Violation};
use crate::sys::Errno;
use fnguard_policy::syscalls;

/// A call that no rule allows, on its way to a record.
#[derive(Debug)]
pub(super) struct Refused {
    violation: Violation,
    errno: Errno,
}

impl Refused {
    /// `rule` is the key of the policy that decided; a key that begins with `guard.` stands for
    /// the guard's own protection, which no policy opens.
    pub(super) fn new(control: Control, rule: &str, errno: Errno) -> Self {
        Refused { violation: Violation::new(control, Action::Blocked, "", rule), errno }
    }

    pub(super) fn address(mut self, address: String) -> Self {
        self.violation.address = Some(address);
        self
    }

    pub(super) fn name(mut self, name: Option<String>) -> Self {
        self.violation.name = name;
        self
    }

    pub(super) fn path(mut self, path: String) -> Self {
        self.violation.path = Some(path);
        self
    }

    pub(super) fn program(mut self, program: String) -> Self {
        self.violation.program = Some(program);
        self
    }

    pub(super) fn detail(mut self, detail: String) -> Self {
        self.violation.detail = Some(detail);
        self
    }

    pub(super) fn hint(mut self, hint: String) -> Self {
        self.violation.hint = Some(hint);
        self
    }

    /// Writes the record; blocked, the outcome is the errno. An audited call's outcome is the
    /// caller's to choose.
    pub(super) fn report(mut self, arbiter: &Arbiter, caller: &Caller<'_>, action: Action) -> Outcome {
        self.violation.action = action;
        self.violation.syscall = call_name(caller);
        self.violation.pid = caller.process().ok().and_then(|pid| u32::try_from(pid).ok());
        if action == Action::Blocked {
            self.violation.errno = Some(self.errno.to_string());
        }
        arbiter.report(self.violation);
        match action {
            Action::Blocked => Outcome::Error(self.errno),
            Action::Audited => Outcome::Proceed(Proceed::Audit),
        }
    }
}

/// The call's name, or `syscall_N`.
fn call_name(caller: &Caller<'_>) -> String {
    let number = i64::from(caller.number());
    syscalls::Arch::of_host()
        .and_then(|arch| syscalls::name(arch, number))
        .map_or_else(|| format!("syscall_{number}"), str::to_owned)
}

/// Refuses a call that the table does not name, or names with other arguments. The detail holds
/// the register values by which a reader tells one attempt from another.
pub(super) fn unnamed(arbiter: &Arbiter, caller: &Caller<'_>) -> Outcome {
    let number = i64::from(caller.number());
    let args = caller.args();
    let (control, errno, detail) = match number {
        libc::SYS_socket | libc::SYS_socketpair => (
            Control::Network,
            libc::EACCES,
            format!("family {}, type {:#x}, protocol {}", caller.int(0), caller.int(1), caller.int(2)),
        ),
        libc::SYS_setsockopt => {
            (Control::Network, libc::EPERM, format!("level {}, option {}", caller.int(1), caller.int(2)))
        }
        libc::SYS_ioctl | libc::SYS_fcntl => {
            (Control::Syscall, libc::EPERM, format!("command {:#x}, argument {:#x}", args[1] as u32, args[2]))
        }
        libc::SYS_prctl | libc::SYS_personality => {
            (Control::Syscall, libc::EPERM, format!("option {:#x}, argument {:#x}", args[0] as u32, args[1]))
        }
        libc::SYS_ptrace
        | libc::SYS_process_vm_readv
        | libc::SYS_process_vm_writev
        | libc::SYS_pidfd_getfd
        | libc::SYS_kcmp
        | libc::SYS_process_madvise => (
            Control::Process,
            libc::EPERM,
            format!("arguments {:#x}, {:#x}, {:#x}", args[0], args[1], args[2]),
        ),
        libc::SYS_io_uring_setup => (Control::Syscall, libc::ENOSYS, format!("entries {}", args[0] as u32)),
        _ => (
            Control::Syscall,
            libc::EPERM,
            format!("arguments {:#x}, {:#x}, {:#x}", args[0], args[1], args[2]),
        ),
    };
    Refused::new(control, "guard.syscalls", Errno(errno)).detail(detail).report(
        arbiter,
        caller,
        Action::Blocked,
    )
}
