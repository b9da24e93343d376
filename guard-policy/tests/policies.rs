//! Mistakes and what is said of them: `policies/NAME.toml`, and the golden text in `NAME.txt`. The
//! text is the user interface, so it is held to the letter.
//!
//! To write the golden files anew, then read the difference:
//!
//! ```text
//! REGENERATE=1 cargo test -p fnguard-policy --features source --test policies
//! ```
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::source::parse;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// What a user is shown for a policy.
fn shown(text: &str) -> String {
    match parse(text, "guard.toml") {
        Err(errors) => format!("{errors}\n"),
        Ok(parsed) => {
            let mut out = String::new();
            for warning in &parsed.warnings {
                writeln!(out, "{warning}\n").unwrap();
            }
            writeln!(out, "the policy holds").unwrap();
            out
        }
    }
}

fn files(extension: &str) -> BTreeSet<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

#[test]
fn messages() {
    let regenerate = std::env::var_os("REGENERATE").is_some();
    let policies = files("toml");
    let mut wrong = String::new();
    let mut mistakes = 0;
    for policy in &policies {
        let text = std::fs::read_to_string(policy).unwrap();
        let shown = shown(&text);
        if shown != "the policy holds\n" {
            mistakes += 1;
        }
        let golden = policy.with_extension("txt");
        if regenerate {
            std::fs::write(&golden, &shown).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if shown != expected {
            let name = policy.file_name().unwrap().display();
            writeln!(wrong, "=== {name}\n--- expected\n{expected}\n--- found\n{shown}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}\nif the new text is right: REGENERATE=1, then look at the difference");
    assert!(mistakes >= 40, "only {mistakes} mistakes");
    let sources: BTreeSet<PathBuf> = files("txt").iter().map(|path| path.with_extension("toml")).collect();
    assert_eq!(sources, policies, "a golden text without its policy, or the reverse");
}
