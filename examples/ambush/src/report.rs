//! What is printed: the list of attempts, the table, and the same as JSON. And the rule by which
//! the whole run holds.

use crate::attempts::{ALL, Attempt};
use crate::excused::Excuses;
use crate::isolate::Place;
use crate::judge::Trial;
use crate::world::Honest;
use serde::Serialize;
use std::io::IsTerminal;

/// So many attempts must have succeeded unguarded, or the guarded column says little.
const ENOUGH: usize = 25;

/// One of the two runs.
#[derive(Default)]
pub struct Run {
    /// Honest orders, nobody hostile.
    pub honest: Honest,
    /// The attempts, in the order of the table, each with the honest work of its session.
    pub trials: Vec<(Trial, Honest)>,
    /// All that leave the function able to answer, in one order.
    pub together: Option<(Vec<Trial>, Honest)>,
}

/// What became of the attempts that were made in one order.
#[derive(Serialize)]
struct Together {
    attempts: usize,
    succeeded: Vec<&'static str>,
    honest: Honest,
}

/// Everything.
#[derive(Serialize)]
pub struct Results {
    /// Who started it.
    user: &'static str,
    attempts: Vec<Row>,
    unguarded_honest: Option<Honest>,
    guarded_honest: Option<Honest>,
    unguarded_together: Option<Together>,
    guarded_together: Option<Together>,
    counts: Counts,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct Row {
    attempt: &'static str,
    what: &'static str,
    unguarded: Option<Cell>,
    guarded: Option<Cell>,
    record: Option<String>,
    #[serde(skip)]
    faults: Vec<String>,
}

/// What became of an attempt in one run.
#[derive(Serialize)]
struct Cell {
    result: Outcome,
    /// What the outside shows, or how the attempt ended.
    evidence: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeeded,
    Stopped,
    NotPossibleHere,
    NotRecorded,
    NotTried,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "SUCCEEDED",
            Outcome::Stopped => "stopped",
            Outcome::NotPossibleHere => "not possible here",
            Outcome::NotRecorded => "NOT RECORDED",
            Outcome::NotTried => "NOT TRIED",
        }
    }
}

#[derive(Default, Serialize)]
struct Counts {
    attempts: usize,
    succeeded_unguarded: usize,
    not_possible_here: usize,
    excused: usize,
    succeeded_guarded: usize,
    stopped_guarded: usize,
}

