//! What can go wrong, for users: [`Error`] for calls of the public face, [`ArmError`] for arming.

use crate::sys::Errno;

/// What a call of this crate's public face can fail with.
///
/// ```
/// use fnguard::Error;
///
/// /// Whether another attempt may go better.
/// fn is_final(error: &Error) -> bool {
///     match error {
///         Error::NoSuchSecret { name } | Error::NotUtf8 { name } => {
///             eprintln!("look at {name} in the function's configuration");
///             true
///         }
///         // The guard is gone or was never there: this process handles no more events.
///         _ => true,
///     }
/// }
///
/// let error = fnguard::secret("STRIPE_KEY").unwrap_err();
/// assert!(is_final(&error));
/// assert!(error.to_string().contains("[secrets] env"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The policy captures no such secret.
    #[error(
        "no secret named {name} was captured; name it in [secrets] env of guard.toml and set it in the function's environment"
    )]
    NoSuchSecret {
        /// The name asked for.
        name: String,
    },
    /// The secret's value is not UTF-8.
    #[error("the secret {name} is not valid UTF-8; store it base64-encoded")]
    NotUtf8 {
        /// The name asked for.
        name: String,
    },
    /// The arbiter does not answer, so nothing it holds can be had.
    #[error("the arbiter does not answer ({source}); the invocation must fail")]
    ArbiterGone {
        /// The failing call's error.
        source: Errno,
    },
    /// The arbiter answered something this version does not understand.
    #[error(
        "the arbiter's answer makes no sense: {0}; function and launcher must be of one version of fnguard"
    )]
    Protocol(&'static str),
    /// The arbiter understood, and did not do it.
    #[error("the arbiter refused: {reason}")]
    Refused {
        /// Why not.
        reason: String,
    },
    /// The process is not armed, and must be for this call.
    #[error(
        "this process is not armed; build in release, set [arm] debug in guard.toml, or start it by `fnguard run`"
    )]
    NotArmed,
    /// The arbiter refused to register a secret.
    #[error("the secret {name} was not registered: {reason}")]
    NotRegistered {
        /// The secret's name.
        name: String,
        /// Why not.
        reason: String,
    },
}

