//! fnguard: a runtime behavioural guard for function processes, AWS Lambda functions first.
//!
//! A malicious or hijacked dependency runs inside a function with everything the function has. So a
//! second process, the *arbiter*, stands above it: the kernel hands it the calls that could carry
//! something out or in, and it decides by the policy, performs what is allowed, refuses the rest, and
//! says so in the log. It holds the function's secrets until they are asked for, and redacts them in what
//! the function prints.
//!
//! # A guarded handler
//!
//! ```no_run,standalone_crate
//! use fnguard::guarded;
//! use secrecy::ExposeSecret;
//! # struct LambdaEvent<T> { payload: T, context: Context }
//! # struct Context { request_id: String }
//! # type Error = Box<dyn std::error::Error + Send + Sync>;
//!
//! #[guarded(policy = inline r#"
//!     version = 1
//!
//!     [secrets]
//!     env = ["STRIPE_KEY"]
//!
//!     [network]
//!     allow = ["api.stripe.com:443"]
//! "#)]
//! async fn handler(event: LambdaEvent<u32>) -> Result<String, Error> {
//!     let key = fnguard::secret("STRIPE_KEY")?;
//!     charge(event.payload, key.expose_secret()).await
//! }
//! # async fn charge(cents: u32, key: &str) -> Result<String, Error> { Ok(format!("{cents} {}", key.len())) }
//! # fn main() {}
//! ```
//!
//! Without an argument [`guarded`] reads `guard.toml` beside the crate's `Cargo.toml`. The policy is
//! checked and compiled while the function is being built; a mistake in it is a compile error.
//!
//! # What happens at the start
//!
//! Before `main`, in a program built for glibc, the process forks in place: the parent becomes the
//! arbiter, the child goes on to `main`, with the secrets gone from its environment, pipes of the
//! arbiter's for stdout and stderr, no capabilities, a Landlock domain and a seccomp filter. The
//! arbiter reads back from the kernel what is in force and writes it down in one line, the *posture*;
//! [`posture()`] gives it to the function. What can't be held is refused, or named there, as the policy
//! says. The command `fnguard run` does the same for a program that was built without fnguard, and the
//! launcher that `fnguard package` puts in front of one.
//!
//! Release builds arm; debug builds arm in audit, unless the policy says otherwise; test binaries do not
//! arm, so that handlers can be called in unit tests. The environment has no say in it.
//!
//! # Words
//!
//! - **function process**: the child, where handler, runtime and dependencies run.
//! - **arbiter**: the parent, which decides.
//! - **policy**, **rule**: what `guard.toml` says, and one entry of it.
//! - **notification**: a system call that waits for the arbiter's answer.
//! - **link**: the socket pair over which the function asks; **barrier**: the wait, before a response,
//!   until what was written is out.
//! - **record**: one line of the arbiter's in the log; **violation**: the record of a call that no
//!   rule allows.
//! - **posture**: what is really in force, control by control.
//!
//! # What it does not do
//!
//! It holds what leaves the process, not what happens inside it: code in the function can read
//! the function's memory, and call [`secret()`]. It can't stop what is sent to an allowed host. On
//! standard AWS Lambda, which refuses `prctl(2)`, this version scrubs and redacts, and holds no rule. The
//! whole list is `docs/limits.md`; the threat model is `SECURITY.md`.
//!
//! # Features
//!
//! - `tokio` (on by default): the end of an invocation is waited for on a thread for blocking work.
//! - `aws`: `aws_credentials()` and `aws_session_token()`, for the AWS SDK once its keys are captured.
#![cfg_attr(not(guarded_platform), allow(dead_code))]

pub mod redact;
// The arbiter's records: public to fnguard's own tests, and no part of the face.
#[doc(hidden)]
pub mod report;

#[cfg(guarded_platform)]
#[doc(hidden)]
pub mod arbiter;
#[cfg(guarded_platform)]
mod arm;
#[cfg(guarded_platform)]
mod confine;
#[cfg(not(guarded_platform))]
mod elsewhere;
mod error;
#[cfg(all(guarded_platform, any(fuzzing, test)))]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
#[cfg(guarded_platform)]
mod harness;
#[cfg(guarded_platform)]
mod inventory;
#[cfg(guarded_platform)]
mod link;
mod note;
#[cfg(guarded_platform)]
mod posture;
#[cfg(guarded_platform)]
#[doc(hidden)]
pub mod probe;
#[cfg(guarded_platform)]
mod secrets;
#[cfg(guarded_platform)]
mod start;
#[cfg(guarded_platform)]
mod sys;
#[cfg(guarded_platform)]
mod trial;

#[cfg(not(guarded_platform))]
use elsewhere::{link, start, sys};

pub use error::Error;
/// # Example
///
/// ```no_run,standalone_crate
/// #[fnguard::guarded(policy = inline r#"
///     version = 1
///
///     [network]
///     allow = ["api.stripe.com:443"]
/// "#)]
/// async fn handler(order: u32) -> Result<u32, String> {
///     if order == 0 { Err("nothing ordered".to_owned()) } else { Ok(order) }
/// }
/// # fn main() {}
/// ```
pub use fnguard_macros::guarded;
pub use handler::{RedactedError, is_armed, posture, protect, secret, trace_violations};
#[cfg(feature = "aws")]
pub use handler::{aws_credentials, aws_session_token};
#[cfg(guarded_platform)]
pub use start::{LaunchError, Streams, find_program, launch};

/// What the macro's expansion uses. Not part of the public face: it changes without notice.
#[doc(hidden)]
pub mod __private {
    pub use crate::handler::{
        AroundHere, AroundSent, Invocation, Outcome, Plan, RebuildFromError, RebuildFromText, RebuildNothing,
        Site, TextsOfBox, TextsOfDebug, TextsOfDisplay, TextsOfDyn, TextsOfError, TextsOfNothing,
        WithoutContext, main, once, request_id,
    };
    #[cfg(guarded_platform)]
    pub use crate::inventory::libc_function_names;
    pub use crate::note::Note;
    pub use crate::start::Registration;
}
