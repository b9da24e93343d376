//! Descriptors: which were inherited, which are closed, and the pipes that take the place of
//! stdout and stderr. The terminal that can stand there instead is `terminal`'s.

use super::fork::InChild;
use super::terminal::PseudoTerminal;
use crate::error::ArmError;
use crate::sys::descriptor::{self, Identity};
use crate::sys::{Errno, path};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// What was found above descriptor 2, before anything of ours was opened.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Inherited {
    /// Numbers that are closed in the function process.
    pub(crate) close: Vec<RawFd>,
    /// What is said about each, closed or kept.
    pub(crate) named: Vec<String>,
}

/// Looks at every open descriptor above 2.
///
/// Kept are directories and read-only files that have a name: they lead nothing out. Everything else
/// is closed: a copy of the original 0, 1 or 2 by identity (writing there would pass the pumps by),
/// a socket, anything writable, and what has no file behind it (io_uring, a seccomp listener).
///
/// So is what only seems to be read-only: a pipe and a memfd can be opened again for writing by
/// their entry in /proc, and no Landlock domain holds that, since they lie in no directory. A file
/// that was deleted can't be told from a memfd by what the kernel shows of it.
///
/// # Errors
///
/// /proc that cannot be read.
pub(crate) fn survey() -> Result<Inherited, ArmError> {
    let originals: Vec<Identity> = (0..=2)
        .filter_map(descriptor::borrow_number)
        .filter_map(|fd| descriptor::identify(fd).ok())
        .collect();
    let mut inherited = Inherited::default();
    for name in path::list(c"/proc/self/fd").map_err(ArmError::call("listing /proc/self/fd"))? {
        let Some(number) = std::str::from_utf8(&name).ok().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if number <= 2 {
            continue;
        }
        // The listing's own descriptor is closed by now and answers EBADF.
        let Some(fd) = descriptor::borrow_number(number) else { continue };
        let Ok(identity) = descriptor::identify(fd) else { continue };
        let flags = descriptor::status_flags(fd).unwrap_or(libc::O_RDWR);
        let reads_only = flags & libc::O_ACCMODE == libc::O_RDONLY && flags & libc::O_PATH == 0;
        let harmless = match identity.kind() {
            libc::S_IFREG => identity.links > 0,
            kind => kind == libc::S_IFDIR,
        };
        let kept = reads_only && harmless && !originals.contains(&identity);
        inherited.named.push(format!(
            "descriptor {number} ({}, {})",
            kind_name(&identity),
            if kept { "read-only, kept" } else { "closed" }
        ));
        if !kept {
            inherited.close.push(number);
        }
    }
    Ok(inherited)
}

fn kind_name(identity: &Identity) -> &'static str {
    match identity.kind() {
        libc::S_IFREG if identity.links == 0 => "file without a name",
        libc::S_IFREG => "file",
        libc::S_IFDIR => "directory",
        libc::S_IFIFO => "pipe",
        libc::S_IFSOCK => "socket",
        libc::S_IFCHR => "character device",
        libc::S_IFBLK => "block device",
        _ => "kernel object",
    }
}

/// What takes the place of the platform's standard descriptors.
#[derive(Debug)]
pub(crate) enum Streams {
    /// Pipes, one for each stream.
    Pipes(StandardPipes),
    /// A pseudo-terminal for all of them.
    Terminal(Box<PseudoTerminal>),
}

impl Streams {
    /// The pseudo-terminal, where there is one.
    pub(crate) fn terminal(&self) -> Option<&PseudoTerminal> {
        match self {
            Streams::Pipes(_) => None,
            Streams::Terminal(terminal) => Some(terminal),
        }
    }

    /// What the arbiter keeps of them. The other ends are the function's alone: else the end of one
    /// would never be seen at the other.
    pub(crate) fn kept(self) -> Kept {
        match self {
            Streams::Pipes(StandardPipes { stdin, stdout: (stdout, _), stderr: (stderr, _) }) => {
                let stdin = match stdin {
                    Stdin::Carried((_, writer)) => Some(writer),
                    Stdin::Inherited | Stdin::Reopened(_) => None,
                };
                Kept::Pipes { stdin, stdout, stderr }
            }
            Streams::Terminal(pair) => Kept::Terminal(pair),
        }
    }
}

/// The arbiter's ends of the function's streams.
#[derive(Debug)]
pub(crate) enum Kept {
    /// The reading ends of 1 and 2, and the writing end of 0 where the arbiter carries what comes in.
    Pipes { stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd },
    /// The terminal, of which the arbiter drops the function's end itself.
    Terminal(Box<PseudoTerminal>),
}

/// The pipes behind the function's standard descriptors: (reading end, writing end) of each.
#[derive(Debug)]
pub(crate) struct StandardPipes {
    pub(crate) stdin: Stdin,
    pub(crate) stdout: (OwnedFd, OwnedFd),
    pub(crate) stderr: (OwnedFd, OwnedFd),
}

/// What the function's descriptor 0 is.
#[derive(Debug)]
pub(crate) enum Stdin {
    /// The platform's own, or nothing at all where the platform gave none.
    Inherited,
    /// The platform's, opened again for reading only.
    Reopened(OwnedFd),
    /// A pipe: the arbiter carries what comes in.
    Carried((OwnedFd, OwnedFd)),
}

