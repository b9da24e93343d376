//! Calls that change a path, or open one. Where Landlock holds the rule the path is read for the
//! record, a refusal is answered here, and what is allowed goes on for Landlock to decide again.

use super::super::Arbiter;
use super::super::target::{Blame, Caller, path};
use super::refuse::Refused;
use super::{Outcome, Proceed};
use crate::report::{Action, Control};
use crate::sys::{Errno, descriptor};
use fnguard_policy::model::{self, Mode, narrowest_read_rule, narrowest_write_rule};
use std::os::fd::{AsFd, OwnedFd};

/// How a call names what it works on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Family {
    /// Opens: directory, path and flags are at these arguments.
    Open { directory: Option<usize>, path: usize, flags: Flags },
    /// Changes one path.
    Change { directory: Option<usize>, path: usize, follow: bool },
    /// Changes two; whether the first is followed where it is a link.
    ChangeTwo { first: (Option<usize>, usize), second: (Option<usize>, usize), follow: bool },
    /// Changes permission bits of a path; the mode is at the last index.
    Mode { directory: Option<usize>, path: usize, mode: usize },
    /// Changes permission bits of a descriptor.
    DescriptorMode,
    /// Changes owners or extended attributes: never needed by a function, never allowed, unless it
    /// leaves the owners as they are.
    Owner { directory: Option<usize>, path: Option<usize> },
}

/// Where the flags of an open are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flags {
    /// In a register.
    Register(usize),
    /// At the start of a structure (openat2).
    Behind(usize),
    /// Always writing and creating (creat).
    Creat,
}

/// The family of a call, if it is one of these.
pub(super) fn family(caller: &Caller<'_>) -> Option<Family> {
    let number = i64::from(caller.number());
    let change = |directory, path, follow| Some(Family::Change { directory, path, follow });
    #[cfg(target_arch = "x86_64")]
    match number {
        libc::SYS_open => return Some(Family::Open { directory: None, path: 0, flags: Flags::Register(1) }),
        libc::SYS_creat => return Some(Family::Open { directory: None, path: 0, flags: Flags::Creat }),
        libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_mkdir | libc::SYS_mknod => {
            return change(None, 0, false);
        }
        libc::SYS_symlink => return change(None, 1, false),
        libc::SYS_rename | libc::SYS_link => {
            return Some(Family::ChangeTwo { first: (None, 0), second: (None, 1), follow: false });
        }
        libc::SYS_chmod => return Some(Family::Mode { directory: None, path: 0, mode: 1 }),
        libc::SYS_chown | libc::SYS_lchown => {
            return Some(Family::Owner { directory: None, path: Some(0) });
        }
        _ => {}
    }
    const FCHMODAT2: i64 = 452;
    match number {
        libc::SYS_openat => Some(Family::Open { directory: Some(0), path: 1, flags: Flags::Register(2) }),
        libc::SYS_openat2 => Some(Family::Open { directory: Some(0), path: 1, flags: Flags::Behind(2) }),
        libc::SYS_unlinkat | libc::SYS_mkdirat | libc::SYS_mknodat => change(Some(0), 1, false),
        libc::SYS_symlinkat => change(Some(1), 2, false),
        libc::SYS_truncate => change(None, 0, true),
        libc::SYS_renameat | libc::SYS_renameat2 => {
            Some(Family::ChangeTwo { first: (Some(0), 1), second: (Some(2), 3), follow: false })
        }
        // Followed, /proc/self/fd/N gives a file its first name that was opened without (O_TMPFILE).
        libc::SYS_linkat => {
            let follow = caller.int(4) & libc::AT_SYMLINK_FOLLOW != 0;
            Some(Family::ChangeTwo { first: (Some(0), 1), second: (Some(2), 3), follow })
        }
        libc::SYS_fchmodat | FCHMODAT2 => Some(Family::Mode { directory: Some(0), path: 1, mode: 2 }),
        libc::SYS_fchmod => Some(Family::DescriptorMode),
        libc::SYS_fchownat => Some(Family::Owner { directory: Some(0), path: Some(1) }),
        libc::SYS_fchown | libc::SYS_fsetxattr | libc::SYS_fremovexattr => {
            Some(Family::Owner { directory: None, path: None })
        }
        libc::SYS_setxattr | libc::SYS_lsetxattr | libc::SYS_removexattr | libc::SYS_lremovexattr => {
            Some(Family::Owner { directory: None, path: Some(0) })
        }
        _ => None,
    }
}

