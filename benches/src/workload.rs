//! A running workload: asked for a batch, it tells what a call took. Two of them live side by side
//! and take turns, so that what disturbs one disturbs the other.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A workload process, under whatever it was started by.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Workload {
    /// Starts one. What it says on stderr (the guard's records) goes nowhere.
    ///
    /// # Errors
    ///
    /// Where it can't be started.
    pub fn start(mut command: Command) -> std::io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or_else(|| std::io::Error::other("no stdout"))?;
        Ok(Workload { child, input, output: BufReader::new(output) })
    }

    /// Runs a batch of calls; nanoseconds a call.
    ///
    /// # Errors
    ///
    /// Where the workload has ended: a call did not come out as it should.
    pub fn batch(&mut self, calls: u32) -> std::io::Result<f64> {
        if let Some(input) = self.input.as_mut() {
            writeln!(input, "{calls}")?;
        }
        self.line()?.trim().parse().map_err(|_| {
            std::io::Error::other("the workload ended: a call came out otherwise than it should")
        })
    }

    /// The next line that it prints.
    ///
    /// # Errors
    ///
    /// Where its output can't be read.
    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// The process that was started: under the guard, the arbiter.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // Its input's end is its own.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// One pair: the medians of `rounds` batches each, taken in turns after one batch to warm up.
///
/// # Errors
///
/// As [`Workload::batch`].
pub fn pair(
    ours: &mut Workload,
    theirs: &mut Workload,
    rounds: usize,
    calls: u32,
) -> std::io::Result<(f64, f64)> {
    ours.batch(calls)?;
    theirs.batch(calls)?;
    let (mut mine, mut other) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who goes first alternates.
        if round % 2 == 0 {
            mine.push(ours.batch(calls)?);
            other.push(theirs.batch(calls)?);
        } else {
            other.push(theirs.batch(calls)?);
            mine.push(ours.batch(calls)?);
        }
    }
    Ok((median(mine), median(other)))
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A command line: `program arguments…`.
pub fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}
