//! Around the handler: what `#[guarded]` puts a function's body into, and what a handler may ask.
//!
//! Everything here runs in the function's own process, which is hostile ground: it makes honest
//! handlers safe to write, and holds nobody. What holds is the arbiter's and the kernel's.
//!
//! An invocation, from the wrapper's side:
//!
//! 1. it is opened under its request id ([`Invocation::open`]);
//! 2. the handler runs, and a panic of its own is caught on the way;
//! 3. a secret in the error's or the panic's text is replaced ([`Plan`]): `lambda_runtime` sends
//!    both to the caller;
//! 4. what was refused in it is emitted as events, if the function wants that ([`trace_violations`]);
//! 5. it is closed, which returns when everything the handler has printed is out: the platform
//!    freezes the process as soon as it has the answer;
//! 6. the outcome is handed on.
//!
//! An invocation that can't be opened or closed has no guard, and fails. It fails by the handler's
//! own error type where that can hold one, and by a panic where it can't; with `panic = "abort"`
//! that ends the process.

mod around;
#[cfg(feature = "aws")]
mod aws;
mod entry;
mod events;
mod invocation;
mod outcome;
mod redaction;
mod secret;

pub use around::{AroundHere, AroundSent, once};
#[cfg(feature = "aws")]
pub use aws::{aws_credentials, aws_session_token};
pub use entry::main;
pub use events::trace_violations;
pub use invocation::{Invocation, Site, WithoutContext, request_id};
pub use outcome::{
    Outcome, Plan, RebuildFromError, RebuildFromText, RebuildNothing, TextsOfBox, TextsOfDebug,
    TextsOfDisplay, TextsOfDyn, TextsOfError, TextsOfNothing,
};
pub use redaction::RedactedError;
pub use secret::{protect, secret};

use crate::error::Error;
use crate::link::{Leaves, ask};

/// The arbiter, as far as the wrapper needs it. Tests put another one in its place.
#[derive(Debug)]
struct Arbiter {
    start: fn(&str) -> Result<(), Error>,
    finish: fn(&str) -> Result<(), Error>,
    finish_soon: fn(&str) -> Option<Result<(), Error>>,
    redact_error: fn(&str) -> Result<String, Error>,
    redact_panic: fn(&str) -> Result<String, Error>,
    /// Emits the violations that are new.
    emit_new: fn(),
}

/// The one at the other end of the link.
static ARBITER: Arbiter = Arbiter {
    start: ask::start,
    finish: ask::finish,
    finish_soon: ask::finish_soon,
    redact_error: |text| ask::redact(text, Leaves::Error),
    redact_panic: |text| ask::redact(text, Leaves::Panic),
    emit_new: events::emit_new,
};

/// Whether this process is armed: whether an arbiter answers it. No variable's word is taken, the
/// question goes to whoever holds the process's seccomp listener.
///
/// ```
/// // Tests are not armed, so that handlers can be called in them.
/// assert!(!fnguard::is_armed());
/// ```
pub fn is_armed() -> bool {
    ask::is_armed()
}

/// What is really in force, as the arbiter read it back when it armed this process: the posture
/// line, one JSON object as it stands in the log.
///
/// # Errors
///
/// [`Error::NotArmed`] if nothing is in force.
///
/// ```
/// match fnguard::posture() {
///     Ok(line) => println!("{line}"),
///     Err(fnguard::Error::NotArmed) => eprintln!("not armed"),
///     Err(error) => eprintln!("{error}"),
/// }
/// ```
pub fn posture() -> Result<String, Error> {
    ask::describe()
}
