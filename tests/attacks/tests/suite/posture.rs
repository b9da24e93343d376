//! Each control broken in turn: the posture, or a refusal, says so. It never claims what is not.

use crate::attack::{FORBIDDEN, Guard, NET, VICTIM, fresh, is_root, text, victim};
use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::Program;
use fnguard_attacks::runner::Verdict;
use fnguard_attacks::sink::Tcp;
use serde_json::Value;

fnguard_attacks::tests! { "posture":
    all_is_held, secret_in_another_variable, no_seccomp, seccomp_that_only_seems_to_work, no_landlock, privileges_refused,
    killed_for_trying, no_new_privs_refused, privileges_that_only_seem_given_up, calls_that_only_seem_to_work, limit_that_only_seems_to_be_set,
    seccomp_or_nothing, target_that_cannot_be_read, target_under_yama, target_in_a_platforms_domain,
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

/// What is captured by its name stands under another one too: that copy is not scrubbed, and is found.
fn secret_in_another_variable() {
    let program = |on_unsupported| {
        let attack = victim(["environment", "90", "00"]).guard(&policy(on_unsupported));
        attack.variable("TOKEN", SECRET).variable("CONNECTION", format!("https://user:{SECRET}@db.example"))
    };
    let outcome = program("degrade").run();
    let posture = outcome.finished().posture();
    assert_eq!(posture["controls"]["environment"], "not_held", "{posture}");
    assert!(posture["not_held"].to_string().contains("the bytes of TOKEN are still there"), "{posture}");
    let outcome = program("refuse").run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(outcome.shows(b"the bytes of TOKEN") && !outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
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

/// seccomp(2) answers 0 and does nothing: descriptor 0 is no listener, and the arbiter has no filter of
/// its own either.
fn seccomp_that_only_seems_to_work() {
    let answers = [format!("{SECCOMP}=0")];
    refused(&answers, "unsupported", "network");
    let posture = degraded(&answers, &BY_FILTER);
    assert_eq!(posture["mechanism"], "none", "{posture}");
    assert_eq!(posture["controls"]["files"], "held", "{posture}");
    assert!(posture["warnings"].to_string().contains("without a filter of its own"), "{posture}");
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
    // It only seems to work: what the domain must refuse goes on as before.
    let answers = ["446=0".to_owned()];
    refused(&answers, "not_held", "what the domain must refuse still works");
    let posture = degraded(&answers, &["files"]);
    assert!(posture["warnings"].to_string().contains("landlock_restrict_self"), "{posture}");
    // With no file rule to try, other things are: signals, or a device.
    let audited = format!(
        "{}[files]\nmode = \"audit\"\nwrite = []\n[exec]\nallow = [\"{VICTIM}\"]\n",
        policy("degrade")
    );
    let outcome = below(victim(["nothing"]).guard(&audited), &answers);
    assert_eq!(outcome.finished().posture()["controls"]["exec"], "not_held", "{}", outcome.text());
    let outcome = below(victim(["nothing"]).guard(&audited), &[]);
    assert_eq!(outcome.finished().posture()["controls"]["exec"], "held", "{}", outcome.text());
    // The control of files is the domain's, whatever else is written to.
    let everywhere = format!("{}[files]\nwrite = [\"/tmp\", \"/proc\", \"/dev\"]\n", policy("degrade"));
    let outcome = below(victim(["nothing"]).guard(&everywhere), &answers);
    assert_eq!(outcome.finished().posture()["controls"]["files"], "not_held", "{}", outcome.text());
    let outcome = below(victim(["nothing"]).guard(&everywhere), &[]);
    assert_eq!(outcome.finished().posture()["controls"]["files"], "held", "{}", outcome.text());
}

/// prctl(2) refused as a whole, as on Lambda, and one option at a time.
fn privileges_refused() {
    let answers = [format!("{PRCTL}={}", libc::EPERM)];
    refused(&answers, "unsupported", "network");
    let posture = degraded(&answers, &BY_FILTER);
    assert!(posture["warnings"].to_string().contains("no_new_privs"), "{posture}");
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

/// One option refused. Whoever imposes that on an ordinary user has had to set the option before.
fn no_new_privs_refused() -> Verdict {
    if !is_root() {
        return Verdict::NotPossible("the option is set for an ordinary user who is filtered".to_owned());
    }
    let answers = [format!("prctl:{}={}", libc::PR_SET_NO_NEW_PRIVS, libc::EPERM)];
    refused(&answers, "unsupported", "network");
    Verdict::Holds
}

/// Some platforms kill for trying: another attempt leaves it out, where the policy allows less.
fn killed_for_trying() {
    let answers = [format!("{SECCOMP}=kill")];
    refused(&answers, "child_ended", "signal 31");
    let posture = degraded(&answers, &BY_FILTER);
    assert_eq!(posture["mechanism"], "none");
}

/// Dropping capabilities and no_new_privs answered with 0 by something in between. An ordinary user
/// has no capability to keep, and the option already.
fn privileges_that_only_seem_given_up() -> Verdict {
    if !is_root() {
        return Verdict::NotPossible("an ordinary user has no privilege to keep".to_owned());
    }
    // no_new_privs is not set although the call says so; with capabilities the filter could
    // be installed all the same.
    let answers = [format!("prctl:{}=0", libc::PR_SET_NO_NEW_PRIVS)];
    refused(&answers, "unsupported", "syscalls");
    degraded(&answers, &[&BY_FILTER[..], &["files"]].concat());
    let answers = [format!("{}=0", libc::SYS_capset)];
    refused(&answers, "not_held", "capabilities");
    degraded(&answers, &["capabilities"]);
    Verdict::Holds
}

/// Other calls answered with 0 by something in between.
fn calls_that_only_seem_to_work() {
    // The function does not end with the arbiter although the call says so.
    let answers = [format!("prctl:{}=0", libc::PR_SET_PDEATHSIG)];
    let outcome = below(victim(["nothing"]).guard(&policy("refuse")), &answers);
    let warnings = outcome.finished().posture()["warnings"].to_string();
    assert!(warnings.contains("does not end with the arbiter"), "{}", outcome.text());
    // Its output goes on where it went before, past the pumps.
    let answers = [format!("{}=0", libc::SYS_dup3)];
    refused(&answers, "not_held", "descriptor 1 is not the arbiter's pipe");
    let outcome = below(victim(["nothing"]).guard(&policy("degrade")), &answers);
    assert_eq!(outcome.finished().posture()["controls"]["logs"], "not_held", "{}", outcome.text());
    // What it wrote can be read back before it is redacted.
    let answers = [format!("{}=0", libc::SYS_fchmod)];
    refused(&answers, "not_held", "has mode 600");
    degraded(&answers, &["logs"]);
    // A copy of the platform's own log stays open.
    let keeps = victim(["nothing"]).guard(&policy("degrade"));
    let outcome =
        below(keeps.under(["sh", "-c", "exec \"$@\" 9>&2", "sh"]), &[format!("{}=0", libc::SYS_close)]);
    let posture = outcome.finished().posture();
    assert_eq!(posture["controls"]["logs"], "not_held", "{posture}");
    assert!(posture["not_held"].to_string().contains("descriptor 9 leads"), "{posture}");
    // The arbiter stays open to its user although the call says that it is not.
    let answers = [format!("prctl:{}=0", libc::PR_SET_DUMPABLE)];
    let outcome = below(victim(["nothing"]).guard(&policy("degrade")), &answers);
    let posture = outcome.posture();
    assert!(posture["warnings"].to_string().contains("open to processes of the same user"), "{posture}");
}

/// RLIMIT_CORE is not what it was set to.
fn limit_that_only_seems_to_be_set() -> Verdict {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the limits");
    let hard = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    if hard.split_whitespace().nth(5) == Some("0") {
        return Verdict::NotPossible("the hard limit of core dumps is 0 already".to_owned());
    }
    let raised = ["sh", "-c", "ulimit -S -c \"$(ulimit -H -c)\" && exec \"$@\"", "sh"];
    let answers = [format!("{}=0", libc::SYS_prlimit64)];
    let attack = |on_unsupported| victim(["nothing"]).guard(&policy(on_unsupported)).under(raised);
    let outcome = below(attack("refuse"), &answers);
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(
        outcome.records("refusal")[0]["message"].to_string().contains("core_dumps"),
        "{}",
        outcome.text()
    );
    let outcome = below(attack("degrade"), &answers);
    assert_eq!(outcome.finished().posture()["controls"]["core_dumps"], "not_held", "{}", outcome.text());
    let outcome = below(attack("refuse"), &[]);
    assert_eq!(outcome.finished().posture()["controls"]["core_dumps"], "held", "{}", outcome.text());
    Verdict::Holds
}

/// `mechanism = "seccomp"` is seccomp or nothing, whatever else may be missing.
fn seccomp_or_nothing() {
    let policy = format!("{}mechanism = \"seccomp\"\n", policy("degrade"));
    let file = fresh("trace");
    let attack = victim(["write-create", text(&file)]).guard(&policy);
    for (answer, code) in [("1", "unsupported"), ("0", "unsupported"), ("kill", "child_ended")] {
        let outcome = below(attack.clone(), &[format!("{SECCOMP}={answer}")]);
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert_eq!(outcome.records("refusal")[0]["code"], code, "{}", outcome.text());
        assert!(!file.exists(), "nothing was started");
    }
    // What else is missing may be, and with seccomp it starts.
    let without_landlock: Vec<String> = [444, 445, 446].iter().map(|number| format!("{number}=95")).collect();
    let attack = victim(["nothing"]).guard(&policy);
    let posture = below(attack, &without_landlock).finished().posture();
    assert_eq!(
        (&posture["mechanism"], &posture["controls"]["files"]),
        (&"seccomp".into(), &"not_held".into())
    );
}

/// Without the function's memory, or its descriptors, nothing could be decided: refused by name.
fn target_that_cannot_be_read() {
    for (call, answer, code, named) in [
        (libc::SYS_process_vm_readv, libc::EPERM, "call_failed", "process_vm_readv"),
        (libc::SYS_process_vm_readv, libc::ENOSYS, "call_failed", "process_vm_readv"),
        (libc::SYS_process_vm_readv, 0, "read_back", "process_vm_readv"),
        (libc::SYS_pidfd_getfd, libc::EPERM, "call_failed", "taking the listener"),
        (libc::SYS_pidfd_getfd, libc::ENOSYS, "call_failed", "taking the listener"),
    ] {
        refused(&[format!("{call}={answer}")], code, named);
    }
}

/// Yama lets a parent read its children in its scopes 0 and 1, and whoever has no CAP_SYS_PTRACE nobody in 2
/// and 3. The scope is the machine's, so it is taken as it is.
fn target_under_yama() -> Verdict {
    let Ok(scope) = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") else {
        return Verdict::NotPossible("this kernel has no Yama".to_owned());
    };
    if matches!(scope.trim(), "0" | "1") {
        all_is_held();
    } else {
        refused(&[], "call_failed", "taking the listener");
    }
    Verdict::Holds
}

/// Landlock lets nobody look into a domain who is not in it or around it. The arbiter has none of its own, so
/// that it is around the function's also where a platform has put both into one.
fn target_in_a_platforms_domain() {
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["connect", &sink.address.to_string()]).guard(NET);
    let outcome = below(attack, &["domain".to_owned()]);
    assert_eq!(sink.connections(), 0, "{}", outcome.text());
    outcome.finished().only_record("network", "connect", &sink.address.to_string());
    let controls = outcome.posture()["controls"].clone();
    assert!(controls.as_object().expect("controls").values().all(|held| held == "held"), "{controls}");
}
