//! Paths as the function hands them over, resolved from the calling thread's point of view.
//!
//! A resolved path serves a decision and a record. Where Landlock holds the same rule the kernel
//! decides again when the call goes on, on whatever the path names then.

use super::{Blame, Caller};
use crate::sys::{Errno, path};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

/// The longest path (PATH_MAX).
const LONGEST: usize = 4096;

/// A path that was resolved.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The object, if it exists (O_PATH).
    pub(crate) object: Option<OwnedFd>,
    /// Its absolute path as the kernel tells it, or its parent's with the last component as given.
    pub(crate) text: String,
}

/// Reads the path at `address` and resolves it against `directory`, a descriptor number of the
/// caller's or AT_FDCWD.
pub(crate) fn read(
    caller: &Caller<'_>,
    directory: i32,
    address: u64,
    follow: bool,
) -> Result<Resolved, Blame> {
    let given = caller.read_string(address, LONGEST)?;
    resolve(caller, directory, &given, follow)
}

/// Resolves a path that was read before.
pub(crate) fn resolve(
    caller: &Caller<'_>,
    directory: i32,
    given: &[u8],
    follow: bool,
) -> Result<Resolved, Blame> {
    if given.is_empty() {
        // AT_EMPTY_PATH: the descriptor itself.
        let object = caller.descriptor(directory)?;
        let text = path::path_of(object.as_fd()).map_err(Blame::Guard)?;
        return Ok(Resolved { object: Some(object), text: lossy(&text) });
    }
    let given = own_entries(caller, given)?;
    let base = if given.starts_with(b"/") {
        path::open(c"/", libc::O_PATH).map_err(Blame::Guard)?
    } else if directory == libc::AT_FDCWD {
        // The thread's own directory: a thread may have left its process's.
        let cwd = path::proc_path(&format!("/proc/{}/cwd", caller.thread()));
        let cwd = path::open(&cwd, libc::O_PATH).map_err(Blame::Guard)?;
        caller.check()?;
        cwd
    } else {
        caller.descriptor(directory)?
    };
    let whole = CString::new(given.clone()).map_err(|_| Blame::Caller(Errno(libc::EINVAL)))?;
    match path::resolve(base.as_fd(), &whole, follow) {
        Ok(object) => {
            let text = path::path_of(object.as_fd()).map_err(Blame::Guard)?;
            Ok(Resolved { object: Some(object), text: lossy(&text) })
        }
        Err(Errno(libc::ENOENT)) => {
            // The last component does not exist (yet): its parent must.
            let (parent, last) = split(&given);
            let parent = CString::new(parent).map_err(|_| Blame::Caller(Errno(libc::EINVAL)))?;
            let parent = path::resolve(base.as_fd(), &parent, true).map_err(Blame::Caller)?;
            let parent = path::path_of(parent.as_fd()).map_err(Blame::Guard)?;
            if last == b".." {
                return Err(Blame::Caller(Errno(libc::ENOENT)));
            }
            let parent = lossy(&parent);
            let text = format!("{}/{}", parent.trim_end_matches('/'), lossy(&last));
            Ok(Resolved { object: None, text })
        }
        // A magic link of /proc: nothing is opened through it on anybody's behalf.
        Err(error) => Err(Blame::Caller(error)),
    }
}

/// `/proc/self` and `/proc/thread-self` mean the caller, not the arbiter.
fn own_entries(caller: &Caller<'_>, given: &[u8]) -> Result<Vec<u8>, Blame> {
    for (prefix, thread) in [(b"/proc/self".as_slice(), false), (b"/proc/thread-self".as_slice(), true)] {
        if let Some(rest) = given.strip_prefix(prefix)
            && (rest.is_empty() || rest.starts_with(b"/"))
        {
            let process = caller.process()?;
            let mut path = if thread {
                format!("/proc/{process}/task/{}", caller.thread()).into_bytes()
            } else {
                format!("/proc/{process}").into_bytes()
            };
            path.extend_from_slice(rest);
            return Ok(path);
        }
    }
    Ok(given.to_vec())
}

/// Parent and last component of a path that is not empty.
fn split(given: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let end = given.iter().rposition(|&byte| byte != b'/').map_or(1, |at| at + 1);
    let trimmed = given.get(..end).unwrap_or_default();
    match trimmed.iter().rposition(|&byte| byte == b'/') {
        Some(0) => (b"/".to_vec(), trimmed.get(1..).unwrap_or_default().to_vec()),
        Some(at) => (
            trimmed.get(..at).unwrap_or_default().to_vec(),
            trimmed.get(at + 1..).unwrap_or_default().to_vec(),
        ),
        None => (b".".to_vec(), trimmed.to_vec()),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn the_last_component_is_split_off() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b"/a/b", b"/a", b"b"),
            (b"/a", b"/", b"a"),
            (b"a", b".", b"a"),
            (b"a/b/", b"a", b"b"),
            (b"/a//", b"/", b"a"),
            (b"a//b", b"a/", b"b"),
        ];
        for (given, parent, last) in cases {
            assert_eq!(split(given), (parent.to_vec(), last.to_vec()), "{given:?}");
        }
    }
}
