//! The Landlock domain of the function process: always entered where the kernel has it, since it
//! also closes other processes' /proc entries; with file rules where the policy has some.
//!
//! Paths are opened before the fork, by the process that is not yet confined; the child only
//! restricts itself.

use super::privileges::Unprivileged;
use super::terminal::{CONTROLLING, PseudoTerminal};
use crate::sys::landlock::{Ruleset, abi, access, scope};
use crate::sys::{Errno, path};
use fnguard_policy::model::{Mechanism, Mode, OwnCode, Policy};
use std::ffi::CString;
use std::os::fd::AsFd;

/// A domain that is ready to be entered, and what it will hold.
#[derive(Debug)]
pub(crate) struct Domain {
    ruleset: Option<Ruleset>,
    /// What it holds once it is entered.
    state: DomainState,
}

/// What a Landlock domain holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct DomainState {
    /// The kernel's ABI; 0 where there is none or it was refused.
    pub(crate) abi: u32,
    /// Whether `[files] write` is held.
    pub(crate) write: bool,
    /// Whether `[files] read` is held.
    pub(crate) read: bool,
    /// Whether `[files] own_code = "deny"` is held.
    pub(crate) own_code: bool,
    /// Whether `[exec] allow` is held to exactly the files it names.
    pub(crate) execute: bool,
    /// Whether signals to processes outside are refused.
    pub(crate) signals: bool,
    /// Paths of the policy that do not exist, so that no rule could be made for them.
    pub(crate) missing: Vec<String>,
}

/// Every right that changes a file or a directory.
const WRITE: u64 = access::WRITE_FILE
    | access::REMOVE_DIR
    | access::REMOVE_FILE
    | access::MAKE_CHAR
    | access::MAKE_DIR
    | access::MAKE_REG
    | access::MAKE_SOCK
    | access::MAKE_FIFO
    | access::MAKE_BLOCK
    | access::MAKE_SYM;
/// Rights that may be given on a file that is no directory.
const FILE_RIGHTS: u64 =
    access::EXECUTE | access::WRITE_FILE | access::READ_FILE | access::TRUNCATE | access::IOCTL_DEV;
const READ: u64 = access::READ_FILE | access::READ_DIR;

/// Device nodes that stay writable whatever the rules: programs redirect to them.
const ALWAYS_WRITABLE: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// Builds the ruleset that the policy asks for. `programs` are the files that may be executed
/// when exec is held here: the allowed programs, their interpreters, and the launched program.
/// `own_code` is this program's file where it is loaded already and must not be read again.
/// `terminal` is the program's own, open to it whatever the rules.
pub(crate) fn prepare(
    policy: &Policy,
    programs: &[String],
    own_code: Option<&str>,
    terminal: Option<&PseudoTerminal>,
) -> Result<Domain, Errno> {
    let abi = abi()?;
    if abi == 0 {
        return Ok(Domain { ruleset: None, state: DomainState::default() });
    }
    let enforce_files = policy.files.mode == Mode::Enforce;
    let writes_anywhere = policy.files.write.iter().any(|path| path == "/");
    let holds_write = enforce_files && !writes_anywhere;
    let holds_read = enforce_files && policy.files.read.is_some();
    // A filter refuses by itself where no program is allowed; where descriptors are sealed there is none.
    let sealed = policy.arm.mechanism == Mechanism::Sealed;
    let holds_execute =
        policy.exec.mode == Mode::Enforce && !policy.exec.any && (sealed || !policy.exec.allow.is_empty());

    let around_own_code = own_code
        .filter(|_| enforce_files && !holds_read && policy.files.own_code == OwnCode::Deny)
        .and_then(|program| everything_but(program, &policy.files.write));
    let holds_own_code = around_own_code.is_some()
        || (holds_read
            && own_code.is_some_and(|program| !covers(policy.files.read.iter().flatten(), program)));

    // ABI 2 brought REFER, which is refused by default below it; ABI 3 TRUNCATE.
    let write =
        WRITE | if abi >= 2 { access::REFER } else { 0 } | if abi >= 3 { access::TRUNCATE } else { 0 };
    // A domain must handle something: making block devices needs a capability that is dropped.
    let mut handled = access::MAKE_BLOCK;
    if holds_write {
        handled |= write;
    }
    if holds_read {
        handled |= READ;
    }
    if around_own_code.is_some() {
        handled |= access::READ_FILE;
    }
    if holds_execute {
        handled |= access::EXECUTE;
    }
    let scoped = if abi >= 6 { scope::ABSTRACT_UNIX_SOCKET | scope::SIGNAL } else { 0 };
    let ruleset = Ruleset::new(handled, scoped)?;
    let mut missing = Vec::new();
    let mut allow = |path: &str, rights: u64, required: bool| -> Result<(), Errno> {
        let Ok(c_path) = CString::new(path) else { return Ok(()) };
        match path::open(&c_path, libc::O_PATH) {
            Ok(object) => {
                let kind = crate::sys::descriptor::identify(object.as_fd())?.kind();
                let rights = if kind == libc::S_IFDIR { rights } else { rights & FILE_RIGHTS };
                ruleset.allow(object.as_fd(), rights & handled)
            }
            Err(_) => {
                if required {
                    missing.push(path.to_owned());
                }
                Ok(())
            }
        }
    };
    if holds_write {
        for path in &policy.files.write {
            allow(path, write, true)?;
        }
        for path in ALWAYS_WRITABLE {
            allow(path, access::WRITE_FILE | access::TRUNCATE, false)?;
        }
    }
    if holds_read {
        for path in policy.files.read.iter().flatten().chain(&policy.files.write) {
            allow(path, READ, true)?;
        }
        for path in programs {
            allow(path, access::READ_FILE, false)?;
        }
    }
    for path in around_own_code.iter().flatten() {
        allow(path, access::READ_FILE, false)?;
    }
    if holds_execute {
        for path in programs {
            allow(path, access::EXECUTE, true)?;
        }
    }
    if let Some(terminal) = terminal {
        // By its descriptor: a name could stand for another by now. /dev/tty opens whichever
        // terminal controls the caller, and that is this one or none.
        let rights = (access::WRITE_FILE | access::READ_FILE) & handled;
        if rights != 0 {
            ruleset.allow(terminal.slave.as_fd(), rights)?;
            if let Ok(controlling) = path::open(&CString::new(CONTROLLING).unwrap_or_default(), libc::O_PATH)
            {
                ruleset.allow(controlling.as_fd(), rights)?;
            }
        }
    }
    let state = DomainState {
        abi,
        write: holds_write && abi >= 3,
        read: holds_read,
        own_code: holds_own_code,
        execute: holds_execute,
        signals: abi >= 6,
        missing,
    };
    Ok(Domain { ruleset: Some(ruleset), state })
}

