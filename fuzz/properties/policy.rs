//! A policy's text: parsed, or refused with a message that points into it. What was parsed can be
//! compiled for both architectures, and decodes from its encoding.

use fnguard_policy::filter;
use fnguard_policy::model::{Compiled, Program};
use fnguard_policy::source;
use fnguard_policy::syscalls::Arch;

/// Parses, and compiles what was parsed.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let parsed = match source::parse(text, "guard.toml") {
        Ok(parsed) => parsed,
        Err(diagnostics) => {
            assert!(diagnostics.to_string().contains("guard.toml"), "{diagnostics}");
            return;
        }
    };
    for arch in Arch::ALL {
        let function = filter::compile(&parsed.policy, arch).unwrap_or_else(|error| panic!("{error}"));
        let compiled = Compiled {
            arch: arch.as_str().to_owned(),
            origin: "guard.toml".to_owned(),
            debug_build: false,
            hash: parsed.hash,
            function,
            audit: Program::default(),
            arbiter: Program::default(),
            policy: parsed.policy.clone(),
        };
        let blob = compiled.encode().unwrap_or_else(|error| panic!("{error}"));
        let again = Compiled::decode(&blob).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again.policy, parsed.policy);
    }
}
