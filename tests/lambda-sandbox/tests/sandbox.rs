//! The guard where prctl, seccomp and Landlock are refused, as in standard AWS Lambda: what holds
//! there still holds, what does not is named, and `on_unsupported` decides. As root (the sandbox
//! then becomes an ordinary user itself) and as an ordinary user (`FNGUARD_ATTACKS_AS_USER=1`).

use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::{Policy, Program};
use fnguard_attacks::runner::Verdict;
use fnguard_attacks::sink::Tcp;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const SANDBOX: &str = env!("CARGO_BIN_EXE_lambda-sandbox");
const GUARDED: &str = env!("CARGO_BIN_EXE_sandbox-guarded");
const FUNCTION: &str = env!("CARGO_BIN_EXE_sandbox-function");
const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";
const FORBIDDEN: &str = "203.0.113.9";

fnguard_attacks::tests! { "lambda":
    the_sandbox_is_what_it_says, thirty_two_bit_calls_are_killed, refused_to_start, started_with_less,
    environment_is_scrubbed, secrets_are_given_and_redacted, panic_is_redacted, ends_are_mirrored,
    what_is_not_held_is_open_and_said, nothing_goes_out_past_a_dead_arbiter, wrong_input_is_said,
}

fn main() {
    fnguard_attacks::runner::run(&[TESTS], include_str!("../excused.txt"))
}

fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let path = std::env::temp_dir().join(format!("fnguard-sandbox-{}", now.as_nanos()));
        std::fs::create_dir_all(&path).expect("a directory");
        // The sandbox's user is another.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("a mode");
        path
    })
}

fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    scratch().join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of ours are text")
}

fn function(words: &[&str]) -> Program {
    Program::new([FUNCTION]).arguments(words).variable("TOKEN", SECRET)
}

fn policy(on_unsupported: &str) -> Policy {
    let text = format!("[secrets]\nenv = [\"TOKEN\"]\n[arm]\non_unsupported = \"{on_unsupported}\"\n");
    Policy::new(scratch(), &text)
}

fn guarded(words: &[&str], on_unsupported: &str) -> Program {
    function(words).guarded(GUARDED, &policy(on_unsupported)).under([SANDBOX])
}

#[track_caller]
fn degraded(words: &[&str]) -> Outcome {
    let outcome = guarded(words, "degrade").run();
    outcome.finished();
    outcome
}

/// The sandbox itself, without the guard.
fn the_sandbox_is_what_it_says() {
    let outcome = function(&["platform"]).under([SANDBOX]).run();
    outcome.finished();
    assert!(outcome.said("uid") > 0);
    for refused in ["prctl-name", "prctl-nnp", "seccomp", "ptrace", "setuid", "unshare", "clone", "fallocate"]
    {
        assert_eq!(outcome.said(refused), -1, "{refused}\n{}", outcome.text());
    }
    assert_eq!(outcome.said("landlock"), -38);
    assert_ne!(outcome.said("openat2"), -38, "5.6 has it");
    assert_eq!(outcome.said("threads"), 7, "threads and the rest work");
    let variables = outcome.list("variable");
    assert!(variables.contains(&"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023".to_owned()), "{variables:?}");
    assert!(variables.iter().all(|line| !line.ends_with('=')), "{variables:?}");
}

fn thirty_two_bit_calls_are_killed() -> Verdict {
    let plain = function(&["int80"]).run();
    if plain.status != Some(42) || plain.said("int80") != 1 {
        return Verdict::NotPossible("this kernel has no 32-bit entry".to_owned());
    }
    let outcome = function(&["int80"]).under([SANDBOX]).run();
    assert_eq!(outcome.signal, Some(libc::SIGSYS), "{}", outcome.text());
    Verdict::Holds
}

/// One JSON line, status 125, and nothing of the function's has run.
fn refused_to_start() {
    for _ in 0..20 {
        let trace = fresh("trace");
        let outcome = guarded(&["write-file", text(&trace)], "refuse").run();
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert!(!trace.exists(), "nothing was started");
        assert!(outcome.stdout.is_empty());
        let lines: Vec<&[u8]> =
            outcome.stderr.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        assert_eq!(lines.len(), 1, "{}", outcome.text());
        let refusal: serde_json::Value = serde_json::from_slice(lines[0]).expect("JSON");
        assert_eq!(refusal["code"], "unsupported", "{refusal}");
        let message = refusal["message"].to_string();
        for control in ["network", "exec", "files", "exec_memory", "syscalls"] {
            assert!(message.contains(control), "{control}\n{refusal}");
        }
        assert!(refusal["remedy"].to_string().contains("degrade"), "{refusal}");
    }
}

