//! The policies that the rows are measured under, compiled as `fnguard run` does it.

use fnguard_policy::filter;
use fnguard_policy::model::Compiled;
use fnguard_policy::source;
use fnguard_policy::syscalls::Arch;
use std::error::Error;
use std::path::{Path, PathBuf};

/// What a small function asks for, for starting programs.
pub const START: &str = include_str!("../policies/start.toml");

/// One peer is allowed; all else is as an empty policy has it.
pub fn one_peer(port: u16) -> String {
    format!("version = 1\nmode = \"enforce\"\n\n[network]\nallow = [\"127.0.0.1:{port}\"]\n")
}

/// Compiles a policy for this machine.
///
/// # Errors
///
/// Where the text is none.
pub fn compile(text: &str) -> Result<Compiled, Box<dyn Error>> {
    let parsed = source::parse(text, "guard.toml").map_err(|faults| faults.to_string())?;
    let arch = Arch::of_host().ok_or("there is no table for this architecture")?;
    Ok(Compiled {
        arch: arch.as_str().to_owned(),
        origin: "guard.toml".to_owned(),
        debug_build: false,
        hash: parsed.hash,
        function: filter::compile(&parsed.policy, arch)?,
        audit: filter::compile(&parsed.policy.clone().into_audit(), arch)?,
        arbiter: filter::compile_arbiter(arch)?,
        policy: parsed.policy,
    })
}

/// Compiles a policy and leaves it in a file, as `launch` reads it.
///
/// # Errors
///
/// As [`compile`], and where the file can't be written.
pub fn compile_to(directory: &Path, name: &str, text: &str) -> Result<PathBuf, Box<dyn Error>> {
    let file = directory.join(name);
    std::fs::write(&file, compile(text)?.encode()?)?;
    Ok(file)
}
