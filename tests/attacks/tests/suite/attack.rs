//! What every room's tests begin with: the victim with a technique, policies, places.

use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::{Policy, Program};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The launcher.
pub const GUARDED: &str = env!("CARGO_BIN_EXE_guarded");
/// The hostile program.
pub const VICTIM: &str = env!("CARGO_BIN_EXE_victim");

/// An address that policies of these tests allow by every port of both transports.
pub const ALLOWED: &str = "198.51.100.7";
/// One that none allows.
pub const FORBIDDEN: &str = "203.0.113.9";

/// A policy that allows connections to [`ALLOWED`] only.
pub const NET: &str = "[network]\nallow = [\"198.51.100.7:1-65535\", \"udp/198.51.100.7:1-65535\"]\n";

/// The victim with a technique.
pub fn victim<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Program {
    Program::new([VICTIM]).with(words)
}

/// What a test does with a program under a policy.
pub trait Guard {
    /// More arguments.
    fn with<I: AsRef<OsStr>>(self, words: impl IntoIterator<Item = I>) -> Self;
    /// The same program under the guard and a policy.
    fn guard(&self, policy: &str) -> Program;
    /// Runs without the guard to its end.
    fn plain(&self) -> Outcome;
    /// Runs under the guard to its end.
    fn under_guard(&self, policy: &str) -> Outcome;
}

impl Guard for Program {
    fn with<I: AsRef<OsStr>>(self, words: impl IntoIterator<Item = I>) -> Self {
        self.arguments(words)
    }

    fn guard(&self, policy: &str) -> Program {
        self.clone().guarded(GUARDED, &Policy::new(scratch(), policy))
    }

    #[track_caller]
    fn plain(&self) -> Outcome {
        let outcome = self.run();
        outcome.finished();
        outcome
    }

    #[track_caller]
    fn under_guard(&self, policy: &str) -> Outcome {
        let outcome = self.guard(policy).run();
        outcome.finished();
        outcome
    }
}

/// A directory of this run's own.
pub fn scratch() -> &'static Path {
    static SCRATCH: OnceLock<PathBuf> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        // SAFETY: getuid(2) always succeeds.
        let user = unsafe { libc::getuid() };
        // The process id repeats in every pid namespace; the time does not.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let path = std::env::temp_dir().join(format!("fnguard-attacks-{user}-{}", now.as_nanos()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    })
}

/// A path in it that is not taken.
pub fn fresh(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    scratch().join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("paths of ours are text")
}

/// A FIFO that holds a victim: it reads it to its end.
pub struct Gate {
    /// Where it is.
    pub path: PathBuf,
}

impl Gate {
    /// A gate that nobody has come to.
    pub fn new() -> Self {
        let path = fresh("gate");
        let c_path = std::ffi::CString::new(text(&path)).expect("no NUL");
        // SAFETY: a terminated path.
        assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
        Gate { path }
    }

    /// Waits until the victim has come; what is returned lets it go on when it is dropped.
    #[track_caller]
    pub fn reached(&self) -> std::fs::File {
        use std::os::unix::fs::OpenOptionsExt;
        let began = Instant::now();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).custom_flags(libc::O_NONBLOCK);
        loop {
            // As long as nobody reads it, it can't be opened so.
            match options.open(&self.path) {
                Ok(file) => return file,
                Err(error) => assert!(began.elapsed() < GATE_LIMIT, "nobody has come to the gate: {error}"),
            }
            std::thread::yield_now();
        }
    }
}

/// How long a victim may take to come to its gate.
const GATE_LIMIT: Duration = Duration::from_secs(120);

/// Whether everything runs at full length.
pub fn is_long() -> bool {
    std::env::var_os("FNGUARD_ATTACKS_LONG").is_some_and(|value| value != "0")
}

/// How many rounds a race runs; where a machine is emulated, what it is told.
pub fn rounds() -> u32 {
    match std::env::var("FNGUARD_ATTACKS_ROUNDS") {
        Ok(told) => told.parse().expect("FNGUARD_ATTACKS_ROUNDS is a number"),
        Err(_) if is_long() => 100_000,
        Err(_) => 2_000,
    }
}

/// Runs a race unguarded until it is won: on a busy machine the two threads may not meet in one
/// run of a few milliseconds.
pub fn until_it_wins(attack: &Program, won: impl Fn(&Outcome) -> bool) -> bool {
    (0..50).any(|_| won(&attack.plain()))
}

/// Runs a race under the guard until it was `both`, allowed and refused in turn: on a busy machine one side may hold the
/// whole of a short run. What must not come of any run is for `check`.
#[track_caller]
pub fn until_both(
    run: impl Fn() -> Outcome,
    check: impl Fn(&Outcome),
    both: impl Fn(&Outcome) -> bool,
) -> Outcome {
    let mut outcome = run();
    for _ in 0..50 {
        check(&outcome);
        if both(&outcome) {
            return outcome;
        }
        outcome = run();
    }
    panic!("one side held every run\n{}", outcome.text());
}

/// A race against a guard that looks, decides and lets the call go on (`bin/naive.rs`): it must refuse
/// what it sees and lose all the same, or the race shows nothing of a guard that wins.
#[track_caller]
pub fn loses(attack: &Program, call: &str, allowed: &str, lost: impl FnOnce(&Outcome) -> bool) {
    let outcome = attack.clone().under([env!("CARGO_BIN_EXE_naive"), call, allowed]).run();
    outcome.finished();
    assert!(outcome.said("refused") > 0, "it does refuse what it sees\n{}", outcome.text());
    assert!(lost(&outcome), "the race must win against a guard that loses it\n{}", outcome.text());
}

/// How many rounds a race has to be won in against such a guard.
pub const ROUNDS_TO_WIN: &str = "20000";

/// Whether this is the superuser.
pub fn is_root() -> bool {
    // SAFETY: getuid(2) always succeeds.
    unsafe { libc::getuid() == 0 }
}

/// Compiles C source; the program's or the library's path.
#[track_caller]
pub fn c_program(source: &str, flags: &[&str]) -> PathBuf {
    compile("cc", source, flags)
}

/// Compiles C source by a compiler that must be there.
#[track_caller]
pub fn compile(compiler: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (input, output) = (fresh("source").with_extension("c"), fresh("program"));
    std::fs::write(&input, source).expect("the source can be written");
    let done = std::process::Command::new(compiler)
        .args(["-O1", "-o", text(&output), text(&input)])
        .args(flags)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}; Debian has it in gcc and musl-tools"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    output
}
