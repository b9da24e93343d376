//! The matcher: the tables of one set of secrets, built once and then only read. The state of a
//! text that is being searched is [`Stream`]'s.

use std::sync::Arc;

use thiserror::Error;
use zeroize::Zeroizing;

use super::automaton::{Automaton, Pattern};
use super::parts;
use super::stream::Stream;
use super::strength::{self, Strength, Weak};

/// The most secrets a matcher takes.
pub const MAX_SECRETS: usize = 1024;
/// The longest value it takes, in bytes.
pub const MAX_VALUE_LEN: usize = 64 * 1024;
/// How long all values together may be, in bytes.
pub const MAX_TOTAL_LEN: usize = 1024 * 1024;
/// How many bytes are spent on values turned round and put in other letters.
const MAX_TURNED_LEN: usize = 12 * 1024;
/// The longest name, in bytes.
const MAX_NAME_LEN: usize = 255;

/// A value to be redacted, and the name that stands in its place.
pub struct Secret {
    /// The name: ASCII letters, digits, `_`, `-` and `.`, at most 255 of them.
    pub name: String,
    /// The value. White space around it is not part of the secret.
    pub value: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// A secret from a name and a copy of its value.
    pub fn new(name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        Secret { name: name.into(), value: Zeroizing::new(value.as_ref().to_vec()) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why no matcher could be built. None of the messages shows a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There are more than [`MAX_SECRETS`] secrets.
    #[error("there are more than {MAX_SECRETS} secrets to redact; name fewer variables as secrets")]
    TooMany,
    /// A value is longer than [`MAX_VALUE_LEN`].
    #[error(
        "the secret {name} has {len} bytes, of which at most {MAX_VALUE_LEN} can be redacted; shorten it"
    )]
    TooLong {
        /// The secret's name.
        name: String,
        /// The value's length in bytes.
        len: usize,
    },
    /// All values together are longer than [`MAX_TOTAL_LEN`].
    #[error(
        "with {name} the secrets have more than {MAX_TOTAL_LEN} bytes together; name fewer variables as secrets"
    )]
    TotalTooLong {
        /// The secret that was one too many.
        name: String,
    },
    /// A name can't stand in a log line.
    #[error(
        "the secret's name {name:?} can't stand in a log line; use ASCII letters, digits, '_', '-' and '.', \
         from 1 to {MAX_NAME_LEN} of them"
    )]
    Name {
        /// The name.
        name: String,
    },
}

/// How often a secret was redacted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The secret's name.
    pub name: Arc<str>,
    /// How many markers bear it.
    pub count: u64,
}

/// Finds secrets in the forms that programs print them in; see the [module](super).
///
/// A matcher doesn't change, and is shared: a clone refers to the same tables. They are overwritten
/// when the last one goes.
///
/// ```
/// use fnguard::redact::{Matcher, Secret};
///
/// let matcher = Matcher::build([Secret::new("STRIPE_KEY", "sk_live_51HqLyjWDarjtT1zdp7dc")])?;
/// let line = r#"{"error":"bad key sk_live_51HqLyjWDarjtT1zdp7dc","header":"c2tfbGl2ZV81MUhxTHlqV0Rhcmp0VDF6ZHA3ZGM="}"#;
/// assert_eq!(
///     matcher.redact_str(line),
///     r#"{"error":"bad key [redacted:STRIPE_KEY]","header":"[redacted:STRIPE_KEY]"}"#
/// );
/// # Ok::<(), fnguard::redact::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Matcher {
    tables: Arc<Tables>,
}

/// Whether a value is one that a matcher does not redact ([`Matcher::weak`]).
#[cfg(guarded_platform)]
pub(crate) fn is_weak(value: &[u8]) -> bool {
    matches!(strength::strength(value.trim_ascii()), Strength::Weak(_))
}

/// What a matcher knows.
pub(super) struct Tables {
    /// Values that are searched for in every form.
    pub(super) strong: Automaton,
    /// Values that are searched for as whole tokens.
    pub(super) tokens: Automaton,
    names: Vec<Arc<str>>,
    weak: Vec<Weak>,
}

impl Matcher {
    /// Builds a matcher. Of equal values the first one's name is used.
    ///
    /// # Errors
    ///
    /// [`BuildError`] when there are too many secrets, they are too long, or a name is unusable.
    pub fn build(secrets: impl IntoIterator<Item = Secret>) -> Result<Self, BuildError> {
        Matcher::assemble(secrets.into_iter().map(|secret| (secret, None)))
    }

