//! Paths as the function hands them over, resolved from the calling thread's point of view.
//!
//! A resolved path serves a decision and a record. Where Landlock holds the same rule the kernel
//! decides again when the call goes on, on whatever the path names then.
//!
//! The kernel would resolve for the arbiter and not for the caller: `self` in a procfs is whoever asks,
//! and many a link leads there (/dev/fd, /etc/mtab, the function's own). So links are followed
//! here, one by one, and the kernel only ever walks a path that has none.

use super::{Blame, Caller};
use crate::sys::descriptor::{self, Identity};
use crate::sys::{Errno, path, process};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The longest path (PATH_MAX).
const LONGEST: usize = 4096;
/// How many links the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: u32 = 40;

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

    /// Resolves it. ELOOP where it leads through a magic link of /proc: nothing is opened through one
    /// on anybody's behalf.
    pub(crate) fn resolve(&self, caller: &Caller<'_>, follow: bool) -> Result<Resolved, Blame> {
        resolve(caller, self.directory, &self.path, follow)
    }

    /// The path of the file that it leads to, through magic links as well; `None` where those lead to no
    /// file that has a path, such as a pipe or a memfd, or where the arbiter can't follow. For a record,
    /// and for a decision that the kernel makes again: the caller may not be able to pass where the
    /// arbiter can, which is why there is no object in the answer, and no error of the caller's.
    pub(crate) fn leads_to(&self, caller: &Caller<'_>, follow: bool) -> Result<Option<String>, Blame> {
        if self.path.is_empty() {
            return resolve(caller, self.directory, &self.path, follow).map(|resolved| Some(resolved.text));
        }
        let mut walk = Walk { caller, may_pass: true, passed: false, links: 0 };
        let found = base(caller, self.directory, &self.path)
            .and_then(|base| walk.locate(base, self.path.clone(), follow));
        let (object, text) = match found {
            Ok(found) if walk.passed => found,
            Err(Blame::Caller(_)) if walk.passed => return Ok(None),
            found => return found.map(|(_, text)| Some(text)),
        };
        let nameless = object.is_some_and(|object| {
            descriptor::identify(object.as_fd()).is_ok_and(|identity| identity.links == 0)
        });
        // The kernel marks the path of a deleted file, where Landlock still knows its place.
        let path = if nameless { text.strip_suffix(" (deleted)").unwrap_or(&text) } else { &text };
        let in_memory = nameless && path.starts_with("/memfd:");
        Ok((path.starts_with('/') && !in_memory).then(|| path.to_owned()))
    }
}

/// Resolves a path that was read before. ELOOP where it leads through a magic link of /proc.
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
    let base = base(caller, directory, given)?;
    let mut walk = Walk { caller, may_pass: false, passed: false, links: 0 };
    let (object, text) = walk.locate(base, given.to_vec(), follow)?;
    Ok(Resolved { object, text })
}

