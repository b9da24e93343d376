//! What the guard costs: each row is measured against the least that its mechanism can cost, or
//! against the same thing unguarded, in one run. `fnguard-benches all` prints every table of
//! docs/performance.md; single rows are run by their names.
//!
//! - [`rows`] has a file for each row; [`pairs`] the statistics; [`table`] the form.
//! - [`programs`] builds what is measured: baselines in C, functions, the command.
//! - [`workload`] runs single system calls; [`runtime_api`] whole invocations.
//!
//! Timings are pairs of fresh processes that take turns; a figure is the median of the pairs'
//! ratios. Its interval is that of the sign test. Where it crosses the aim, nothing is shown.

mod machine;
mod pairs;
mod policies;
mod programs;
mod rows;
mod runtime_api;
mod table;
mod workload;

use clap::Parser;
use pairs::Verdict;
use rows::{Bench, ROWS};
use std::process::ExitCode;

/// Measures what the guard costs and prints the tables of docs/performance.md.
///
/// Exit status: 0 where every row ran, whatever its figures; 1 where one could not; with --check, 2
/// where an aim is missed.
#[derive(Debug, Parser)]
#[command(name = "fnguard-benches")]
struct Arguments {
    /// `all`, or names of rows: arm, start, refused, allowed, unmediated, invocation, memory, size, install.
    #[arg(required = true)]
    rows: Vec<String>,
    /// How many pairs of processes.
    #[arg(long, default_value_t = 31)]
    pairs: usize,
    /// Only see that each row runs: three pairs of few calls, no figure shown.
    #[arg(long)]
    quick: bool,
    /// Leave the processes where the scheduler puts them.
    #[arg(long)]
    unpinned: bool,
    /// End with status 2 where an aim is missed.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let all = arguments.rows.iter().any(|name| name == "all");
    if let Some(unknown) =
        arguments.rows.iter().find(|name| *name != "all" && ROWS.iter().all(|row| row.name != **name))
    {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        eprintln!("fnguard-benches: there is no row {unknown}; rows are: all {}", names.join(" "));
        return ExitCode::FAILURE;
    }
    let chosen: Vec<_> =
        ROWS.iter().filter(|row| all || arguments.rows.iter().any(|name| name == row.name)).collect();
    let programs = match programs::Programs::new() {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("fnguard-benches: no temporary directory: {error}");
            return ExitCode::FAILURE;
        }
    };
    let bench =
        Bench { programs, pairs: if arguments.quick { 3 } else { arguments.pairs }, quick: arguments.quick };
    // Compilers run before this process is pinned.
    for row in &chosen {
        if let Err(error) = (row.prepare)(&bench) {
            eprintln!("fnguard-benches: {}: {error}", row.name);
            return ExitCode::FAILURE;
        }
    }
    let conditions = machine::Conditions::settle(!arguments.unpinned);
    let (mut failed, mut missed) = (false, false);
    for row in chosen {
        match (row.run)(&bench) {
            Ok(figures) => {
                missed |= figures.iter().any(|figure| figure.verdict() == Verdict::Missed);
                table::print(row.title, &conditions.describe(), &figures);
            }
            Err(error) => {
                failed = true;
                eprintln!("fnguard-benches: {}: {error}", row.name);
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else if missed && arguments.check {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    }
}