    /// Builds a matcher for texts that have to name something, where code that wants it unnamed has chosen
    /// the secrets in `late`. Of those a beginning is no match, only the whole; and none of their parts
    /// that `spared` says yes to is looked for.
    ///
    /// # Errors
    ///
    /// As [`Matcher::build`].
    #[cfg(guarded_platform)]
    pub(crate) fn build_sparing(
        secrets: impl IntoIterator<Item = Secret>,
        late: impl IntoIterator<Item = Secret>,
        spared: fn(&[u8]) -> bool,
    ) -> Result<Self, BuildError> {
        let secrets = secrets.into_iter().map(|secret| (secret, None));
        Matcher::assemble(secrets.chain(late.into_iter().map(|secret| (secret, Some(spared)))))
    }

    fn assemble(
        secrets: impl Iterator<Item = (Secret, Option<fn(&[u8]) -> bool>)>,
    ) -> Result<Self, BuildError> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut weak = Vec::new();
        let (mut strong, mut tokens) = (Vec::new(), Vec::new());
        let (mut total, mut turned) = (0usize, MAX_TURNED_LEN);
        for (Secret { name, mut value }, spared) in secrets {
            let index = u16::try_from(names.len()).ok().filter(|&at| usize::from(at) < MAX_SECRETS);
            let Some(index) = index else { return Err(BuildError::TooMany) };
            if !is_name(&name) {
                return Err(BuildError::Name { name });
            }
            if value.len() > MAX_VALUE_LEN {
                return Err(BuildError::TooLong { name, len: value.len() });
            }
            total += value.len();
            if total > MAX_TOTAL_LEN {
                return Err(BuildError::TotalTooLong { name });
            }
            names.push(Arc::from(name.as_str()));
            let trimmed = value.trim_ascii();
            if trimmed.len() < value.len() {
                value = Zeroizing::new(trimmed.to_vec());
            }
            let len = value.len();
            let (patterns, among) = match strength::strength(&value) {
                Strength::Weak(reason) => {
                    weak.push(Weak { name, reason });
                    continue;
                }
                Strength::Token => {
                    let identifying = strength::identifying_len(&value);
                    (vec![Pattern { identifying, bytes: value, name: index, fragment: len }], &mut tokens)
                }
                Strength::Strong => (parts::parts(&value, index, &mut turned), &mut strong),
            };
            among.extend(patterns.into_iter().filter_map(|pattern| match spared {
                None => Some(pattern),
                Some(spared) if spared(&pattern.bytes) => None,
                Some(_) => {
                    let whole = pattern.bytes.len();
                    Some(Pattern { fragment: whole, identifying: whole, ..pattern })
                }
            }));
        }
        let (strong, tokens) = (Automaton::build(strong), Automaton::build(tokens));
        Ok(Matcher { tables: Arc::new(Tables { strong, tokens, names, weak }) })
    }

    /// The secrets that are not redacted since they can't be told from ordinary text.
    pub fn weak(&self) -> &[Weak] {
        &self.tables.weak
    }

    /// Redacts a whole text. A beginning of a secret at its very end is masked as `[redacted:NAME?]`.
    pub fn redact(&self, text: &[u8]) -> Vec<u8> {
        self.redact_counted(text).0
    }

    /// Redacts a whole text that is UTF-8. Should a piece of a secret end inside a character, the
    /// rest of that character becomes U+FFFD.
    pub fn redact_str(&self, text: &str) -> String {
        String::from_utf8(self.redact(text.as_bytes()))
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Redacts a whole text, and tells how often each secret occurred in it.
    pub fn redact_counted(&self, text: &[u8]) -> (Vec<u8>, Vec<Count>) {
        let mut stream = Stream::new();
        let mut out = Vec::with_capacity(text.len());
        stream.push(self, text, &mut out);
        stream.finish(self, &mut out);
        (out, stream.counts().to_vec())
    }

    /// How much memory the tables take, in bytes.
    pub fn memory(&self) -> usize {
        self.tables.strong.memory() + self.tables.tokens.memory()
    }

    pub(super) fn tables(&self) -> &Arc<Tables> {
        &self.tables
    }
}

impl Tables {
    /// The name with an index.
    pub(super) fn name(&self, index: u16) -> Arc<str> {
        self.names.get(usize::from(index)).cloned().unwrap_or_default()
    }
}

impl std::fmt::Debug for Matcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Matcher")
            .field("secrets", &self.tables.names)
            .field("weak", &self.tables.weak)
            .finish_non_exhaustive()
    }
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
