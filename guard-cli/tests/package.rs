//! `fnguard package`, with a launcher and functions that are really built: what is packed runs
//! under its policy, and what can't be packed is refused by name.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

mod stage;

use fnguard_policy::model::Compiled;
use fnguard_policy::syscalls::Arch;
use fnguard_policy::{filter, source};
use stage::{Stage, others, records, stderr, stdout, violations};
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The launcher as it is deployed: static. Built once, by the same toolchain.
fn launcher() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static-launcher");
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let built = Command::new(env!("CARGO"))
            .args(["build", "--package", "fnguard-launcher", "--target", &triple, "--target-dir"])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .output()
            .unwrap();
        assert!(built.status.success(), "{}", stderr(&built));
        target.join(triple).join("debug/fnguard-launcher")
    })
}

fn compiled(policy: &str) -> Compiled {
    let parsed = source::parse(policy, "guard.toml").unwrap();
    let arch = Arch::of_host().unwrap();
    Compiled {
        arch: arch.as_str().to_owned(),
        origin: "guard.toml".to_owned(),
        debug_build: false,
        hash: parsed.hash,
        function: filter::compile(&parsed.policy, arch).unwrap(),
        audit: filter::compile(&parsed.policy.clone().into_audit(), arch).unwrap(),
        arbiter: filter::compile_arbiter(arch).unwrap(),
        policy: parsed.policy,
    }
}

/// What stands in for a function: says what it got, and tries a file and a program.
const FUNCTION: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    printf("%s %s\n", argc > 1 ? argv[1] : "none", getenv("KEY") ? getenv("KEY") : "gone");
    FILE *file = fopen("written", "w");
    printf("%s\n", file ? "wrote" : "refused");
    fflush(stdout);
    execl("/usr/bin/id", "id", NULL);
    return 42;
}
"#;

/// Compiles the function, with a policy in its note if one is given.
fn function(stage: &Stage, policy: Option<&Compiled>) -> Vec<u8> {
    let mut text = FUNCTION.to_owned();
    if let Some(policy) = policy {
        stage.write("policy.bin", policy.encode().unwrap());
        text.push_str(
            r#"__asm__(".pushsection .note.fnguard,\"a\",@note\n.balign 4\n.long 8\n.long 2f-1f\n.long 1\n"
                       ".asciz \"fnguard\"\n1:\n.incbin \"policy.bin\"\n2:\n.balign 4\n.popsection\n");"#,
        );
    }
    stage.write("function.c", text);
    let built =
        Command::new("cc").args(["-o", "function", "function.c"]).current_dir(&stage.path).output().unwrap();
    assert!(built.status.success(), "{}", stderr(&built));
    std::fs::read(stage.path.join("function")).unwrap()
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn package(stage: &Stage, more: &[&str]) -> Output {
    let launcher = launcher().to_str().unwrap();
    stage.run(["package", "function.zip", "--launcher", launcher].iter().chain(more))
}

/// Unpacks an archive as the platform does, and starts its bootstrap.
fn start(stage: &Stage, name: &str) -> Output {
    let place = stage.path.join("task");
    let mut archive = ZipArchive::new(std::fs::File::open(stage.path.join(name)).unwrap()).unwrap();
    archive.extract(&place).unwrap();
    Command::new(place.join("bootstrap"))
        .arg("argument")
        .current_dir(&stage.path)
        .env("KEY", "a-secret-value-0123456789")
        .output()
        .unwrap()
}

fn is_held(output: &Output) {
    assert_eq!(output.status.code(), Some(42), "{}", stderr(output));
    assert_eq!(stdout(output), "argument gone\nrefused\n", "{}", stderr(output));
    let controls: Vec<String> =
        violations(output).iter().map(|one| one["control"].as_str().unwrap().to_owned()).collect();
    assert_eq!(controls, ["files", "exec"], "{}", stderr(output));
}

const HELD: &str =
    "version = 1\n[secrets]\nenv = [\"KEY\"]\n[files]\nwrite = [\"/var/empty-of-this-test\"]\n";

