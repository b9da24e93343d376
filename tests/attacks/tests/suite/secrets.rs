//! Secrets: in the environment, in memory, in other processes.

use crate::attack::{Guard, VICTIM, fresh, text, victim};
use fnguard_attacks::program::Program;
use fnguard_attacks::runner::Verdict;

fnguard_attacks::tests! { "secrets":
    environment, duplicates, whole_memory, long_value, other_processes, memory_of_other_processes,
    core_dump, asked_for,
}

const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";
const POLICY: &str = "[secrets]\nenv = [\"TOKEN\"]\n";

/// Bytes in the form the victim takes them in, so that its arguments hold no copy.
fn masked(secret: &str) -> String {
    secret.bytes().map(|byte| format!("{:02x}", byte ^ 0x5a)).collect()
}

fn environment() {
    let attack = victim(["environment", "90", &masked(SECRET)]).variable("TOKEN", SECRET);
    let plain = attack.plain();
    for line in plain.list("environ") {
        assert!(line.ends_with(" 1"), "{line}");
    }
    assert_eq!(plain.said("std"), 1);
    let guarded = attack.under_guard(POLICY);
    for line in guarded.list("environ") {
        assert!(line.ends_with(" 0"), "{line}");
    }
    assert_eq!(guarded.said("std"), 0);
    assert_eq!(guarded.posture()["controls"]["environment"], "held");
}

/// One name several times: getenv answers the first, the others are as secret.
fn duplicates() {
    let attack = victim(["environment", "90", &masked(SECRET)]);
    let source = "#include <unistd.h>\n\
        int main(int c, char **v) { char *e[] = {\"TOKEN=first-of-the-values\", \"TOKEN=s3cr3t-Value-of-the-function-7f1c\",\n\
        \"TOKEN=s3cr3t-Value-of-the-function-7f1c\", \"ODD\", \"\", \"PATH=/usr/bin:/bin\", 0}; return execve(v[1], v + 1, e); }\n";
    let starter = crate::attack::c_program(source, &[]);
    let plain = attack.clone().under([text(&starter)]).run();
    assert!(plain.list("environ")[0].ends_with(" 2"), "{}", plain.text());
    let guarded = attack.guard(POLICY).under([text(&starter)]).run();
    guarded.finished();
    for line in guarded.list("environ") {
        assert!(line.ends_with(" 0"), "{line}");
    }
    assert_eq!(guarded.said("std"), 0);
}

/// No byte anywhere in the address space, counted against the list of mappings; a copy that is
/// left on purpose is found.
fn whole_memory() {
    let scan = |technique| victim([technique, "90", &masked(SECRET)]).variable("TOKEN", SECRET);
    let plain = scan("scan").plain();
    assert!(plain.said("found") >= 1, "{}", plain.text());
    let guarded = scan("scan").under_guard(POLICY);
    assert_eq!(guarded.said("found"), 0, "{}", guarded.text());
    assert_eq!(guarded.said("bytes"), guarded.said("listed"), "every byte was looked at");
    assert!(guarded.said("bytes") > 1 << 20);
    let planted = scan("scan-planted").under_guard(POLICY);
    assert_eq!(planted.said("found"), 1, "{}", planted.text());
}

fn long_value() {
    let secret: String = (0..60_000u32).map(|index| char::from(b'a' + (index * 7 % 23) as u8)).collect();
    let attack = victim(["scan", "90", &masked(&secret[500..540])]).variable("TOKEN", &secret);
    assert!(attack.plain().said("found") >= 1);
    assert_eq!(attack.under_guard(POLICY).said("found"), 0);
    // One that can't be redacted any more is refused by its name.
    let longer = attack.variable("TOKEN", secret.repeat(2)).guard(POLICY).run();
    assert_eq!(longer.status, Some(125), "{}", longer.text());
    let refusal = longer.records("refusal").remove(0);
    assert_eq!(refusal["code"], "secret_not_redactable", "{refusal}");
    assert!(refusal["message"].to_string().contains("TOKEN"), "{refusal}");
}

