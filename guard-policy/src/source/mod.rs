//! `guard.toml` to [`model`](crate::model): the parser with its diagnostics, the table of keys and
//! what is printed from it. Off in the shipped function, which carries a compiled policy.
//!
//! ```
//! use fnguard_policy::source;
//!
//! let wrong = "version = 1\n[network]\nalow = [\"api.stripe.com:443\"]\n";
//! let errors = source::parse(wrong, "guard.toml").unwrap_err();
//! assert_eq!(
//!     errors.to_string(),
//!     "guard.toml:3:1: unknown key `alow` in [network]
//!   |
//! 3 | alow = [\"api.stripe.com:443\"]
//!   | ^^^^
//!   = expected: one of `allow`, `listen`, `mode`, `allow_any`
//!   = help: did you mean `allow`?
//!
//! 1 error in the policy"
//! );
//! ```
//!
//! A program that shows mistakes in its own way has them as data:
//!
//! ```
//! use fnguard_policy::source::{self, Diagnostic, Diagnostics, Parsed, Severity};
//!
//! fn places(text: &str) -> Vec<(usize, usize)> {
//!     let found: Result<Parsed, Diagnostics> = source::parse(text, "guard.toml");
//!     let place = |diagnostic: &Diagnostic| (diagnostic.line, diagnostic.column);
//!     match found {
//!         Ok(parsed) => parsed.warnings.iter().map(place).collect(),
//!         Err(all) => all.iter().filter(|one| one.severity == Severity::Error).map(place).collect(),
//!     }
//! }
//!
//! assert_eq!(places("version = 1\nmode = \"enforced\"\n"), [(2, 8)]);
//! ```

mod canonical;
mod diagnostic;
mod document;
mod fault;
mod host;
pub mod keys;
mod overlap;
mod paths;
mod punycode;
pub mod reference;
mod rule;
mod sections;
mod shared_names;
mod syntax;
mod variables;
mod words;

pub use canonical::{canonical, rule_text};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};

use crate::model::Policy;
use sha2::{Digest, Sha256};

/// A policy that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The policy.
    pub policy: Policy,
    /// SHA-256 of the text.
    pub hash: [u8; 32],
    /// What holds and is probably not what was meant.
    pub warnings: Vec<Diagnostic>,
}

/// The text of a policy's file. `origin` is what messages call the file.
///
/// # Errors
///
/// Where the bytes are not UTF-8, which TOML is by definition: the place of the first that is wrong.
///
/// ```
/// use fnguard_policy::source;
///
/// let errors = source::text(b"version = 1\n# caf\xe9\n".to_vec(), "guard.toml").unwrap_err();
/// assert!(errors.to_string().starts_with("guard.toml:2:6: the policy is not UTF-8"));
/// ```
pub fn text(bytes: Vec<u8>, origin: &str) -> Result<String, Diagnostics> {
    String::from_utf8(bytes).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        // What stands for the bad bytes begins where they do: all before them is as it was.
        let shown = String::from_utf8_lossy(bytes);
        let end = start.saturating_add(char::REPLACEMENT_CHARACTER.len_utf8());
        let message = "the policy is not UTF-8".to_owned();
        let mut diagnostic =
            diagnostic::Lines::new(&shown, origin).diagnostic(Severity::Error, start..end, message);
        diagnostic.found = bytes.get(start).map(|byte| format!("the byte 0x{byte:02x}"));
        diagnostic.expected = Some("text in UTF-8".to_owned());
        diagnostic.help = Some(match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16: save the file as UTF-8".to_owned(),
            _ => "save the file as UTF-8, or replace what is marked".to_owned(),
        });
        Diagnostics::new(vec![diagnostic])
    })
}

/// Parses the text of a `guard.toml`. `origin` is what messages call the file.
///
/// # Errors
///
/// Everything that is wrong with the text, not only the first fault: TOML syntax, unknown,
/// duplicate and reserved keys, wrong types, and rules that mean nothing or too much.
///
/// ```
/// use fnguard_policy::{model::Mode, source};
/// let parsed = source::parse("version = 1\nmode = \"audit\"\n", "guard.toml")?;
/// assert_eq!(parsed.policy.network.mode, Mode::Audit);
/// assert!(parsed.warnings.is_empty());
/// # Ok::<(), source::Diagnostics>(())
/// ```
pub fn parse(text: &str, origin: &str) -> Result<Parsed, Diagnostics> {
    let (policy, found) = document::read(text, origin);
    if found.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(Diagnostics::new(found));
    }
    Ok(Parsed { policy, hash: Sha256::digest(text.as_bytes()).into(), warnings: found })
}
