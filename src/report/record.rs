//! The records: plain data, one type for each kind of line. Their forms are in `render` (JSON) and
//! `sentence` (terminal); what each field means to a reader of the log is in `docs/violations.md`.
//!
//! A field that is `None` or empty is left out of the line. Text that the function had a hand in
//! may be put in as it is: it is redacted, escaped and cut when the line is made. Bytes that may
//! not be UTF-8 pass [`super::text::visible`] first.

/// How a line ranks. The names are Lambda's, whose log-level filter reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The guard's state, nothing to do.
    Info,
    /// Worth a look: something was let through, is not held, or was redacted.
    Warn,
    /// Something was stopped, or the guard refused.
    Error,
}

impl Level {
    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}

/// What a violation was an attempt at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Control {
    /// Connections, datagrams, listening, name look-ups: `[network]`.
    Network,
    /// Starting a program: `[exec]`.
    Exec,
    /// Changing or reading files: `[files]`.
    Files,
    /// Executable memory: `[memory]`.
    Memory,
    /// Making processes, reading or signalling others.
    Process,
    /// A system call, or an argument of one, that the filter does not name.
    Syscall,
    /// The guard itself: its processes, descriptors, link and limits.
    Guard,
}

impl Control {
    /// Every control.
    pub const ALL: [Control; 7] = [
        Control::Network,
        Control::Exec,
        Control::Files,
        Control::Memory,
        Control::Process,
        Control::Syscall,
        Control::Guard,
    ];

    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Control::Network => "network",
            Control::Exec => "exec",
            Control::Files => "files",
            Control::Memory => "memory",
            Control::Process => "process",
            Control::Syscall => "syscall",
            Control::Guard => "guard",
        }
    }
}

/// What was done with a call that no rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// It was refused.
    Blocked,
    /// It was let through and reported.
    Audited,
}

impl Action {
    /// Both actions.
    pub const ALL: [Action; 2] = [Action::Blocked, Action::Audited];

    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Blocked => "blocked",
            Action::Audited => "audited",
        }
    }

    /// The level of a record of this action.
    pub fn level(self) -> Level {
        match self {
            Action::Blocked => Level::Error,
            Action::Audited => Level::Warn,
        }
    }
}

/// Where in the function's life something happened. Only what is out of the ordinary stands in a
/// line: `"phase":"init"` and `"phase":"late"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Before the first invocation.
    Init,
    /// While at least one invocation was open.
    Handler,
    /// After a response, before the next invocation.
    Late,
    /// Not known, as where no wrapper tells of invocations.
    #[default]
    Unknown,
}

impl Phase {
    /// As it stands in a line, if it does.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Phase::Init => Some("init"),
            Phase::Late => Some("late"),
            Phase::Handler | Phase::Unknown => None,
        }
    }
}

/// A call that no rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What it was an attempt at.
    pub control: Control,
    /// What was done with it.
    pub action: Action,
    /// The system call's name, `syscall_N` where it has none here; `lookup` for a name that was looked
    /// up, `link` for a message to the arbiter. The guard's own word: it is
    /// escaped and cut, but not redacted, so that a registered secret can't blank it.
    pub syscall: String,
    /// The address it aimed at: `203.0.113.9:443`, `unix:/run/x.sock`.
    pub address: Option<String>,
    /// The host name it aimed at.
    pub name: Option<String>,
    /// The file it aimed at.
    pub path: Option<String>,
    /// The program it wanted to start.
    pub program: Option<String>,
    /// Anything else that tells this call from others, such as the argument that was refused.
    pub detail: Option<String>,
    /// The key of the policy that decided: `network.allow`. The guard's own word, like `syscall`.
    pub rule: String,
    /// The line of the policy that would allow it.
    pub hint: Option<String>,
    /// The process that made the call.
    pub pid: Option<u32>,
    /// What the caller saw: `EACCES`.
    pub errno: Option<String>,
    /// When it happened.
    pub phase: Phase,
    /// The requests open at the time. They come from the function and are a hint.
    pub request_ids: Vec<String>,
}

