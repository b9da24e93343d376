//! The arbiter's voice: makes lines of records and writes them, in a thread of its own, so that a
//! slow reader of the log never holds up a decision.

use super::output::Outlet;
use super::recent::Recent;
use super::vault::Matchers;
use crate::link::Told;
use crate::redact::Matcher;
use crate::report::{Counts, Options, Record, Redacted, Reporter, Violation};
use crate::report::{KINDS, LINE_MAX, TARGETS};
use crate::sys::process;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// The most bytes of lines that wait to be written: as many violations as get a line of their own, for
/// their target or as the first of a kind, of half the greatest length. Beyond, lines are dropped, and the
/// gap in `seq` shows it.
const MOST_WAITING: usize = MOST_OTHERS + (TARGETS + KINDS) * LINE_MAX / 2;
/// How much of that other records may take: those that the function can cause without end, by its
/// output and its messages, leave the violations' room alone.
const MOST_OTHERS: usize = 1 << 20;

/// Takes records and has them written.
pub(crate) struct Witness {
    queue: Mutex<Queue>,
    changed: Condvar,
    matchers: RwLock<Matchers>,
}

struct Queue {
    reporter: Reporter,
    recent: Recent,
    waiting: VecDeque<Line>,
    /// How many bytes the waiting lines are, and those of them that are no violations.
    bytes: usize,
    others: usize,
    writing: bool,
    /// How many lines the writing thread is done with.
    written: u64,
    ending: bool,
    ended: bool,
}

/// A line that waits to be written.
struct Line {
    text: String,
    kind: Kind,
}

/// Whose share of the queue a line takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A violation, or what the arbiter says of itself: limited in number by their nature.
    Violation,
    /// What the function can cause at will.
    Other,
}

impl Kind {
    fn of(record: &Record) -> Self {
        match record {
            Record::Redacted(_)
            | Record::LateOutput(_)
            | Record::LateSecret(_)
            | Record::Barrier(_)
            | Record::Suppressed(_) => Kind::Other,
            _ => Kind::Violation,
        }
    }
}

impl Queue {
    /// Adds a line, if there is room for its kind.
    fn push(&mut self, text: String, kind: Kind) {
        let size = text.len();
        let others = self.others.saturating_add(if kind == Kind::Other { size } else { 0 });
        let bytes = self.bytes.saturating_add(size);
        if bytes <= MOST_WAITING && others <= MOST_OTHERS {
            (self.bytes, self.others) = (bytes, others);
            self.waiting.push_back(Line { text, kind });
        }
    }

    fn pop(&mut self) -> Option<String> {
        let Line { text, kind } = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(text.len());
        if kind == Kind::Other {
            self.others = self.others.saturating_sub(text.len());
        }
        Some(text)
    }
}

impl Witness {
    pub(crate) fn new(options: Options, matcher: Arc<Matcher>) -> Self {
        Witness {
            queue: Mutex::new(Queue {
                reporter: Reporter::new(options),
                recent: Recent::default(),
                waiting: VecDeque::new(),
                bytes: 0,
                others: 0,
                writing: false,
                written: 0,
                ending: false,
                ended: false,
            }),
            changed: Condvar::new(),
            matchers: RwLock::new(Matchers::of_captured(matcher)),
        }
    }

