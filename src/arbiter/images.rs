//! Programs and their load phases: which process may still map executable memory, and whether the
//! program that it runs is one that was allowed.
//!
//! An exec that goes on is decided by a path that may have been exchanged, and an
//! executable interpreter runs any file. So every exec opens a load phase, and before the first
//! executable map of the new image /proc/PID/exe is compared, by device and inode, with what was
//! allowed: the two are told apart before a byte of a smuggled file has run.
//!
//! An exec that goes on may still fail (a bad argument pointer, no memory), and then the old image
//! runs on, whose load phase is over. So a phase that an exec opens is bound to another image than
//! the one that called it: by what the kernel laid down when it made the image (proc(5): addresses
//! of code, data, stack, arguments and environment, and the auxiliary vector), none of which an
//! image can change in itself under the filter. Without address randomization a program that becomes
//! itself, with the same arguments, can't be told from one whose exec failed, and gets no phase.

use crate::sys::{descriptor, path};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

/// How many processes are remembered; those that have ended are forgotten first.
const MOST: usize = 4096;

/// Whether a process still loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its exec has gone on, and nothing has ended its load phase.
    Loading,
    /// It makes no new executable mappings.
    Loaded,
}

/// Device and inode of a program.
pub(crate) type Image = (u64, u64);

/// The processes below the arbiter, as far as they have started programs.
#[derive(Debug)]
pub(crate) struct Images {
    /// The programs that may run; `None` where every program may.
    allowed: Option<Vec<Image>>,
    states: Mutex<States>,
}

#[derive(Debug, Default)]
struct States {
    loading: HashMap<i32, Opened>,
    /// The process whose next exec is the launcher's own.
    launch: Option<i32>,
}

/// A load phase that was opened.
#[derive(Debug)]
struct Opened {
    /// When the process started, so that another of the same id has no part in it.
    started: Vec<u8>,
    /// The image that called exec; `None` where the exec is the launcher's own.
    by: Option<Vec<u8>>,
}

/// An image, as far as it differs from every other.
#[derive(Debug, PartialEq, Eq)]
struct Picture {
    started: Vec<u8>,
    image: Vec<u8>,
}

impl Images {
    /// `launch` is the process whose first exec is the launcher's.
    pub(crate) fn new(allowed: Option<Vec<Image>>, launch: Option<i32>) -> Self {
        Images { allowed, states: Mutex::new(States { loading: HashMap::new(), launch }) }
    }

    /// Whether this exec is the launcher's own; true once.
    pub(crate) fn take_launch(&self, process: i32) -> bool {
        let mut states = self.lock();
        if states.launch != Some(process) {
            return false;
        }
        states.launch = None;
        let started = picture(process).map(|picture| picture.started).unwrap_or_default();
        states.loading.insert(process, Opened { started, by: None });
        true
    }

    /// An exec of this process goes on.
    pub(crate) fn loading(&self, process: i32) {
        // Of an image that can't be looked at none could be told apart: no phase is opened.
        let Some(Picture { started, image }) = picture(process) else { return };
        let mut states = self.lock();
        // If the exec fails, an image that still loads goes on loading.
        if states.loading.get(&process).is_some_and(|opened| opened.is_for(&started, &image)) {
            return;
        }
        if states.loading.len() >= MOST {
            states.loading.retain(|pid, _| exists(*pid));
        }
        // Past the cap a process counts as loaded, which refuses.
        if states.loading.len() < MOST {
            states.loading.insert(process, Opened { started, by: Some(image) });
        }
    }

    /// The load phase of this process is over.
    pub(crate) fn loaded(&self, process: i32) {
        self.lock().loading.remove(&process);
    }

    pub(crate) fn phase(&self, process: i32) -> Phase {
        if !self.lock().loading.contains_key(&process) {
            return Phase::Loaded;
        }
        let Some(Picture { started, image }) = picture(process) else { return Phase::Loaded };
        match self.lock().loading.get(&process) {
            Some(opened) if opened.is_for(&started, &image) => Phase::Loading,
            _ => Phase::Loaded,
        }
    }