/// A parent, or process 1, holds the same environment.
fn other_processes() {
    let attack = victim(["parent-environment"]);
    let plain = attack
        .clone()
        .under(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .variable("TOKEN", SECRET)
        .in_pid_namespace();
    let outcome = plain.run();
    outcome.finished();
    assert!(outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
    // The shell keeps its copy: a platform's own process does so too.
    let guarded = attack
        .guard(POLICY)
        .under(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .variable("TOKEN", SECRET)
        .in_pid_namespace()
        .run();
    guarded.finished();
    assert!(!guarded.shows(SECRET.as_bytes()));
    assert!(guarded.list("environ").iter().all(|length| length == "-1"), "{}", guarded.text());
}

/// ptrace, process_vm_readv, pidfd_getfd and /proc, aimed at the arbiter.
fn memory_of_other_processes() {
    let attack = victim(["parent-memory"]);
    let in_shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    let plain = attack.clone().under(in_shell).in_pid_namespace().run();
    for step in ["process_vm_readv", "ptrace", "pidfd_getfd", "kcmp", "mem", "environ", "readlink"] {
        assert!(plain.said(step) >= 0, "{step}\n{}", plain.text());
    }
    let guarded = attack.guard(POLICY).variable("TOKEN", SECRET).in_pid_namespace().run();
    guarded.finished();
    for step in [
        "process_vm_readv",
        "process_vm_writev",
        "ptrace",
        "pidfd_getfd",
        "kcmp",
        "mem",
        "environ",
        "maps",
        "fd/1",
        "fd/2",
        "readlink",
        "syscall",
        "stack",
        "root",
        "cwd",
    ] {
        assert!(guarded.said(step) < 0, "{step}\n{}", guarded.text());
    }
    for call in ["process_vm_readv", "process_vm_writev", "ptrace", "pidfd_getfd", "kcmp"] {
        guarded.one_record("process", call, "");
    }
}

/// A dump of the function's memory in its working directory.
fn core_dump() -> Verdict {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    if pattern.starts_with('|') || pattern.starts_with('/') || pattern.starts_with('@') {
        return Verdict::NotPossible(format!("core_pattern is {}", pattern.trim()));
    }
    let folder = fresh("cores");
    std::fs::create_dir(&folder).expect("a directory");
    let dumps = || std::fs::read_dir(&folder).expect("a directory").count();
    let attack = victim(["core"]).directory(&folder);
    let plain = attack.run();
    assert_eq!(plain.signal, Some(libc::SIGABRT), "{}", plain.text());
    if dumps() == 0 {
        return Verdict::NotPossible("no core dump is written even without the guard".to_owned());
    }
    for entry in std::fs::read_dir(&folder).expect("a directory") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("a file");
    }
    let guarded = attack.guard(POLICY).variable("TOKEN", SECRET).run();
    assert_eq!(guarded.signal, Some(libc::SIGABRT), "the end is mirrored\n{}", guarded.text());
    assert_eq!(dumps(), 0);
    guarded.only_record("process", "prlimit64", "resource 4");
    Verdict::Holds
}

/// The library's own way gives it to any code, and says so; printed, it is redacted.
fn asked_for() {
    let guarded = victim(["secret", "TOKEN"]).variable("TOKEN", SECRET).under_guard(POLICY);
    assert_eq!(guarded.said("secret"), 0, "{}", guarded.text());
    let other = victim(["secret", "OTHER"]).variable("TOKEN", SECRET).under_guard(POLICY);
    assert!(other.list("secret")[0].starts_with("-1"), "{}", other.text());
    // A required one that is not set refuses the start, by its name.
    let missing = Program::new([VICTIM, "nothing"]).guard(POLICY).run();
    assert_eq!(missing.status, Some(125), "{}", missing.text());
    let refusal = missing.records("refusal");
    assert_eq!(refusal.len(), 1, "{}", missing.text());
    assert!(refusal[0].to_string().contains("TOKEN"));
}
