//! The tables as they are printed: Markdown, so that docs/performance.md holds them as they came.

use crate::pairs::{Aim, Estimate, Verdict};

/// One figure.
#[derive(Debug)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// What it is held against.
    pub against: String,
    /// The aim, as the text and as the limit.
    pub aim: (String, Aim),
    /// The number.
    pub value: Value,
    /// The two sides in absolute terms, or what else is to be said.
    pub note: String,
}

/// A number, and how it came about.
#[derive(Debug)]
pub enum Value {
    /// A ratio of medians' pairs.
    Ratio(Estimate),
    /// Something that is timed, with its unit.
    Measured(Estimate, &'static str),
    /// Something that is counted, with its unit: it has no interval.
    Counted(f64, &'static str),
}

impl Figure {
    /// Whether the aim is kept.
    pub fn verdict(&self) -> Verdict {
        match &self.value {
            Value::Ratio(estimate) | Value::Measured(estimate, _) => self.aim.1.judge(estimate),
            Value::Counted(count, _) => self.aim.1.judge_count(*count),
        }
    }

    fn line(&self) -> String {
        let (value, interval, samples) = match &self.value {
            Value::Ratio(estimate) => {
                (format!("{:.3}×", estimate.median), interval(estimate, 3), estimate.samples.to_string())
            }
            Value::Measured(estimate, unit) => (
                format!("{:.1} {unit}", estimate.median),
                interval(estimate, 1),
                estimate.samples.to_string(),
            ),
            Value::Counted(count, unit) => (format!("{count} {unit}"), String::new(), String::new()),
        };
        format!(
            "| {} | {} | {} | {value} | {interval} | {samples} | {} | {} |",
            self.what,
            self.against,
            self.aim.0,
            self.verdict().as_str(),
            self.note
        )
    }
}

fn interval(estimate: &Estimate, digits: usize) -> String {
    match estimate.interval {
        Some((low, high)) => format!("{low:.digits$} – {high:.digits$}"),
        None => "too few pairs".to_owned(),
    }
}

/// Prints a table.
pub fn print(title: &str, conditions: &str, figures: &[Figure]) {
    println!("### {title}\n\n{conditions}\n");
    println!("| what | against | aim | median | 95 % interval | pairs | aim kept | beside it |");
    println!("|---|---|---|---|---|---|---|---|");
    for figure in figures {
        println!("{}", figure.line());
    }
    println!();
}
