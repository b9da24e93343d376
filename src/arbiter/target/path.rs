//! Paths as the function hands them over, resolved from the calling thread's point of view.
//!
//! A resolved path serves a decision and a record. Where Landlock holds the same rule the kernel
//! decides again when the call goes on, on whatever the path names then.

use super::{Blame, Caller};
use crate::sys::{Errno, descriptor, path};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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

/// A path as the caller gave it, not resolved.
#[derive(Debug)]
pub(crate) struct Given {
    directory: i32,
    path: Vec<u8>,
}

impl Given {
    /// Reads the path at `address`, which is relative to `directory`: a descriptor number of the
    /// caller's or AT_FDCWD.
    pub(crate) fn read(caller: &Caller<'_>, directory: i32, address: u64) -> Result<Self, Blame> {
        Ok(Given { directory, path: caller.read_string(address, LONGEST)? })
    }

    /// Resolves it. ELOOP where it leads through a magic link of /proc.
    pub(crate) fn resolve(&self, caller: &Caller<'_>, follow: bool) -> Result<Resolved, Blame> {
        resolve(caller, self.directory, &self.path, follow)
    }

    /// The path of the file that it leads to through magic links; `None` where it leads to no file that
    /// has a path, such as a pipe or a memfd, or where the arbiter can't follow. For a record, and for a
    /// decision that the kernel makes again: the caller may not be able to pass where the arbiter
    /// can, which is why there is no object in the answer, and no error.
    pub(crate) fn behind_magic_links(&self, caller: &Caller<'_>, follow: bool) -> Option<String> {
        let path = own_entries(caller, &self.path).ok()?;
        let base = base(caller, self.directory, &path).ok()?;
        let found = locate(base.as_fd(), &path, |base, path, last| {
            path::resolve_through_magic_links(base, path, follow || !last)
        });
        let (object, text) = found.ok()?;
        let nameless = object.is_some_and(|object| {
            descriptor::identify(object.as_fd()).is_ok_and(|identity| identity.links == 0)
        });
        // The kernel marks the path of a deleted file, where Landlock still knows its place.
        let path = if nameless { text.strip_suffix(" (deleted)").unwrap_or(&text) } else { &text };
        let in_memory = nameless && path.starts_with("/memfd:");
        (path.starts_with('/') && !in_memory).then(|| path.to_owned())
    }
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
    let base = base(caller, directory, &given)?;
    // A magic link of /proc: nothing is opened through it on anybody's behalf.
    let located = locate(base.as_fd(), &given, |base, path, last| path::resolve(base, path, follow || !last));
    located.map(|(object, text)| Resolved { object, text })
}

/// What a path begins at.
fn base(caller: &Caller<'_>, directory: i32, given: &[u8]) -> Result<OwnedFd, Blame> {
    if given.starts_with(b"/") {
        return path::open(c"/", libc::O_PATH).map_err(Blame::Guard);
    }
    if directory != libc::AT_FDCWD {
        return caller.descriptor(directory);
    }
    // The thread's own directory: a thread may have left its process's.
    let cwd = path::proc_path(&format!("/proc/{}/cwd", caller.thread()));
    let cwd = path::open(&cwd, libc::O_PATH).map_err(Blame::Guard)?;
    caller.check()?;
    Ok(cwd)
}

/// The object that a path names, if it exists, and its absolute path. `open` opens a path; it is told
/// whether that ends with the last component, or is its parent's.
fn locate(
    base: BorrowedFd<'_>,
    given: &[u8],
    open: impl Fn(BorrowedFd<'_>, &CStr, bool) -> Result<OwnedFd, Errno>,
) -> Result<(Option<OwnedFd>, String), Blame> {
    let terminated = |path: &[u8]| CString::new(path).map_err(|_| Blame::Caller(Errno(libc::EINVAL)));
    match open(base, &terminated(given)?, true) {
        Ok(object) => {
            let text = path::path_of(object.as_fd()).map_err(Blame::Guard)?;
            Ok((Some(object), lossy(&text)))
        }
        Err(Errno(libc::ENOENT)) => {
            // The last component does not exist (yet): its parent must.
            let (parent, last) = split(given);
            let parent = open(base, &terminated(&parent)?, false).map_err(Blame::Caller)?;
            let parent = path::path_of(parent.as_fd()).map_err(Blame::Guard)?;
            if last == b".." {
                return Err(Blame::Caller(Errno(libc::ENOENT)));
            }
            let parent = lossy(&parent);
            Ok((None, format!("{}/{}", parent.trim_end_matches('/'), lossy(&last))))
        }
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
