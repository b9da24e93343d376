//! The process above the function: what Lambda's own supervisor is. It holds the same environment
//! as the function, runs as the same user and has its own log; it starts the function on a
//! terminal, waits for it and mirrors how it ended. Without a guard it is the parent that the
//! attempts on "the parent" aim at; with one, the arbiter stands in between.

use crate::kernel;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

/// `supervise FD PROGRAM`: FD is the function's stderr.
pub fn main(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    match run(&mut words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("ambush supervise: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(words: &mut dyn Iterator<Item = OsString>) -> std::io::Result<u8> {
    let usage = || std::io::Error::other("it is started by the ambush: supervise FD PROGRAM");
    let log = words.next().and_then(|word| word.to_str()?.parse().ok()).ok_or_else(usage)?;
    let program = words.next().ok_or_else(usage)?;
    let log = kernel::inherited(log)?;
    nix::unistd::setsid()?;
    kernel::take_terminal()?;
    let mut child = Command::new(program).stderr(Stdio::from(log)).spawn()?;
    let status = child.wait()?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(2);
    Ok(u8::try_from(code).unwrap_or(2))
}
