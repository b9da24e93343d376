//! What to say where a policy is no TOML. Not where: the parser says that, and `document.rs` places it.

use super::fault::Fault;
use crate::model::hint::quoted;

/// What the TOML parser says of `written`, as a message, what it expects, and what to do.
pub(super) fn fault(said: &str, written: &str) -> Fault {
    let (what, expected) = match said.split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (said, None),
    };
    // Of what should not stand there at all the parser says this.
    let expected = expected.filter(|expected| *expected != "nothing");
    let not_toml = |what: &str| Fault::error(format!("not TOML: {what}"));
    if what.contains("must be quoted") {
        // For an absent value the parser speaks of quotes.
        return if written.is_empty() {
            not_toml("the key has no value")
                .expected("a value after `=`")
                .help("write one, or remove the key")
        } else {
            // What an editor of prose makes of quotes.
            let plain = written.trim_matches(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}']);
            let help = format!("write {}", quoted(plain));
            not_toml(what).expected("a string in quotes").help(help)
        };
    }
    match expected {
        // Found missing at the end of the line, which is not where it belongs.
        Some(mark @ ("`\"`" | "`'`")) if what.contains("string") => {
            not_toml(what).expected(mark).help(format!("write {mark} where the text of the string ends"))
        }
        Some(mark) if mark.starts_with('`') && mark.ends_with('`') && !mark.contains(", ") => {
            not_toml(what).expected(mark).help(format!("write {mark} there"))
        }
        Some(other) => not_toml(what).expected(other).help(HELP),
        None => not_toml(what).help(HELP),
    }
}

/// Whether one complaint is about what another, at the same place, has left open: a string that is not closed
/// keeps what it stands in from being closed.
pub(super) fn follows(said: &str, other: &str) -> bool {
    said.starts_with("unclosed ") && other.contains("string")
}

/// Where a mistake in the syntax has no remedy of its own.
const HELP: &str = "mend or remove what is marked: https://toml.io says how TOML is written";
