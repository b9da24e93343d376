//! Each control broken in turn: the posture, or a refusal, says so. It never claims what is not.

use crate::attack::{Guard, NET, fresh, is_root, text, victim};
use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::Program;
use serde_json::Value;

fnguard_attacks::tests! { "posture":
    all_is_held, no_seccomp, seccomp_that_only_seems_to_work, no_landlock, privileges_refused,
    killed_for_trying, calls_that_only_seem_to_work,
}

const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";
const SECCOMP: i64 = libc::SYS_seccomp;
const PRCTL: i64 = libc::SYS_prctl;

fn policy(on_unsupported: &str) -> String {
    format!("{NET}[secrets]\nenv = [\"TOKEN\"]\n[arm]\non_unsupported = \"{on_unsupported}\"\n")
}

/// A program below a platform that answers some calls itself.
fn below(program: Program, answers: &[String]) -> Outcome {
    let words: Vec<String> = [env!("CARGO_BIN_EXE_impose").to_owned()]
        .into_iter()
        .chain(answers.iter().cloned())
        .chain(["--".to_owned()])
        .collect();
    program.under(words).variable("TOKEN", SECRET).run()
}

/// Refused with one JSON line, status 125, and nothing was started.
#[track_caller]
fn refused(answers: &[String], code: &str, named: &str) {
    let file = fresh("trace");
    let attack = victim(["write-create", text(&file)]).guard(&policy("refuse"));
    let outcome = below(attack, answers);
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(!file.exists(), "nothing was started");
    let lines: Vec<&[u8]> =
        outcome.stderr.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 1, "one line\n{}", outcome.text());
    let refusal: Value = serde_json::from_slice(lines[0]).expect("JSON");
    assert_eq!((&refusal["fnguard"], &refusal["code"]), (&"refusal".into(), &code.into()), "{refusal}");
    assert!(refusal["message"].to_string().contains(named), "{refusal}");
    assert!(refusal["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{refusal}");
    assert!(!outcome.shows(SECRET.as_bytes()));
}

