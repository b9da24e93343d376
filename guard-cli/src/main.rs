//! The command `fnguard`.
//!
//! Exit statuses: `run` has those of env(1) and timeout(1), 125 where fnguard itself failed, 126
//! and 127 where the program can't be executed or is not there, else the program's own; the other
//! commands end with 0, with 1 where what they looked at does not hold, and with 2 for wrong usage.
//! `explain` has 1 for a denial, and so 2 for its own failures too.

mod arguments;
mod check;
mod doctor;
mod elf;
mod explain;
mod finding;
mod init;
mod package;
mod run;
mod syscalls;
mod terminal;

use arguments::{Arguments, Command};
use clap::Parser;
use clap::error::ErrorKind;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// fnguard's own failure, under `run`.
const OWN_FAILURE: u8 = 125;

fn main() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().skip(1).collect();
    // The common form of `run` is understood without building the whole command line's grammar,
    // which would take a good part of the time until the program starts.
    if let Some(request) = run::Request::quickly(&given) {
        return run::run(request);
    }
    let runs = given.first().is_some_and(|first| first == "run");
    match Arguments::try_parse() {
        Ok(arguments) => dispatch(arguments.command),
        Err(error) => {
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ if runs => ExitCode::from(OWN_FAILURE),
                _ => ExitCode::from(2),
            }
        }
    }
}

fn dispatch(command: Command) -> ExitCode {
    let mut out = io::stdout().lock();
    let failed = if matches!(command, Command::Explain(_)) { ExitCode::from(2) } else { ExitCode::FAILURE };
    let result = match command {
        Command::Run(arguments) => return run::run(arguments.into()),
        Command::Package(arguments) => package::run(&arguments, &mut out),
        Command::Check(arguments) => check::run(&arguments, &mut out),
        Command::Explain(arguments) => explain::run(&arguments, &mut out),
        Command::Syscalls(arguments) => syscalls::run(&arguments, &mut out),
        Command::Schema => schema(&mut out),
        Command::Init(arguments) => init::run(&arguments, &mut out),
        Command::Doctor(arguments) => doctor::run(&arguments, &mut out),
    };
    let result = result.and_then(|status| Ok(out.flush().map(|()| status)?));
    match result {
        Ok(status) => status,
        // The reader has seen enough, as in `fnguard syscalls | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fnguard: {error:#}");
            failed
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn schema(out: &mut impl Write) -> anyhow::Result<ExitCode> {
    out.write_all(fnguard_policy::source::reference::json_schema().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
