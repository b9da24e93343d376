//! Which violations get a record of their own, and what is counted instead. Memory is bounded
//! whatever a function does: kinds, targets of a kind and targets together each have a cap.
//!
//! A *kind* is (control, action, system call, rule). The first violation of a kind is always
//! printed, so a flood of one kind can't hide another. Within a kind each new target is printed
//! up to [`TARGETS_OF_A_KIND`]; every other violation is counted, and a summary tells the count.

use super::record::{Action, Control, Suppressed, Violation};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, SystemTime};

/// How many targets of one kind get a record.
pub const TARGETS_OF_A_KIND: usize = 64;
/// How many targets get a record together; the first of a kind does beyond it too.
pub const TARGETS: usize = 2048;
/// How many kinds are told apart: more than there are named calls and rules to combine. Numbers that
/// have no name share one kind, so a function can't use the kinds up by making numbers up. Beyond
/// the cap a kind is (control, action) only.
pub const KINDS: usize = 2048;
/// What a call without a name is called in a violation, before its number.
const NAMELESS: &str = "syscall_";
/// How many request ids a summary names.
const REQUEST_IDS: usize = 16;
/// The most bytes that are kept of a system call's name or a request id, and of any other text.
const WORD_KEPT: usize = 64;
const TEXT_KEPT: usize = 255;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    control: Control,
    action: Action,
    /// System call and rule; `None` beyond [`KINDS`].
    call: Option<(String, String)>,
}

impl Kind {
    /// Call and rule, where the kind is that of one call.
    fn named(&self) -> Option<&(String, String)> {
        self.call.as_ref().filter(|(call, _)| call != NAMELESS)
    }
}

#[derive(Default)]
struct Tally {
    /// Keyed hashes of the targets that have a record. A collision makes a new target count as a
    /// repeated one, so that none must be found on purpose.
    printed: BTreeSet<u64>,
    count: u64,
    unlisted: u64,
    last: Option<String>,
    request_ids: Vec<String>,
}

pub(super) struct Limiter {
    /// How long a target's record holds before it is printed anew.
    window: Duration,
    window_start: Option<SystemTime>,
    hashes: RandomState,
    kinds: BTreeMap<Kind, Tally>,
    /// How many targets all kinds hold.
    printed: usize,
    /// When the oldest violation that no record tells of was counted.
    pending_since: Option<SystemTime>,
}

impl Limiter {
    pub(super) fn new(window: Duration) -> Self {
        Limiter {
            window,
            window_start: None,
            hashes: RandomState::new(),
            kinds: BTreeMap::new(),
            printed: 0,
            pending_since: None,
        }
    }

    /// Whether the violation gets a record; if not, it has been counted.
    pub(super) fn admit(
        &mut self,
        violation: &Violation,
        now: SystemTime,
        redact: super::Redact<'_>,
    ) -> bool {
        self.roll(now);
        let kind = self.kind(violation);
        let target = target(&self.hashes, violation, kind.call.is_none() || is_nameless(violation));
        let printed_together = self.printed;
        let tally = self.kinds.entry(kind).or_default();
        let known = tally.printed.contains(&target);
        let first = tally.printed.is_empty();
        let room = tally.printed.len() < TARGETS_OF_A_KIND && printed_together < TARGETS;
        if first || (!known && room) {
            tally.printed.insert(target);
            self.printed = self.printed.saturating_add(1);
            return true;
        }
        tally.count = tally.count.saturating_add(1);
        if !known {
            tally.unlisted = tally.unlisted.saturating_add(1);
            tally.last = described(violation).map(|text| kept(&redact(text), TEXT_KEPT));
        }
        for id in &violation.request_ids {
            if tally.request_ids.len() >= REQUEST_IDS {
                break;
            }
            let id = kept(&redact(id), WORD_KEPT);
            if !tally.request_ids.contains(&id) {
                tally.request_ids.push(id);
            }
        }
        self.pending_since.get_or_insert(now);
        false
    }

    /// Takes what was counted since the last call, one record a kind.
    pub(super) fn take(&mut self) -> Vec<Suppressed> {
        self.pending_since = None;
        let counted = self.kinds.iter_mut().filter(|(_, tally)| tally.count > 0);
        counted
            .map(|(kind, tally)| Suppressed {
                control: kind.control,
                action: kind.action,
                syscall: kind.named().map(|(syscall, _)| syscall.clone()),
                rule: kind.named().map(|(_, rule)| rule.clone()),
                count: std::mem::take(&mut tally.count),
                targets: u64::try_from(tally.printed.len()).unwrap_or(u64::MAX),
                unlisted: std::mem::take(&mut tally.unlisted),
                last: tally.last.take(),
                request_ids: std::mem::take(&mut tally.request_ids),
            })
            .collect()
    }

    /// Since when something waits for [`Limiter::take`].
    pub(super) fn pending_since(&self) -> Option<SystemTime> {
        self.pending_since
    }

    /// Forgets the targets once the window is over, so that a process that lives for days prints
    /// them again. A clock that was set back begins a window too.
    fn roll(&mut self, now: SystemTime) {
        let over = match self.window_start {
            None => true,
            Some(start) => now.duration_since(start).map_or(true, |passed| passed >= self.window),
        };
        if over {
            self.window_start = Some(now);
            self.printed = 0;
            self.kinds.retain(|_, tally| {
                tally.printed.clear();
                tally.count > 0
            });
        }
    }

    fn kind(&self, violation: &Violation) -> Kind {
        let call = if is_nameless(violation) { NAMELESS } else { violation.syscall.as_str() };
        let call = Some((kept(call, WORD_KEPT), kept(&violation.rule, TEXT_KEPT)));
        let kind = Kind { control: violation.control, action: violation.action, call };
        if self.kinds.len() < KINDS || self.kinds.contains_key(&kind) {
            kind
        } else {
            Kind { call: None, ..kind }
        }
    }
}

fn is_nameless(violation: &Violation) -> bool {
    violation.syscall.strip_prefix(NAMELESS).is_some_and(|number| number.parse::<i64>().is_ok())
}

/// What tells violations of one kind apart; beyond the cap on kinds, the call and rule too.
fn target(hashes: &RandomState, violation: &Violation, with_call: bool) -> u64 {
    let Violation { address, name, path, program, detail, .. } = violation;
    let call = with_call.then_some((&violation.syscall, &violation.rule));
    hashes.hash_one((address, name, path, program, detail, call))
}

/// The one text that says most about the target.
fn described(violation: &Violation) -> Option<&str> {
    let Violation { address, name, path, program, detail, .. } = violation;
    [name, address, program, path, detail].into_iter().find_map(Option::as_deref)
}

/// At most `most` bytes of a text, cut between characters.
fn kept(text: &str, most: usize) -> String {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|&end| end <= most).last();
    text.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
