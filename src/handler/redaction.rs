//! Secrets out of the texts that leave by the runtime: errors and panics. Which stretch of a text
//! is a secret is the arbiter's to say.

use crate::error::Error;
use crate::link::LONGEST_TEXT;
use std::any::Any;
use std::fmt;

/// What a panic carries.
pub(super) type Payload = Box<dyn Any + Send>;

/// How a text is redacted: by the arbiter.
pub(super) type Redact = fn(&str) -> Result<String, Error>;

/// What stands in place of a handler's error that held a secret, and what an invocation fails with
/// that had no guard. A handler never sees one; its caller sees the text.
///
/// ```
/// fn report(error: &(dyn std::error::Error + 'static)) {
///     if error.is::<fnguard::RedactedError>() {
///         eprintln!("fnguard replaced this error: {error}");
///     }
/// }
/// # report(&std::fmt::Error);
/// ```
pub struct RedactedError {
    display: String,
    debug: String,
}

impl RedactedError {
    /// An error with one text in both forms.
    pub(super) fn from_text(text: String) -> Self {
        RedactedError { debug: text.clone(), display: text }
    }

    /// The text for people.
    pub(super) fn into_text(self) -> String {
        self.display
    }
}

impl fmt::Display for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display)
    }
}

impl fmt::Debug for RedactedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.debug)
    }
}

impl std::error::Error for RedactedError {}

/// Every text by which an error could leave.
#[derive(Debug, Default)]
pub struct Texts {
    /// By `Display`, or by `Debug` where there is no `Display`.
    pub(super) display: String,
    /// By `Debug`.
    pub(super) debug: String,
    /// Those of its sources, and other forms of its own.
    pub(super) others: Vec<String>,
}

/// What stands in place of a text that could not be looked through.
const WITHHELD: &str = "fnguard withholds this text: the arbiter did not look through it";

/// The error's replacement, if one of its texts holds a secret.
pub(super) fn redact_texts(texts: &Texts, redact: Redact) -> Option<RedactedError> {
    let looked_through = |text: &String| redact_text(text, redact);
    let display = looked_through(&texts.display);
    let debug = looked_through(&texts.debug);
    if display.is_none() && debug.is_none() && !texts.others.iter().any(|text| looked_through(text).is_some())
    {
        return None;
    }
    Some(RedactedError {
        display: display.unwrap_or_else(|| texts.display.clone()),
        debug: debug.unwrap_or_else(|| texts.debug.clone()),
    })
}

/// A panic's payload as it may leave: its text redacted, what is no text as it is. `lambda_runtime`
/// shows the caller no other payload than a text.
pub(super) fn redact_payload(payload: Payload, redact: Redact) -> Payload {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text.as_str(),
        (None, None) => return payload,
    };
    match redact_text(text, redact) {
        Some(text) => Box::new(text),
        None => payload,
    }
}

/// What stands in place of a text, if it can't leave as it is.
fn redact_text(text: &str, redact: Redact) -> Option<String> {
    // A message takes no more. Nobody can say what the rest holds, so it goes.
    let end = text.floor_char_boundary(LONGEST_TEXT);
    let start = text.get(..end).unwrap_or_default();
    let Ok(mut redacted) = redact(start) else { return Some(WITHHELD.to_owned()) };
    if end < text.len() {
        redacted.push_str("… [cut by fnguard]");
        return Some(redacted);
    }
    (redacted != text).then_some(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Result<String, Error> {
        assert!(text.len() <= LONGEST_TEXT);
        Ok(text.replace("hunter2", "[redacted:KEY]"))
    }

    #[test]
    fn a_text_without_a_secret_stays() {
        assert_eq!(redact_text("all is well", key), None);
        assert_eq!(redact_text("", key), None);
        assert_eq!(redact_text("hunter2", key).as_deref(), Some("[redacted:KEY]"));
        assert_eq!(redact_text("x", |_| Err(Error::NotArmed)).as_deref(), Some(WITHHELD));
    }

    #[test]
    fn a_text_too_long_to_be_looked_through_is_cut() {
        // The secret lies across the cut, between the bytes of no character.
        let long = format!("{}é hunter2", "x".repeat(LONGEST_TEXT - 1));
        let redacted = redact_text(&long, key).unwrap();
        assert!(redacted.len() < long.len() + 30 && !redacted.contains("hunter2"));
        assert!(redacted.ends_with("[cut by fnguard]"));
    }

    #[test]
    fn one_text_with_a_secret_replaces_the_error() {
        let texts = |display: &str, debug: &str, other: &str| Texts {
            display: display.to_owned(),
            debug: debug.to_owned(),
            others: vec![other.to_owned()],
        };
        assert!(redact_texts(&texts("a", "b", "c"), key).is_none());
        for case in [texts("hunter2", "b", "c"), texts("a", "hunter2", "c"), texts("a", "b", "hunter2")] {
            let error = redact_texts(&case, key).unwrap();
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    #[test]
    fn payloads_of_either_text_type_are_redacted() {
        let text = |payload: Payload| redact_payload(payload, key).downcast_ref::<String>().cloned();
        assert_eq!(text(Box::new("hunter2")).as_deref(), Some("[redacted:KEY]"));
        assert_eq!(text(Box::new("hunter2".to_owned())).as_deref(), Some("[redacted:KEY]"));
        assert!(redact_payload(Box::new("fine"), key).is::<&str>());
        assert!(redact_payload(Box::new(17u8), key).is::<u8>());
    }
}
