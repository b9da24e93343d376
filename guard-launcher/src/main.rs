//! The launcher image: arms by a compiled policy, then becomes the function beside it. Nothing of
//! the function's has run before: no library, no constructor.
//!
//! It parses no TOML and compiles no filter, and takes no word from the environment: where its
//! files lie is told by the kernel (/proc/self/exe), what may be done by the policy.

use fnguard::report::{Options, Refusal, Reporter};
use fnguard_launcher::layout::{self, Layout};
use fnguard_launcher::note;
use fnguard_policy::model::Compiled;
use fnguard_policy::model::compiled::{DecodeError, NOTE_OWNER};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Marks this program as the launcher, for `fnguard package`.
#[used]
#[allow(unsafe_code)]
// SAFETY: a note as elf(5) lays it out, in a section of its own that nothing at run time reads.
#[unsafe(link_section = ".note.fnguard.launcher")]
static MARK: Mark = Mark {
    owner_size: NOTE_OWNER.len() as u32,
    version_size: VERSION_ROOM as u32,
    note_type: note::LAUNCHER_NOTE_TYPE,
    owner: *NOTE_OWNER,
    version: padded(layout::VERSION),
};

#[repr(C, align(4))]
struct Mark {
    owner_size: u32,
    version_size: u32,
    note_type: u32,
    owner: [u8; NOTE_OWNER.len()],
    version: [u8; VERSION_ROOM],
}

const VERSION_ROOM: usize = 32;

const fn padded(text: &str) -> [u8; VERSION_ROOM] {
    let bytes = text.as_bytes();
    assert!(bytes.len() < VERSION_ROOM);
    let mut out = [0; VERSION_ROOM];
    let mut at = 0;
    while at < bytes.len() {
        out[at] = bytes[at];
        at += 1;
    }
    out
}

/// Why the function is not started.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the launcher can't tell where it lies: {0}")]
    Place(io::Error),
    #[error("{path}: {source}")]
    Function { path: PathBuf, source: note::NoteError },
    #[error("{path} can't be opened: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Policy { path: PathBuf, source: DecodeError },
    #[error("{function} carries no policy, and there is no {policy}")]
    NoPolicy { function: PathBuf, policy: PathBuf },
}

impl Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Place(_) => "launcher_place",
            Error::Function { .. } | Error::Open { .. } => "function_unreadable",
            Error::Policy { .. } => "policy_unreadable",
            Error::NoPolicy { .. } => "policy_missing",
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Error::Place(source) | Error::Open { source, .. } => Some(source.to_string()),
            Error::Function { source, .. } => Some(source.to_string()),
            Error::Policy { source, .. } => Some(source.to_string()),
            Error::NoPolicy { .. } => None,
        }
    }

    fn expected(&self) -> String {
        match self {
            Error::Place(_) => "the launcher's own path in /proc/self/exe".to_owned(),
            Error::Function { .. } => "a 64-bit ELF program".to_owned(),
            Error::Open { .. } => "a file that can be read".to_owned(),
            Error::Policy { .. } => format!("a policy that fnguard {} compiled", layout::VERSION),
            Error::NoPolicy { .. } => "a policy in one of the two".to_owned(),
        }
    }

    fn remedy(&self) -> &'static str {
        match self {
            Error::Place(_) => "mount /proc",
            Error::Function { .. } | Error::Open { .. } => {
                "package the function again with `fnguard package`, and keep its files in one directory"
            }
            Error::Policy { .. } => "build the function and the launcher with the same version of fnguard",
            Error::NoPolicy { .. } => {
                "annotate the handler with #[guarded], or package with `fnguard package --policy guard.toml`"
            }
        }
    }
}

fn main() {
    let status = match prepare() {
        Ok((function, compiled)) => {
            let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
            let arguments: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
            let error =
                fnguard::launch(&compiled, function.as_os_str(), &arguments, fnguard::Streams::Inherited);
            refuse(Refusal {
                code: "not_started".to_owned(),
                message: error.to_string(),
                expected: Some("the function beside the launcher, executable".to_owned()),
                remedy: Some("package the function again with `fnguard package`".to_owned()),
                ..Refusal::default()
            });
            error.status
        }
        Err(error) => {
            refuse(Refusal {
                code: error.code().to_owned(),
                message: error.to_string(),
                found: error.found(),
                expected: Some(error.expected()),
                remedy: Some(error.remedy().to_owned()),
            });
            125
        }
    };
    std::process::exit(status);
}

/// The function's path and its policy.
fn prepare() -> Result<(PathBuf, Compiled), Error> {
    let layout = Layout::beside(&std::env::current_exe().map_err(Error::Place)?);
    let compiled = match File::open(&layout.policy) {
        Ok(file) => read_policy(&layout.policy, &file)?,
        Err(error) if error.kind() == ErrorKind::NotFound => read_note(&layout)?,
        Err(source) => return Err(Error::Open { path: layout.policy, source }),
    };
    Ok((layout.function, compiled))
}

/// An encoded policy is a few kilobytes.
const LARGEST_POLICY: u64 = 16 << 20;

fn read_policy(path: &Path, file: &File) -> Result<Compiled, Error> {
    let mut bytes = Vec::new();
    file.take(LARGEST_POLICY)
        .read_to_end(&mut bytes)
        .map_err(|source| Error::Open { path: path.to_owned(), source })?;
    Compiled::decode(&bytes).map_err(|source| Error::Policy { path: path.to_owned(), source })
}

fn read_note(layout: &Layout) -> Result<Compiled, Error> {
    let path = &layout.function;
    let file = File::open(path).map_err(|source| Error::Open { path: path.clone(), source })?;
    let notes = note::read(&file).map_err(|source| Error::Function { path: path.clone(), source })?;
    let Some(blob) = notes.policy else {
        return Err(Error::NoPolicy { function: path.clone(), policy: layout.policy.clone() });
    };
    Compiled::decode(&blob).map_err(|source| Error::Policy { path: path.clone(), source })
}

/// Says why, as one record of the form that arming's own refusals have.
fn refuse(refusal: Refusal) {
    let mut line =
        Reporter::new(Options::default()).record(&refusal.into(), SystemTime::now(), &|text| text.to_owned());
    line.push('\n');
    let _ = io::stderr().write_all(line.as_bytes());
}
