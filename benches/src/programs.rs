//! The programs that are measured: the baselines in C, the functions and the command, built in the
//! profile of this binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why a program is not there.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A compiler did not start.
    #[error("can't start {program} to build {what}: {source}")]
    Start {
        /// The compiler.
        program: String,
        /// What it was to build.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// A compiler failed; it has said why.
    #[error("{0} does not build; what the compiler printed says why")]
    Failed(String),
    /// cargo named no executable.
    #[error("cargo built {0} and named no executable")]
    NoExecutable(String),
}

/// Builds and finds programs.
#[derive(Debug)]
pub struct Programs {
    directory: tempfile::TempDir,
}

impl Programs {
    /// With a directory for what is made here.
    ///
    /// # Errors
    ///
    /// Where there is no room for temporary files.
    pub fn new() -> std::io::Result<Self> {
        Ok(Programs { directory: tempfile::tempdir()? })
    }

    /// Where files may be left until the end of the run.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A baseline, `baselines/NAME.c`, by the system's C compiler.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn baseline(&self, name: &str) -> Result<PathBuf, BuildError> {
        let out = self.directory().join(name);
        if out.exists() {
            return Ok(out);
        }
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("baselines").join(format!("{name}.c"));
        let status = Command::new(&compiler)
            .args(["-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&out)
            .arg(&source)
            .status()
            .map_err(|source| BuildError::Start { program: compiler, what: name.to_owned(), source })?;
        if status.success() { Ok(out) } else { Err(BuildError::Failed(name.to_owned())) }
    }

    /// The measured function's binary of this name, with its features.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn function(&self, binary: &str) -> Result<PathBuf, BuildError> {
        let features: &[&str] =
            if binary == "hello-plain" || binary == "arm-bare" { &[] } else { &["--features", "guarded"] };
        build("fnguard-benches-function", binary, features)
    }

    /// The command `fnguard`.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn command(&self) -> Result<PathBuf, BuildError> {
        build("fnguard-cli", "fnguard", &[])
    }

    /// The launcher of these benches, which knows compiled policies only.
    ///
    /// # Errors
    ///
    /// [`BuildError`].
    pub fn launch(&self) -> Result<PathBuf, BuildError> {
        build("fnguard-benches", "launch", &[])
    }
}

/// The cargo that built this binary.
pub fn cargo() -> PathBuf {
    let built_by = Path::new(env!("CARGO"));
    if built_by.exists() { built_by.to_owned() } else { PathBuf::from("cargo") }
}

fn build(package: &str, binary: &str, features: &[&str]) -> Result<PathBuf, BuildError> {
    let cargo = cargo();
    let mut command = Command::new(&cargo);
    command
        .args(["build", "--quiet", "--package", package, "--bin", binary])
        .args(["--message-format=json-render-diagnostics", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .args(features)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if let Some(target) = target_directory() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().map_err(|source| BuildError::Start {
        program: cargo.display().to_string(),
        what: binary.to_owned(),
        source,
    })?;
    if !output.status.success() {
        return Err(BuildError::Failed(binary.to_owned()));
    }
    executable(&output.stdout, binary).ok_or_else(|| BuildError::NoExecutable(binary.to_owned()))
}

/// The target directory in which this program lies: the dependencies are built there already.
fn target_directory() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let target = own.parent()?.parent()?;
    target.join("CACHEDIR.TAG").exists().then(|| target.to_owned())
}

/// The executable in cargo's messages (the Cargo book, "External tools", JSON messages).
fn executable(messages: &[u8], binary: &str) -> Option<PathBuf> {
    messages.split(|&byte| byte == b'\n').find_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let ours = message["target"]["name"] == binary;
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}
