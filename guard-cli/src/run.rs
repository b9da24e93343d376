//! `fnguard run`: finds the policy, then hands the process over to the launcher's road.

use crate::OWN_FAILURE;
use crate::arguments;
use crate::finding::{self, Found};
use fnguard::Streams;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is to be run, and under what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    policy: Option<PathBuf>,
    audit: bool,
    tty: bool,
    program: OsString,
    arguments: Vec<OsString>,
}

impl From<arguments::Run> for Request {
    fn from(run: arguments::Run) -> Self {
        let mut command = run.command.into_iter();
        Request {
            policy: run.policy,
            audit: run.audit,
            tty: run.tty,
            // The grammar asks for one at least.
            program: command.next().unwrap_or_default(),
            arguments: command.collect(),
        }
    }
}

impl Request {
    /// Understands `run [--policy FILE] [--audit] [--tty] [--] PROGRAM ARGUMENTS…`, and nothing else: what
    /// has any other form (help, mistakes) is left to the grammar. A test holds the two together.
    pub(crate) fn quickly(given: &[OsString]) -> Option<Self> {
        let mut rest = given.iter();
        if rest.next()? != "run" {
            return None;
        }
        let (mut policy, mut audit, mut tty) = (None, false, false);
        let program = loop {
            let argument = rest.next()?;
            let bytes = argument.as_bytes();
            if argument == "--" {
                break rest.next()?;
            } else if argument == "--audit" && !audit {
                audit = true;
            } else if argument == "--tty" && !tty {
                tty = true;
            } else if argument == "--policy" && policy.is_none() {
                // A value that looks like an option is a mistake to be told of.
                policy = Some(PathBuf::from(rest.next().filter(|file| !file.as_bytes().starts_with(b"-"))?));
            } else if let (Some(file), None) = (bytes.strip_prefix(b"--policy="), &policy) {
                policy = Some(PathBuf::from(OsStr::from_bytes(file)));
            } else if bytes.starts_with(b"-") {
                return None;
            } else {
                break argument;
            }
        };
        if policy.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            return None;
        }
        Some(Request { policy, audit, tty, program: program.clone(), arguments: rest.cloned().collect() })
    }
}

/// Becomes the arbiter above the program. Returns only where that fails.
pub(crate) fn run(request: Request) -> ExitCode {
    if request.tty && !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return fail(
            "--tty: stdin and stdout must both be a terminal, and one of them is none (a pipe, a file); \
             leave --tty out, or start it in a terminal, in a script by `script -qec COMMAND`",
            OWN_FAILURE.into(),
        );
    }
    let program = match fnguard::find_program(&request.program) {
        Ok(program) => program,
        Err(error) => return fail(&error.to_string(), error.status),
    };
    let compiled = finding::for_program(request.policy.as_deref(), &program)
        .and_then(|found| Found::compile_to_run(found, request.audit));
    match compiled {
        Ok(compiled) => {
            let arguments: Vec<&OsStr> = request.arguments.iter().map(OsString::as_os_str).collect();
            let streams = if request.tty { Streams::Terminal } else { Streams::Inherited };
            let error = fnguard::launch(&compiled, &request.program, &arguments, streams);
            fail(&error.to_string(), error.status)
        }
        Err(error) => fail(&format!("{error:#}"), OWN_FAILURE.into()),
    }
}

fn fail(message: &str, status: i32) -> ExitCode {
    eprintln!("fnguard: {message}");
    ExitCode::from(u8::try_from(status).unwrap_or(OWN_FAILURE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Arguments, Command};
    use clap::Parser;
    use proptest::prelude::*;

    fn by_grammar(given: &[OsString]) -> Option<Request> {
        let line = std::iter::once(OsString::from("fnguard")).chain(given.iter().cloned());
        match Arguments::try_parse_from(line).ok()?.command {
            Command::Run(run) => Some(run.into()),
            _ => None,
        }
    }

    #[test]
    fn forms() {
        let parse = |line: &str| {
            let given: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            Request::quickly(&given)
        };
        let request = parse("run --policy g.toml --audit --tty -- /bin/a --audit -- x").unwrap();
        assert_eq!(request.policy, Some(PathBuf::from("g.toml")));
        assert!(request.audit && request.tty);
        assert!(!parse("run -- /bin/a --tty").unwrap().tty);
        assert_eq!(request.program, "/bin/a");
        assert_eq!(request.arguments, ["--audit", "--", "x"]);
        for other in [
            "run",
            "run --",
            "run --help",
            "run --audti -- x",
            "check",
            "run --policy -- x",
            "run --audit --audit x",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    proptest! {
        /// Whatever is understood quickly, the grammar understands the same.
        #[test]
        fn quick_is_the_grammar(
            words in proptest::collection::vec(
                prop_oneof![
                    Just("--"), Just("--audit"), Just("--tty"), Just("--policy"), Just("--policy=p"), Just("--policy="),
                    Just("a"), Just("-x"), Just(""), Just("-"), Just("run"), Just("--help"),
                ],
                0..7,
            )
        ) {
            let given: Vec<OsString> =
                std::iter::once("run").chain(words).map(OsString::from).collect();
            if let Some(request) = Request::quickly(&given) {
                prop_assert_eq!(Some(request), by_grammar(&given));
            }
        }
    }
}