/// Why arming was refused. Each becomes one JSON line and exit status 125.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArmError {
    #[error("{failing} failed: {source}")]
    Call { failing: &'static str, source: Errno },
    #[error("the process has {found} threads; arming needs exactly one")]
    Threads { found: usize },
    #[error("the secret {name} is not set")]
    SecretNotSet { name: String },
    #[error("the secret {name} is too weak to redact: {reason}")]
    SecretWeak { name: String, reason: String },
    #[error("{0}")]
    NotRedactable(#[from] crate::redact::BuildError),
    #[error("the compiled policy cannot be read: {0}")]
    Policy(#[from] fnguard_policy::model::compiled::DecodeError),
    #[error("two different policies are linked into this program: {first} and {second}")]
    TwoPolicies { first: String, second: String },
    #[error("the policy was compiled for {found}, this program runs on {expected}")]
    Architecture { found: String, expected: &'static str },
    #[error("this process is armed already")]
    ArmedAlready,
    #[error("another seccomp listener is present in this process's filter chain")]
    OtherListener,
    #[error("the platform refuses {what}: {source}")]
    Unsupported { what: String, source: Errno },
    #[error("the policy asks for what can't be held here: {what}")]
    NotHeld { what: String },
    #[error("{what} is not enforced by this version")]
    NotBuilt { what: &'static str },
    #[error("[arm] mechanism = \"sealed\" can't hold a program that a launcher starts")]
    SealedByLauncher,
    #[error("foreign code could have run before the guard: {what}")]
    Foreign { what: String },
    #[error("the guarded process ended while it was being armed: {end}")]
    ChildEnded { end: String },
    #[error("read-back failed: {what}")]
    ReadBack { what: String },
    /// What the child could not do: its own error, carried over.
    #[error("{message}")]
    InChild { code: String, message: String, found: Option<String>, expected: Option<String>, remedy: String },
    #[error("a pseudo-terminal was asked for, and stdin and stdout are not both a terminal")]
    NoTerminal,
}

impl ArmError {
    /// Names the failing call.
    pub(crate) fn call(failing: &'static str) -> impl FnOnce(Errno) -> ArmError {
        move |source| ArmError::Call { failing, source }
    }

    /// What was found, where there is more to say than that something failed.
    pub(crate) fn found(&self) -> Option<String> {
        Some(match self {
            ArmError::Call { source, .. } | ArmError::Unsupported { source, .. } => source.to_string(),
            ArmError::Threads { found } => format!("{found} threads"),
            ArmError::SecretNotSet { .. } => "no such variable in the environment".to_owned(),
            ArmError::SecretWeak { reason, .. } => reason.clone(),
            ArmError::TwoPolicies { first, second } => format!("{first}, and {second}"),
            ArmError::Architecture { found, .. } => format!("filters for {found}"),
            ArmError::ArmedAlready => "a guard above this process".to_owned(),
            ArmError::OtherListener => "a listener of somebody else's".to_owned(),
            ArmError::NotHeld { what } | ArmError::Foreign { what } => what.clone(),
            ArmError::ChildEnded { end } => end.clone(),
            ArmError::NoTerminal => "a pipe or a file on one of them".to_owned(),
            ArmError::InChild { found, .. } => return found.clone(),
            ArmError::NotRedactable(_)
            | ArmError::Policy(_)
            | ArmError::NotBuilt { .. }
            | ArmError::ReadBack { .. } => return None,
            ArmError::SealedByLauncher => "a program that loads its libraries once it is started".to_owned(),
        })
    }

    /// What was expected instead.
    pub(crate) fn expected(&self) -> Option<String> {
        Some(match self {
            ArmError::Threads { .. } => "one thread".to_owned(),
            ArmError::SecretNotSet { .. } => "a value, as [secrets] env names it".to_owned(),
            ArmError::SecretWeak { .. } => "a value that ordinary text does not hold".to_owned(),
            ArmError::TwoPolicies { .. } => "one policy".to_owned(),
            ArmError::Architecture { expected, .. } => format!("filters for {expected}"),
            ArmError::ArmedAlready => "a process that nobody guards".to_owned(),
            ArmError::OtherListener => "no seccomp listener but fnguard's".to_owned(),
            ArmError::Unsupported { what, .. } => format!("held: {what}"),
            ArmError::NotHeld { .. } => "every control that the policy asks for, held".to_owned(),
            ArmError::Foreign { .. } => "nothing before the guard, as [arm] strict_init asks".to_owned(),
            ArmError::ChildEnded { .. } => "a process that lives through its arming".to_owned(),
            ArmError::Policy(_) => {
                format!("a policy that fnguard {} compiled", env!("CARGO_PKG_VERSION"))
            }
            ArmError::NoTerminal => "a terminal on stdin and on stdout".to_owned(),
            ArmError::InChild { expected, .. } => return expected.clone(),
            ArmError::Call { .. }
            | ArmError::NotRedactable(_)
            | ArmError::NotBuilt { .. }
            | ArmError::ReadBack { .. } => return None,
            ArmError::SealedByLauncher => "a program that #[guarded] arms in place".to_owned(),
        })
    }

    /// What to do about it, for the person who reads the refusal.
    pub(crate) fn remedy(&self) -> &str {
        match self {
            ArmError::Call { source: Errno(libc::EMFILE), .. } => {
                "raise the limit on open files, as by `ulimit -n 1024`, before the start"
            }
            ArmError::Call { source: Errno(libc::ENFILE), .. } => {
                "close what holds the machine's files open, or raise fs.file-max"
            }
            ArmError::Call { source: Errno(libc::ENOENT), failing } if failing.contains("/proc") => {
                "mount /proc: `mount -t proc proc /proc`"
            }
            ArmError::Call { .. } => "run `fnguard doctor` to see what this platform allows",
            ArmError::Threads { .. } => {
                "put #[guarded] above any attribute that starts a runtime, and start no thread before main"
            }
            ArmError::SecretNotSet { .. } => {
                "set it, remove it from [secrets] env, or list it in [secrets] optional"
            }
            ArmError::NotRedactable(_) => "change the variable, or take it out of [secrets] env",
            ArmError::SecretWeak { .. } => {
                "use a longer and less common value, or set [secrets] on_weak = \"warn\""
            }
            ArmError::Policy(_) | ArmError::Architecture { .. } => {
                "build the function and the launcher with the same version of fnguard, for the same target"
            }
            ArmError::TwoPolicies { .. } => {
                "give every #[guarded] in the program the same guard.toml; one process has one policy"
            }
            ArmError::ArmedAlready => "arm once: by the attribute or by the launcher",
            ArmError::OtherListener => {
                "start the function outside the sandbox that watches it, or set [arm] on_unsupported = \"degrade\""
            }
            ArmError::Unsupported { .. } => {
                "set [arm] on_unsupported = \"degrade\" to start with less, named in the posture line"
            }
            ArmError::NotHeld { .. } => {
                "mend what is named, or set [arm] on_unsupported = \"degrade\" to start with less"
            }
            ArmError::SealedByLauncher => {
                "start the program itself: its attribute arms it; or set [arm] mechanism = \"auto\""
            }
            ArmError::NotBuilt { .. } => "remove the key, or set [arm] on_unsupported = \"degrade\"",
            ArmError::Foreign { .. } => {
                "remove what is named, start the function by the launcher, or unset [arm] strict_init"
            }
            ArmError::ChildEnded { .. } => {
                "the platform kills what arming needs: set [arm] on_unsupported = \"degrade\""
            }
            ArmError::NoTerminal => "leave --tty out, or start it where both are a terminal",
            ArmError::ReadBack { .. } => "report this: arming said one thing and the kernel another",
            ArmError::InChild { remedy, .. } => remedy,
        }
    }

    /// A short code that names the kind.
    pub(crate) fn code(&self) -> &str {
        match self {
            ArmError::Call { .. } => "call_failed",
            ArmError::Threads { .. } => "threads",
            ArmError::SecretNotSet { .. } => "secret_not_set",
            ArmError::SecretWeak { .. } => "secret_weak",
            ArmError::NotRedactable(_) => "secret_not_redactable",
            ArmError::Policy(_) => "policy_unreadable",
            ArmError::TwoPolicies { .. } => "two_policies",
            ArmError::Architecture { .. } => "architecture",
            ArmError::ArmedAlready => "armed_already",
            ArmError::OtherListener => "other_listener",
            ArmError::Unsupported { .. } => "unsupported",
            ArmError::NotHeld { .. } => "not_held",
            ArmError::NotBuilt { .. } => "not_built",
            ArmError::SealedByLauncher => "sealed_by_launcher",
            ArmError::Foreign { .. } => "foreign_code",
            ArmError::ChildEnded { .. } => "child_ended",
            ArmError::ReadBack { .. } => "read_back",
            ArmError::InChild { code, .. } => code,
            ArmError::NoTerminal => "no_terminal",
        }
    }
}
