//! A launcher without a command line of its own: policy file, program, arguments. It is what the
//! suites arm with, so that they depend on neither the command nor the attribute.

use fnguard_policy::model::Compiled;
use fnguard_policy::{filter, source, syscalls::Arch};
use std::ffi::{OsStr, OsString};

/// Arms by the policy file that is the first argument, and becomes the program that is the second.
/// Ends the process with the launcher's status where that fails.
pub fn main() -> ! {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [policy, program, rest @ ..] = arguments.as_slice() else {
        fail("usage: guarded POLICY PROGRAM [ARGUMENT …]")
    };
    let compiled = match compile(policy) {
        Ok(compiled) => compiled,
        Err(problem) => fail(&problem),
    };
    let rest: Vec<&OsStr> = rest.iter().map(OsString::as_os_str).collect();
    let error = fnguard::launch(&compiled, program, &rest, fnguard::Streams::Inherited);
    eprintln!("guarded: {error}");
    std::process::exit(error.status)
}

fn compile(path: &OsStr) -> Result<Compiled, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parsed = source::parse(&text, "guard.toml").map_err(|error| error.to_string())?;
    let arch = Arch::of_host().ok_or("no filter can be compiled for this architecture")?;
    let failed = |error: filter::FilterError| error.to_string();
    Ok(Compiled {
        arch: arch.as_str().to_owned(),
        origin: "guard.toml".to_owned(),
        debug_build: false,
        hash: parsed.hash,
        function: filter::compile(&parsed.policy, arch).map_err(failed)?,
        audit: filter::compile(&parsed.policy.clone().into_audit(), arch).map_err(failed)?,
        arbiter: filter::compile_arbiter(arch).map_err(failed)?,
        policy: parsed.policy,
    })
}

fn fail(problem: &str) -> ! {
    eprintln!("guarded: {problem}");
    std::process::exit(125)
}
