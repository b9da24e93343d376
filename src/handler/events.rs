//! Violations as `tracing` events in the function, for a handler that wants them there. The record
//! in the log is the arbiter's, and does not depend on this: a subscriber is the function's own code.
//!
//! A subscriber may violate itself, as one does that sends its events to a host that no rule allows.
//! So each round ends at what there was when it began, and none begins inside another: what a
//! subscriber does is told by the next round.

use super::secret::may_go_unarmed;
use crate::error::Error;
use crate::link::{Told, ask};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Emits a `tracing` event for each violation so far, and from now on at the end of each invocation
/// for those that came in it. Without this call there are none; the log has its records either way.
///
/// Call it once the subscriber is set, where `main` begins. A program without a guarded handler calls
/// it again whenever it wants what is new.
///
/// The target of the events is `fnguard::violation`, their level `ERROR` for a call that was blocked and
/// `WARN` for one that was let through. The fields are those of the record: `action`, `control`, `syscall`,
/// `address`, `name`, `path`, `program`, `detail`, `rule`, `phase`, `request_id` (several with commas between) and
/// `seq`, the record's number in the log, as far as each has something to say; and `count`, which is
/// more than 1 where violations were only counted. Texts are redacted, escaped and cut. Where more came
/// than the arbiter keeps for this, an event says how many are missing.
///
/// An event is the function's own word: code in the function can emit the same. What can be believed is
/// the record.
///
/// In unit tests, and in unarmed debug builds, there are no violations, and this does nothing.
///
/// # Errors
///
/// [`Error::NotArmed`] in a release build that a platform has started without the guard, and
/// [`Error::ArbiterGone`].
///
/// ```
/// # fn set_up_a_subscriber() {}
/// fn main() -> Result<(), fnguard::Error> {
///     set_up_a_subscriber(); // tracing_subscriber::fmt().json().init(), say
///     fnguard::trace_violations()?;
///     // lambda_runtime::run(service_fn(handler)).await
///     Ok(())
/// }
/// ```
pub fn trace_violations() -> Result<(), Error> {
    match ROUNDS.run(ask::violations) {
        Err(Error::NotArmed) if may_go_unarmed() => Ok(()),
        answer => {
            WANTED.store(answer.is_ok(), Ordering::Relaxed);
            answer
        }
    }
}

/// Emits what is new, if the function wants it.
pub(super) fn emit_new() {
    if WANTED.load(Ordering::Relaxed) {
        // An arbiter that is gone is noticed when the invocation is closed.
        let _ = ROUNDS.run(ask::violations);
    }
}

static WANTED: AtomicBool = AtomicBool::new(false);
static ROUNDS: Rounds = Rounds { emitted: Mutex::new(0) };

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Which violations have been emitted.
struct Rounds {
    /// The number of the last.
    emitted: Mutex<u64>,
}

/// How the arbiter is asked for violations after one: the first's number, they, the newest's number.
type Ask = fn(u64) -> Result<(u64, Vec<Told>, u64), Error>;

impl Rounds {
    /// Emits what is new when this is called. Nothing is locked while a subscriber runs; two threads
    /// share what there is.
    fn run(&self, ask: Ask) -> Result<(), Error> {
        if INSIDE.replace(true) {
            return Ok(());
        }
        let outcome = self.emit_until_there(ask);
        INSIDE.set(false);
        outcome
    }

    fn emit_until_there(&self, ask: Ask) -> Result<(), Error> {
        let mut end = None;
        loop {
            let (missed, told) = {
                let mut emitted = self.emitted.lock().unwrap_or_else(PoisonError::into_inner);
                if end.is_some_and(|end| *emitted >= end) {
                    return Ok(());
                }
                let (first, mut told, newest) = ask(*emitted)?;
                let end = *end.get_or_insert(newest);
                let before = first.saturating_sub(1).min(end);
                told.truncate(usize::try_from(end.saturating_sub(before)).unwrap_or(usize::MAX));
                let missed = before.saturating_sub(*emitted);
                if missed == 0 && told.is_empty() {
                    return Ok(());
                }
                *emitted = before.saturating_add(told.len() as u64);
                (missed, told)
            };
            // A subscriber that panics fails no invocation; the panic hook has said so.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                if missed > 0 {
                    tracing::event!(
                        target: "fnguard::violation",
                        tracing::Level::WARN,
                        missed,
                        "more violations came than are kept for events; their records are in the log"
                    );
                }
                told.iter().for_each(emit);
            }));
        }
    }
}

fn emit(told: &Told) {
    // The level of an event is part of the place that emits it.
    macro_rules! event {
        ($level:ident) => {
            tracing::event!(
                target: "fnguard::violation",
                tracing::Level::$level,
                action = told.action,
                control = told.control,
                syscall = told.syscall,
                address = told.address,
                name = told.name,
                path = told.path,
                program = told.program,
                detail = told.detail,
                rule = told.rule,
                phase = told.phase,
                request_id = request_id(told),
                count = told.count,
                seq = told.seq,
                "fnguard {} {}",
                told.action,
                told.syscall.as_deref().unwrap_or("further calls"),
            )
        };
    }
    match told.action.as_str() {
        "audited" => event!(WARN),
        _ => event!(ERROR),
    }
}