impl Results {
    /// Puts both runs together. `complete` says that every attempt was meant to be made.
    pub fn new(
        attempts: &[&'static Attempt],
        unguarded: Option<Run>,
        guarded: Option<Run>,
        excuses: &Excuses,
        place: &Place,
        complete: bool,
    ) -> Self {
        let mut counts = Counts { attempts: attempts.len(), ..Counts::default() };
        let mut problems = Vec::new();
        for (which, run) in [("unguarded", &unguarded), ("guarded", &guarded)] {
            if let Some(run) = run.as_ref().filter(|run| !run.honest.holds()) {
                let why = run.honest.problem.as_deref().unwrap_or("no order was sent");
                problems.push(format!("{which}: the function's own work was not done: {why}"));
            }
        }
        let trial =
            |run: &Option<Run>, index: usize| run.as_ref().and_then(|run| run.trials.get(index)).cloned();
        let mut rows = Vec::new();
        for (index, attempt) in attempts.iter().enumerate() {
            let mut row = Row {
                attempt: attempt.name,
                what: attempt.what,
                unguarded: None,
                guarded: None,
                record: None,
                faults: Vec::new(),
            };
            if let Some((trial, honest)) = trial(&unguarded, index) {
                row.unguarded = Some(of_unguarded(&trial, &honest, excuses, &mut counts, &mut row.faults));
            }
            if let Some((trial, honest)) = trial(&guarded, index) {
                row.guarded = Some(of_guarded(&trial, &honest, &mut counts, &mut row.faults));
                row.record = trial.record.and_then(Result::ok);
            }
            problems.extend(row.faults.iter().map(|fault| format!("{}: {fault}", attempt.name)));
            rows.push(row);
        }
        if complete && unguarded.is_some() && counts.succeeded_unguarded < ENOUGH {
            problems.push(format!(
                "only {} attempts succeeded unguarded; {ENOUGH} are needed for the comparison to mean something",
                counts.succeeded_unguarded
            ));
        }
        let unguarded_together = unguarded.as_ref().and_then(|run| together(run, false, &mut problems));
        let guarded_together = guarded.as_ref().and_then(|run| together(run, true, &mut problems));
        Results {
            user: if place.by_root { "root" } else { "an ordinary user" },
            attempts: rows,
            unguarded_honest: unguarded.map(|run| run.honest),
            guarded_honest: guarded.map(|run| run.honest),
            unguarded_together,
            guarded_together,
            counts,
            problems,
        }
    }

    /// Whether all of it holds.
    pub fn hold(&self) -> bool {
        self.problems.is_empty()
    }
}

fn attackers_word(trial: &Trial) -> String {
    trial.attackers_word.clone().unwrap_or_else(|| "it never said how it ended".to_owned())
}

/// The attempts of one order. Unguarded they may get in each other's way, so there it is only told
/// how many succeeded; guarded none may, all must have been made, and the order must be done.
fn together(run: &Run, guarded: bool, problems: &mut Vec<String>) -> Option<Together> {
    let (trials, honest) = run.together.as_ref()?;
    let succeeded: Vec<&str> =
        trials.iter().filter(|trial| trial.success.is_some()).map(|trial| trial.name).collect();
    if guarded {
        problems.extend(succeeded.iter().map(|name| format!("all at once, guarded: {name} succeeded")));
        let untried = trials.iter().filter(|trial| !trial.tried);
        problems.extend(untried.map(|trial| format!("all at once, guarded: {} was never tried", trial.name)));
    }
    if !honest.holds() {
        let which = if guarded { "guarded" } else { "unguarded" };
        let why = honest.problem.as_deref().unwrap_or("no order was sent");
        problems.push(format!("all at once, {which}: the function's own work was not done: {why}"));
    }
    Some(Together { attempts: trials.len(), succeeded, honest: honest.clone() })
}

fn of_unguarded(
    trial: &Trial,
    honest: &Honest,
    excuses: &Excuses,
    counts: &mut Counts,
    faults: &mut Vec<String>,
) -> Cell {
    if !honest.holds() && honest.orders > 0 {
        let why = honest.problem.as_deref().unwrap_or_default();
        faults.push(format!("unguarded, the function's own work was not done: {why}"));
    }
    if let Some(evidence) = &trial.success {
        counts.succeeded_unguarded += 1;
        return Cell { result: Outcome::Succeeded, evidence: evidence.clone() };
    }
    counts.not_possible_here += 1;
    match excuses.reason(trial.name) {
        Some(reason) => {
            counts.excused += 1;
            Cell { result: Outcome::NotPossibleHere, evidence: reason.to_owned() }
        }
        None => {
            let evidence = attackers_word(trial);
            faults.push(format!("not possible here and not excused: {evidence}"));
            Cell { result: Outcome::NotPossibleHere, evidence }
        }
    }
}

fn of_guarded(trial: &Trial, honest: &Honest, counts: &mut Counts, faults: &mut Vec<String>) -> Cell {
    if !honest.holds() {
        let why = honest.problem.as_deref().unwrap_or("no order was sent");
        faults.push(format!("guarded, the function's own work was not done: {why}"));
    }
    if let Some(evidence) = &trial.success {
        counts.succeeded_guarded += 1;
        faults.push(format!("succeeded in spite of the guard: {evidence}"));
        return Cell { result: Outcome::Succeeded, evidence: evidence.clone() };
    }
    if !trial.tried {
        faults.push("guarded, it was never tried".to_owned());
        return Cell { result: Outcome::NotTried, evidence: attackers_word(trial) };
    }
    match &trial.record {
        Some(Ok(_)) => {
            counts.stopped_guarded += 1;
            Cell { result: Outcome::Stopped, evidence: attackers_word(trial) }
        }
        Some(Err(missing)) => {
            faults.push(format!("stopped, but {missing}"));
            Cell { result: Outcome::NotRecorded, evidence: missing.clone() }
        }
        None => Cell { result: Outcome::NotRecorded, evidence: "no record was looked for".to_owned() },
    }
}

/// Prints the attempts and what each is.
pub fn list() {
    let width = ALL.iter().map(|attempt| attempt.name.len()).max().unwrap_or(0);
    for attempt in ALL {
        println!("{:width$}  {} ({})", attempt.name, attempt.what, attempt.known_from);
    }
}

/// Prints everything as one JSON object.
pub fn json(results: &Results) {
    match serde_json::to_string_pretty(results) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("ambush: {error}"),
    }
}

