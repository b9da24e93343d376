//! What holds on this kernel, whichever it is: these tests read from the kernel itself what it has,
//! and expect accordingly. The room that runs on kernels that lack something, where the others'
//! policies would not start.

use crate::attack::{ALLOWED, FORBIDDEN, Guard, NET, fresh, text, victim};
use fnguard_attacks::sink::Tcp;

fnguard_attacks::tests! { "platform":
    file_rules_are_held_or_named, connects_are_decided, programs_are_refused, code_is_refused,
    environment_is_scrubbed, interrupted_calls_are_made_once,
}

const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";

/// The first ABI of Landlock that holds what file rules need: truncate(2) (Linux 6.2).
const ENOUGH: i64 = 3;

/// The kernel's Landlock ABI by its own word; 0 where there is none (before 5.13, or not enabled).
fn landlock() -> i64 {
    const VERSION: u64 = 1;
    // SAFETY: asks for a number; no pointer is followed.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, VERSION) }.max(0)
}

/// A policy that starts here: without enough of Landlock file rules are refused, so it lets them go by name.
fn policy(rules: &str) -> String {
    let missing = if landlock() >= ENOUGH { "" } else { "[arm]\non_unsupported = \"degrade\"\n" };
    format!("{NET}{rules}{missing}")
}

/// Landlock holds the rules for files. Without it the function is not started, unless the policy
/// says so; then the posture names them and nothing else.
fn file_rules_are_held_or_named() {
    let file = fresh("trace");
    let (abi, attack) = (landlock(), victim(["write-create", text(&file)]));
    attack.plain();
    std::fs::remove_file(&file).expect("unguarded it is made");
    println!("landlock ABI {abi}");
    let rules = format!("{NET}[files]\nwrite = []\n");
    if abi >= ENOUGH {
        let guarded = attack.under_guard(&rules);
        assert!(!file.exists(), "{}", guarded.text());
        guarded.only_record("files", "openat", text(&file));
        let posture = guarded.posture();
        assert_eq!(posture["landlock_abi"].as_i64(), Some(abi), "{posture}");
        let controls = posture["controls"].as_object().expect("controls");
        assert!(controls.values().all(|held| held == "held"), "{posture}");
        return;
    }
    let refused = attack.guard(&rules).run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    assert!(!file.exists(), "nothing was started");
    let refusal = refused.records("refusal").remove(0).to_string();
    assert!(refusal.contains("files") && refusal.contains("Landlock"), "{refusal}");
    let degraded = victim(["nothing"]).under_guard(&policy(""));
    let posture = degraded.posture();
    assert_eq!((&posture["mechanism"], &posture["level"]), (&"seccomp".into(), &"WARN".into()), "{posture}");
    let controls = posture["controls"].as_object().expect("controls");
    let lost: Vec<&String> =
        controls.iter().filter(|(_, held)| *held != "held").map(|(name, _)| name).collect();
    assert_eq!(lost, ["files"], "{posture}");
    assert!(posture["not_held"].to_string().contains("Landlock"), "{posture}");
}

fn connects_are_decided() {
    let (forbidden, allowed) = (Tcp::on(FORBIDDEN), Tcp::on(ALLOWED));
    let (there, here) = (forbidden.address.to_string(), allowed.address.to_string());
    victim(["connect", &there]).plain();
    assert_eq!(forbidden.connections(), 1);
    let guarded = victim(["connect", &there]).under_guard(&policy(""));
    assert_eq!(forbidden.connections(), 0, "{}", guarded.text());
    guarded.only_record("network", "connect", &there);
    victim(["connect", &here]).under_guard(&policy("")).no_record();
    assert_eq!(allowed.connections(), 1);
}

fn programs_are_refused() {
    let file = fresh("trace");
    let attack = victim(["execve", "/bin/sh", "-c", &format!("echo lived > {}", text(&file))]);
    attack.run();
    std::fs::remove_file(&file).expect("unguarded the shell runs");
    let guarded = attack.under_guard(&policy(""));
    assert!(!file.exists(), "{}", guarded.text());
    guarded.only_record("exec", "execve", "sh");
}

fn code_is_refused() {
    let attack = victim(["memory", text(&fresh("code"))]);
    assert_eq!(attack.plain().said("anonymous-ran"), 42);
    let guarded = attack.under_guard(&policy(""));
    assert!(guarded.said("anonymous") < 0 && !guarded.says("anonymous-ran"), "{}", guarded.text());
    assert!(!guarded.violations("memory", "mmap", "").is_empty(), "{}", guarded.text());
}

/// With WAIT_KILLABLE_RECV (5.19) a signal does not interrupt them; without, none is made twice, and
/// none fails otherwise than a kernel's own would.
fn interrupted_calls_are_made_once() {
    crate::notifications::connects_are_made_once(&policy(""));
}

fn environment_is_scrubbed() {
    let attack = victim(["write", "write", SECRET]).variable("TOKEN", SECRET);
    assert!(attack.plain().shows(SECRET.as_bytes()));
    let guarded = attack.under_guard(&policy("[secrets]\nenv = [\"TOKEN\"]\n"));
    assert!(guarded.shows(b"[redacted:TOKEN]") && !guarded.shows(SECRET.as_bytes()), "{}", guarded.text());
    assert_eq!(guarded.posture()["controls"]["environment"], "held");
}