impl Violation {
    /// A violation with the fields that each has; the rest is set by struct update.
    pub fn new(
        control: Control,
        action: Action,
        syscall: impl Into<String>,
        rule: impl Into<String>,
    ) -> Self {
        Violation {
            control,
            action,
            syscall: syscall.into(),
            address: None,
            name: None,
            path: None,
            program: None,
            detail: None,
            rule: rule.into(),
            hint: None,
            pid: None,
            errno: None,
            phase: Phase::Unknown,
            request_ids: Vec::new(),
        }
    }
}

/// Violations of one kind of which no record of their own was printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppressed {
    /// What they were attempts at.
    pub control: Control,
    /// What was done with them.
    pub action: Action,
    /// The system call; `None` for those without a name, and where so many kinds came that the rest are
    /// counted together.
    pub syscall: Option<String>,
    /// The key of the policy that decided; `None` as above.
    pub rule: Option<String>,
    /// How many there were since the last record of this kind.
    pub count: u64,
    /// How many different targets of this kind have a record of their own.
    pub targets: u64,
    /// How many of `count` had a target that has none.
    pub unlisted: u64,
    /// The last target without a record of its own.
    pub last: Option<String>,
    /// The requests open at the time. They come from the function and are a hint.
    pub request_ids: Vec<String>,
}

/// What holds the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mechanism {
    /// A seccomp filter with an arbiter behind it.
    Seccomp,
    /// Sealed descriptors.
    Sealed,
    /// Nothing: scrubbing and redaction only.
    #[default]
    None,
}

impl Mechanism {
    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Mechanism::Seccomp => "seccomp",
            Mechanism::Sealed => "sealed",
            Mechanism::None => "none",
        }
    }
}

/// Whether a control is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is.
    Held,
    /// It is not, though the policy asks for it.
    NotHeld {
        /// Why.
        reason: String,
    },
    /// Calls are let through and reported, as the policy says.
    Audit,
    /// The policy leaves it open.
    Open,
}

impl Held {
    /// As it stands in a line.
    pub fn as_str(&self) -> &'static str {
        match self {
            Held::Held => "held",
            Held::NotHeld { .. } => "not_held",
            Held::Audit => "audit",
            Held::Open => "open",
        }
    }
}

/// What is really in force: one record once the guard has armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Posture {
    /// What holds the function.
    pub mechanism: Mechanism,
    /// `launcher` or `attribute`.
    pub armed_by: Option<String>,
    /// fnguard's version.
    pub version: String,
    /// SHA-256 of the policy's source text, lower-case hex.
    pub policy_hash: String,
    /// Where the policy came from: a path, or `inline`.
    pub policy_origin: String,
    /// `enforce` or `audit`.
    pub mode: String,
    /// Each control by name, and whether it is in force.
    pub controls: Vec<(String, Held)>,
    /// Names of the secrets that were captured.
    pub secrets: Vec<String>,
    /// Names of the secrets that can't be redacted safely, and why.
    pub weak: Vec<(String, String)>,
    /// Names of variables that look like secrets and were not captured.
    pub looks_like_secret: Vec<String>,
    /// Symbols that something else than libc defines.
    pub interposed: Vec<String>,
    /// Anything else a reader should know, such as a rule that allows everything.
    pub warnings: Vec<String>,
    /// The kernel's Landlock ABI version, if it has Landlock.
    pub landlock_abi: Option<u32>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The function's process.
    pub pid: Option<u32>,
    /// The arbiter's process.
    pub arbiter_pid: Option<u32>,
    /// How long arming took, in microseconds.
    pub arming_us: Option<u64>,
}

/// Why the function was not started: one record before exit status 125.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// A word that stays the same over versions, such as `secret_not_set`.
    pub code: String,
    /// What went wrong.
    pub message: String,
    /// What was found.
    pub found: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What to do.
    pub remedy: Option<String>,
}

/// How many violations there were, over the arbiter's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were refused.
    pub blocked: u64,
    /// Calls that were let through and reported.
    pub audited: u64,
    /// How many of both have no record of their own.
    pub suppressed: u64,
    /// Secrets that were replaced in what the function wrote.
    pub redacted: u64,
}

