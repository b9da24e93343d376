//! The violations that the function may ask for: the newest, in a bounded memory, each with the
//! texts as they stand in its record. Not the records' way into the log, which is `witness`'s.

use crate::link::Told;
use crate::report::text::{NAME_MAX, PATH_MAX, shown};
use crate::report::{Redact, Suppressed, Violation};
use std::collections::VecDeque;

/// How many bytes are kept, as [`size`] counts them. The reporter lets through 2,112 violations in ten
/// minutes at most; who asks at the end of each invocation misses none of an ordinary number.
const MOST: usize = 64 * 1024;
/// How many bytes one answer carries, unless a single violation has more: far below a packet's.
const MOST_TOLD: usize = 32 * 1024;
/// The most bytes of a request id.
const ID_MAX: usize = 64;
/// The most request ids of a violation that are kept.
const MOST_IDS: usize = 16;

/// The newest violations. They are numbered from 1 by themselves, so that whoever asks knows how
/// many there were between two that it got; `seq`, the number in the log, counts other records too.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: VecDeque<Told>,
    bytes: usize,
    /// The number of the newest.
    newest: u64,
}

impl Recent {
    /// Keeps a violation that has a record of its own.
    pub(super) fn violation(&mut self, violation: &Violation, seq: u64, redact: Redact<'_>) {
        let text = |text: &Option<String>, cap| text.as_deref().map(|text| foreign(text, cap, redact));
        self.push(Told {
            seq,
            action: violation.action.as_str().to_owned(),
            control: violation.control.as_str().to_owned(),
            syscall: Some(shown(&violation.syscall, NAME_MAX)),
            address: text(&violation.address, NAME_MAX),
            name: text(&violation.name, NAME_MAX),
            path: text(&violation.path, PATH_MAX),
            program: text(&violation.program, PATH_MAX),
            detail: text(&violation.detail, PATH_MAX),
            rule: Some(shown(&violation.rule, NAME_MAX)),
            phase: violation.phase.as_str().map(str::to_owned),
            request_ids: ids(&violation.request_ids, redact),
            count: 1,
        });
    }

    /// Keeps a count of violations that have none.
    pub(super) fn suppressed(&mut self, suppressed: &Suppressed, seq: u64, redact: Redact<'_>) {
        self.push(Told {
            seq,
            action: suppressed.action.as_str().to_owned(),
            control: suppressed.control.as_str().to_owned(),
            syscall: suppressed.syscall.as_deref().map(|text| shown(text, NAME_MAX)),
            detail: suppressed.last.as_deref().map(|text| foreign(text, NAME_MAX, redact)),
            rule: suppressed.rule.as_deref().map(|text| shown(text, NAME_MAX)),
            request_ids: ids(&suppressed.request_ids, redact),
            count: suppressed.count,
            ..Told::default()
        });
    }

    /// Hands on those after the one numbered `after`, as many as go into one answer: the number of
    /// the first, they, and the number of the newest.
    pub(super) fn after(&self, after: u64) -> (u64, Vec<Told>, u64) {
        let oldest = self.newest.saturating_sub(self.kept.len() as u64).saturating_add(1);
        let first = after.min(self.newest).saturating_add(1).max(oldest);
        let skip = usize::try_from(first.saturating_sub(oldest)).unwrap_or(usize::MAX);
        let mut bytes = 0usize;
        let fits = |told: &&Told| {
            let before = bytes;
            bytes = bytes.saturating_add(size(told));
            before == 0 || bytes <= MOST_TOLD
        };
        let told = self.kept.iter().skip(skip).take_while(fits).cloned().collect();
        (first, told, self.newest)
    }

    fn push(&mut self, told: Told) {
        self.newest = self.newest.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size(&told));
        self.kept.push_back(told);
        while self.bytes > MOST {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(size(&oldest));
        }
    }
}

/// A text that the function had a hand in, as in a record on a terminal.
fn foreign(text: &str, cap: usize, redact: Redact<'_>) -> String {
    shown(&redact(text), cap)
}

fn ids(ids: &[String], redact: Redact<'_>) -> Vec<String> {
    ids.iter().take(MOST_IDS).map(|id| foreign(id, ID_MAX, redact)).collect()
}

