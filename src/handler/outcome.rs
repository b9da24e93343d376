//! What can be done with a handler's outcome, by its type.
//!
//! The attribute does not know types, and handlers have many error types. So the expansion calls
//! `texts()` and `rebuild()` on an [`Outcome`] under several references, and method resolution takes
//! the first trait that applies, from the outermost reference inwards: "autoref specialisation".
//!
//! | `texts` | error type | looked through |
//! |---|---|---|
//! | [`TextsOfError`] | an `Error` | `Display`, `Debug`, sources |
//! | [`TextsOfDyn`] | holds a `dyn Error + Send + Sync`: boxed, anyhow, eyre | `Display`, `{:#}`, `Debug`, sources |
//! | [`TextsOfBox`] | holds a `dyn Error` | `Display`, `Debug`, sources |
//! | [`TextsOfDisplay`] | prints for people | `Display`, `{:#}`, `Debug` |
//! | [`TextsOfDebug`] | prints for programmers | `Debug` |
//! | [`TextsOfNothing`] | anything else, and what is no `Result` | nothing |
//!
//! | `rebuild` | error type | an error that held a secret |
//! |---|---|---|
//! | [`RebuildFromError`] | made from any `Error` | is replaced by a [`RedactedError`] |
//! | [`RebuildFromText`] | made from a `String` | is replaced by its redacted text |
//! | [`RebuildNothing`] | anything else | becomes a panic with the redacted text |

use super::redaction::{Payload, Redact, RedactedError, Texts, redact_texts};
use crate::error::Error;
use std::error::Error as StdError;
use std::fmt::{Debug, Display};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// A handler's outcome, as a type.
#[derive(Debug)]
pub struct Outcome<O>(PhantomData<fn() -> O>);

// Whatever the outcome is; derived, they would ask it of the outcome.
impl<O> Clone for Outcome<O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Outcome<O> {}

impl<O> Outcome<O> {
    pub(super) const fn new() -> Self {
        Outcome(PhantomData)
    }

    /// The outcome of a future.
    pub const fn of_future<F: Future<Output = O>>(_: &F) -> Self {
        Outcome::new()
    }

    /// The outcome of a call.
    pub const fn of_call<F: FnOnce() -> O>(_: &F) -> Self {
        Outcome::new()
    }
}

/// Reads every text of an outcome that is an error.
type ReadTexts<O> = fn(&O) -> Option<Texts>;
/// Makes an outcome of an error.
type Rebuild<O> = fn(RedactedError) -> O;

/// What can be done with an outcome.
#[derive(Debug)]
pub struct Plan<O> {
    texts: ReadTexts<O>,
    rebuild: Option<Rebuild<O>>,
}

impl<O> Plan<O> {
    /// From the two that method resolution has found.
    pub const fn new(texts: ReadTexts<O>, rebuild: Option<Rebuild<O>>) -> Self {
        Plan { texts, rebuild }
    }

    /// Fails the invocation with a text that holds no secret.
    pub(super) fn fail(&self, text: String) -> O {
        match self.rebuild {
            Some(rebuild) => rebuild(RedactedError::from_text(text)),
            None => panic!("{text}"),
        }
    }

    /// The outcome, or what stands in its place if its texts hold a secret.
    pub(super) fn redact(&self, outcome: O, redact: Redact) -> Result<O, Payload> {
        // Printing an error is the handler's code as well, and may panic.
        let texts = catch_unwind(AssertUnwindSafe(|| (self.texts)(&outcome)))?;
        let Some(error) = texts.and_then(|texts| redact_texts(&texts, redact)) else { return Ok(outcome) };
        catch_unwind(AssertUnwindSafe(|| {
            drop(outcome);
            match self.rebuild {
                Some(rebuild) => rebuild(error),
                None => panic!("the handler's error held a secret: {}", error.into_text()),
            }
        }))
    }

