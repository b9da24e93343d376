//! Redaction: finds secrets in bytes on their way out and puts `[redacted:NAME]` in their place.
//! Pure: no I/O of its own, no clock, nothing of the crate's other rooms.
//!
//! # How it works
//!
//! The secrets stand in one automaton (`automaton`). The text is read through several
//! *lanes* at once (`lanes`), each of which undoes one way of writing a byte: as it is or
//! escaped (percent, JSON, Debug), as two hex digits, as six bits at a time of base64. Every lane
//! walks the same automaton with the bytes it decodes, so the tables grow with the secrets and not
//! with the number of forms, and a value whose bytes are escaped one way here and another way there
//! is found as well. `stream` merges what the lanes find and decides what may go out.
//!
//! # What is redacted
//!
//! A stretch of text is redacted when it is, in one of the forms, a whole secret or a beginning of
//! one that is long enough to count: twelve bytes after the part that is public knowledge
//! (`sk_live_`, a PEM header, a URL up to its password; see `strength`). Overlapping stretches
//! become one marker, named after the leftmost and then the longest of them.
//!
//! | form | example for `p"ss/42…` |
//! |---|---|
//! | raw | `p"ss/42` |
//! | JSON, Debug, C and Python escapes, mixed at will | `p\"ss\/42`, `\u0070\x22ss`, `\u{70}` |
//! | percent, some bytes or all, either case, `+` for a space | `p%22ss%2F42`, `%70%22%73` |
//! | hex, either case | `7022737332` |
//! | base64, both alphabets, three alignments, padded or not | `cCJzcy80Mg==` |
//!
//! # What is not
//!
//! Values too weak to be told from ordinary text ([`Matcher::weak`] names them), pieces out of the
//! middle of a secret, forms that are not in the table, and whatever a program that means to hide
//! a value computes from it. Redaction stops accidents and lazy code, not an encoder.

mod automaton;
mod forms;
mod lanes;
mod matcher;
mod stream;
mod strength;
mod writer;

pub use matcher::{BuildError, Count, MAX_SECRETS, MAX_TOTAL_LEN, MAX_VALUE_LEN, Matcher, Secret};
pub use stream::{MAX_PENDING, Stream};
pub use strength::{Weak, WeakReason};
pub use writer::Redactor;