/// About how many bytes one takes, here and in a packet.
fn size(told: &Told) -> usize {
    let Told { action, control, syscall, address, name, path, program, detail, rule, phase, .. } = told;
    let texts = [syscall, address, name, path, program, detail, rule, phase];
    let texts = texts.into_iter().flatten().chain([action, control]).chain(&told.request_ids);
    texts.fold(size_of::<Told>(), |sum, text| sum.saturating_add(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Answer, LONGEST};
    use crate::redact::{Matcher, Secret};
    use crate::report::{Action, Control};

    fn none(text: &str) -> String {
        text.to_owned()
    }

    fn violation(path: String) -> Violation {
        let new = Violation::new(Control::Files, Action::Blocked, "openat", "files.write");
        Violation { path: Some(path), ..new }
    }

    /// Asks until there is nothing new, as the function's side does: the paths, and how many are missing.
    fn drain(recent: &Recent, mut after: u64) -> (Vec<String>, u64) {
        let (mut paths, mut missed) = (Vec::new(), 0);
        loop {
            let (first, told, newest) = recent.after(after);
            let packet = Answer::Violations { first, told: told.clone(), newest };
            assert!(postcard::to_allocvec(&packet).unwrap().len() <= LONGEST);
            missed += first - after - 1;
            after = first - 1 + told.len() as u64;
            paths.extend(told.into_iter().filter_map(|told| told.path));
            if after == newest {
                return (paths, missed);
            }
        }
    }

    #[test]
    fn who_asks_gets_each_once_and_in_order() {
        let mut recent = Recent::default();
        assert_eq!(drain(&recent, 0), (Vec::new(), 0));
        for at in 0..3 {
            recent.violation(&violation(format!("/{at}")), 10 + at, &none);
        }
        assert_eq!(drain(&recent, 0), (vec!["/0".into(), "/1".into(), "/2".into()], 0));
        assert_eq!(drain(&recent, 2), (vec!["/2".into()], 0));
        assert_eq!(drain(&recent, 3), (Vec::new(), 0));
        // A number that none has had.
        assert_eq!(recent.after(u64::MAX), (4, Vec::new(), 3));
    }

    #[test]
    fn memory_is_bounded_and_what_is_gone_is_told() {
        let mut recent = Recent::default();
        let all = 200;
        for at in 0..all {
            let mut violation = violation(format!("/{at}/{}", "é".repeat(1024)));
            violation.program = Some("x".repeat(2048));
            violation.request_ids = vec!["\u{202e}".repeat(128); 64];
            recent.violation(&violation, at, &none);
            assert!(recent.bytes <= MOST);
        }
        let (paths, missed) = drain(&recent, 0);
        assert!(paths.len() > 10, "only {}", paths.len());
        assert_eq!(paths.len() as u64 + missed, all);
        assert!(paths.last().unwrap().starts_with("/199/"));
    }

    #[test]
    fn texts_are_redacted_and_fit_for_a_line() {
        let matcher = Matcher::build([Secret::new("KEY", "sk_live_9f8Qe7Rt6Yu5Io4Pa3")]).unwrap();
        let redact = |text: &str| matcher.redact_str(text);
        let mut recent = Recent::default();
        let hostile = "/tmp/sk_live_9f8Qe7Rt6Yu5Io4Pa3\n\u{1b}[2J{\"fnguard\":\"violation\"}";
        recent.violation(&violation(hostile.to_owned()), 1, &redact);
        let suppressed = Suppressed {
            control: Control::Files,
            action: Action::Audited,
            syscall: None,
            rule: None,
            count: 7,
            targets: 64,
            unlisted: 7,
            last: Some(hostile.to_owned()),
            request_ids: Vec::new(),
        };
        recent.suppressed(&suppressed, 2, &redact);
        let (_, told, _) = recent.after(0);
        for text in [told[0].path.as_deref().unwrap(), told[1].detail.as_deref().unwrap()] {
            assert!(text.starts_with("/tmp/[redacted:KEY]\\n\\u{1b}[2J"), "{text}");
        }
        assert_eq!((told[0].count, told[1].count), (1, 7));
        assert_eq!((told[0].action.as_str(), told[1].action.as_str()), ("blocked", "audited"));
    }
}
