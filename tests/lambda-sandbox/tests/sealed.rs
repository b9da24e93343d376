//! Sealed descriptors: with the platform's prctl, seccomp and Landlock, and where it refuses them. Each
//! way to a descriptor works without the guard, by the same program.

use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::{Policy, Program};
use fnguard_attacks::runner::Verdict;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const SANDBOX: &str = env!("CARGO_BIN_EXE_lambda-sandbox");
const LAUNCHER: &str = env!("CARGO_BIN_EXE_sandbox-guarded");
const PLAIN: &str = env!("CARGO_BIN_EXE_sealed-plain");
const GUARDED: &str = env!("CARGO_BIN_EXE_sealed-guarded");
const STRICT: &str = env!("CARGO_BIN_EXE_sealed-strict");
const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";

/// Ways to a descriptor that every kernel from 5.10 on has and no common platform refuses.
const ALWAYS: [&str; 18] = [
    "socket",
    "socket-udp",
    "socket-unix",
    "socketpair",
    "open",
    "open-path",
    "openat2",
    "pipe",
    "memfd",
    "dup",
    "dupfd",
    "dup3",
    "epoll",
    "eventfd",
    "timerfd",
    "signalfd",
    "inotify",
    "pidfd",
];
/// Ways that a platform may refuse by itself.
const SOMETIMES: [&str; 2] = ["userfaultfd", "io_uring"];

const EPERM: i64 = -(libc::EPERM as i64);
const EBADF: i64 = -(libc::EBADF as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const EFAULT: i64 = -(libc::EFAULT as i64);
const EACCES: i64 = -(libc::EACCES as i64);
const EMFILE: i64 = -(libc::EMFILE as i64);

fnguard_attacks::tests! { "sealed":
    the_kernel_does_what_the_seal_relies_on, no_call_makes_a_descriptor, nor_where_the_platform_refuses_prctl,
    children_inherit_it, the_limit_is_there_to_stay, the_arbiter_is_out_of_reach, the_posture_says_what_holds,
    the_posture_says_what_does_not, nothing_starts_where_all_is_to_hold, a_program_that_is_executed_has_nothing,
    paths_change_where_no_domain_holds_them, secrets_and_logs_are_as_ever, ends_are_mirrored,
    a_launcher_refuses, an_argument_makes_no_arbiter,
}

fn main() {
    fnguard_attacks::runner::run(&[TESTS], include_str!("../excused.txt"))
}

fn program(path: &str, words: &[&str]) -> Program {
    Program::new([path]).arguments(words).variable("TOKEN", SECRET)
}

#[track_caller]
fn plain(words: &[&str]) -> Outcome {
    let outcome = program(PLAIN, words).run();
    outcome.finished();
    outcome
}

#[track_caller]
fn guarded(words: &[&str]) -> Outcome {
    let outcome = program(GUARDED, words).run();
    outcome.finished();
    outcome
}

/// Where the platform is as reports say that Lambda is.
#[track_caller]
fn in_sandbox(words: &[&str]) -> Outcome {
    let outcome = program(GUARDED, words).under([SANDBOX]).run();
    outcome.finished();
    outcome
}

fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        use std::os::unix::fs::PermissionsExt;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let path = std::env::temp_dir().join(format!("fnguard-sealed-{}", now.as_nanos()));
        std::fs::create_dir_all(&path).expect("a directory");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).expect("a mode");
        path
    })
}

/// What each way answers where no number is left: EMFILE, but for those that are looked at before.
fn refused(way: &str) -> i64 {
    match way {
        "dupfd" => EINVAL,
        "dup3" => EBADF,
        _ => EMFILE,
    }
}

#[track_caller]
fn nothing_is_made(outcome: &Outcome, prefix: &str) {
    for way in ALWAYS {
        assert_eq!(outcome.said(&format!("{prefix}{way}")), refused(way), "{way}\n{}", outcome.text());
    }
    for way in SOMETIMES {
        assert!(outcome.said(&format!("{prefix}{way}")) < 0, "{way}\n{}", outcome.text());
    }
}

#[track_caller]
fn all_are_made(outcome: &Outcome, prefix: &str) {
    for way in ALWAYS {
        assert_eq!(outcome.said(&format!("{prefix}{way}")), 0, "{way}\n{}", outcome.text());
    }
}