    /// The matcher in force for what the function writes.
    pub(crate) fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.matchers.read().unwrap_or_else(PoisonError::into_inner).output)
    }

    fn matchers(&self) -> Matchers {
        self.matchers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts other matchers in force, for what the function writes and for records.
    pub(crate) fn set_matchers(&self, output: Arc<Matcher>, records: Arc<Matcher>) {
        let mut matchers = self.matchers.write().unwrap_or_else(PoisonError::into_inner);
        (matchers.output, matchers.records) = (output, records);
    }

    /// Reports a violation, within the reporter's limits.
    pub(crate) fn violation(&self, violation: &Violation) {
        let matchers = self.matchers();
        let redact = |text: &str| matchers.of_record(text);
        let mut queue = self.lock();
        if let Some(line) = queue.reporter.violation(violation, SystemTime::now(), &redact) {
            let seq = queue.reporter.seq();
            queue.recent.violation(violation, seq, &redact);
            self.push(queue, line, Kind::Violation);
        }
    }

    /// Reports that secrets were replaced, within the reporter's limits.
    pub(crate) fn redacted(&self, redacted: Redacted) {
        let matchers = self.matchers();
        let redact = |text: &str| matchers.of_record(text);
        let mut queue = self.lock();
        if let Some(line) = queue.reporter.redacted(redacted, SystemTime::now(), &redact) {
            self.push(queue, line, Kind::Other);
        }
    }

    /// Reports anything else.
    pub(crate) fn record(&self, record: impl Into<Record>) {
        let matchers = self.matchers();
        let redact = |text: &str| matchers.of_record(text);
        let record = record.into();
        let mut queue = self.lock();
        let line = queue.reporter.record(&record, SystemTime::now(), &redact);
        self.push(queue, line, Kind::of(&record));
    }

    /// Reports what was only counted so far.
    pub(crate) fn summarise(&self) {
        let matchers = self.matchers();
        let redact = |text: &str| matchers.of_record(text);
        let mut queue = self.lock();
        let counted = queue.reporter.counted();
        if counted.is_empty() {
            return;
        }
        for counted in counted {
            let line = queue.reporter.record(&counted, SystemTime::now(), &redact);
            if let Record::Suppressed(suppressed) = &counted {
                let seq = queue.reporter.seq();
                queue.recent.suppressed(suppressed, seq, &redact);
            }
            queue.push(line, Kind::of(&counted));
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Violations after the one numbered `after`, as [`Recent::after`] gives them.
    pub(crate) fn violations(&self, after: u64) -> (u64, Vec<Told>, u64) {
        self.lock().recent.after(after)
    }

    /// The totals so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().reporter.counts()
    }

    /// Waits until every line so far is written, at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut queue = self.lock();
        while (!queue.waiting.is_empty() || queue.writing) && !queue.ended {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return false };
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Writes the lines that wait, in the caller's thread: before another does it.
    pub(crate) fn write_waiting(&self, outlet: &Outlet) {
        while let Some(line) = self.take_waiting() {
            let _ = outlet.write_record(&line);
        }
    }

    fn take_waiting(&self) -> Option<String> {
        self.lock().pop()
    }

    /// Writes lines to `outlet` until [`Witness::end`]; the body of the writing thread.
    pub(crate) fn write_on(&self, outlet: &Outlet) {
        process::set_thread_name(c"fnguard-record");
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.pop() {
                queue.writing = true;
                drop(queue);
                // Where the log's reader has gone there is nobody to tell.
                let _ = outlet.write_record(&line);
                queue = self.lock();
                queue.writing = false;
                queue.written = queue.written.wrapping_add(1);
                self.changed.notify_all();
                continue;
            }
            if queue.ending {
                queue.ended = true;
                self.changed.notify_all();
                return;
            }
            let due = queue.reporter.summary_due_in(SystemTime::now());
            queue = match due {
                Some(left) if left.is_zero() => {
                    drop(queue);
                    self.summarise();
                    self.lock()
                }
                Some(left) => {
                    self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Lets the writing thread finish what waits and leave. It has as long as it gets on: only once
    /// no line was written for `limit` is the rest left behind, as where the platform does not read.
    /// Nothing is added by then but what the guard itself says of the end, so what waits is bounded
    /// by the queue. Whether every line was written.
    pub(crate) fn end(&self, limit: Duration) -> bool {
        self.summarise();
        self.lock().ending = true;
        self.changed.notify_all();
        loop {
            let before = self.lock().written;
            if self.flush(limit) {
                return true;
            }
            if self.lock().written == before {
                return false;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut queue: std::sync::MutexGuard<'_, Queue>, line: String, kind: Kind) {
        queue.push(line, kind);
        drop(queue);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Action, Control, LateOutput, Stream};
    use crate::sys::descriptor;
    use std::os::fd::AsFd;

    fn witness() -> Witness {
        Witness::new(Options::default(), Arc::new(Matcher::build([]).unwrap()))
    }

    fn late() -> LateOutput {
        LateOutput { stream: Stream::Stdout, bytes: 1, after: vec!["8f5e".to_owned()] }
    }

    /// A log that nobody reads, and a function that floods the arbiter with every other record: the
    /// violations that come afterwards are kept, and the memory is bounded.
    #[test]
    fn a_flood_of_other_records_drops_no_violation() {
        let witness = witness();
        for _ in 0..100_000 {
            witness.record(late());
        }
        let flooded = witness.lock().bytes;
        assert!(flooded > MOST_OTHERS - LINE_MAX && flooded <= MOST_OTHERS, "{flooded}");
        for target in 0..200 {
            let detail = Some(format!("target {target}"));
            let call = ["connect", "sendto", "bind", "openat"][target % 4];
            let violation = Violation::new(Control::Network, Action::Blocked, call, "network.allow");
            witness.violation(&Violation { detail, ..violation });
        }
        let mut violations = 0;
        while let Some(line) = witness.take_waiting() {
            violations += usize::from(line.contains("\"fnguard\":\"violation\""));
        }
        assert_eq!(violations, 200);
        let queue = witness.lock();
        assert_eq!((queue.bytes, queue.others, queue.waiting.len()), (0, 0, 0));
    }

    /// A platform that takes longer to read the records than the writing thread may stand still.
    #[test]
    fn an_end_leaves_no_record_behind_where_the_log_is_slow() {
        const LIMIT: Duration = Duration::from_millis(500);
        const RECORDS: usize = 400;
        let witness = Arc::new(witness());
        for _ in 0..RECORDS {
            witness.record(LateOutput { after: vec!["x".repeat(64); 16], ..late() });
        }
        let waiting = witness.lock().bytes;
        let (log, theirs) = descriptor::pipe().unwrap();
        // Small parts, so that the whole takes longer than the limit.
        descriptor::set_pipe_size(theirs.as_fd(), 4096).unwrap();
        assert!(waiting > 100 * 4096, "{waiting}");
        let slow = std::thread::spawn(move || {
            let (mut all, mut some) = (Vec::new(), Vec::with_capacity(4096));
            while descriptor::read_into(log.as_fd(), &mut some, 4096).is_ok_and(|count| count > 0) {
                all.extend_from_slice(&some);
                std::thread::park_timeout(LIMIT / 50);
            }
            all
        });
        let outlet = Outlet::new(theirs);
        let writer = std::thread::spawn({
            let witness = Arc::clone(&witness);
            move || witness.write_on(&outlet)
        });
        assert!(witness.end(LIMIT));
        writer.join().unwrap();
        let all = String::from_utf8(slow.join().unwrap()).unwrap();
        assert_eq!(all.lines().count(), RECORDS);
        assert_eq!(all.len(), waiting + RECORDS, "each with its line end");
    }

    #[test]
    fn an_end_does_not_wait_for_a_log_that_nobody_reads() {
        let witness = Arc::new(witness());
        for _ in 0..400 {
            witness.record(LateOutput { after: vec!["x".repeat(64); 16], ..late() });
        }
        let (_log, theirs) = descriptor::pipe().unwrap();
        let outlet = Outlet::new(theirs);
        let writer = Arc::clone(&witness);
        std::thread::spawn(move || writer.write_on(&outlet));
        assert!(!witness.end(Duration::from_millis(100)));
    }

    /// As many violations as the reporter ever prints, as long as they get, all wait at once.
    #[test]
    fn every_violation_that_is_printed_has_room() {
        let witness = witness();
        let violation = |call: &str, rule: usize, target: usize| Violation {
            path: Some(format!("/{target}/{}", "long/".repeat(300))),
            request_ids: vec!["x".repeat(64); 16],
            hint: Some("y".repeat(1000)),
            ..Violation::new(Control::Files, Action::Blocked, call, format!("rule.{rule}"))
        };
        for target in 0..TARGETS {
            witness.record(late());
            witness.violation(&violation("openat", target / 64, target));
        }
        // Those kinds count as well.
        let kinds = KINDS - TARGETS / 64;
        for rule in 0..kinds {
            witness.violation(&violation("open", rule, 0));
        }
        let queue = witness.lock();
        let violations = queue.waiting.iter().filter(|line| line.kind == Kind::Violation).count();
        assert_eq!(violations, TARGETS + kinds);
        assert!(queue.bytes <= MOST_WAITING);
    }
}