pub(super) fn decide(arbiter: &Arbiter, caller: &Caller<'_>, family: Family) -> Result<Outcome, Blame> {
    match family {
        Family::Open { directory, path, flags } => open(arbiter, caller, directory, path, flags),
        Family::Change { directory, path, follow } => {
            match change(arbiter, caller, directory, path, follow)? {
                Some(outcome) => Ok(outcome),
                None => Ok(Outcome::Proceed(go_on(arbiter))),
            }
        }
        Family::ChangeTwo { first, second, follow } => {
            for ((directory, path), follow) in [(first, follow), (second, false)] {
                if let Some(outcome) = change(arbiter, caller, directory, path, follow)? {
                    return Ok(outcome);
                }
            }
            Ok(Outcome::Proceed(go_on(arbiter)))
        }
        Family::Mode { directory, path, mode } => change_mode(arbiter, caller, directory, path, mode),
        Family::DescriptorMode => descriptor_mode(arbiter, caller),
        Family::Owner { directory, path } => change_owner(arbiter, caller, directory, path),
    }
}

fn open(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: usize,
    flags: Flags,
) -> Result<Outcome, Blame> {
    const WRITING: i32 = libc::O_CREAT | libc::O_TRUNC | 0x0040_0000 /* __O_TMPFILE */;
    let flags = match flags {
        Flags::Register(index) => caller.int(index),
        Flags::Behind(index) => {
            let how = caller.read(caller.arg(index), 8)?;
            how.first_chunk::<8>().map_or(0, |flags| u64::from_ne_bytes(*flags) as i32)
        }
        Flags::Creat => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
    };
    let writes =
        flags & libc::O_PATH == 0 && (flags & libc::O_ACCMODE != libc::O_RDONLY || flags & WRITING != 0);
    // With both, open(2) makes a file or fails, whatever stands there.
    const MAKING: i32 = libc::O_CREAT | libc::O_EXCL;
    let follow = flags & libc::O_NOFOLLOW == 0 && flags & MAKING != MAKING;
    let Some(text) = named(caller, directory, path, follow)? else {
        return Ok(Outcome::Proceed(go_on(arbiter)));
    };
    // The program's own terminal, for which the domain has a rule.
    if arbiter.terminal.as_ref().is_some_and(|terminal| terminal.is_named(&text)) {
        return Ok(Outcome::Proceed(go_on(arbiter)));
    }
    if flags & (libc::O_PATH | libc::O_CREAT) == 0 && is_missing_terminal(caller, &text) {
        return Ok(Outcome::Error(Errno(libc::ENXIO)));
    }
    if writes {
        if always_writable(&text) {
            return Ok(Outcome::Proceed(go_on(arbiter)));
        }
        if let Some(outcome) = settle_write(arbiter, caller, &text) {
            return Ok(outcome);
        }
    }
    if flags & libc::O_ACCMODE != libc::O_WRONLY && flags & libc::O_PATH == 0 {
        if arbiter.own_code.as_deref() == Some(&text) {
            let action = match arbiter.policy.files.mode {
                Mode::Audit => Action::Audited,
                Mode::Enforce => Action::Blocked,
            };
            return Ok(Refused::new(Control::Files, "files.own_code", Errno(libc::EACCES))
                .hint("[files] own_code = \"allow\"".to_owned())
                .path(text)
                .report(arbiter, caller, action));
        }
        let decision = arbiter.policy.decide_read(&text);
        let action = match decision.action {
            model::Action::Allow => return Ok(Outcome::Proceed(go_on(arbiter))),
            model::Action::Audit => Action::Audited,
            model::Action::Deny => Action::Blocked,
        };
        return Ok(Refused::new(Control::Files, decision.rule.key, Errno(libc::EACCES))
            .hint(narrowest_read_rule(&text))
            .path(text)
            .report(arbiter, caller, action));
    }
    Ok(Outcome::Proceed(go_on(arbiter)))
}

