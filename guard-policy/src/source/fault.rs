//! A fault of one value, before it has a place in the file. The readers of rules, paths and names
//! make them; `document.rs` knows where the value stands and makes the `Diagnostic`.

use super::diagnostic::Severity;
use std::ops::Range;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) severity: Severity,
    /// The bytes of the value that are meant; all of it if `None`.
    pub(super) within: Option<Range<usize>>,
    pub(super) message: String,
    pub(super) expected: Option<String>,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Fault { severity: Severity::Error, within: None, message: message.into(), expected: None, help: None }
    }

    pub(super) fn warning(message: impl Into<String>) -> Self {
        Fault { severity: Severity::Warning, ..Self::error(message) }
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Means only `part`, which must be a slice of `whole`.
    pub(super) fn at(mut self, whole: &str, part: &str) -> Self {
        self.within = part
            .as_ptr()
            .addr()
            .checked_sub(whole.as_ptr().addr())
            .filter(|start| start.saturating_add(part.len()) <= whole.len())
            .map(|start| start..start.saturating_add(part.len()));
        self
    }
}
