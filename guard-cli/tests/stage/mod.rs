//! A directory of its own to run the command in, and what its output is made of.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.
#![allow(dead_code, reason = "each test program uses a part of it")]

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The command under test.
pub const FNGUARD: &str = env!("CARGO_BIN_EXE_fnguard");

/// A directory that is removed in the end.
pub struct Stage {
    pub path: PathBuf,
}

impl Stage {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Stage { path }
    }

    /// A directory with this guard.toml.
    pub fn with_policy(text: &str) -> Self {
        let stage = Stage::new();
        stage.write("guard.toml", text);
        stage
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The command with these arguments, in this directory, on empty input.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(FNGUARD);
        command.args(arguments).current_dir(&self.path).stdin(Stdio::null());
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// `fnguard run -- sh -c SCRIPT`.
    pub fn shell(&self, script: &str) -> Output {
        self.run(["run", "--", "/bin/sh", "-c", script])
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// fnguard's own lines on stderr, each valid by the published schema.
pub fn records(output: &Output) -> Vec<Value> {
    fnguard_attacks::record::in_log(&output.stderr)
}

/// The other lines on stderr: the program's, or a message of the command's.
pub fn others(output: &Output) -> String {
    stderr(output)
        .lines()
        .filter(|line| !serde_json::from_str::<Value>(line).is_ok_and(|value| value.get("fnguard").is_some()))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The violations among the records.
pub fn violations(output: &Output) -> Vec<Value> {
    records(output).into_iter().filter(|record| record["fnguard"] == "violation").collect()
}

/// Feeds bytes to a command while its output is read.
pub fn with_input(command: &mut Command, input: Vec<u8>) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || pipe.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    output
}

/// Where a program really lies, past wrappers that are scripts; a test that needs it fails with its
/// name where it is not installed.
pub fn real_program(name: &str) -> String {
    let ask: &[&str] = match name {
        "python3" => &["python3", "-c", "import os, sys; print(os.path.realpath(sys.executable))"],
        "node" => &["node", "-p", "fs.realpathSync(process.execPath)"],
        _ => &["sh", "-c", "realpath \"$(command -v \"$0\")\"", name],
    };
    let found = Command::new(ask[0]).args(&ask[1..]).output();
    let found = found.unwrap_or_else(|error| panic!("{name} is needed here: {error}"));
    let path = stdout(&found).trim().to_owned();
    assert!(found.status.success() && path.starts_with('/'), "{name} is needed here: {}", stderr(&found));
    path
}