/// Whether a path lies below one of `bases`.
fn covers<'a>(mut bases: impl Iterator<Item = &'a String>, path: &str) -> bool {
    bases.any(|base| {
        path.strip_prefix(base.trim_end_matches('/'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

/// Everything that is not `program`: Landlock only ever allows, so each entry beside the path from
/// the root to the file gets a rule. What comes to be beside it later can't be read, so a program
/// below a folder that is written to, or among too many neighbours, can't be held this way.
fn everything_but(program: &str, written: &[String]) -> Option<Vec<String>> {
    const MOST: usize = 4096;
    if covers(written.iter(), program) {
        return None;
    }
    let mut paths = Vec::new();
    let mut folder = String::new();
    for component in program.split('/').filter(|component| !component.is_empty()) {
        let listed = CString::new(if folder.is_empty() { "/" } else { &folder }).ok()?;
        for entry in path::list(&listed).ok()? {
            let entry = String::from_utf8(entry).ok()?;
            if entry != component {
                paths.push(format!("{folder}/{entry}"));
            }
        }
        if paths.len() > MOST {
            return None;
        }
        folder = format!("{folder}/{component}");
    }
    Some(paths)
}

/// Proof that the domain was entered, or that it was tried; what the kernel said to that. Whether it
/// is in force is `trial`'s to find out.
#[derive(Debug)]
pub(crate) struct Entered {
    outcome: Result<DomainState, Errno>,
}

impl Domain {
    /// Enters the domain.
    fn restrict(self, proof: &Unprivileged) -> Result<DomainState, Errno> {
        let Some(ruleset) = self.ruleset else { return Ok(self.state) };
        proof.no_new_privileges?;
        ruleset.restrict_self()?;
        Ok(self.state)
    }
}

impl Entered {
    /// The domain, as far as the kernel said that it holds.
    pub(super) fn outcome(self) -> Result<DomainState, Errno> {
        self.outcome
    }
}

/// Step 5's last part: enters the domain, if there is one and this attempt may.
pub(crate) fn enter(domain: Result<Domain, Errno>, wanted: bool, proof: &Unprivileged) -> Entered {
    let outcome = match domain {
        Ok(domain) if wanted => domain.restrict(proof),
        Ok(_) => Err(Errno(libc::ENOSYS)),
        Err(error) => Err(error),
    };
    Entered { outcome }
}
