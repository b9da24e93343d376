//! What the shipped function links: the policy is parsed and compiled while the function is being
//! built, so neither a TOML parser nor a compiler of filters may be in it, nor anything of the
//! command's. Not the licences and sources of crates: those are deny.toml's.

use std::collections::BTreeSet;
use std::process::Command;

/// The most crates that fnguard, itself included, may bring into a function by default.
const MOST_CRATES: usize = 25;

/// The crates that a build of `package` for the function links, by name.
///
/// `cargo tree` and not `cargo metadata`: the latter merges the features that the macro, which runs
/// in the compiler, asks of `fnguard-policy` with those that the function gets.
fn linked(package: &str, features: &[&str]) -> BTreeSet<String> {
    linked_for("x86_64-unknown-linux-gnu", package, features)
}

/// The same for a target, which need not be installed.
fn linked_for(target: &str, package: &str, features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--target", target, "--format", "{p}", "--package", package])
        .args(features)
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let names: BTreeSet<String> = String::from_utf8(output.stdout)
        .expect("cargo prints UTF-8")
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert!(names.contains(package), "cargo tree does not name {package}: {names:?}");
    names
}

/// Crates that read policies, compile them, or make the command line.
const BUILD_TIME: [&str; 11] = [
    "anyhow",
    "clap",
    "jsonschema",
    "proc-macro2",
    "quote",
    "seccompiler",
    "serde_json",
    "sha2",
    "strsim",
    "syn",
    "toml",
];

#[test]
fn a_function_links_no_parser_and_no_compiler() {
    let linked = linked("fnguard", &[]);
    let found: Vec<&str> = BUILD_TIME.into_iter().filter(|name| linked.contains(*name)).collect();
    assert!(found.is_empty(), "linked into every guarded function: {found:?}");
}

#[test]
fn the_launcher_links_no_parser_and_no_compiler() {
    let linked = linked("fnguard-launcher", &[]);
    let found: Vec<&str> = BUILD_TIME.into_iter().filter(|name| linked.contains(*name)).collect();
    assert!(found.is_empty(), "linked into the launcher: {found:?}");
}

#[test]
fn a_function_links_few_crates() {
    let linked = linked("fnguard", &[]);
    assert!(linked.len() <= MOST_CRATES, "{} crates, at most {MOST_CRATES}: {linked:?}", linked.len());
}

/// Off Linux the attribute is a wrapper that says that nothing is guarded: it must build there, and
/// procfs, whose build script refuses, would keep it from that.
#[test]
fn elsewhere_a_function_links_nothing_of_linux() {
    const LINUX: [&str; 4] = ["landlock", "linux-raw-sys", "nix", "procfs"];
    for target in ["x86_64-apple-darwin", "aarch64-apple-darwin", "x86_64-pc-windows-msvc"] {
        let linked = linked_for(target, "fnguard", &[]);
        let found: Vec<&String> =
            linked.iter().filter(|name| LINUX.iter().any(|linux| name.starts_with(linux))).collect();
        assert!(found.is_empty(), "linked for {target}: {found:?}");
    }
    // The search finds them where they are.
    assert!(linked("fnguard", &[]).contains("procfs"));
}

/// The search finds what it looks for where that is known to be.
#[test]
fn the_command_links_what_the_function_must_not() {
    let linked = linked("fnguard-cli", &[]);
    for name in ["clap", "toml", "seccompiler"] {
        assert!(linked.contains(name), "{name} is not among {linked:?}");
    }
}
