//! Which redactions get a record at once, and what is counted instead: of each secret in each stream the
//! first gets one, the rest is counted until a summary. A function that prints its key in a loop fills
//! the log with its own lines, not with ours. Not the limit on violations, which is `limit`'s.

use super::record::{Redacted, Stream};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// How many request ids a record names.
const REQUEST_IDS: usize = 16;

/// As many entries as there are secrets and streams, which the matcher bounds.
#[derive(Default)]
pub(super) struct Redactions {
    tallies: BTreeMap<(String, Stream), Tally>,
    pending_since: Option<SystemTime>,
}

#[derive(Default)]
struct Tally {
    count: u64,
    request_ids: Vec<String>,
}

impl Redactions {
    /// Whether it gets a record; if not, it has been counted.
    pub(super) fn admit(&mut self, redacted: &Redacted, now: SystemTime) -> bool {
        let key = (redacted.name.clone(), redacted.stream);
        let Some(tally) = self.tallies.get_mut(&key) else {
            self.tallies.insert(key, Tally::default());
            return true;
        };
        tally.count = tally.count.saturating_add(redacted.count);
        for id in &redacted.request_ids {
            if tally.request_ids.len() < REQUEST_IDS && !tally.request_ids.contains(id) {
                tally.request_ids.push(id.clone());
            }
        }
        self.pending_since.get_or_insert(now);
        false
    }

    /// Takes what was counted since the last call; the next of each gets a record again.
    pub(super) fn take(&mut self) -> Vec<Redacted> {
        self.pending_since = None;
        let counted = std::mem::take(&mut self.tallies).into_iter().filter(|(_, tally)| tally.count > 0);
        counted
            .map(|((name, stream), Tally { count, request_ids })| Redacted {
                name,
                count,
                stream,
                request_ids,
            })
            .collect()
    }

    /// Since when something waits for [`Redactions::take`].
    pub(super) fn pending_since(&self) -> Option<SystemTime> {
        self.pending_since
    }
}