/// Each control that is not held is named with its reason, and none is called held that is not.
fn started_with_less() {
    let posture = degraded(&["posture"]).posture();
    assert_eq!((&posture["mechanism"], &posture["level"]), (&"none".into(), &"WARN".into()), "{posture}");
    for control in ["network", "exec", "files", "exec_memory", "syscalls", "processes"] {
        assert_eq!(posture["controls"][control], "not_held", "{control}\n{posture}");
        assert!(posture["not_held"].to_string().contains(control), "{control}\n{posture}");
    }
    for control in ["environment", "logs", "capabilities"] {
        assert_eq!(posture["controls"][control], "held", "{control}\n{posture}");
    }
    let warnings = posture["warnings"].to_string();
    for warning in
        ["no_new_privs", "does not end with the arbiter", "without a filter of its own", "open to processes"]
    {
        assert!(warnings.contains(warning), "{warning}\n{posture}");
    }
}

/// Neither in the function's environment nor in the arbiter's, which can be read here.
fn environment_is_scrubbed() {
    let plain = function(&["environment", "TOKEN"])
        .under(["sh", "-c", "\"$@\"; exit $?", "sh"])
        .under([SANDBOX])
        .run();
    plain.finished();
    assert_eq!((plain.said("getenv"), plain.list("environ")), (1, vec!["1".to_owned(), "1".to_owned()]));
    let outcome = degraded(&["environment", "TOKEN"]);
    assert_eq!((outcome.said("getenv"), outcome.list("environ")), (0, vec!["0".to_owned(), "0".to_owned()]));
    // What the policy does not name is still there.
    let other = degraded(&["environment", "AWS_LAMBDA_FUNCTION_NAME"]);
    assert_eq!(other.said("getenv"), 1);
}

fn secrets_are_given_and_redacted() {
    let outcome = degraded(&["ask", "TOKEN"]);
    assert_eq!(outcome.said("length"), SECRET.len() as i64);
    assert!(!outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
    let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!outcome.shows(hex.as_bytes()), "{}", outcome.text());
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("[redacted:TOKEN]").count();
    assert_eq!((shown(&outcome.stdout), shown(&outcome.stderr)), (2, 1), "{}", outcome.text());
    assert!(degraded(&["ask", "OTHER"]).shows(b"= error no secret named OTHER"));
}

/// A panic's text, by a program that unwinds and says so itself.
fn panic_is_redacted() {
    let outcome = guarded(&["panic", &format!("it was {SECRET} all along")], "degrade").run();
    assert_eq!(outcome.status, Some(101), "{}", outcome.text());
    assert!(!outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
    assert!(outcome.shows(b"it was [redacted:TOKEN] all along"), "{}", outcome.text());
    assert_eq!(outcome.records("ended").len(), 1);
}

fn ends_are_mirrored() {
    let outcome = guarded(&["abort"], "degrade").run();
    assert_eq!(outcome.signal, Some(libc::SIGABRT), "{}", outcome.text());
    assert_eq!(outcome.records("ended")[0]["signal"], "SIGABRT");
}

/// Without enforcement a connection goes out: no record may claim that it was stopped.
fn what_is_not_held_is_open_and_said() {
    let sink = Tcp::on(FORBIDDEN);
    let outcome = degraded(&["connect", &sink.address.to_string()]);
    assert_eq!((outcome.said("connect"), sink.connections()), (0, 1));
    outcome.no_record();
    assert_eq!(outcome.posture()["controls"]["network"], "not_held");
}

/// No PDEATHSIG here: the function outlives its arbiter, but what it writes then reaches nobody.
fn nothing_goes_out_past_a_dead_arbiter() {
    let (gate, result) = (fresh("gate"), fresh("result"));
    let c_path = std::ffi::CString::new(text(&gate)).expect("no NUL");
    // SAFETY: a terminated path; the sandbox's user must be able to open it.
    unsafe {
        assert_eq!(libc::mkfifo(c_path.as_ptr(), 0o666), 0);
        assert_eq!(libc::chmod(c_path.as_ptr(), 0o666), 0);
    }
    let running = guarded(&["write-after", text(&gate), text(&result)], "degrade").start();
    let held = std::fs::OpenOptions::new().write(true).open(&gate).expect("the gate");
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.id())).expect("children");
    let function: i32 = children.trim().parse().expect("one child");
    running.signal(libc::SIGKILL);
    // SAFETY: a descriptor of our own.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, function, 0) as i32 };
    let outcome = running.finish();
    assert_eq!(outcome.signal, Some(libc::SIGKILL));
    drop(held);
    let mut entry = libc::pollfd { fd: pidfd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry.
    assert!(pidfd < 0 || unsafe { libc::poll(&mut entry, 1, 10_000) } == 1, "the function goes on");
    assert!(!outcome.shows(b"after"), "{}", outcome.text());
    assert_ne!(std::fs::read_to_string(&result).unwrap_or_default(), "written");
}

fn wrong_input_is_said() {
    let outcome =
        Program::new([FUNCTION, "posture"]).guarded(GUARDED, &policy("degrade")).under([SANDBOX]).run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert_eq!(outcome.records("refusal")[0]["code"], "secret_not_set", "{}", outcome.text());
    let outcome = Program::new([SANDBOX, "/nonexistent/program"]).run();
    assert_eq!(outcome.status, Some(127), "{}", outcome.text());
}