/// What a path begins at.
fn base(caller: &Caller<'_>, directory: i32, given: &[u8]) -> Result<OwnedFd, Blame> {
    if given.starts_with(b"/") {
        return root();
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

fn root() -> Result<OwnedFd, Blame> {
    path::open(c"/", libc::O_PATH).map_err(Blame::Guard)
}

/// Whose fault it is that the kernel did not resolve a path: what the arbiter itself has too little of
/// is nothing that the caller handed over.
fn blame(error: Errno) -> Blame {
    match error {
        Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSYS) => Blame::Guard(error),
        error => Blame::Caller(error),
    }
}

fn terminated(path: &[u8]) -> Result<CString, Blame> {
    CString::new(path).map_err(|_| Blame::Caller(Errno(libc::EINVAL)))
}

/// One path on its way from link to link.
struct Walk<'a, 'b> {
    caller: &'a Caller<'b>,
    /// Whether it may pass magic links of /proc, and whether it has.
    may_pass: bool,
    passed: bool,
    /// How many links it has followed.
    links: u32,
}

/// The object that a path names, if it exists, and its absolute path.
type Located = (Option<OwnedFd>, String);

/// Where a walk stands.
enum Standing {
    Arrived(Located),
    /// At a link, with what is left of the path behind it.
    At {
        place: OwnedFd,
        rest: Vec<u8>,
    },
}

impl Walk<'_, '_> {
    /// Resolves `rest` from `place`.
    fn locate(&mut self, mut place: OwnedFd, mut rest: Vec<u8>, follow: bool) -> Result<Located, Blame> {
        loop {
            if rest.len() > LONGEST {
                return Err(Blame::Caller(Errno(libc::ENAMETOOLONG)));
            }
            // Most paths have no link, and need one call.
            if let Some(found) = without_links(place.as_fd(), &rest, follow)? {
                return Ok(found);
            }
            match self.pass_a_link(place, rest, follow)? {
                Standing::Arrived(found) => return Ok(found),
                Standing::At { place: at, rest: left } => (place, rest) = (at, left),
            }
        }
    }

    /// Goes to the first link of a path, and follows it.
    fn pass_a_link(&mut self, mut place: OwnedFd, rest: Vec<u8>, follow: bool) -> Result<Standing, Blame> {
        let mut rest = rest.as_slice();
        loop {
            let (name, behind) = first(rest);
            if name.is_empty() {
                return existing(place).map(Standing::Arrived);
            }
            let named = terminated(name)?;
            // A slash behind the last component asks for a directory, and follows.
            let is_last = behind.is_empty();
            let found = match path::resolve_without_links(place.as_fd(), &named, false) {
                Ok(found) => found,
                Err(Errno(libc::ENOENT)) if behind.iter().all(|&byte| byte == b'/') => {
                    return missing(place.as_fd(), name).map(Standing::Arrived);
                }
                Err(error) => return Err(blame(error)),
            };
            let identity = descriptor::identify(found.as_fd()).map_err(Blame::Guard)?;
            if identity.kind() == libc::S_IFLNK && (follow || !is_last) {
                return self.follow(place, &named, (found, identity), behind);
            }
            if is_last {
                // What stood in the way has gone meanwhile.
                return existing(found).map(Standing::Arrived);
            }
            if behind.iter().all(|&byte| byte == b'/') && identity.kind() != libc::S_IFDIR {
                return Err(Blame::Caller(Errno(libc::ENOTDIR)));
            }
            place = found;
            rest = behind;
        }
    }

    /// Follows the link `name` in `place`, with `behind` left of the path.
    fn follow(
        &mut self,
        place: OwnedFd,
        name: &CStr,
        (link, identity): (OwnedFd, Identity),
        behind: &[u8],
    ) -> Result<Standing, Blame> {
        if self.links >= MOST_LINKS {
            return Err(Blame::Caller(Errno(libc::ELOOP)));
        }
        self.links = self.links.saturating_add(1);
        // The directory is asked, which lies in the same file system: of a link some servers of 9p refuse to tell.
        let target = if path::is_on_procfs(place.as_fd()).map_err(Blame::Guard)? {
            if let Some(own) = self.own_entry(place.as_fd(), name)? {
                own
            } else if path::is_magic(place.as_fd(), name) {
                return self.pass_magic(&place, name, behind);
            } else {
                path::read_open_link(link.as_fd()).map_err(blame)?
            }
        } else {
            kernel_would_follow(place.as_fd(), name, identity)?;
            path::read_open_link(link.as_fd()).map_err(blame)?
        };
        if target.is_empty() {
            return Err(Blame::Caller(Errno(libc::ENOENT)));
        }
        let place = if target.starts_with(b"/") { root()? } else { place };
        let mut rest = target;
        rest.extend_from_slice(behind);
        Ok(Standing::At { place, rest })
    }

    /// Where `self` and `thread-self` in the root directory of a procfs lead: to the caller's entries.
    fn own_entry(&self, place: BorrowedFd<'_>, name: &CStr) -> Result<Option<Vec<u8>>, Blame> {
        /// The inode of every procfs's root (PROC_ROOT_INO).
        const ROOT: u64 = 1;
        let is_thread = match name.to_bytes() {
            b"self" => false,
            b"thread-self" => true,
            _ => return Ok(None),
        };
        if descriptor::identify(place).map_err(Blame::Guard)?.inode != ROOT {
            return Ok(None);
        }
        let process = self.caller.process()?;
        let thread = self.caller.thread();
        let text = if is_thread { format!("{process}/task/{thread}") } else { process.to_string() };
        Ok(Some(text.into_bytes()))
    }

    /// Passes a magic link where that is allowed. The arbiter's own lead to what no caller has a
    /// claim to: such a path is decided on as it stands.
    fn pass_magic(&mut self, place: &OwnedFd, name: &CStr, behind: &[u8]) -> Result<Standing, Blame> {
        if !self.may_pass {
            return Err(Blame::Caller(Errno(libc::ELOOP)));
        }
        let text = path::path_of(place.as_fd()).map_err(Blame::Guard)?;
        if is_own(&text) {
            let (text, name) = (lossy(&text), lossy(name.to_bytes()));
            return Ok(Standing::Arrived((None, format!("{text}/{name}{}", lossy(behind)))));
        }
        self.passed = true;
        let object = path::follow(place.as_fd(), name).map_err(blame)?;
        if behind.is_empty() {
            return existing(object).map(Standing::Arrived);
        }
        // What is left begins with a slash, and is meant from here.
        let rest = [b".", behind].concat();
        Ok(Standing::At { place: object, rest })
    }
}

/// The object behind a path that has no link; `None` where it has one.
fn without_links(place: BorrowedFd<'_>, given: &[u8], follow: bool) -> Result<Option<Located>, Blame> {
    match path::resolve_without_links(place, &terminated(given)?, follow) {
        Ok(object) => existing(object).map(Some),
        Err(Errno(libc::ELOOP)) => Ok(None),
        Err(Errno(libc::ENOENT)) => {
            // The last component does not exist (yet): its parent must.
            let (parent, last) = split(given);
            match path::resolve_without_links(place, &terminated(&parent)?, true) {
                Ok(parent) => missing(parent.as_fd(), &last).map(Some),
                Err(Errno(libc::ELOOP)) => Ok(None),
                Err(error) => Err(blame(error)),
            }
        }
        Err(error) => Err(blame(error)),
    }
}

fn existing(object: OwnedFd) -> Result<Located, Blame> {
    let text = path::path_of(object.as_fd()).map_err(Blame::Guard)?;
    Ok((Some(object), lossy(&text)))
}

/// What does not exist in a directory that does.
fn missing(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Located, Blame> {
    if name == b".." || name == b"." {
        return Err(Blame::Caller(Errno(libc::ENOENT)));
    }
    let parent = lossy(&path::path_of(parent).map_err(Blame::Guard)?);
    Ok((None, format!("{}/{}", parent.trim_end_matches('/'), lossy(name))))
}

/// In a directory that everybody may write to, the kernel may follow its owner's links and one's own
/// only (`fs.protected_symlinks`, proc(5)): where it would not, neither does the arbiter.
fn kernel_would_follow(place: BorrowedFd<'_>, name: &CStr, link: Identity) -> Result<(), Blame> {
    const SHARED: u32 = libc::S_ISVTX | libc::S_IWOTH;
    let directory = descriptor::identify(place).map_err(Blame::Guard)?;
    let is_foreign = link.owners.0 != directory.owners.0 && link.owners.0 != process::own_user();
    if directory.mode & SHARED == SHARED
        && is_foreign
        && let Err(Errno(libc::EACCES)) = path::follow(place, name)
    {
        return Err(Blame::Caller(Errno(libc::EACCES)));
    }
    Ok(())
}

/// Whether a path is below the arbiter's own entries in /proc, by its process or one of its threads.
fn is_own(path: &[u8]) -> bool {
    path.strip_prefix(b"/proc/")
        .and_then(|rest| rest.split(|&byte| byte == b'/').next())
        .and_then(|entry| std::str::from_utf8(entry).ok())
        .and_then(|entry| entry.parse().ok())
        .is_some_and(|entry: i32| {
            entry == process::own_pid() || (entry > 0 && process::has_thread(process::own_pid(), entry))
        })
}

/// The first component of a path, without the slashes before it, and what is behind it.
fn first(path: &[u8]) -> (&[u8], &[u8]) {
    let begin = path.iter().position(|&byte| byte != b'/').unwrap_or(path.len());
    let path = path.get(begin..).unwrap_or_default();
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    path.split_at_checked(end).unwrap_or((path, b""))
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
    use super::{first, split};

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
    #[test]
    fn the_first_component_is_taken_off() {
        let cases: [(&[u8], &[u8], &[u8]); 5] = [
            (b"/a/b", b"a", b"/b"),
            (b"//a", b"a", b""),
            (b"a/", b"a", b"/"),
            (b".//b", b".", b"//b"),
            (b"/", b"", b""),
        ];
        for (given, name, behind) in cases {
            assert_eq!(first(given), (name, behind), "{given:?}");
        }
    }
}