/// Whether a path is the controlling terminal of a caller that has none: what the kernel answers then,
/// ENXIO, is what shells ask for at each start, and nothing to report.
fn is_missing_terminal(caller: &Caller<'_>, text: &str) -> bool {
    use crate::sys::path::{open, proc_path, read_file};
    if text != crate::confine::CONTROLLING {
        return false;
    }
    let device = open(&proc_path(text), libc::O_PATH).and_then(|file| descriptor::identify(file.as_fd()));
    if !device.is_ok_and(|device| device.kind() == libc::S_IFCHR && device.special == libc::makedev(5, 0)) {
        return false;
    }
    let stat = read_file(&proc_path(&format!("/proc/{}/stat", caller.thread())), 4096);
    caller.check().is_ok() && stat.is_ok_and(|stat| terminal_of(&stat) == Some(0))
}

/// The field tty_nr of /proc/PID/stat: the fifth behind the name, which ends with the last parenthesis.
fn terminal_of(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end..)?).ok()?;
    rest.split(' ').nth(5)?.parse().ok()
}

fn change(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: usize,
    follow: bool,
) -> Result<Option<Outcome>, Blame> {
    let text = named(caller, directory, path, follow)?;
    Ok(text.and_then(|text| settle_write(arbiter, caller, &text)))
}

/// Decides a change; the outcome where it is refused.
fn settle_write(arbiter: &Arbiter, caller: &Caller<'_>, text: &str) -> Option<Outcome> {
    match arbiter.policy.decide_write(text).action {
        model::Action::Allow => None,
        model::Action::Audit => {
            let _ = refuse_write(arbiter, caller, text, Action::Audited);
            None
        }
        model::Action::Deny => Some(refuse_write(arbiter, caller, text, Action::Blocked)),
    }
}

pub(super) fn refuse_write(arbiter: &Arbiter, caller: &Caller<'_>, text: &str, action: Action) -> Outcome {
    Refused::new(Control::Files, "files.write", Errno(libc::EACCES))
        .path(text.to_owned())
        .hint(narrowest_write_rule(text))
        .report(arbiter, caller, action)
}

