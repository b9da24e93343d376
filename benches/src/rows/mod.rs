//! The rows: a file each. A row builds what it needs, then measures it.

mod allowed;
mod arm;
mod install;
mod invocation;
mod memory;
mod refused;
mod size;
mod start;
mod unmediated;

use crate::programs::Programs;
use crate::table::Figure;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What every row works with.
#[derive(Debug)]
pub struct Bench {
    /// Where programs come from.
    pub programs: Programs,
    /// How many pairs.
    pub pairs: usize,
    /// Whether a row only has to run.
    pub quick: bool,
}

/// What comes of a row.
pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// One table.
pub struct Row {
    /// As it is asked for.
    pub name: &'static str,
    /// As it is headed.
    pub title: &'static str,
    /// Builds what is measured.
    pub prepare: fn(&Bench) -> Outcome<()>,
    /// Measures.
    pub run: fn(&Bench) -> Outcome<Vec<Figure>>,
}

/// All of them, in the order of docs/performance.md.
pub const ROWS: &[Row] = &[
    arm::ROW,
    install::ROW,
    start::ROW,
    refused::ROW,
    allowed::ROW,
    unmediated::ROW,
    invocation::ROW,
    memory::ROW,
    size::ROW,
];

/// Runs a program to its end and gives the one number that it prints.
fn printed_number(command: &mut Command) -> Outcome<f64> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::piped()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "{}: {}, no number but {text:?}; it said: {said}",
            command.get_program().display(),
            output.status
        )
        .into()
    })
}

/// Runs a program to its end, which must be 0, and takes the time from outside.
fn whole_process(command: &mut Command) -> Outcome<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.spawn()?.wait()?;
    let took = began.elapsed();
    if status.success() {
        Ok(took)
    } else {
        Err(format!("{} ended with {status}", command.get_program().display()).into())
    }
}

/// Microseconds.
fn us(nanoseconds: f64) -> f64 {
    nanoseconds / 1000.0
}