    /// What the caller of the handler gets, once the invocation is closed or could not be.
    pub(super) fn settle(&self, end: Result<O, Payload>, closed: Result<(), Error>) -> O {
        match (end, closed) {
            (Err(payload), _) => resume_unwind(payload),
            (Ok(outcome), Ok(())) => outcome,
            (Ok(_), Err(error)) => self.fail(format!("fnguard: the invocation cannot be closed: {error}")),
        }
    }
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident, $receiver:ty, [$($bound:tt)+], $read:expr) => {
        $(#[$doc])*
        pub trait $name<T, E> {
            /// How to read the texts.
            fn texts(self) -> ReadTexts<Result<T, E>>;
        }

        impl<T, E: $($bound)+> $name<T, E> for $receiver {
            fn texts(self) -> ReadTexts<Result<T, E>> {
                |outcome| outcome.as_ref().err().map($read)
            }
        }
    };
}

texts!(
    /// An error type.
    TextsOfError, &&&&&Outcome<Result<T, E>>, [StdError],
    |error| Texts { others: sources(error.source()), ..both(error) }
);
texts!(
    /// A box of an error that can be sent, of whatever make.
    TextsOfDyn, &&&&Outcome<Result<T, E>>, [AsRef<dyn StdError + Send + Sync> + Display + Debug],
    |error| {
        let inner: &(dyn StdError + Send + Sync) = error.as_ref();
        let mut others = sources(Some(inner));
        others.push(format!("{error:#}"));
        Texts { others, ..both(error) }
    }
);
texts!(
    /// A box of an error.
    TextsOfBox, &&&Outcome<Result<T, E>>, [AsRef<dyn StdError> + Display + Debug],
    |error| Texts { others: sources(Some(error.as_ref())), ..both(error) }
);
texts!(
    /// What prints itself for people.
    TextsOfDisplay, &&Outcome<Result<T, E>>, [Display + Debug],
    |error| Texts { others: vec![format!("{error:#}")], ..both(error) }
);
texts!(
    /// What prints itself for programmers.
    TextsOfDebug, &Outcome<Result<T, E>>, [Debug],
    |error| {
        let debug = format!("{error:?}");
        Texts { display: debug.clone(), debug, others: Vec::new() }
    }
);

/// What prints nothing, and what is no `Result`.
pub trait TextsOfNothing<O> {
    /// How to read no texts.
    fn texts(self) -> ReadTexts<O>;
}

impl<O> TextsOfNothing<O> for Outcome<O> {
    fn texts(self) -> ReadTexts<O> {
        |_| None
    }
}

fn both(error: &(impl Display + Debug)) -> Texts {
    Texts { display: error.to_string(), debug: format!("{error:?}"), others: Vec::new() }
}

/// The texts of an error and of what it comes from.
fn sources(mut next: Option<&(dyn StdError + 'static)>) -> Vec<String> {
    let mut texts = Vec::new();
    // A chain is short, unless somebody ties a knot in it.
    while let Some(error) = next.filter(|_| texts.len() < 128) {
        texts.push(error.to_string());
        texts.push(format!("{error:?}"));
        next = error.source();
    }
    texts
}

/// An error type that is made from any error.
pub trait RebuildFromError<O> {
    /// How to make one.
    fn rebuild(self) -> Option<Rebuild<O>>;
}

impl<T, E: From<RedactedError>> RebuildFromError<Result<T, E>> for &&Outcome<Result<T, E>> {
    fn rebuild(self) -> Option<Rebuild<Result<T, E>>> {
        Some(|error| Err(error.into()))
    }
}

/// An error type that is made from a text.
pub trait RebuildFromText<O> {
    /// How to make one.
    fn rebuild(self) -> Option<Rebuild<O>>;
}

impl<T, E: From<String>> RebuildFromText<Result<T, E>> for &Outcome<Result<T, E>> {
    fn rebuild(self) -> Option<Rebuild<Result<T, E>>> {
        Some(|error| Err(error.into_text().into()))
    }
}

/// An outcome of which no failure can be made.
pub trait RebuildNothing<O> {
    /// No way to make one.
    fn rebuild(self) -> Option<Rebuild<O>>;
}

impl<O> RebuildNothing<O> for Outcome<O> {
    fn rebuild(self) -> Option<Rebuild<O>> {
        None
    }
}