/// chmod(2) and its kin are nothing Landlock knows of: performed on the object that was decided
/// on. The mode of a pipe without a name stays as it is, whoever asks: it keeps the logs' reading end shut.
fn change_mode(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: usize,
    mode: usize,
) -> Result<Outcome, Blame> {
    let resolved = match given(caller, directory, path)?.resolve(caller, true) {
        Ok(resolved) => resolved,
        Err(Blame::Caller(Errno(libc::ELOOP))) => {
            return Ok(refuse_pipe(arbiter, caller, BY_LINK.to_owned()));
        }
        Err(blame) => return Err(blame),
    };
    let Some(object) = resolved.object else { return Err(Blame::Caller(Errno(libc::ENOENT))) };
    // A FIFO that has a name is a file like others.
    let kind = descriptor::identify(object.as_fd()).map_err(Blame::Guard)?.kind();
    if kind == libc::S_IFIFO && !resolved.text.starts_with('/') {
        return Ok(refuse_pipe(arbiter, caller, resolved.text));
    }
    if let Some(outcome) = settle_write(arbiter, caller, &resolved.text) {
        return Ok(outcome);
    }
    Ok(match crate::sys::path::change_mode(object.as_fd(), caller.arg(mode) as u32) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

fn descriptor_mode(arbiter: &Arbiter, caller: &Caller<'_>) -> Result<Outcome, Blame> {
    let copy = caller.descriptor(caller.int(0))?;
    let identity = descriptor::identify(copy.as_fd()).map_err(Blame::Guard)?;
    let text = crate::sys::path::path_of(copy.as_fd()).map_err(Blame::Guard)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    if identity.kind() == libc::S_IFIFO && !(text.starts_with('/') && identity.links > 0) {
        return Ok(refuse_pipe(arbiter, caller, format!("descriptor {}", caller.int(0))));
    }
    // A file without a name, such as a memfd, belongs to whoever made it. The kernel marks such a path by a
    // suffix that a file's name can have as well.
    if text.starts_with('/')
        && identity.links > 0
        && let Some(outcome) = settle_write(arbiter, caller, &text)
    {
        return Ok(outcome);
    }
    Ok(match descriptor::change_mode(copy.as_fd(), caller.arg(1) as u32) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    })
}

/// Owners and extended attributes are nothing Landlock knows of.
fn change_owner(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: Option<usize>,
) -> Result<Outcome, Blame> {
    if let Some(asked) = asked_owners(caller)
        && let Some(outcome) = keep_owner(arbiter, caller, directory, path, asked)?
    {
        return Ok(outcome);
    }
    let text = match path {
        Some(path) => named(caller, directory, path, false)?.unwrap_or_else(|| BY_LINK.to_owned()),
        None => format!("descriptor {}", caller.int(0)),
    };
    if arbiter.policy.files.mode == Mode::Audit {
        let _ = refuse_write(arbiter, caller, &text, Action::Audited);
        return Ok(Outcome::Proceed(Proceed::Audit));
    }
    if is_of_own_list(arbiter, caller, directory, path)? {
        return Ok(Outcome::Error(Errno(libc::EOPNOTSUPP)));
    }
    let refused = Refused::new(Control::Files, "guard.owners", Errno(libc::EPERM)).path(text);
    Ok(refused.report(arbiter, caller, Action::Blocked))
}

/// What a chown asks for.
#[derive(Clone, Copy)]
struct Owners {
    owner: u32,
    group: u32,
    follow: bool,
}

/// The owners that a call asks for, if it is one of chown's family.
fn asked_owners(caller: &Caller<'_>) -> Option<Owners> {
    let (owner, group, follow) = match i64::from(caller.number()) {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_chown => (1, 2, true),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_lchown => (1, 2, false),
        libc::SYS_fchown => (1, 2, false),
        libc::SYS_fchownat => (2, 3, caller.int(4) & libc::AT_SYMLINK_NOFOLLOW == 0),
        _ => return None,
    };
    Some(Owners { owner: caller.arg(owner) as u32, group: caller.arg(group) as u32, follow })
}

/// Performs a chown that leaves the owners as they are, as copying and unpacking do, on the object
/// that was decided on; `None` where it is another, or the path may not be written.
fn keep_owner(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: Option<usize>,
    asked: Owners,
) -> Result<Option<Outcome>, Blame> {
    /// Leaves it as it is.
    const SAME: u32 = u32::MAX;
    let Some(object) = writable(arbiter, caller, directory, path, asked.follow)? else { return Ok(None) };
    let (owner, group) = descriptor::identify(object.as_fd()).map_err(Blame::Guard)?.owners;
    if ![SAME, owner].contains(&asked.owner) || ![SAME, group].contains(&asked.group) {
        return Ok(None);
    }
    Ok(Some(match descriptor::change_owner(object.as_fd(), asked.owner, asked.group) {
        Ok(()) => Outcome::Value(0),
        Err(errno) => Outcome::Error(errno),
    }))
}

/// Whether a call is about an access control list, and on a file that may be written. It fails as on a
/// file system that has none, for which every program that copies files has an answer: permission bits.
fn is_of_own_list(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: Option<usize>,
) -> Result<bool, Blame> {
    /// XATTR_NAME_MAX, and the end.
    const LONGEST: usize = 256;
    let follow = match i64::from(caller.number()) {
        libc::SYS_setxattr | libc::SYS_removexattr => true,
        libc::SYS_lsetxattr | libc::SYS_lremovexattr => false,
        libc::SYS_fsetxattr | libc::SYS_fremovexattr => false,
        _ => return Ok(false),
    };
    let name = match caller.read_string(caller.arg(1), LONGEST) {
        Err(Blame::Caller(_)) => return Ok(false),
        name => name?,
    };
    Ok(name.starts_with(b"system.posix_acl_")
        && writable(arbiter, caller, directory, path, follow)?.is_some())
}

/// The file with a name that a call means by a path or by its first argument, a descriptor, where it
/// may be written.
fn writable(
    arbiter: &Arbiter,
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: Option<usize>,
    follow: bool,
) -> Result<Option<OwnedFd>, Blame> {
    let (object, text) = match path {
        Some(path) => match given(caller, directory, path)?.resolve(caller, follow) {
            Ok(path::Resolved { object: Some(object), text }) => (object, text),
            Ok(path::Resolved { object: None, .. }) => return Err(Blame::Caller(Errno(libc::ENOENT))),
            Err(Blame::Caller(Errno(libc::ELOOP))) => return Ok(None),
            Err(blame) => return Err(blame),
        },
        None => {
            let copy = caller.descriptor(caller.int(0))?;
            let text = crate::sys::path::path_of(copy.as_fd()).map_err(Blame::Guard)?;
            (copy, String::from_utf8_lossy(&text).into_owned())
        }
    };
    let links = descriptor::identify(object.as_fd()).map_err(Blame::Guard)?.links;
    let may = arbiter.policy.decide_write(&text).action == model::Action::Allow;
    Ok((may && links > 0).then_some(object))
}

fn refuse_pipe(arbiter: &Arbiter, caller: &Caller<'_>, what: String) -> Outcome {
    Refused::new(Control::Guard, "guard.logs", Errno(libc::EPERM)).path(what).report(
        arbiter,
        caller,
        Action::Blocked,
    )
}

/// What a record calls a path that leads through a link of /proc to no path.
const BY_LINK: &str = "a descriptor by its path in /proc";

/// The absolute path that a call names, to decide by where the kernel decides again. `None` where it
/// leads through a magic link of /proc, such as /dev/stdout, to something that has no path: that is
/// open already.
fn named(
    caller: &Caller<'_>,
    directory: Option<usize>,
    path: usize,
    follow: bool,
) -> Result<Option<String>, Blame> {
    given(caller, directory, path)?.leads_to(caller, follow)
}

fn given(caller: &Caller<'_>, directory: Option<usize>, path: usize) -> Result<path::Given, Blame> {
    let directory = directory.map_or(libc::AT_FDCWD, |index| caller.int(index));
    path::Given::read(caller, directory, caller.arg(path))
}

/// Why an allowed file call goes on.
fn go_on(arbiter: &Arbiter) -> Proceed {
    match (arbiter.policy.files.mode, arbiter.domain.write) {
        (Mode::Audit, _) => Proceed::Audit,
        (Mode::Enforce, true) => Proceed::LandlockHolds,
        (Mode::Enforce, false) => Proceed::NotHeld,
    }
}

fn always_writable(path: &str) -> bool {
    matches!(path, "/dev/null" | "/dev/zero" | "/dev/full")
}

#[cfg(test)]
mod tests {
    use super::terminal_of;

    #[test]
    fn the_terminal_is_found_behind_any_name() {
        assert_eq!(terminal_of(b"7 (a) 9 (x) S 1 7 7 34816 7 4194304 1"), Some(34816));
        assert_eq!(terminal_of(b"7 (sh) S 1 7 7 0 -1 4194304 1"), Some(0));
        assert_eq!(terminal_of(b"7 (sh"), None);
    }
}
