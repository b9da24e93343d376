//! The arbiter's voice: makes lines of records and writes them, in a thread of its own, so that a
//! slow reader of the log never holds up a decision.

use super::output::Outlet;
use super::recent::Recent;
use crate::link::Told;
use crate::redact::Matcher;
use crate::report::{Counts, Options, Record, Redacted, Reporter, Violation};
use crate::sys::process;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

/// The most lines that wait to be written. The reporter's limits keep floods far below; beyond,
/// lines are dropped, and the gap in `seq` shows it.
const MOST_WAITING: usize = 4096;

/// Takes records and has them written.
pub(crate) struct Witness {
    queue: Mutex<Queue>,
    changed: Condvar,
    matcher: RwLock<Arc<Matcher>>,
}

struct Queue {
    reporter: Reporter,
    recent: Recent,
    waiting: VecDeque<String>,
    writing: bool,
    ending: bool,
    ended: bool,
}

impl Witness {
    pub(crate) fn new(options: Options, matcher: Arc<Matcher>) -> Self {
        Witness {
            queue: Mutex::new(Queue {
                reporter: Reporter::new(options),
                recent: Recent::default(),
                waiting: VecDeque::new(),
                writing: false,
                ending: false,
                ended: false,
            }),
            changed: Condvar::new(),
            matcher: RwLock::new(matcher),
        }
    }

    /// The matcher in force.
    pub(crate) fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.matcher.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another matcher in force.
    pub(crate) fn set_matcher(&self, matcher: Arc<Matcher>) {
        *self.matcher.write().unwrap_or_else(PoisonError::into_inner) = matcher;
    }

    /// Reports a violation, within the reporter's limits.
    pub(crate) fn violation(&self, violation: &Violation) {
        let matcher = self.matcher();
        let redact = |text: &str| matcher.redact_str(text);
        let mut queue = self.lock();
        if let Some(line) = queue.reporter.violation(violation, SystemTime::now(), &redact) {
            let seq = queue.reporter.seq();
            queue.recent.violation(violation, seq, &matcher);
            self.push(queue, line);
        }
    }

    /// Reports that secrets were replaced, within the reporter's limits.
    pub(crate) fn redacted(&self, redacted: Redacted) {
        let matcher = self.matcher();
        let redact = |text: &str| matcher.redact_str(text);
        let mut queue = self.lock();
        if let Some(line) = queue.reporter.redacted(redacted, SystemTime::now(), &redact) {
            self.push(queue, line);
        }
    }

    /// Reports anything else.
    pub(crate) fn record(&self, record: impl Into<Record>) {
        let matcher = self.matcher();
        let redact = |text: &str| matcher.redact_str(text);
        let mut queue = self.lock();
        let line = queue.reporter.record(&record.into(), SystemTime::now(), &redact);
        self.push(queue, line);
    }

    /// Reports what was only counted so far.
    pub(crate) fn summarise(&self) {
        let matcher = self.matcher();
        let redact = |text: &str| matcher.redact_str(text);
        let mut queue = self.lock();
        for counted in queue.reporter.counted() {
            let line = queue.reporter.record(&counted, SystemTime::now(), &redact);
            if let Record::Suppressed(suppressed) = &counted {
                let seq = queue.reporter.seq();
                queue.recent.suppressed(suppressed, seq, &matcher);
            }
            if queue.waiting.len() < MOST_WAITING {
                queue.waiting.push_back(line);
            }
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
        self.lock().waiting.pop_front()
    }

    /// Writes lines to `outlet` until [`Witness::end`]; the body of the writing thread.
    pub(crate) fn write_on(&self, outlet: &Outlet) {
        process::set_thread_name(c"fnguard-record");
        let mut queue = self.lock();
        loop {
            if let Some(line) = queue.waiting.pop_front() {
                queue.writing = true;
                drop(queue);
                // Where the log's reader has gone there is nobody to tell.
                let _ = outlet.write_record(&line);
                queue = self.lock();
                queue.writing = false;
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

    /// Lets the writing thread finish what waits and leave.
    pub(crate) fn end(&self, limit: Duration) {
        self.summarise();
        self.lock().ending = true;
        self.changed.notify_all();
        let _ = self.flush(limit);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut queue: std::sync::MutexGuard<'_, Queue>, line: String) {
        if queue.waiting.len() < MOST_WAITING {
            queue.waiting.push_back(line);
        }
        drop(queue);
        self.changed.notify_all();
    }
}
