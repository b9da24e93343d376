//! Which invocations are open, as the function's wrapper tells it. The ids are the function's own
//! words: a hint for readers, never a ground for a decision.

use crate::report::{LateOutput, Phase, Stream};
use std::collections::VecDeque;

/// How many invocations may be open at once.
const MOST: usize = 1024;
/// How many a record names.
const MOST_NAMED: usize = 16;

/// The invocations that are open.
#[derive(Debug, Default)]
pub(crate) struct Invocations {
    open: Vec<String>,
    /// Whether there has been one.
    any: bool,
    /// Those that ended last, the last ones of them.
    ended: VecDeque<String>,
    late: [u64; 2],
}

impl Invocations {
    /// Opens one; what came late before it is handed out.
    pub(crate) fn start(&mut self, id: &str) -> Result<Vec<LateOutput>, &'static str> {
        if self.open.len() >= MOST {
            return Err("too many invocations are open");
        }
        let late = self.take_late();
        if self.open.is_empty() {
            self.ended.clear();
        }
        self.any = true;
        self.open.push(id.to_owned());
        Ok(late)
    }

    /// Whether one of this id is open.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.open.iter().any(|open| open == id)
    }

    /// Closes one.
    pub(crate) fn finish(&mut self, id: &str) -> Result<(), &'static str> {
        let at = self.open.iter().position(|open| open == id).ok_or("no such invocation is open")?;
        let id = self.open.swap_remove(at);
        // One that stays open keeps the list from being emptied.
        if self.ended.len() >= MOST_NAMED {
            self.ended.pop_front();
        }
        self.ended.push_back(id);
        Ok(())
    }

    /// Bytes came; after a response they are late.
    pub(crate) fn wrote(&mut self, stream: Stream, bytes: usize) {
        if self.phase() == Phase::Late {
            let slot = &mut self.late[usize::from(stream == Stream::Stderr)];
            *slot = slot.saturating_add(bytes as u64);
        }
    }

    /// What came late since the last call.
    pub(crate) fn take_late(&mut self) -> Vec<LateOutput> {
        let mut out = Vec::new();
        for (stream, slot) in [Stream::Stdout, Stream::Stderr].into_iter().zip(&mut self.late) {
            let bytes = std::mem::take(slot);
            if bytes > 0 {
                out.push(LateOutput { stream, bytes, after: self.ended.iter().cloned().collect() });
            }
        }
        out
    }

    /// Where in its life the function stands.
    pub(crate) fn phase(&self) -> Phase {
        match (self.any, self.open.is_empty()) {
            (false, _) => Phase::Init,
            (true, false) => Phase::Handler,
            (true, true) => Phase::Late,
        }
    }

    /// The ids that are open; after a response none, so that nothing comes under a wrong one.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.open.iter().take(MOST_NAMED).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_between_two_invocations_is_late_and_under_no_id() {
        let mut invocations = Invocations::default();
        assert_eq!(invocations.phase(), Phase::Init);
        invocations.wrote(Stream::Stdout, 5);
        assert!(invocations.start("a").unwrap().is_empty());
        assert_eq!(invocations.ids(), ["a"]);
        invocations.wrote(Stream::Stdout, 5);
        invocations.finish("a").unwrap();
        assert_eq!(invocations.phase(), Phase::Late);
        assert!(invocations.ids().is_empty());
        invocations.wrote(Stream::Stderr, 7);
        let late = invocations.start("b").unwrap();
        assert_eq!(late, [LateOutput { stream: Stream::Stderr, bytes: 7, after: vec!["a".into()] }]);
        assert!(invocations.finish("a").is_err());
    }

    #[test]
    fn ended_invocations_are_bounded_while_one_stays_open() {
        let mut invocations = Invocations::default();
        invocations.start("open").unwrap();
        for number in 0..1000 {
            let id = number.to_string();
            invocations.start(&id).unwrap();
            invocations.finish(&id).unwrap();
        }
        assert_eq!(invocations.ended.len(), MOST_NAMED);
        assert_eq!(invocations.ended.back().map(String::as_str), Some("999"));
    }

    #[test]
    fn open_invocations_are_bounded() {
        let mut invocations = Invocations::default();
        for _ in 0..MOST {
            invocations.start("x").unwrap();
        }
        assert!(invocations.start("x").is_err());
    }
}
