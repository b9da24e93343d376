//! The function's two binaries: one source, built without the guard and with it, by the cargo that
//! built the ambush and in the same profile. Built before isolation, since cargo wants the machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// The function alone.
    Without,
    /// With `#[fnguard::guarded]` on its handler.
    With,
}

/// Why there is no binary.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// cargo did not start.
    #[error(
        "can't start {cargo} to build the function: {source}; give built ones with --unguarded-binary and --guarded-binary"
    )]
    Start {
        /// The cargo that was tried.
        cargo: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// cargo failed; it has said why.
    #[error("the function {0} does not build; what cargo printed above says why")]
    Failed(&'static str),
    /// cargo named no executable.
    #[error("cargo built the function and named no executable")]
    NoExecutable,
    /// The executable can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Builds one of the two and returns its bytes: the second build replaces the first one's file.
pub fn build(guard: Guard) -> Result<Vec<u8>, BuildError> {
    let built_by = Path::new(env!("CARGO"));
    let cargo = if built_by.exists() { built_by } else { Path::new("cargo") };
    let mut command = Command::new(cargo);
    command
        .args(["build", "--package", "ambush-function", "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/function/Cargo.toml"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    // What cargo tells the program that it runs would be taken for the function's by build scripts, and have
    // them and all that follows from them built anew each time.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(&name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.args(match guard {
        Guard::Without => ["--no-default-features"].as_slice(),
        Guard::With => &["--features", "guarded"],
    });
    if let Some(target) = target_directory() {
        command.arg("--target-dir").arg(target);
    }
    let output = command.output().map_err(|source| BuildError::Start { cargo: cargo.to_owned(), source })?;
    if !output.status.success() {
        return Err(BuildError::Failed(match guard {
            Guard::Without => "without the guard",
            Guard::With => "with the guard",
        }));
    }
    let path = executable(&output.stdout).ok_or(BuildError::NoExecutable)?;
    std::fs::read(&path).map_err(|source| BuildError::Read { path, source })
}

/// The target directory in which this program lies: the dependencies are built there already.
fn target_directory() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let target = own.parent()?.parent()?;
    target.join("CACHEDIR.TAG").exists().then(|| target.to_owned())
}

/// The executable in cargo's messages (the Cargo book, "External tools", JSON messages).
fn executable(messages: &[u8]) -> Option<PathBuf> {
    messages.split(|&byte| byte == b'\n').find_map(|line| {
        let message: serde_json::Value = serde_json::from_slice(line).ok()?;
        let ours = message["target"]["name"] == "ambush-function";
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::executable;

    #[test]
    fn the_executable_is_the_function_s() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"serde"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"ambush-function"},"executable":"/t/f"}"#,
            "\n",
        );
        assert_eq!(executable(messages.as_bytes()).as_deref(), Some(std::path::Path::new("/t/f")));
        assert_eq!(executable(b"{\"reason\":\"build-finished\"}\n"), None);
    }
}
