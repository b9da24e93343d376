//! Where a policy comes from: a file that was named, the note in a program's own binary, or
//! guard.toml in the working directory. And its way to the compiled form.

use anyhow::{Context, Result, anyhow, bail};
use fnguard_launcher::note::{self, NoteError};
use fnguard_policy::filter;
use fnguard_policy::model::{Compiled, Policy, Program};
use fnguard_policy::source::{self, Parsed};
use fnguard_policy::syscalls::Arch;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is looked for in the working directory.
pub(crate) const DEFAULT_FILE: &str = "guard.toml";
/// No policy is longer than this many bytes.
const LARGEST: u64 = 1 << 20;

const MINIMAL: &str =
    "version = 1\n\n[network]\nallow = [\"api.example.com:443\"]\n\n[files]\nwrite = [\"/tmp\"]\n";

/// A policy, and where it was found.
#[derive(Debug)]
pub(crate) enum Found {
    /// In a file.
    File { path: PathBuf, parsed: Box<Parsed> },
    /// In a binary's note, compiled.
    Note { path: PathBuf, compiled: Box<Compiled> },
}

impl Found {
    pub(crate) fn policy(&self) -> &Policy {
        match self {
            Found::File { parsed, .. } => &parsed.policy,
            Found::Note { compiled, .. } => &compiled.policy,
        }
    }

    /// The place in words.
    pub(crate) fn place(&self) -> String {
        match self {
            Found::File { path, .. } => path.display().to_string(),
            Found::Note { path, compiled } => {
                format!("the note in {} (built from {})", path.display(), compiled.origin)
            }
        }
    }

    /// The compiled form for this machine, without what only the attribute needs.
    pub(crate) fn compile_to_run(self, audit: bool) -> Result<Compiled> {
        match self {
            Found::Note { mut compiled, .. } => {
                if audit {
                    compiled.policy = compiled.policy.into_audit();
                    compiled.function = std::mem::take(&mut compiled.audit);
                }
                Ok(*compiled)
            }
            Found::File { path, parsed } => {
                let arch = Arch::of_host().context("fnguard has no system call table for this machine")?;
                let policy = if audit { parsed.policy.into_audit() } else { parsed.policy };
                Ok(Compiled {
                    arch: arch.as_str().to_owned(),
                    origin: path.display().to_string(),
                    debug_build: false,
                    hash: parsed.hash,
                    function: filter::compile(&policy, arch)?,
                    // A launcher arms by `function` alone.
                    audit: Program::default(),
                    arbiter: filter::compile_arbiter(arch)?,
                    policy,
                })
            }
        }
    }

    /// The compiled form for a function's architecture, whole.
    pub(crate) fn compile_for(self, arch: Arch) -> Result<Compiled> {
        match self {
            Found::Note { compiled, .. } => Ok(*compiled),
            Found::File { path, parsed } => Ok(Compiled {
                arch: arch.as_str().to_owned(),
                origin: path.display().to_string(),
                debug_build: false,
                hash: parsed.hash,
                function: filter::compile(&parsed.policy, arch)?,
                audit: filter::compile(&parsed.policy.clone().into_audit(), arch)?,
                arbiter: filter::compile_arbiter(arch)?,
                policy: parsed.policy,
            }),
        }
    }
}

/// The policy for a program: the named file, else the program's own note, else ./guard.toml.
pub(crate) fn for_program(named: Option<&Path>, program: &Path) -> Result<Found> {
    if let Some(path) = named {
        return in_file(path);
    }
    if let Some(found) = in_note(program)? {
        return Ok(found);
    }
    if Path::new(DEFAULT_FILE).exists() {
        return in_file(Path::new(DEFAULT_FILE));
    }
    bail!(
        "no policy for {program}; looked for\n  \
         --policy FILE: not given\n  \
         a note in {program}: none; #[guarded] puts one there\n  \
         {DEFAULT_FILE} in {here}: no such file\n\
         `fnguard init` writes a commented one; a minimal one is\n\n{MINIMAL}",
        program = program.display(),
        here = std::env::current_dir()
            .map_or_else(|_| "the working directory".to_owned(), |d| d.display().to_string()),
    )
}

/// The policy in the named file, or in ./guard.toml.
pub(crate) fn in_named_or_default(named: Option<&Path>) -> Result<Found> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    if named.is_none() && !path.exists() {
        bail!("there is no {DEFAULT_FILE} here; name a policy by --policy, or write one by `fnguard init`");
    }
    in_file(path)
}

/// The policy in a file.
pub(crate) fn in_file(path: &Path) -> Result<Found> {
    let parsed =
        source::parse(&read_text(path)?, &path.display().to_string()).map_err(|found| anyhow!("{found}"))?;
    Ok(Found::File { path: path.to_owned(), parsed: Box::new(parsed) })
}

/// A policy's text.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    let shown = path.display();
    // Not waiting, so that a FIFO can be refused: it would keep us until somebody writes into it.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    let file = file.map_err(|error| {
        let remedy = match error.kind() {
            ErrorKind::NotFound => {
                format!("name a file that exists, or write one: `fnguard init {shown}`")
            }
            ErrorKind::PermissionDenied => "make it readable for whoever runs fnguard".to_owned(),
            _ if error.raw_os_error() == Some(libc::EMFILE) => {
                "raise the limit on open files, as by `ulimit -n 1024`".to_owned()
            }
            _ => format!("name a TOML file, such as {DEFAULT_FILE}"),
        };
        anyhow!("can't open the policy {shown}: {error}; {remedy}")
    })?;
    let kind = file.metadata().with_context(|| format!("can't look at the policy {shown}"))?.file_type();
    if kind.is_dir() {
        bail!(
            "the policy {shown} is a directory; expected a TOML file: name the one in it, such as {}",
            path.join(DEFAULT_FILE).display()
        );
    }
    if !kind.is_file() {
        bail!(
            "the policy {shown} is no regular file (a pipe, a device, a socket); expected a TOML file: write \
             the policy into one and name that"
        );
    }
    let mut bytes = Vec::new();
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    let count = read.with_context(|| format!("can't read the policy {shown}"))?;
    if count as u64 > LARGEST {
        bail!(
            "{shown} is no policy: it is longer than {LARGEST} bytes; name a TOML file, such as {DEFAULT_FILE}"
        );
    }
    source::text(bytes, &shown.to_string()).map_err(|found| anyhow!("{found}"))
}

/// The policy in a program's note, if it is an ELF program that has one.
pub(crate) fn in_note(program: &Path) -> Result<Option<Found>> {
    // What can't be read may still be executed, and has no policy that we could hold it to.
    let Ok(file) = File::open(program) else { return Ok(None) };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Ok(None);
    }
    let blob = match note::read(&file) {
        Ok(notes) => notes.policy,
        Err(NoteError::NotElf | NoteError::Read(_)) => None,
        // The kernel may still run it, and what its note says can't be told.
        Err(error @ NoteError::Damaged(_)) => {
            bail!("{}: {error}; name its policy by --policy FILE", program.display())
        }
    };
    blob.map(|blob| {
        let compiled = Compiled::decode(&blob).with_context(|| {
            format!("{}: its policy note can't be used (--policy FILE takes its place)", program.display())
        })?;
        Ok(Found::Note { path: program.to_owned(), compiled: Box::new(compiled) })
    })
    .transpose()
}
