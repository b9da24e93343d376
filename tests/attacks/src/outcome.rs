//! What came of a run: how it ended, what reached the platform's stdout and stderr, and the
//! guard's records among it.

use crate::record;
use serde_json::Value;
use std::time::Duration;

/// The status that a victim ends with when it has come to its end: no other program uses it, so
/// that it shows both that the victim went on and that its end was mirrored.
pub const FINISHED: i32 = 42;

/// A run that has ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit status, if it ended by itself.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
    /// How long it ran.
    pub took: Duration,
    /// The bytes that reached the platform's stdout.
    pub stdout: Vec<u8>,
    /// The bytes that reached the platform's stderr.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Everything that reached stdout and stderr, for messages.
    pub fn text(&self) -> String {
        format!(
            "status {:?}, signal {:?}, timed out {}, after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.signal,
            self.timed_out,
            self.took,
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr)
        )
    }

    /// Whether the bytes reached stdout or stderr.
    pub fn shows(&self, needle: &[u8]) -> bool {
        [&self.stdout, &self.stderr]
            .iter()
            .any(|bytes| bytes.windows(needle.len()).any(|part| part == needle))
    }

    /// What the victim says of a step of its: a result as the kernel returns it, negative for an
    /// error. Never enough by itself: only what the outside shows decides.
    #[track_caller]
    pub fn said(&self, step: &str) -> i64 {
        let start = format!("= {step} ");
        let text = String::from_utf8_lossy(&self.stdout);
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(&start))
            .and_then(|value| value.trim().parse().ok());
        found.unwrap_or_else(|| panic!("the victim says nothing of {step}\n{}", self.text()))
    }

    /// Whether the victim said anything of a step.
    pub fn says(&self, step: &str) -> bool {
        String::from_utf8_lossy(&self.stdout).lines().any(|line| line.starts_with(&format!("= {step} ")))
    }

    /// All lines that the victim wrote of a step.
    pub fn list(&self, step: &str) -> Vec<String> {
        let start = format!("= {step} ");
        let text = String::from_utf8_lossy(&self.stdout).into_owned();
        text.lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
    }

    /// The victim came to its end, and that is what the platform saw.
    #[track_caller]
    pub fn finished(&self) -> &Self {
        assert!(!self.timed_out, "it hangs\n{}", self.text());
        assert_eq!(self.status, Some(FINISHED), "the victim did not come to its end\n{}", self.text());
        self
    }

    /// The guard's records of one kind, from stderr, each valid by the published schema.
    #[track_caller]
    pub fn records(&self, kind: &str) -> Vec<Value> {
        record::in_log(&self.stderr).into_iter().filter(|record| record["fnguard"] == kind).collect()
    }

    /// The posture line.
    #[track_caller]
    pub fn posture(&self) -> Value {
        let mut found = self.records("posture");
        assert_eq!(found.len(), 1, "one posture line is expected\n{}", self.text());
        found.remove(0)
    }

    /// Violations of one control and system call whose line holds `target`.
    pub fn violations(&self, control: &str, syscall: &str, target: &str) -> Vec<Value> {
        self.records("violation")
            .into_iter()
            .filter(|record| {
                record["control"] == control
                    && (syscall == "*" || record["syscall"] == syscall)
                    && record.to_string().contains(target)
            })
            .collect()
    }

    /// Exactly one violation says it, blocked, and there is no other violation at all.
    #[track_caller]
    pub fn only_record(&self, control: &str, syscall: &str, target: &str) -> Value {
        let all = self.records("violation");
        let mut found = self.violations(control, syscall, target);
        assert!(
            found.len() == 1 && all.len() == 1,
            "exactly one record is expected: {control}, {syscall}, {target}\n{}",
            self.text()
        );
        let record = found.remove(0);
        assert_eq!(record["action"], "blocked", "{record}");
        record
    }

    /// Exactly one violation says it, blocked; others may be there.
    #[track_caller]
    pub fn one_record(&self, control: &str, syscall: &str, target: &str) -> Value {
        let mut found = self.violations(control, syscall, target);
        assert_eq!(found.len(), 1, "one record is expected: {control}, {syscall}, {target}\n{}", self.text());
        let record = found.remove(0);
        assert_eq!(record["action"], "blocked", "{record}");
        record
    }

    /// There is no violation.
    #[track_caller]
    pub fn no_record(&self) -> &Self {
        assert!(self.records("violation").is_empty(), "no record is expected\n{}", self.text());
        self
    }
}
