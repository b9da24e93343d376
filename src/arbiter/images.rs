//! Programs and their load phases: which process may still map executable memory, and whether the
//! program that it runs is one that was allowed.
//!
//! An exec that goes on is decided by a path that may have been exchanged (EVASIONS 1), and an
//! executable interpreter runs any file. So every exec opens a load phase, and before the first
//! executable map of the new image /proc/PID/exe is compared, by device and inode, with what was
//! allowed: the two are told apart before a byte of a smuggled file has run.

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
    loading: HashMap<i32, ()>,
    /// The process whose next exec is the launcher's own.
    launch: Option<i32>,
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
        states.loading.insert(process, ());
        true
    }

    /// An exec of this process goes on.
    pub(crate) fn loading(&self, process: i32) {
        let mut states = self.lock();
        if states.loading.len() >= MOST {
            states.loading.retain(|pid, ()| exists(*pid));
        }
        // Past the cap a process counts as loaded, which refuses.
        if states.loading.len() < MOST {
            states.loading.insert(process, ());
        }
    }

    /// The load phase of this process is over.
    pub(crate) fn loaded(&self, process: i32) {
        self.lock().loading.remove(&process);
    }

    pub(crate) fn phase(&self, process: i32) -> Phase {
        if self.lock().loading.contains_key(&process) { Phase::Loading } else { Phase::Loaded }
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

fn exists(pid: i32) -> bool {
    crate::sys::signal::send(pid, 0).is_ok()
}
