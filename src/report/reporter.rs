//! The state between records: the running number, the limit on floods, the totals.

use super::emf::Namespace;
use super::limit::Limiter;
use super::record::{Action, Counts, Record, Redacted, Violation};
use super::redactions::Redactions;
use super::{Redact, render, sentence};
use std::time::{Duration, SystemTime};

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// A JSON object.
    #[default]
    Json,
    /// A sentence for a person. Only where the output is a terminal: a sentence can be imitated
    /// with control sequences, a JSON record can't (see [`super::imitation`]).
    Terminal,
}

/// How a [`Reporter`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The form of the lines.
    pub style: Style,
    /// The namespace of the metric `Violations`, if JSON records are to carry it.
    pub emf: Option<Namespace>,
    /// How long counted violations wait for a summary at most, when no invocation ends before.
    pub summary_after: Duration,
    /// How long a printed target stays known before it is printed anew.
    pub window: Duration,
}

impl Default for Options {
    /// JSON without a metric; a summary after 10 seconds, targets anew after 10 minutes.
    fn default() -> Self {
        Options {
            style: Style::Json,
            emf: None,
            summary_after: Duration::from_secs(10),
            window: Duration::from_secs(600),
        }
    }
}

/// Makes lines of records. One for the arbiter's life: the numbers run through.
///
/// Every line it returns has a number, one more than the line before; a reader who sees a gap
/// knows that lines were lost on the way.
pub struct Reporter {
    options: Options,
    seq: u64,
    limiter: Limiter,
    redactions: Redactions,
    counts: Counts,
}

impl Reporter {
    /// A reporter whose first line has number 1.
    pub fn new(options: Options) -> Self {
        let limiter = Limiter::new(options.window);
        Reporter { options, seq: 0, limiter, redactions: Redactions::default(), counts: Counts::default() }
    }

    /// The line for a violation, without a newline; `None` if it was only counted, for
    /// [`Reporter::summary`] to tell of.
    pub fn violation(
        &mut self,
        violation: &Violation,
        now: SystemTime,
        redact: Redact<'_>,
    ) -> Option<String> {
        let total = match violation.action {
            Action::Blocked => &mut self.counts.blocked,
            Action::Audited => &mut self.counts.audited,
        };
        *total = total.saturating_add(1);
        if self.limiter.admit(violation, now, redact) {
            return Some(self.line(&Record::Violation(violation.clone()), now, redact));
        }
        self.counts.suppressed = self.counts.suppressed.saturating_add(1);
        None
    }

    /// The line for secrets that were replaced, without a newline; `None` if they were only counted, for
    /// [`Reporter::summary`] to tell of.
    pub fn redacted(&mut self, redacted: Redacted, now: SystemTime, redact: Redact<'_>) -> Option<String> {
        self.counts.redacted = self.counts.redacted.saturating_add(redacted.count);
        self.redactions.admit(&redacted, now).then(|| self.line(&redacted.into(), now, redact))
    }

    /// The line for any other record, without a newline. None is limited here: what is passed in is
    /// printed and not counted.
    ///
    /// ```
    /// use fnguard::report::{Options, Refusal, Reporter};
    /// use std::time::SystemTime;
    ///
    /// let mut reporter = Reporter::new(Options::default());
    /// let refusal = Refusal {
    ///     code: "secret_not_set".to_owned(),
    ///     message: "STRIPE_KEY is not set".to_owned(),
    ///     remedy: Some("set it, or list it under [secrets] optional".to_owned()),
    ///     ..Refusal::default()
    /// };
    /// let line = reporter.record(&refusal.into(), SystemTime::UNIX_EPOCH, &|text| text.to_owned());
    /// assert!(line.contains(r#""level":"ERROR","fnguard":"refusal","code":"secret_not_set""#));
    /// ```
    pub fn record(&mut self, record: &Record, now: SystemTime, redact: Redact<'_>) -> String {
        self.line(record, now, redact)
    }

    /// The lines for what was counted since the last summary, one for each kind and secret; none if nothing
    /// was. To be called when an invocation ends, before [`super::Ended`], and when
    /// [`Reporter::summary_due_in`] is over.
    pub fn summary(&mut self, now: SystemTime, redact: Redact<'_>) -> Vec<String> {
        let counted = self.counted();
        counted.iter().map(|counted| self.line(counted, now, redact)).collect()
    }

    /// The records of a summary, for [`Reporter::record`] to make lines of: they are handed out once.
    pub fn counted(&mut self) -> Vec<Record> {
        let suppressed = self.limiter.take().into_iter().map(Record::from);
        suppressed.chain(self.redactions.take().into_iter().map(Record::from)).collect()
    }

    /// The number of the last line; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How long until a summary is due; `None` while there is nothing to tell. A clock that was
    /// set back never makes it longer than [`Options::summary_after`].
    pub fn summary_due_in(&self, now: SystemTime) -> Option<Duration> {
        let pending = [self.limiter.pending_since(), self.redactions.pending_since()];
        let since = pending.into_iter().flatten().min()?;
        let waited = now.duration_since(since).unwrap_or(Duration::ZERO);
        Some(self.options.summary_after.saturating_sub(waited))
    }

    /// The totals so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn line(&mut self, record: &Record, now: SystemTime, redact: Redact<'_>) -> String {
        self.seq = self.seq.saturating_add(1);
        match self.options.style {
            Style::Json => render::json(record, self.seq, now, self.options.emf.as_ref(), redact),
            Style::Terminal => sentence::sentence(record, redact),
        }
    }
}
