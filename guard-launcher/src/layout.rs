//! Where the parts of a packaged function lie: in one directory, which is the root of its archive.

use std::path::{Path, PathBuf};

/// The name under which the platform starts a custom runtime: in a packaged function, the launcher.
pub const BOOTSTRAP: &str = "bootstrap";
/// The function itself, which was `bootstrap` before it was packaged.
pub const FUNCTION: &str = "bootstrap.function";
/// An encoded policy that stands in the place of the one in the function's note.
pub const POLICY: &str = "guard.policy";
/// The version of fnguard, for messages about files of different ones.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Files beside the launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The function.
    pub function: PathBuf,
    /// The policy, where there is one of its own.
    pub policy: PathBuf,
}

impl Layout {
    /// The files that belong to the launcher at this path.
    ///
    /// ```
    /// # use fnguard_launcher::layout::Layout;
    /// # use std::path::Path;
    /// let layout = Layout::beside(Path::new("/var/task/bootstrap"));
    /// assert_eq!(layout.function, Path::new("/var/task/bootstrap.function"));
    /// ```
    pub fn beside(launcher: &Path) -> Self {
        Layout { function: launcher.with_file_name(FUNCTION), policy: launcher.with_file_name(POLICY) }
    }
}