/// The function has ended: the last record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub exit: Option<i32>,
    /// The signal that ended it: `SIGKILL`.
    pub signal: Option<String>,
    /// The totals; see [`super::Reporter::counts`].
    pub counts: Counts,
    /// Its process.
    pub pid: Option<u32>,
}

/// Where the function wrote something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// File descriptor 1.
    Stdout,
    /// File descriptor 2.
    Stderr,
    /// A panic's message.
    Panic,
    /// The handler's error.
    Error,
}

impl Stream {
    /// Every stream.
    pub const ALL: [Stream; 4] = [Stream::Stdout, Stream::Stderr, Stream::Panic, Stream::Error];

    /// As it stands in a line.
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
            Stream::Panic => "panic",
            Stream::Error => "error",
        }
    }
}

/// A secret was replaced in what the function wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// The secret's name.
    pub name: String,
    /// How often since the last such record.
    pub count: u64,
    /// Where.
    pub stream: Stream,
    /// The requests open at the time.
    pub request_ids: Vec<String>,
}

/// The function registered a secret after arming.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateSecret {
    /// The name it gave.
    pub name: String,
    /// Whether it is redacted from now on.
    pub accepted: bool,
    /// Why not, or why not fully.
    pub reason: Option<String>,
}

/// The function's output was not written in time before its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// How many milliseconds it took.
    pub waited_ms: u64,
    /// How many bytes were not written: in the pipes still, or read and not taken by the log.
    pub bytes_left: u64,
    /// The requests whose output it was.
    pub request_ids: Vec<String>,
}

/// The function wrote after its response and before the next request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateOutput {
    /// Where.
    pub stream: Stream,
    /// How many bytes.
    pub bytes: u64,
    /// The requests that had ended last. Which of them wrote is not known.
    pub after: Vec<String>,
}

/// Any record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // Records are made one at a time and never stored.
pub enum Record {
    /// A call that no rule allows. [`super::Reporter::violation`] limits floods of them.
    Violation(Violation),
    /// Violations that have no record of their own.
    Suppressed(Suppressed),
    /// What is in force.
    Posture(Posture),
    /// Why the function was not started.
    Refusal(Refusal),
    /// The function has ended.
    Ended(Ended),
    /// A secret was replaced.
    Redacted(Redacted),
    /// A secret was registered after arming.
    LateSecret(LateSecret),
    /// Output was not written in time before a response.
    Barrier(Barrier),
    /// Output came after a response.
    LateOutput(LateOutput),
}

impl Record {
    /// The value of the field `fnguard`: which kind of record a line is.
    pub fn kind(&self) -> &'static str {
        match self {
            Record::Violation(_) => "violation",
            Record::Suppressed(_) => "suppressed",
            Record::Posture(_) => "posture",
            Record::Refusal(_) => "refusal",
            Record::Ended(_) => "ended",
            Record::Redacted(_) => "redacted",
            Record::LateSecret(_) => "late_secret",
            Record::Barrier(_) => "barrier",
            Record::LateOutput(_) => "late_output",
        }
    }

    /// The line's level.
    pub fn level(&self) -> Level {
        match self {
            Record::Violation(violation) => violation.action.level(),
            Record::Suppressed(suppressed) => suppressed.action.level(),
            Record::Posture(posture) => {
                if posture.controls.iter().any(|(_, held)| matches!(held, Held::NotHeld { .. })) {
                    Level::Warn
                } else {
                    Level::Info
                }
            }
            Record::Refusal(_) => Level::Error,
            Record::Ended(ended) if ended.exit == Some(0) && ended.signal.is_none() => Level::Info,
            Record::LateSecret(late) if late.accepted => Level::Info,
            Record::LateOutput(_) => Level::Info,
            Record::Ended(_) | Record::Redacted(_) | Record::LateSecret(_) => Level::Warn,
            Record::Barrier(_) => Level::Error,
        }
    }
}

macro_rules! into_record {
    ($($kind:ident),+) => {$(
        impl From<$kind> for Record {
            fn from(record: $kind) -> Self {
                Record::$kind(record)
            }
        }
    )+};
}
into_record!(Violation, Suppressed, Posture, Refusal, Ended, Redacted, LateSecret, Barrier, LateOutput);