#[test]
fn a_function_with_a_note() {
    let stage = Stage::new();
    let policy = compiled(HELD);
    stage.write(
        "function.zip",
        archive(&[("bootstrap", &function(&stage, Some(&policy))), ("data/x", b"kept")]),
    );
    let output = package(&stage, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("wrote function-guarded.zip") && text.contains(&policy.hash_hex()), "{text}");

    let output = start(&stage, "function-guarded.zip");
    is_held(&output);
    let posture = &records(&output)[0];
    assert_eq!(posture["armed_by"], "launcher");
    assert_eq!(posture["policy_hash"], policy.hash_hex());
    assert_eq!(std::fs::read(stage.path.join("task/data/x")).unwrap(), b"kept");
    assert!(!stage.path.join("task/guard.policy").exists());

    // Packed again it is refused, and the same input makes the same bytes.
    std::fs::copy(stage.path.join("function-guarded.zip"), stage.path.join("twice.zip")).unwrap();
    let again = stage.run(["package", "twice.zip", "--launcher", launcher().to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("packaged"), "{}", stderr(&again));
    assert!(package(&stage, &["-o", "second.zip"]).status.success());
    let read = |name: &str| std::fs::read(stage.path.join(name)).unwrap();
    assert!(read("second.zip") == read("function-guarded.zip"));
}

#[test]
fn a_function_without_a_note() {
    let stage = Stage::new();
    let bytes = function(&stage, None);
    stage.write("function.zip", archive(&[("bootstrap", &bytes)]));
    let output = package(&stage, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no policy for the function"), "{}", stderr(&output));
    assert!(!stage.path.join("function-guarded.zip").exists());

    stage.write("held.toml", HELD);
    let output = package(&stage, &["--policy", "held.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    is_held(&start(&stage, "function-guarded.zip"));

    // What can't be executed, and what is not there, have the statuses of env(1); in the end it is as it was.
    let (place, away) = (stage.path.join("task/bootstrap.function"), stage.path.join("task/away"));
    let bootstrap =
        || Command::new(stage.path.join("task/bootstrap")).current_dir(&stage.path).output().unwrap();
    let not_started = |status: i32| {
        let output = bootstrap();
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        let refusal = records(&output).remove(0);
        assert_eq!(refusal["code"], "not_started", "{refusal}");
        for field in ["message", "expected", "remedy"] {
            assert!(refusal[field].is_string(), "{field}: {refusal}");
        }
    };
    std::fs::set_permissions(&place, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    not_started(126);
    std::fs::rename(&place, &away).unwrap();
    not_started(127);
    std::fs::rename(&away, &place).unwrap();

    // A policy that was damaged on the way starts nothing.
    stage.write("task/guard.policy", b"FNGD");
    let output = Command::new(stage.path.join("task/bootstrap")).current_dir(&stage.path).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(records(&output)[0]["code"], "policy_unreadable", "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    std::fs::remove_file(stage.path.join("task/guard.policy")).unwrap();
    let output = Command::new(stage.path.join("task/bootstrap")).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(records(&output)[0]["code"], "policy_missing", "{}", stderr(&output));
    assert_eq!(records(&output)[0]["expected"], "a policy in one of the two", "{}", stderr(&output));
    std::fs::remove_file(stage.path.join("task/bootstrap.function")).unwrap();
    let output = Command::new(stage.path.join("task/bootstrap")).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert_eq!(records(&output)[0]["code"], "function_unreadable", "{}", stderr(&output));
}

/// `fnguard run` and `fnguard check` read the same note.
#[test]
fn the_note_serves_run_and_check() {
    let stage = Stage::new();
    let policy = compiled(HELD);
    function(&stage, Some(&policy));
    let run = |more: &[&str]| {
        let arguments = ["run"].iter().chain(more).chain(&["--", "./function", "argument"]);
        stage.command(arguments).env("KEY", "a-secret-value-0123456789").output().unwrap()
    };
    // A guard.toml that lies here does not count: the binary brings its own.
    stage.write("guard.toml", "version = 1\n[exec]\nallow = [\"*\"]\nallow_any = true\n");
    is_held(&run(&[]));
    let audited = run(&["--audit"]);
    assert!(stdout(&audited).starts_with("argument gone\nwrote\nuid="), "{}", stdout(&audited));
    // A named policy does.
    let named = run(&["--policy", "guard.toml"]);
    assert!(stdout(&named).starts_with("argument a-secret"), "{} {}", stdout(&named), stderr(&named));

    let output = stage.run(["check", "function"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("differs"), "{}", stdout(&output));
    stage.write("guard.toml", HELD);
    let output = stage.run(["check", "function"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let text = stdout(&output);
    for part in ["the same as guard.toml", "a release build: arms", &policy.hash_hex(), "no .preinit_array"] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }

    let mut other = policy.clone();
    other.arch = "aarch64".to_owned();
    function(&stage, Some(&other));
    let output = stage.run(["check", "function"]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(stdout(&output).contains("its filters are for aarch64"), "{}", stdout(&output));
    stage.write("policy.bin", b"");
}

#[test]
fn what_cannot_be_packaged() {
    let stage = Stage::with_policy(HELD);
    let bytes = function(&stage, None);
    let mut foreign = bytes.clone();
    // e_machine: aarch64, or x86_64 where this is aarch64; and an architecture without a table.
    let other: u16 = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
    foreign[18..20].copy_from_slice(&other.to_le_bytes());
    let mut unknown = bytes.clone();
    unknown[18..20].copy_from_slice(&243u16.to_le_bytes());
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("no zip", b"PK no".to_vec(), "is no readable zip archive"),
        (
            "cut",
            {
                let whole = archive(&[("bootstrap", &bytes)]);
                whole[..whole.len() / 2].to_vec()
            },
            "zip archive",
        ),
        ("empty", archive(&[]), "no entry \"bootstrap\""),
        ("other name", archive(&[("function", &bytes)]), "found \"function\""),
        ("script", archive(&[("bootstrap", b"#!/bin/sh\n")]), "no program to put a launcher before"),
        ("foreign", archive(&[("bootstrap", &foreign)]), "the function is for"),
        ("unknown", archive(&[("bootstrap", &unknown)]), "does not know"),
        ("outside", archive(&[("../bootstrap", b"x"), ("bootstrap", &bytes)]), "outside"),
        ("taken", archive(&[("bootstrap.function", b"x"), ("bootstrap", &bytes)]), "already"),
    ];
    for (what, bytes, says) in cases {
        stage.write("function.zip", bytes);
        let output = package(&stage, &[]);
        assert_eq!(output.status.code(), Some(1), "{what}");
        assert!(stderr(&output).contains(says), "{what}: {}", stderr(&output));
    }
    stage.write("function.zip", archive(&[("bootstrap", &bytes)]));
    for (more, says) in [
        (&["-o", "function.zip"] as &[&str], "overwritten"),
        (&["-o", "absent/out.zip"], "can't create"),
        (&["--policy", "absent.toml"], "absent.toml"),
    ] {
        let output = package(&stage, more);
        assert_eq!(output.status.code(), Some(1), "{more:?}");
        assert!(stderr(&output).contains(says), "{more:?}: {}", stderr(&output));
    }
    for (launcher, says) in
        [("/bin/true", "is not fnguard's launcher"), ("absent", "can't read the launcher")]
    {
        let output = stage.run(["package", "function.zip", "--launcher", launcher]);
        assert_eq!(output.status.code(), Some(1), "{launcher}");
        assert!(stderr(&output).contains(says), "{launcher}: {}", stderr(&output));
    }
    let output = stage.run(["package", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("is a directory; expected the archive"), "{}", stderr(&output));
    stage.write("guard.toml", "version = 1\n[arm]\nrelease = \"never\"\n");
    let output = package(&stage, &[]);
    assert!(stderr(&output).contains("release"), "{}", stderr(&output));
    let left: Vec<String> = std::fs::read_dir(&stage.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("guarded") || name.contains("partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Where no launcher was installed, the message says how to build it.
#[test]
fn without_a_launcher() {
    let stage = Stage::with_policy(HELD);
    let bytes = function(&stage, None);
    stage.write("function.zip", archive(&[("bootstrap", &bytes)]));
    std::fs::copy(stage::FNGUARD, stage.path.join("fnguard")).unwrap();
    let run = || {
        Command::new(stage.path.join("fnguard"))
            .args(["package", "function.zip"])
            .current_dir(&stage.path)
            .output()
            .unwrap()
    };
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        others(&output).contains("crt-static") && others(&output).contains("cargo install"),
        "{}",
        stderr(&output)
    );
    // Put beside the command, it is found.
    std::fs::copy(launcher(), stage.path.join("fnguard-launcher")).unwrap();
    let output = run();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut packed =
        ZipArchive::new(std::fs::File::open(stage.path.join("function-guarded.zip")).unwrap()).unwrap();
    let mut bytes = Vec::new();
    packed.by_name("bootstrap").unwrap().read_to_end(&mut bytes).unwrap();
    assert!(bytes == std::fs::read(launcher()).unwrap());
    assert_eq!(packed.by_name("bootstrap.function").unwrap().unix_mode().unwrap() & 0o777, 0o755);
}
