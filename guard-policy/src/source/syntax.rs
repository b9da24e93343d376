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
            let help = format!("write {}", quoted(written));
            not_toml(what).expected("a string in quotes").help(help)
        };
    }
    match expected {
        Some(mark) if mark.starts_with('`') && mark.ends_with('`') && !mark.contains(", ") => {
            not_toml(what).expected(mark).help(format!("write {mark} there"))
        }
        Some(other) => not_toml(what).expected(other).help(HELP),
        None => not_toml(what).help(HELP),
    }
}

/// Where a mistake in the syntax has no remedy of its own.
const HELP: &str = "mend or remove what is marked: https://toml.io says how TOML is written";
