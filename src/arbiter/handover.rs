//! The arbiter out of its function's reach where prctl(2) is refused: it becomes a copy of its own
//! program that nobody may read.
//!
//! A process that executes a file which its user may not read is not dumpable (execve(2), proc(5)): no
//! process of that user can trace it, read or write its memory, or open what lies below its entry in
//! /proc. So the program's file is copied into memory, made executable and nothing else, and executed.
//! The process stays the same: its id, its child, its descriptors. What it knew it leaves in a second
//! such file, which the new image reads and closes before the function goes on.
//!
//! Which image it is, the program tells by its arguments. They decide nothing: whoever can choose them
//! can start any program, and gets an arbiter of whatever was handed over, and no function.

use super::begin::{Beginning, Environment};
use crate::confine::{Kept, Programs};
use crate::error::ArmError;
use crate::inventory::Inventory;
use crate::secrets::{Captured, Store};
use crate::sys::{Errno, capability, descriptor, path, process};
use fnguard_policy::model::Compiled;
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The first argument of the copy; the second is the number of what is handed over.
pub(crate) const NAME: &CStr = c"fnguard-arbiter";
/// What a handover begins with.
const FORM: &str = concat!("fnguard ", env!("CARGO_PKG_VERSION"));
/// The variables that the copy keeps: where its libraries lie, and what [`Environment`] reads.
const KEPT: [&[u8]; 2] = [b"LD_LIBRARY_PATH=", b"AWS_LAMBDA_RUNTIME_API="];

/// What the first image knew.
#[derive(Serialize, Deserialize)]
struct Handover<'a> {
    form: &'a str,
    hash: [u8; 32],
    /// When arming began, as time since 1970.
    began: Duration,
    function: i32,
    pidfd: RawFd,
    socket: RawFd,
    link: u64,
    stdin: Option<RawFd>,
    stdout: RawFd,
    stderr: RawFd,
    secrets: Vec<(&'a str, &'a [u8])>,
    looks_like_secret: Vec<String>,
    inventory: Inventory,
    own_code: Option<String>,
    may_filter: bool,
}

/// Becomes the copy. Returns only where that fails, with why; then the arbiter is where it was, without
/// the capabilities that it gives up in any case.
pub(super) fn become_unreadable(beginning: &Beginning<'_>) -> Errno {
    match prepare(beginning) {
        Ok((image, handed)) => {
            let number = CString::new(handed.as_raw_fd().to_string()).unwrap_or_default();
            let variables: Vec<&CStr> = beginning.environment.kept().iter().map(CString::as_c_str).collect();
            process::execute_open(image.as_fd(), &[NAME, &number], &variables)
        }
        Err(error) => error,
    }
}

/// The image that is to be executed, and what is handed over to it.
fn prepare(beginning: &Beginning<'_>) -> Result<(OwnedFd, OwnedFd), Errno> {
    let Kept::Pipes { stdin, stdout, stderr } = &beginning.streams else { return Err(Errno(libc::ENOTTY)) };
    // The superuser's rights would make the copy readable, and the process dumpable with it.
    capability::drop_held()?;
    let mut inventory = beginning.inventory.clone();
    inventory.settle().map_err(|_| Errno(libc::EIO))?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let message = Handover {
        form: FORM,
        hash: beginning.compiled.hash,
        began: since.saturating_sub(beginning.began.elapsed()),
        function: beginning.function,
        pidfd: beginning.pidfd.as_raw_fd(),
        socket: beginning.socket.as_raw_fd(),
        link: beginning.link,
        stdin: stdin.as_ref().map(AsRawFd::as_raw_fd),
        stdout: stdout.as_raw_fd(),
        stderr: stderr.as_raw_fd(),
        secrets: beginning.captured.store.iter().collect(),
        looks_like_secret: beginning.captured.looks_like_secret.clone(),
        inventory,
        own_code: beginning.own_code.clone(),
        may_filter: beginning.may_filter,
    };
    let bytes = Zeroizing::new(postcard::to_allocvec(&message).map_err(|_| Errno(libc::EINVAL))?);
    let handed = descriptor::memory_file(c"fnguard-handover")?;
    descriptor::write_all(handed.as_fd(), &bytes)?;
    descriptor::seek(handed.as_fd(), 0, libc::SEEK_SET)?;

    let program = path::open(c"/proc/self/exe", libc::O_RDONLY)?;
    let copy = descriptor::memory_file(NAME)?;
    descriptor::copy_rest(program.as_fd(), copy.as_fd())?;
    descriptor::change_mode(copy.as_fd(), 0o111)?;
    // What is open for writing can't be executed, and the path of a file can be had without reading it.
    let image = path::open(&path::proc_path(&format!("/proc/self/fd/{}", copy.as_raw_fd())), libc::O_PATH)?;
    drop(copy);
    let kept = [&beginning.pidfd, &beginning.socket, stdout, stderr, &handed];
    for fd in kept.into_iter().chain(stdin) {
        descriptor::set_close_on_exec(fd.as_fd(), false)?;
    }
    Ok((image, handed))
}

