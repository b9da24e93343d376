//! A secret that nobody asked for lies nowhere in the memory of a function that its attribute has armed: not
//! where the kernel put the environment, nor in what libc and the Rust runtime have copied from there.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

mod fixture;

use fixture::shown::posture;
use fixture::{one, programs};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

const SCAN: &str = include_str!("../programs/scan.rs");

const SECRETS: [(&str, &str); 4] = [
    ("TOKEN", "s3cr3t-Value-of-the-function-7f1c"),
    ("DB_PASSWORD", "correct-horse-battery-staple-91"),
    ("DB_USER", "orders-writer-4471"),
    ("API_KEY", "sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd"),
];

/// A mapping: where it begins and ends, and how many bytes of it there are, or were looked at.
type Mapping = (u64, u64, u64);

fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

/// What a process may read of its memory, as the kernel lists it.
fn readable(maps: &str) -> Vec<Mapping> {
    let lines = maps.lines().map(|line| line.split_once(' ').unwrap());
    lines
        .filter(|(_, rest)| rest.starts_with('r') && !rest.contains("[vvar") && !rest.contains("[vsyscall]"))
        .map(|(range, _)| {
            let (start, end) = range.split_once('-').unwrap();
            let (start, end) = (hexadecimal(start), hexadecimal(end));
            (start, end, end - start)
        })
        .collect()
}

/// How often the program found each secret. That it has looked at each byte of each mapping is held against
/// the list that is read from outside, while it waits.
fn found(program: &Path, technique: &str, armed: bool) -> Vec<u64> {
    let masked = SECRETS
        .map(|(_, value)| value.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect::<String>());
    let mut child = Command::new(program)
        .arg(technique)
        .args(masked)
        .env_clear()
        .envs(SECRETS)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut looked, mut counts) = (Vec::new(), Vec::new());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Not `for`: the pipe stays open, for what the program writes at its end.
    while let Some(line) = lines.next().filter(|line| line != "scanned") {
        if let Some(mapping) = line.strip_prefix("map: ") {
            let mut words = mapping.split(' ');
            let (start, end) = (hexadecimal(words.next().unwrap()), hexadecimal(words.next().unwrap()));
            looked.push((start, end, words.next().unwrap().parse().unwrap()));
        } else if let Some(found) = line.strip_prefix("found: ") {
            counts = serde_json::from_str(found).unwrap();
        }
    }
    // Armed, the process that was started is the arbiter, and the function its only child.
    let started = child.id();
    let function = if armed {
        let children = std::fs::read_to_string(format!("/proc/{started}/task/{started}/children")).unwrap();
        children.trim().parse().unwrap()
    } else {
        started
    };
    let maps = std::fs::read_to_string(format!("/proc/{function}/maps")).unwrap();
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    if armed {
        assert_eq!(posture(&output)["controls"]["environment"], "held");
    } else {
        assert!(output.stderr.is_empty(), "{output:?}");
    }

    let mappings = readable(&maps);
    assert_eq!(looked, mappings, "{technique}: looked at, and there\n{maps}");
    let bytes: u64 = mappings.iter().map(|(_, _, bytes)| bytes).sum();
    assert!(mappings.len() > 10 && bytes > 1 << 20, "{bytes} bytes\n{maps}");
    assert_eq!(counts.len(), SECRETS.len(), "{counts:?}");
    counts
}

#[test]
fn memory_holds_no_secret() {
    let fixture = programs("", &[("scan", SCAN)]);
    let policy = |debug: &str| {
        let secrets = "[secrets]\nenv = [\"TOKEN\", \"DB_*\", \"API_KEY\"]\n";
        fixture.write("guard.toml", &format!("version = 1\n[arm]\ndebug = \"{debug}\"\n{secrets}"));
    };
    policy("off");
    let unarmed = one(&fixture, "scan", &["build"]);
    assert!(found(&unarmed, "scan", false).iter().all(|count| *count > 0));

    policy("enforce");
    // As users ship it; as they build it; and as a static program of glibc, whose copies lie elsewhere.
    let kinds: [&[&str]; 3] =
        [&["build", "--release"], &["build"], &["rustc", "--", "-Ctarget-feature=+crt-static"]];
    for kind in kinds {
        let armed = one(&fixture, "scan", kind);
        assert_eq!(found(&armed, "scan", true), [0, 0, 0, 0], "{kind:?}");
        assert_eq!(found(&armed, "planted", true), [0, 1, 0, 0], "{kind:?}: what was left on purpose");
        let asked = found(&armed, "asked", true);
        assert!(asked[3] > 0 && asked[..3] == [0, 0, 0], "{kind:?}: only what was asked for: {asked:?}");
    }
}