impl StandardPipes {
    /// Makes both, mode 0200 and 1 MiB wide where allowed.
    ///
    /// Mode 0200 lets /dev/stdout be opened for writing and refuses to reopen the reading end,
    /// by which a function could steal its own lines back (reopening
    /// /proc/self/fd/1). It holds for callers without CAP_DAC_OVERRIDE only, which is dropped.
    pub(crate) fn open() -> Result<Self, ArmError> {
        Ok(StandardPipes { stdin: Stdin::open()?, stdout: open_one()?, stderr: open_one()? })
    }
}

impl Stdin {
    /// Decides by what the platform's is, since what is written to descriptor 0 would reach somebody
    /// past the pumps.
    fn open() -> Result<Self, ArmError> {
        let Some(input) = descriptor::borrow_number(0) else { return Ok(Stdin::Inherited) };
        let identity = descriptor::identify(input).map_err(ArmError::call("looking at descriptor 0"))?;
        let flags = descriptor::status_flags(input).unwrap_or(libc::O_RDWR);
        let reads_only = flags & libc::O_ACCMODE == libc::O_RDONLY;
        match identity.kind() {
            libc::S_IFDIR => Ok(Stdin::Inherited),
            libc::S_IFCHR if reads_only => Ok(Stdin::Inherited),
            libc::S_IFCHR => path::open(c"/proc/self/fd/0", libc::O_RDONLY | libc::O_NOCTTY)
                .or_else(|_| path::open(c"/dev/null", libc::O_RDONLY))
                .map(Stdin::Reopened)
                .map_err(ArmError::call("reopening descriptor 0 read-only")),
            libc::S_IFREG | libc::S_IFBLK if !is_memory(&identity) && reads_only => Ok(Stdin::Inherited),
            libc::S_IFREG | libc::S_IFBLK
                if !is_memory(&identity)
                    && let Ok(input) = reopen(input) =>
            {
                Ok(Stdin::Reopened(input))
            }
            // A socket, a pipe, a memfd, and whatever else lies in no directory: also the reading end of
            // a pipe can be opened again for writing, by its entry in /proc. And a file that may not be
            // read by its name.
            _ => Ok(Stdin::Carried(descriptor::pipe().map_err(ArmError::call("making a pipe"))?)),
        }
    }
}

/// Opens the file on descriptor 0, which is `input`, for reading only, at the same place: written to, it
/// would lead past `[files] write`, and to memory that the function fills first and then executes.
fn reopen(input: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let place = descriptor::seek(input, 0, libc::SEEK_CUR)?;
    let reopened = path::open(c"/proc/self/fd/0", libc::O_RDONLY)?;
    descriptor::seek(reopened.as_fd(), place, libc::SEEK_SET)?;
    Ok(reopened)
}

/// Whether descriptor 0, which is this, is a file in memory that lies in no directory (memfd_create(2)).
/// What can't be read is taken for one.
fn is_memory(identity: &Identity) -> bool {
    let is_named = || path::read_link(c"/proc/self/fd/0").is_ok_and(|name| !name.starts_with(b"/memfd:"));
    identity.links == 0 && !is_named()
}

fn open_one() -> Result<(OwnedFd, OwnedFd), ArmError> {
    let (reader, writer) = descriptor::pipe().map_err(ArmError::call("making a pipe"))?;
    descriptor::change_mode(writer.as_fd(), 0o200).map_err(ArmError::call("setting a pipe's mode"))?;
    // Past the limit of an unprivileged user the pipe keeps its size; it is only slower then.
    let _ = descriptor::set_pipe_size(writer.as_fd(), 1 << 20);
    Ok((reader, writer))
}

/// Proof that nothing of the originals is left in this process but descriptor 0.
#[derive(Debug)]
pub(crate) struct Redirected(());

/// Step 4, in the child only: puts the streams in place of the standard descriptors and closes what was inherited.
pub(crate) fn redirect(
    _child: InChild,
    streams: Streams,
    inherited: &Inherited,
) -> Result<Redirected, ArmError> {
    match streams {
        Streams::Pipes(pipes) => take_pipes(pipes)?,
        Streams::Terminal(terminal) => terminal.take()?,
    }
    for &number in &inherited.close {
        // Already closed is closed.
        let _ = descriptor::close_number(number);
    }
    Ok(Redirected(()))
}

/// Puts the pipes in place of 1 and 2, and of 0 what was decided on.
fn take_pipes(pipes: StandardPipes) -> Result<(), ArmError> {
    match &pipes.stdin {
        Stdin::Carried((input, _)) | Stdin::Reopened(input) => {
            descriptor::duplicate_onto(input.as_fd(), 0).map_err(ArmError::call("replacing descriptor 0"))?;
        }
        Stdin::Inherited if descriptor::borrow_number(0).is_some() => {}
        Stdin::Inherited => {
            let empty =
                path::open(c"/dev/null", libc::O_RDONLY).map_err(ArmError::call("opening /dev/null"))?;
            if empty.as_raw_fd() != 0 {
                descriptor::duplicate_onto(empty.as_fd(), 0)
                    .map_err(ArmError::call("filling descriptor 0"))?;
            } else {
                std::mem::forget(empty);
            }
        }
    }
    descriptor::duplicate_onto(pipes.stdout.1.as_fd(), 1).map_err(ArmError::call("replacing stdout"))?;
    descriptor::duplicate_onto(pipes.stderr.1.as_fd(), 2).map_err(ArmError::call("replacing stderr"))
}