/// What was handed over, taken.
pub(crate) struct Handed {
    began: Instant,
    function: i32,
    pidfd: OwnedFd,
    socket: OwnedFd,
    link: u64,
    streams: Kept,
    captured: Captured,
    inventory: Inventory,
    own_code: Option<String>,
    may_filter: bool,
}

/// Takes what the first image has left behind a descriptor's number.
///
/// # Errors
///
/// What is there is no handover, or one of another program.
pub(crate) fn receive(compiled: &Compiled, number: RawFd) -> Result<Handed, ArmError> {
    let failed = || ArmError::call("taking over from the arbiter's first image");
    let file = descriptor::take_over(number).map_err(failed())?;
    // In one piece, since a buffer that grows leaves copies behind.
    let length = descriptor::seek(file.as_fd(), 0, libc::SEEK_END).map_err(failed())?;
    descriptor::seek(file.as_fd(), 0, libc::SEEK_SET).map_err(failed())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    descriptor::read_into(file.as_fd(), &mut bytes, length).map_err(failed())?;
    drop(file);
    let handover: Handover<'_> = postcard::from_bytes(&bytes)
        .ok()
        .filter(|handover: &Handover<'_>| handover.form == FORM && handover.hash == compiled.hash)
        .ok_or_else(|| ArmError::ReadBack { what: "no handover of this program".to_owned() })?;
    let room = handover.secrets.iter().map(|(_, value)| value.len()).sum();
    let mut store = Store::with_room(room)?;
    for (name, value) in handover.secrets {
        store.add(name, value)?;
    }
    let take = |number: RawFd| -> Result<OwnedFd, ArmError> {
        let fd = descriptor::take_over(number).map_err(failed())?;
        descriptor::set_close_on_exec(fd.as_fd(), true).map_err(failed())?;
        Ok(fd)
    };
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Instant::now();
    Ok(Handed {
        began: now.checked_sub(passed.saturating_sub(handover.began)).unwrap_or(now),
        function: handover.function,
        pidfd: take(handover.pidfd)?,
        socket: take(handover.socket)?,
        link: handover.link,
        streams: Kept::Pipes {
            stdin: handover.stdin.map(take).transpose()?,
            stdout: take(handover.stdout)?,
            stderr: take(handover.stderr)?,
        },
        captured: Captured::handed_over(store, handover.looks_like_secret),
        inventory: handover.inventory,
        own_code: handover.own_code,
        may_filter: handover.may_filter,
    })
}

impl Handed {
    /// The beginning that the first image did not come to.
    pub(crate) fn beginning<'a>(
        self,
        compiled: &'a Compiled,
        programs: &'a Programs,
        environment: &'a Environment,
    ) -> Beginning<'a> {
        Beginning {
            began: self.began,
            compiled,
            function: self.function,
            pidfd: self.pidfd,
            socket: self.socket,
            link: self.link,
            streams: self.streams,
            captured: self.captured,
            inventory: self.inventory,
            programs,
            environment,
            own_code: self.own_code,
            launched: false,
            may_filter: self.may_filter,
            may_copy: false,
        }
    }
}

/// Whether the copy keeps a variable.
pub(super) fn is_kept(entry: &[u8]) -> bool {
    KEPT.iter().any(|name| entry.starts_with(name))
}