/// On this kernel, in a process that seals itself: also what needs something to work on.
fn the_kernel_does_what_the_seal_relies_on() -> Verdict {
    let outcome = program(PLAIN, &["seal-itself"]).under([SANDBOX]).run();
    outcome.finished();
    assert_eq!((outcome.said("accept"), outcome.said("receive")), (0, 1), "{}", outcome.text());
    assert_eq!(outcome.said("seal"), 0);
    assert_eq!(
        (outcome.said("sealed-accept"), outcome.said("sealed-receive")),
        (EMFILE, 0),
        "{}",
        outcome.text()
    );
    assert_eq!(
        (outcome.said("sealed-raise"), outcome.said("sealed-freed")),
        (EPERM, EMFILE),
        "{}",
        outcome.text()
    );
    assert_eq!(outcome.said("sealed-send"), 0, "{}", outcome.text());
    nothing_is_made(&outcome, "sealed-");
    Verdict::Holds
}

fn no_call_makes_a_descriptor() {
    all_are_made(&plain(&["descriptors"]), "");
    nothing_is_made(&guarded(&["descriptors"]), "");
}

fn nor_where_the_platform_refuses_prctl() {
    let outcome = program(PLAIN, &["descriptors"]).under([SANDBOX]).run();
    outcome.finished();
    all_are_made(&outcome, "");
    nothing_is_made(&in_sandbox(&["descriptors"]), "");
}

fn children_inherit_it() {
    all_are_made(&plain(&["child"]), "child-");
    nothing_is_made(&guarded(&["child"]), "child-");
    nothing_is_made(&in_sandbox(&["child"]), "child-");
}

fn the_limit_is_there_to_stay() {
    assert_eq!(plain(&["raise"]).said("raise"), 0);
    assert_eq!(guarded(&["raise"]).said("raise"), EPERM);
    assert_eq!(in_sandbox(&["raise"]).said("raise"), EPERM);
}

/// Without prctl by a program that nobody may read.
fn the_arbiter_is_out_of_reach() {
    let answers = |outcome: &Outcome| (outcome.said("read"), outcome.said("write"));
    let shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    let outcome = program(PLAIN, &["reach"]).under(shell).under([SANDBOX]).run();
    outcome.finished();
    assert_eq!(answers(&outcome), (EFAULT, EFAULT), "the parent is a shell of the same user");
    assert_eq!(answers(&in_sandbox(&["reach"])), (EPERM, EPERM));
    assert_eq!(answers(&guarded(&["reach"])), (EPERM, EPERM));
}

fn the_posture_says_what_holds() {
    let outcome = guarded(&["threads"]);
    let posture = outcome.posture();
    assert_eq!(
        (&posture["mechanism"], &posture["armed_by"]),
        (&"sealed".into(), &"attribute".into()),
        "{posture}"
    );
    for control in ["environment", "network", "processes", "capabilities", "logs", "core_dumps"] {
        assert_eq!(posture["controls"][control], "held", "{control}\n{posture}");
    }
    for control in ["exec_memory", "syscalls"] {
        assert_eq!(posture["controls"][control], "not_held", "{control}\n{posture}");
    }
    let by_landlock = if posture["landlock_abi"].as_u64() >= Some(3) { "held" } else { "not_held" };
    for control in ["exec", "files"] {
        assert_eq!(posture["controls"][control], by_landlock, "{control}\n{posture}");
    }
    assert_eq!(outcome.said("threads"), 7);
}

fn the_posture_says_what_does_not() {
    let posture = in_sandbox(&["threads"]).posture();
    assert_eq!((&posture["mechanism"], &posture["level"]), (&"sealed".into(), &"WARN".into()), "{posture}");
    for control in ["environment", "network", "processes", "capabilities", "logs", "core_dumps"] {
        assert_eq!(posture["controls"][control], "held", "{control}\n{posture}");
    }
    for control in ["exec", "files", "exec_memory", "syscalls"] {
        assert_eq!(posture["controls"][control], "not_held", "{control}\n{posture}");
        assert!(posture["not_held"].to_string().contains(control), "{control}\n{posture}");
    }
    assert!(!posture["warnings"].to_string().contains("open to processes"), "{posture}");
}

fn nothing_starts_where_all_is_to_hold() {
    for _ in 0..10 {
        let outcome = program(STRICT, &["print", "it runs"]).under([SANDBOX]).run();
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert!(!outcome.shows(b"it runs"), "{}", outcome.text());
        let refusals = outcome.records("refusal");
        assert_eq!(refusals.len(), 1, "{}", outcome.text());
        assert_eq!(refusals[0]["code"], "not_held", "{}", outcome.text());
        let message = refusals[0]["message"].to_string();
        for control in ["exec", "files", "exec_memory", "syscalls"] {
            assert!(message.contains(control), "{control}: {message}");
        }
        assert!(!message.contains("network ("), "{message}");
    }
}