    /// Whether the program that the process runs is one that may.
    pub(crate) fn is_allowed_image(&self, process: i32) -> bool {
        match &self.allowed {
            None => true,
            Some(allowed) => {
                let exe = path::proc_path(&format!("/proc/{process}/exe"));
                path::open(&exe, libc::O_PATH)
                    .and_then(|file| descriptor::identify(file.as_fd()))
                    .is_ok_and(|identity| allowed.contains(&(identity.device, identity.inode)))
            }
        }
    }

    /// The path of the program that the process runs, for a record.
    pub(crate) fn image_of(&self, process: i32) -> String {
        path::read_link(&path::proc_path(&format!("/proc/{process}/exe")))
            .map_or_else(|_| "unknown".to_owned(), |text| crate::report::text::visible(&text))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Opened {
    /// Whether the phase is this image's.
    fn is_for(&self, started: &[u8], image: &[u8]) -> bool {
        self.started == started && self.by.as_deref() != Some(image)
    }
}

/// What the kernel says of a process's image. Read while a thread of the process waits in a call.
fn picture(process: i32) -> Option<Picture> {
    let status = path::read_file(&path::proc_path(&format!("/proc/{process}/stat")), 4096).ok()?;
    let auxiliary = path::read_file(&path::proc_path(&format!("/proc/{process}/auxv")), 4096).ok()?;
    let exe = path::open(&path::proc_path(&format!("/proc/{process}/exe")), libc::O_PATH).ok()?;
    let exe = descriptor::identify(exe.as_fd()).ok()?;
    let (started, mut image) = laid_down(&status)?;
    image.extend_from_slice(&exe.device.to_ne_bytes());
    image.extend_from_slice(&exe.inode.to_ne_bytes());
    image.extend_from_slice(&auxiliary);
    Some(Picture { started, image })
}

/// From /proc/PID/stat: the start time (field 22), and the addresses that exec lays down (26 to 28,
/// 45 to 51).
fn laid_down(status: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let end = status.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&[u8]> =
        status.get(end + 1..)?.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
    // Behind the name stands field 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let mut addresses = Vec::new();
    for number in (26..=28).chain(45..=51) {
        addresses.extend_from_slice(field(number)?);
        addresses.push(b' ');
    }
    Some((field(22)?.to_vec(), addresses))
}

fn exists(pid: i32) -> bool {
    crate::sys::signal::send(pid, 0).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let rest: Vec<String> = (3..=52).map(|number| format!("f{number}")).collect();
        let status = format!("7 (a) 9 (b)) {}\n", rest.join(" "));
        let (started, addresses) = laid_down(status.as_bytes()).unwrap();
        assert_eq!(started, b"f22");
        assert_eq!(addresses, b"f26 f27 f28 f45 f46 f47 f48 f49 f50 f51 ");
        assert_eq!(laid_down(b"7 (a) S 1 2"), None);
    }

    #[test]
    fn a_phase_is_not_that_of_the_image_that_called_exec() {
        let images = Images::new(None, None);
        let own = crate::sys::process::own_pid();
        assert_eq!(images.phase(own), Phase::Loaded);
        images.loading(own);
        assert_eq!(images.phase(own), Phase::Loaded, "no exec has come about");
        images.lock().loading.get_mut(&own).unwrap().by = Some(b"another image".to_vec());
        assert_eq!(images.phase(own), Phase::Loading, "this is another image");
        images.loading(own);
        assert_eq!(images.phase(own), Phase::Loading, "and goes on loading if its own exec fails");
        images.lock().loading.get_mut(&own).unwrap().started = b"1".to_vec();
        assert_eq!(images.phase(own), Phase::Loaded, "another process of the same id");
    }
}
