//! Redaction: finds secrets in bytes on their way out and puts `[redacted:NAME]` in their place.
//! Pure: no I/O of its own, no clock, nothing of the crate's other rooms.
//!
//! # How it works
//!
//! A secret is taken apart first (`parts`): a connection string's password, the strings of a JSON key
//! file, the body of a PEM block, a token without its issuer's prefix, and what an encoded value stands for
//! are looked for by themselves. All of them stand in one automaton (`automaton`). The text is read
//! through several *lanes* at once (`lanes`), each of which undoes one way of writing a byte: as it is or
//! escaped (`forms`), as hex digits, numbers or letters spread out (`digits`), as six bits at a time of
//! base64. Every lane walks the same automaton with the bytes it decodes, so the tables grow with the
//! secrets and not with the number of forms. Escapes nest three deep, and a value whose bytes are escaped
//! one way here and another way there is found as well. `stream` merges what the lanes find and decides
//! what may go out.
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
//! | JSON, Debug, C, Python and octal escapes, mixed at will | `p\"ss\/42`, `\u0070\x22ss`, `\u{70}`, `\160` |
//! | percent, some bytes or all, either case, `+` for a space | `p%22ss%2F42`, `%70%22%73` |
//! | HTML and XML entities | `p&quot;ss`, `&#112;`, `&#x70;` |
//! | signs doubled (SQL, CSV, make), quoted for a shell or cmd.exe | `p""ss`, `'\''`, `'"'"'`, `p\"ss`, `p^"ss` |
//! | quoted-printable, with soft line ends | `p=22ss` |
//! | those inside each other, three deep | `p\\\"ss`, `p%2522ss`, `p\&quot;ss`, `p%5C%22ss` |
//! | with terminal colours inside, or wrapped and indented after four bytes | |
//! | hex, either case, plain, or with signs between, as in lists and dumps | `7022737332`, `70:22:73`, `0x70, 0x22` |
//! | decimal numbers | `[112, 34, 115, …]`, one a line |
//! | base64, both alphabets, three alignments, padded or not | `cCJzcy80Mg==` |
//! | UTF-16, letters with something after each | `p " s s` |
//! | Latin-1, and what Python's `ascii` makes of characters beyond ASCII | `\xe4` |
//! | backwards, in capitals or small letters, ROT13, swapped in pairs: from 12 bytes on | |
//!
//! The last row is spent on the first secrets that have room in 12 KiB.
//!
//! # What is not
//!
//! Values too weak to be told from ordinary text ([`Matcher::weak`] names them), pieces out of the
//! middle of a secret, forms that are not in the table (base32, base85, base64 in lines or twice, UTF-32, a
//! dump's column of text past its first line), and whatever a program that means to hide
//! a value computes from it. Redaction stops accidents and lazy code, not an encoder.
//!
//! # Example
//!
//! ```
//! use fnguard::redact::{
//!     BuildError, Count, MAX_PENDING, MAX_SECRETS, MAX_TOTAL_LEN, MAX_VALUE_LEN, Matcher, Secret, Stream, Weak,
//!     WeakReason,
//! };
//!
//! let key = Secret::new("API_KEY", "q7mVx2LpR9dKw4Zt");
//! let matcher = Matcher::build([key, Secret::new("PIN", "007")])?;
//! // What can't be told from ordinary text is named, and not redacted.
//! let weak: &[Weak] = matcher.weak();
//! assert_eq!(weak[0].name, "PIN");
//! let _why: &WeakReason = &weak[0].reason;
//!
//! // A text that comes in pieces: what could be the beginning of a secret waits for the rest.
//! let (mut stream, mut out) = (Stream::new(), Vec::new());
//! for piece in ["key=q7mVx2L", "pR9dKw4Zt, pin=007"] {
//!     stream.push(&matcher, piece.as_bytes(), &mut out);
//!     assert!(stream.pending() <= MAX_PENDING);
//! }
//! stream.finish(&matcher, &mut out);
//! assert_eq!(out, b"key=[redacted:API_KEY], pin=007");
//! let counts: &[Count] = stream.counts();
//! assert_eq!((&*counts[0].name, counts[0].count), ("API_KEY", 1));
//!
//! // The limits.
//! let long = Secret::new("LONG", vec![b'x'; MAX_VALUE_LEN + 1]);
//! assert!(matches!(Matcher::build([long]), Err(BuildError::TooLong { len, .. }) if len > MAX_VALUE_LEN));
//! let many = (0..=MAX_SECRETS).map(|at| Secret::new(format!("S{at}"), "x"));
//! assert_eq!(Matcher::build(many).unwrap_err(), BuildError::TooMany);
//! assert!(MAX_VALUE_LEN <= MAX_TOTAL_LEN);
//! # Ok::<(), BuildError>(())
//! ```

mod automaton;
mod digits;
mod forms;
mod lanes;
mod matcher;
mod parts;
mod readings;
mod stream;
mod strength;
mod writer;

#[cfg(guarded_platform)]
pub(crate) use matcher::is_weak;
pub use matcher::{BuildError, Count, MAX_SECRETS, MAX_TOTAL_LEN, MAX_VALUE_LEN, Matcher, Secret};
pub use stream::{MAX_PENDING, Stream};
pub use strength::{Weak, WeakReason};
pub use writer::Redactor;
