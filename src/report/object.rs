//! A writer of one JSON object on one line. Not a serializer: it knows only what records need, cuts
//! every value to a length, and passes the function's texts through the redaction.

use super::Redact;
use super::text::{push_json, push_plain};

/// The text of a list that was cut short, in both forms.
fn more(count: usize) -> String {
    format!("… {count} more")
}

pub(super) struct Object<'a> {
    out: String,
    redact: Redact<'a>,
}

impl<'a> Object<'a> {
    pub(super) fn new(redact: Redact<'a>) -> Self {
        Object { out: String::from("{"), redact }
    }

    /// A key, which is always a literal of this room.
    fn key(&mut self, key: &'static str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn string(&mut self, text: &str, cap: usize) {
        self.out.push('"');
        push_json(&mut self.out, text, cap);
        self.out.push('"');
    }

    /// A word of the guard's own: escaped and cut, never redacted.
    pub(super) fn own(&mut self, key: &'static str, text: &str, cap: usize) {
        self.key(key);
        self.string(text, cap);
    }

    /// A text that the function had a hand in, if there is one.
    pub(super) fn foreign(&mut self, key: &'static str, text: Option<&str>, cap: usize) {
        if let Some(text) = text {
            self.key(key);
            let text = (self.redact)(text);
            self.string(&text, cap);
        }
    }

    pub(super) fn number(&mut self, key: &'static str, number: Option<impl std::fmt::Display>) {
        if let Some(number) = number {
            self.key(key);
            self.out.push_str(&number.to_string());
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str, value: bool) {
        self.key(key);
        self.out.push_str(if value { "true" } else { "false" });
    }

    /// A list of texts, each redacted and cut to `cap`, all together about `room` bytes; what has
    /// no room is counted in the last element. An empty list is left out.
    pub(super) fn list(&mut self, key: &'static str, items: &[String], cap: usize, room: usize) {
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.out.push('[');
        let start = self.out.len();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            let before = self.out.len();
            let item = (self.redact)(item);
            self.string(&item, cap);
            if self.out.len().saturating_sub(start) > room {
                self.out.truncate(before);
                self.string(&more(items.len().saturating_sub(index)), cap);
                break;
            }
        }
        self.out.push(']');
    }

    /// A list of names with a reason each, as objects. Lengths as in [`Object::list`].
    pub(super) fn reasons<'b>(
        &mut self,
        key: &'static str,
        items: impl Iterator<Item = (&'b str, &'b str)>,
        cap: usize,
        room: usize,
    ) {
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.out.push('[');
        let start = self.out.len();
        for (index, (name, reason)) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            let before = self.out.len();
            self.out.push('{');
            self.own("name", name, cap);
            self.foreign("reason", Some(reason), cap);
            self.out.push('}');
            if self.out.len().saturating_sub(start) > room {
                self.out.truncate(before);
                self.out.push('{');
                self.own("name", &more(items.len().saturating_sub(index)), cap);
                self.out.push('}');
                break;
            }
        }
        self.out.push(']');
    }

    /// An object of words by name, all of them the guard's own. A name that comes twice counts
    /// once, the first time.
    pub(super) fn words<'b>(
        &mut self,
        key: &'static str,
        items: impl Iterator<Item = (&'b str, &'static str)>,
        cap: usize,
        most: usize,
    ) {
        let mut seen = std::collections::BTreeSet::new();
        self.key(key);
        self.out.push('{');
        for (name, word) in items.filter(|(name, _)| seen.insert(*name)).take(most) {
            if !self.out.ends_with('{') {
                self.out.push(',');
            }
            self.string(name, cap);
            self.out.push(':');
            self.string(word, cap);
        }
        self.out.push('}');
    }

    /// `requestId` if one request is open, `requestIds` if several are.
    pub(super) fn request_ids(&mut self, ids: &[String]) {
        match ids {
            [] => {}
            [one] => self.foreign("requestId", Some(one), REQUEST_ID_MAX),
            several => self.list("requestIds", several, REQUEST_ID_MAX, REQUEST_IDS_ROOM),
        }
    }

    /// The requests after which something came: a list always, never a `requestId`, under which
    /// the line would be found as part of the request.
    pub(super) fn after(&mut self, ids: &[String]) {
        self.list("after", ids, REQUEST_ID_MAX, REQUEST_IDS_ROOM);
    }

    /// Members that are finished JSON already.
    pub(super) fn finished(&mut self, members: &str) {
        if !self.out.ends_with('{') {
            self.out.push(',');
        }
        self.out.push_str(members);
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// A request id is a UUID today, 36 characters.
const REQUEST_ID_MAX: usize = 64;
/// Room for the 16 ids that a summary keeps.
const REQUEST_IDS_ROOM: usize = 1152;

/// A sentence for a person at a terminal: the counterpart of [`Object`].
pub(super) struct Plain<'a> {
    out: String,
    redact: Redact<'a>,
}

impl<'a> Plain<'a> {
    pub(super) fn new(redact: Redact<'a>) -> Self {
        Plain { out: String::from(super::imitation::TERMINAL_PREFIX), redact }
    }

    /// Words of the guard's own.
    pub(super) fn own(&mut self, text: &str) -> &mut Self {
        push_plain(&mut self.out, text, super::text::NAME_MAX);
        self
    }

    /// A text that the function had a hand in.
    pub(super) fn foreign(&mut self, text: &str) -> &mut Self {
        let text = (self.redact)(text);
        push_plain(&mut self.out, &text, super::text::PATH_MAX);
        self
    }

    /// A list of texts with commas, about `room` bytes.
    pub(super) fn list(&mut self, items: &[String], room: usize) -> &mut Self {
        let start = self.out.len();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push_str(", ");
            }
            let before = self.out.len();
            let item = (self.redact)(item);
            push_plain(&mut self.out, &item, super::text::NAME_MAX);
            if self.out.len().saturating_sub(start) > room {
                self.out.truncate(before);
                self.out.push_str(&more(items.len().saturating_sub(index)));
                break;
            }
        }
        self
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}
