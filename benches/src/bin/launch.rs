//! The launcher reduced to what it must do: `launch POLICY PROGRAM ARGS…`, where POLICY is a file
//! that holds a compiled policy. What `fnguard run` adds (a command line, TOML, the compiler of
//! filters) is not in its figures.

use fnguard_policy::model::Compiled;
use std::ffi::{OsStr, OsString};

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let [_, policy, program, rest @ ..] = arguments.as_slice() else {
        eprintln!("usage: launch POLICY PROGRAM ARGS…");
        std::process::exit(125);
    };
    let compiled = std::fs::read(policy)
        .map_err(|error| error.to_string())
        .and_then(|blob| Compiled::decode(&blob).map_err(|error| error.to_string()));
    let status = match compiled {
        Ok(compiled) => {
            let rest: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).collect();
            let error = fnguard::launch(&compiled, program, &rest, fnguard::Streams::Inherited);
            eprintln!("launch: {error}");
            error.status
        }
        Err(error) => {
            eprintln!("launch: {}: {error}", policy.display());
            125
        }
    };
    std::process::exit(status);
}