fn request_id(told: &Told) -> Option<String> {
    (!told.request_ids.is_empty()).then(|| told.request_ids.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fmt::Debug;
    use std::sync::Arc;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    type Fields = BTreeMap<String, String>;

    /// Keeps what is emitted, and does something on each event.
    #[derive(Clone)]
    struct Keeps {
        events: Arc<Mutex<Vec<Fields>>>,
        does: fn(),
    }

    impl Keeps {
        fn events_of(does: fn(), run: impl FnOnce()) -> Vec<Fields> {
            let keeps = Keeps { events: Arc::default(), does };
            tracing::subscriber::with_default(keeps.clone(), run);
            keeps.events.lock().unwrap().clone()
        }
    }

    impl Subscriber for Keeps {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "fnguard::violation"
        }

        fn event(&self, event: &Event<'_>) {
            let mut fields = FieldsOf(BTreeMap::new());
            event.record(&mut fields);
            fields.0.insert("level".to_owned(), event.metadata().level().to_string());
            self.events.lock().unwrap().push(fields.0);
            (self.does)();
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    struct FieldsOf(Fields);

    impl Visit for FieldsOf {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name().to_owned(), value.to_owned());
        }
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            self.0.insert(field.name().to_owned(), format!("{value:?}"));
        }
    }

    fn rounds() -> Rounds {
        Rounds { emitted: Mutex::new(0) }
    }

    /// Of ten violations, the arbiter keeps those from the fourth on, and tells two at a time.
    fn ten(after: u64) -> Result<(u64, Vec<Told>, u64), Error> {
        let first = (after + 1).max(4);
        let told = (first..=10).take(2).map(|at| Told {
            seq: at * 100,
            action: "blocked".to_owned(),
            control: "network".to_owned(),
            syscall: Some("connect".to_owned()),
            address: Some("203.0.113.9:443".to_owned()),
            request_ids: vec!["a".to_owned(), "b".to_owned()],
            count: 1,
            ..Told::default()
        });
        Ok((first, told.collect(), 10))
    }

    #[test]
    fn each_violation_is_one_event_and_what_is_missing_is_told() {
        let rounds = rounds();
        let events = Keeps::events_of(|| (), || rounds.run(ten).unwrap());
        assert_eq!(events.len(), 8);
        assert_eq!((events[0]["missed"].as_str(), events[0]["level"].as_str()), ("3", "WARN"));
        let numbers: Vec<&str> = events.iter().skip(1).map(|event| event["seq"].as_str()).collect();
        assert_eq!(numbers, ["400", "500", "600", "700", "800", "900", "1000"]);
        let expected = [
            ("action", "blocked"),
            ("address", "203.0.113.9:443"),
            ("control", "network"),
            ("count", "1"),
            ("level", "ERROR"),
            ("message", "fnguard blocked connect"),
            ("request_id", "a,b"),
            ("seq", "400"),
            ("syscall", "connect"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(events[1], expected);
        // Nothing is new.
        assert_eq!(Keeps::events_of(|| (), || rounds.run(ten).unwrap()).len(), 0);
    }

    #[test]
    fn a_subscriber_that_violates_makes_no_loop() {
        // With each question there is one more, as if every event had caused one.
        fn one_more(after: u64) -> Result<(u64, Vec<Told>, u64), Error> {
            let audited = Told { action: "audited".to_owned(), ..Told::default() };
            Ok((after + 1, vec![audited; 3], after + 3))
        }
        static ROUNDS: Rounds = Rounds { emitted: Mutex::new(0) };
        // And it asks for them itself.
        let again = || ROUNDS.run(one_more).unwrap();
        let events = Keeps::events_of(again, again);
        assert_eq!(events.len(), 3);
        assert!(events.iter().all(|event| event["level"] == "WARN"));
        assert_eq!(Keeps::events_of(|| (), again).len(), 3);
    }

    #[test]
    fn a_subscriber_that_panics_fails_nothing() {
        let rounds = rounds();
        Keeps::events_of(|| panic!("a subscriber's"), || rounds.run(ten).unwrap());
        assert_eq!(Keeps::events_of(|| (), || rounds.run(ten).unwrap()).len(), 0);
    }

    #[test]
    fn an_answer_that_makes_no_sense_ends_the_round() {
        fn far(_: u64) -> Result<(u64, Vec<Told>, u64), Error> {
            Ok((u64::MAX, Vec::new(), 5))
        }
        assert_eq!(Keeps::events_of(|| (), || rounds().run(far).unwrap()).len(), 1);
        assert!(rounds().run(|_| Err(Error::NotArmed)).is_err());
    }

    #[test]
    fn unarmed_there_is_nothing_to_emit() {
        trace_violations().unwrap();
        assert!(!WANTED.load(Ordering::Relaxed));
    }
}
