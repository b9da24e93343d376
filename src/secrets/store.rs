//! The arbiter's store of secrets: names, and values in pages of their own.

use crate::error::ArmError;
use crate::sys::memory::SecretPages;
use std::ops::Range;

/// Secrets by name. Values stand in pages that no child inherits and no dump holds.
#[derive(Debug)]
pub(crate) struct Store {
    pages: SecretPages,
    entries: Vec<(String, Range<usize>)>,
}

impl Store {
    /// A store with room for this many bytes of values.
    pub(crate) fn with_room(bytes: usize) -> Result<Self, ArmError> {
        let pages = SecretPages::with_room(bytes).map_err(ArmError::call("mapping pages for secrets"))?;
        Ok(Store { pages, entries: Vec::new() })
    }

    /// Adds a value. A second value of one name is kept for redaction under the same name.
    pub(crate) fn add(&mut self, name: &str, value: &[u8]) -> Result<(), ArmError> {
        let range = self
            .pages
            .push(value)
            .ok_or(ArmError::Call { failing: "storing a secret", source: crate::sys::Errno(libc::ENOMEM) })?;
        self.entries.push((name.to_owned(), range));
        Ok(())
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(stored, _)| *stored == name).map(|(_, value)| value)
    }

    /// Every name with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().map(|(name, range)| (name.as_str(), self.pages.get(range.clone())))
    }

    /// What the child does after the fork: its pages are not mapped, so nothing is touched.
    pub(crate) fn forget(self) {
        self.pages.forget();
    }
}
