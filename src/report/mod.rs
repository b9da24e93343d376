//! What the guard says: records of violations and of its own state, and the forms they take.
//!
//! This room is pure. It opens nothing, writes nothing and reads no clock: the time is passed in,
//! the redaction is passed in, and what comes out is a line for the arbiter to write. It knows no
//! other room. Writing the line, after a newline that it makes sure of itself, is the output
//! pump's work.
//!
//! - [`record`]: the records, plain data.
//! - [`Reporter`]: gives each record its number and form, and limits floods.
//! - [`imitation`]: marks what the function prints in the guard's name.
//! - [`text`]: bytes of unknown origin made fit for a line; [`time`]: RFC 3339.
//!
//! `docs/violations.md` describes each field for whoever reads the log, and
//! `docs/violation.schema.json` is the same as a JSON Schema.
//!
//! ```
//! use fnguard::report::{Action, Control, Options, Reporter, Violation};
//! use std::time::SystemTime;
//!
//! let mut reporter = Reporter::new(Options::default());
//! let violation = Violation {
//!     address: Some("203.0.113.9:443".to_owned()),
//!     name: Some("evil.example".to_owned()),
//!     ..Violation::new(Control::Network, Action::Blocked, "connect", "network.allow")
//! };
//! let line = reporter.violation(&violation, SystemTime::UNIX_EPOCH, &|text| text.to_owned());
//! assert_eq!(
//!     line.as_deref(),
//!     Some(concat!(
//!         r#"{"timestamp":"1970-01-01T00:00:00.000Z","level":"ERROR","fnguard":"violation","#,
//!         r#""control":"network","action":"blocked","syscall":"connect","address":"203.0.113.9:443","#,
//!         r#""name":"evil.example","rule":"network.allow","seq":1}"#
//!     ))
//! );
//! ```

pub mod emf;
pub mod imitation;
mod limit;
mod object;
pub mod record;
mod redactions;
mod render;
mod reporter;
mod sentence;
pub mod text;
pub mod time;

pub use emf::Namespace;
#[cfg(guarded_platform)]
pub(crate) use limit::{KINDS, TARGETS};
pub use record::{
    Action, Barrier, Control, Counts, Ended, Held, LateOutput, LateSecret, Level, Mechanism, Phase, Posture,
    Record, Redacted, Refusal, Stream, Suppressed, Violation,
};
pub use reporter::{Options, Reporter, Style};

/// Length of the longest line in bytes, without the newline. CloudWatch Logs takes more, but what
/// the platform's own pipe does with a very long line is not documented.
pub const LINE_MAX: usize = 8191;

/// The redaction that every text from the function passes before it is escaped.
pub type Redact<'a> = &'a dyn Fn(&str) -> String;