/// A static program that says what it can get.
fn static_program() -> Option<PathBuf> {
    const SOURCE: &str = r#"
        #include <errno.h>
        #include <fcntl.h>
        #include <stdio.h>
        #include <sys/socket.h>
        #include <unistd.h>
        int main(void) {
            int made = socket(AF_INET, SOCK_STREAM, 0);
            printf("= image-socket %d\n", made < 0 ? -errno : 0);
            made = open("/", O_RDONLY);
            printf("= image-open %d\n", made < 0 ? -errno : 0);
            int held = 0;
            for (int number = 3; number < 4096; number++) held += fcntl(number, F_GETFD) >= 0;
            printf("= image-held %d\n", held);
            return 0;
        }
    "#;
    let (source, image) = (scratch().join("image.c"), scratch().join("image"));
    std::fs::write(&source, SOURCE).ok()?;
    let built = Command::new("musl-gcc").arg("-static").arg("-o").arg(&image).arg(&source).status();
    built.is_ok_and(|status| status.success()).then_some(image)
}

/// execve(2) by a raw call, where nothing refuses it.
fn a_program_that_is_executed_has_nothing() -> Verdict {
    let Some(image) = static_program() else {
        return Verdict::NotPossible("musl-gcc builds no static program here".to_owned());
    };
    let image = image.to_str().expect("paths of ours are text");
    let free = plain(&["execute", image]);
    assert_eq!((free.said("image-socket"), free.said("image-open")), (0, 0), "{}", free.text());
    let sealed = in_sandbox(&["execute", image]);
    assert_eq!(
        (sealed.said("image-socket"), sealed.said("image-open"), sealed.said("image-held")),
        (EMFILE, EMFILE, 0),
        "{}",
        sealed.text()
    );
    // A dynamic one does not come to its own code.
    let dynamic = in_sandbox(&["execute", PLAIN]);
    assert!(dynamic.shows(b"error while loading shared libraries"), "{}", dynamic.text());
    let held = guarded(&["execute", image]);
    if held.posture()["controls"]["exec"] == "held" {
        assert_eq!(held.said("execute"), EACCES, "{}", held.text());
    }
    Verdict::Holds
}

/// What the posture says of `files`, shown.
fn paths_change_where_no_domain_holds_them() {
    // Not below /tmp, which the policy lets be written to; of a user that may write there.
    let (from, to) = ("/dev/shm/fnguard-sealed-a", "/dev/shm/fnguard-sealed-b");
    let try_it = |run: &dyn Fn(&[&str]) -> Outcome| {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::remove_file(to);
        std::fs::write(from, "x").expect("a file");
        std::fs::set_permissions(from, std::fs::Permissions::from_mode(0o666)).expect("a mode");
        let outcome = run(&["rename", from, to]);
        (outcome.said("rename"), outcome.posture()["controls"]["files"].clone())
    };
    let (said, files) = try_it(&|words| guarded(words));
    assert_eq!(said == EACCES, files == "held");
    let _ = std::fs::remove_file(from);
    let _ = std::fs::remove_file(to);
}

fn secrets_and_logs_are_as_ever() {
    for outcome in [guarded(&["ask", "TOKEN"]), in_sandbox(&["ask", "TOKEN"])] {
        assert!(!outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
        assert!(outcome.shows(b"raw [redacted:TOKEN]"), "{}", outcome.text());
    }
    let outcome = in_sandbox(&["print", &format!("it was {SECRET}")]);
    assert!(outcome.shows(b"it was [redacted:TOKEN]"), "{}", outcome.text());
}

fn ends_are_mirrored() {
    // A panic of its own: it knows no such technique.
    let outcome = program(GUARDED, &["no-such"]).under([SANDBOX]).run();
    assert_eq!(outcome.status, Some(101), "{}", outcome.text());
    assert_eq!(outcome.records("ended").len(), 1, "{}", outcome.text());
}

fn a_launcher_refuses() {
    let policy = Policy::new(scratch(), "[arm]\nmechanism = \"sealed\"\non_unsupported = \"degrade\"\n");
    let outcome = program(PLAIN, &["print", "it runs"]).guarded(LAUNCHER, &policy).run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert_eq!(outcome.records("refusal")[0]["code"], "sealed_by_launcher", "{}", outcome.text());
    assert!(!outcome.shows(b"it runs"));
}

/// The arguments by which the arbiter's copy knows itself start nothing by themselves.
fn an_argument_makes_no_arbiter() {
    for number in ["1", "9", "-1"] {
        let script = format!("exec -a fnguard-arbiter {GUARDED} {number}");
        let outcome = Program::new(["bash", "-c", &script]).variable("TOKEN", SECRET).run();
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert_eq!(outcome.records("refusal").len(), 1, "{}", outcome.text());
    }
}
