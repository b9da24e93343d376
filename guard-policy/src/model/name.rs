//! Host names: one normal form, compared label by label. Not resolution, which is the arbiter's.
//!
//! Source of the limits: RFC 1035 section 2.3.4 (63 octets a label, 255 a name in wire form).
//!
//! ```
//! use fnguard_policy::model::{Name, NamePattern, name::NameError};
//!
//! let pattern = NamePattern::OneLabel(Name::parse("stripe.com")?);
//! assert!(pattern.matches(&Name::parse("API.stripe.com.")?));
//! assert!(!pattern.matches(&Name::parse("notstripe.com")?));
//! assert_eq!(Name::parse("api..com"), Err(NameError::Label));
//! # Ok::<(), NameError>(())
//! ```

use serde::{Deserialize, Serialize};

/// A host name in normal form: lower-case ASCII labels, no trailing dot, top level last.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Name {
    labels: Vec<String>,
}

/// Why a text or a wire name is no [`Name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The name has no label.
    #[error("the name is empty")]
    Empty,
    /// A label is empty or longer than 63 octets.
    #[error("a label must have 1 to 63 characters")]
    Label,
    /// The name is longer than 253 characters.
    #[error("the name is longer than 253 characters")]
    Long,
    /// A label has a byte other than a letter, a digit, `-` or `_`.
    #[error("a label may only have letters, digits, '-' and '_'")]
    Byte,
}

impl Name {
    /// Builds a name from labels as they stand in a DNS message. A label that holds a dot, a
    /// NUL or any byte outside `[A-Za-z0-9_-]` is refused, never joined.
    ///
    /// ```
    /// # use fnguard_policy::model::Name;
    /// assert!(Name::from_labels([b"api.stripe".as_slice(), b"com"]).is_err());
    /// assert_eq!(Name::from_labels([b"API".as_slice(), b"stripe", b"com"])?.to_string(), "api.stripe.com");
    /// # Ok::<(), fnguard_policy::model::name::NameError>(())
    /// ```
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut out = Vec::new();
        let mut total = 0usize;
        for label in labels {
            if label.is_empty() || label.len() > 63 {
                return Err(NameError::Label);
            }
            if !label.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(NameError::Byte);
            }
            total = total.saturating_add(label.len() + 1);
            if total > 254 {
                return Err(NameError::Long);
            }
            out.push(label.iter().map(|b| char::from(b.to_ascii_lowercase())).collect());
        }
        if out.is_empty() {
            return Err(NameError::Empty);
        }
        Ok(Name { labels: out })
    }

    /// Parses `api.stripe.com` or `api.stripe.com.`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        Self::from_labels(text.split('.').map(str::as_bytes))
    }

    /// The labels, top level last.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

impl TryFrom<Vec<String>> for Name {
    type Error = NameError;

    /// The way in from an encoded policy, held to the same rules as any other.
    fn try_from(labels: Vec<String>) -> Result<Self, NameError> {
        Self::from_labels(labels.iter().map(String::as_bytes))
    }
}

impl From<Name> for Vec<String> {
    fn from(name: Name) -> Self {
        name.labels
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.labels.join("."))
    }
}

/// A name, or a family of names below one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NamePattern {
    /// `api.stripe.com`.
    Exact(Name),
    /// `*.stripe.com`: exactly one label more.
    OneLabel(Name),
    /// `**.stripe.com`: one label more, or several.
    AnyDepth(Name),
}

impl NamePattern {
    /// Whether the pattern covers the name.
    pub fn matches(&self, name: &Name) -> bool {
        match self {
            NamePattern::Exact(exact) => exact == name,
            NamePattern::OneLabel(base) => {
                name.labels.len() == base.labels.len() + 1 && name.labels.ends_with(&base.labels)
            }
            NamePattern::AnyDepth(base) => {
                name.labels.len() > base.labels.len() && name.labels.ends_with(&base.labels)
            }
        }
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NamePattern::Exact(name) => write!(f, "{name}"),
            NamePattern::OneLabel(base) => write!(f, "*.{base}"),
            NamePattern::AnyDepth(base) => write!(f, "**.{base}"),
        }
    }
}