/// Prints the table, and below it what does not hold.
pub fn table(results: &Results) {
    let paint = |text: &str, width: usize, result: Outcome| -> String {
        let padded = format!("{text:width$}");
        if !std::io::stdout().is_terminal() {
            return padded;
        }
        match result {
            Outcome::Stopped => format!("\x1b[32m{padded}\x1b[0m"),
            Outcome::NotPossibleHere => format!("\x1b[33m{padded}\x1b[0m"),
            _ => format!("\x1b[31m{padded}\x1b[0m"),
        }
    };
    let cell = |cell: &Option<Cell>, width: usize| match cell {
        Some(cell) => paint(cell.result.as_str(), width, cell.result),
        None => format!("{:width$}", "-"),
    };
    let names = results.attempts.iter().map(|row| row.attempt.len()).max().unwrap_or(0).max(7);
    println!("{:names$}  {:17}  {:17}  record", "attempt", "unguarded", "guarded");
    for row in &results.attempts {
        let said = match (&row.record, &row.guarded, &row.unguarded) {
            (Some(record), ..) => record.clone(),
            (None, Some(guarded), _) => guarded.evidence.clone(),
            (None, None, Some(unguarded)) => unguarded.evidence.clone(),
            (None, None, None) => String::new(),
        };
        let line = format!(
            "{:names$}  {}  {}  {said}",
            row.attempt,
            cell(&row.unguarded, 17),
            cell(&row.guarded, 17)
        );
        println!("{}", line.trim_end());
    }
    for row in &results.attempts {
        if let Some(cell) = row.unguarded.as_ref().filter(|cell| cell.result == Outcome::NotPossibleHere) {
            println!("{}: not possible here: {}", row.attempt, cell.evidence);
        }
    }
    let Counts { attempts, succeeded_unguarded, not_possible_here, excused, stopped_guarded, .. } =
        results.counts;
    println!();
    if let Some(honest) = &results.unguarded_honest {
        println!(
            "unguarded, as {}: {succeeded_unguarded} of {attempts} attempts succeeded, {not_possible_here} not possible here ({excused} excused); honest orders {} of {}",
            results.user, honest.done, honest.orders
        );
    }
    if let Some(honest) = &results.guarded_honest {
        println!(
            "guarded: {stopped_guarded} of {attempts} attempts stopped and accounted for; honest orders {} of {}",
            honest.done, honest.orders
        );
    }
    for (which, together) in
        [("unguarded", &results.unguarded_together), ("guarded", &results.guarded_together)]
    {
        if let Some(Together { attempts, succeeded, honest }) = together {
            println!(
                "{which}, {attempts} attempts in one order: {} succeeded; honest orders {} of {}",
                succeeded.len(),
                honest.done,
                honest.orders
            );
        }
    }
    if !results.problems.is_empty() {
        println!("\nDoes not hold:");
        for problem in &results.problems {
            println!("  {problem}");
        }
    }
}