/// Started with less, which is named; capture, scrubbing and redaction hold all the same.
#[track_caller]
fn degraded(answers: &[String], not_held: &[&str]) -> Value {
    let attack = victim(["write", "write", SECRET]).guard(&policy("degrade"));
    let outcome = below(attack, answers);
    outcome.finished();
    let posture = outcome.posture();
    for control in not_held {
        assert_eq!(posture["controls"][control], "not_held", "{control}\n{posture}");
        assert!(posture["not_held"].to_string().contains(control), "{control}: a reason\n{posture}");
    }
    assert_eq!(posture["controls"]["environment"], "held", "{posture}");
    assert_eq!(posture["level"], "WARN");
    assert!(!outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
    assert!(outcome.shows(b"[redacted:TOKEN]"), "{}", outcome.text());
    posture
}

fn all_is_held() {
    let posture = victim(["nothing"]).under_guard(NET).posture();
    let controls = posture["controls"].as_object().expect("controls");
    assert!(controls.values().all(|held| held == "held"), "{posture}");
    assert_eq!((&posture["mechanism"], &posture["level"]), (&"seccomp".into(), &"INFO".into()));
}

const BY_FILTER: [&str; 4] = ["network", "exec", "exec_memory", "syscalls"];

fn no_seccomp() {
    for errno in [libc::EPERM, libc::ENOSYS, libc::EINVAL, libc::EACCES] {
        let answers = [format!("{SECCOMP}={errno}")];
        refused(&answers, "unsupported", "network");
        let posture = degraded(&answers, &BY_FILTER);
        assert_eq!(posture["mechanism"], "none", "{posture}");
    }
}

/// seccomp(2) answers 0 and does nothing: descriptor 0 is no listener.
fn seccomp_that_only_seems_to_work() {
    let answers = [format!("{SECCOMP}=0")];
    let file = fresh("trace");
    let attack = victim(["write-create", text(&file)]).guard(&policy("refuse"));
    let outcome = below(attack, &answers);
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(!file.exists());
    assert_eq!(outcome.records("refusal").len(), 1, "{}", outcome.text());
    let attack = victim(["write-create", text(&file)]).guard(&policy("degrade"));
    let outcome = below(attack, &answers);
    // Started or not: nothing may be called held that is not.
    for posture in outcome.records("posture") {
        for control in BY_FILTER {
            assert_ne!(posture["controls"][control], "held", "{posture}");
        }
    }
    assert!(outcome.status == Some(125) || !outcome.records("posture").is_empty(), "{}", outcome.text());
}

fn no_landlock() {
    for errno in [libc::ENOSYS, libc::EOPNOTSUPP, libc::EPERM] {
        let answers: Vec<String> = [444, 445, 446].iter().map(|number| format!("{number}={errno}")).collect();
        refused(&answers, if errno == libc::EPERM { "unsupported" } else { "not_held" }, "files");
        degraded(&answers, &["files"]);
    }
    // Only the last step fails.
    let answers = [format!("446={}", libc::EPERM)];
    refused(&answers, "unsupported", "files");
    degraded(&answers, &["files"]);
    // It only seems to work: the arbiter's entries in /proc are the witness.
    let answers = ["446=0".to_owned()];
    let outcome = below(victim(["parent-environment"]).guard(&policy("degrade")), &answers);
    outcome.finished();
    assert!(!outcome.shows(SECRET.as_bytes()));
}

/// prctl(2) refused as a whole, as on Lambda, and one option at a time.
fn privileges_refused() {
    let answers = [format!("{PRCTL}={}", libc::EPERM)];
    refused(&answers, "unsupported", "network");
    let posture = degraded(&answers, &BY_FILTER);
    assert!(posture["warnings"].to_string().contains("no_new_privs"), "{posture}");
    let answers = [format!("prctl:{}={}", libc::PR_SET_NO_NEW_PRIVS, libc::EPERM)];
    if is_root() {
        // Impose itself needs the option where the caller is no root.
        refused(&answers, "unsupported", "network");
    }
    // Without PDEATHSIG the function does not end with the arbiter by itself: named.
    let answers = [format!("prctl:{}={}", libc::PR_SET_PDEATHSIG, libc::EPERM)];
    let outcome = below(victim(["nothing"]).guard(&policy("refuse")), &answers);
    outcome.finished();
    assert!(
        outcome.posture()["warnings"].to_string().contains("does not end with the arbiter"),
        "{}",
        outcome.text()
    );
}

/// Some platforms kill for trying: another attempt leaves it out, where the policy allows less.
fn killed_for_trying() {
    let answers = [format!("{SECCOMP}=kill")];
    refused(&answers, "child_ended", "signal 31");
    let posture = degraded(&answers, &BY_FILTER);
    assert_eq!(posture["mechanism"], "none");
}

/// Dropping capabilities, no_new_privs, the limit: answered with 0 by something in between.
fn calls_that_only_seem_to_work() {
    if is_root() {
        // no_new_privs is not set although the call says so; with capabilities the filter could
        // be installed all the same.
        let answers = [format!("prctl:{}=0", libc::PR_SET_NO_NEW_PRIVS)];
        let outcome = below(victim(["nothing"]).guard(&policy("degrade")), &answers);
        for posture in outcome.records("posture") {
            assert_ne!(posture["controls"]["syscalls"], "held", "{posture}");
        }
        let answers = [format!("{}=0", libc::SYS_capset)];
        let outcome = below(victim(["nothing"]).guard(&policy("refuse")), &answers);
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert!(outcome.records("refusal")[0].to_string().contains("capabilities"), "{}", outcome.text());
    }
    // The arbiter stays open to its user although the call says that it is not.
    let answers = [format!("prctl:{}=0", libc::PR_SET_DUMPABLE)];
    let outcome = below(victim(["nothing"]).guard(&policy("degrade")), &answers);
    let posture = outcome.posture();
    assert!(posture["warnings"].to_string().contains("open to processes of the same user"), "{posture}");
}
