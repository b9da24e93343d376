//! The ambush: an order function with a hostile dependency runs twice, unguarded and guarded, and
//! everything that the dependency tries is judged from outside. This file reads the command line
//! and says what happens in which order; the rooms do it:
//!
//! - [`binaries`] builds the function both ways; [`isolate`] leaves the machine.
//! - [`attempts`] is the table of what is tried; [`sinks`] are where stolen bytes would arrive.
//! - [`session`] is one cold start of the function under a local Lambda platform: [`supervise`] is the
//!   process above it; the runtime API, the payment host and the resolver are [`ambush_platform`].
//! - [`judge`] says what the outside shows and which record stands for it; [`excused`] what a
//!   machine may be unable to show; [`report`] prints it.

mod attempts;
mod binaries;
mod excused;
mod isolate;
mod judge;
mod kernel;
mod processes;
mod report;
mod schema;
mod session;
mod sinks;
mod supervise;
mod world;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit status where the machine gives no namespaces to hide in.
const NOT_ISOLATED: u8 = 3;
/// The first argument of the process that stands for the platform above the function.
const SUPERVISE: &str = "supervise";

/// Runs an order function with a hostile dependency, first unguarded and then guarded by fnguard,
/// and prints what became of each thing that the dependency tried.
///
/// Nothing leaves this machine and nothing on it is attacked: the ambush first moves into user,
/// pid, mount and network namespaces of its own with an empty home. There the addresses of "the
/// internet", the metadata service and the payment host are all local sinks. An attempt counts as
/// successful only if a sink, a file or the kernel shows it; it counts as stopped only if they
/// don't and the guard's record says so. "not possible here" means that the attempt failed with no
/// guard either: a kernel switch forbids it. `excused.toml` lists for which attempts, and under
/// which switch, that is no failure for an ordinary user; root is excused of nothing.
#[derive(Parser)]
#[command(
    name = "ambush",
    version,
    after_help = "\
Exit status:
  0  every attempt succeeded unguarded (25 at least; the rest is excused), was stopped and recorded
     guarded, and the function's own work was done in both
  1  something of that does not hold; the table says what
  2  the command line, the build or the ambush itself failed
  3  this machine refuses the namespaces that the ambush hides in; nothing was tried

Examples:
  cargo run --release -p ambush                       the whole table
  cargo run --release -p ambush -- --only sh-c,tcp    two attempts, with what was captured
  cargo run --release -p ambush -- --unguarded-only   what the attacker gets without a guard"
)]
struct Arguments {
    /// Print the attempts and what each of them is, and stop.
    #[arg(long)]
    list: bool,
    /// Only these attempts, by name. The rule of 25 does not apply then.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Leave the guarded run out.
    #[arg(long, conflicts_with = "guarded_only")]
    unguarded_only: bool,
    /// Leave the unguarded run out.
    #[arg(long)]
    guarded_only: bool,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    json: bool,
    /// Print what the function and the guard wrote during each attempt, to stderr.
    #[arg(long)]
    show_output: bool,
    /// The function built without the guard, instead of building it.
    #[arg(long, value_name = "FILE")]
    unguarded_binary: Option<PathBuf>,
    /// The function built with the guard, instead of building it.
    #[arg(long, value_name = "FILE")]
    guarded_binary: Option<PathBuf>,
}

/// What made the ambush itself fail, as opposed to what it shows.
#[derive(Debug, thiserror::Error)]
enum AmbushError {
    #[error("no attempt is named {0:?}; `ambush --list` prints them")]
    UnknownAttempt(String),
    #[error(transparent)]
    Build(#[from] binaries::BuildError),
    #[error(transparent)]
    Excuses(#[from] excused::ExcusesError),
    #[error("the stage could not be set: {0}")]
    Stage(#[from] std::io::Error),
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == SUPERVISE) {
        return supervise::main(words);
    }
    let arguments = Arguments::parse();
    if arguments.list {
        report::list();
        return ExitCode::SUCCESS;
    }
    match prepare(&arguments) {
        Ok(plan) => match isolate::run(|outside| play(&arguments, &plan, outside)) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                eprintln!("ambush: not isolated: {error}");
                eprintln!("ambush: nothing was tried. It needs unprivileged user namespaces, or root.");
                ExitCode::from(NOT_ISOLATED)
            }
        },
        Err(error) => ExitCode::from(failed(&error)),
    }
}

fn failed(error: &AmbushError) -> u8 {
    eprintln!("ambush: {error}");
    2
}

/// What has to be read and built while the machine is still in sight.
struct Plan {
    attempts: Vec<&'static attempts::Attempt>,
    excuses: excused::Excuses,
    /// The function's image without the guard and with it, as far as each is wanted.
    unguarded: Option<Vec<u8>>,
    guarded: Option<Vec<u8>>,
    /// This program's image, for the process above the function.
    own: Vec<u8>,
}

fn prepare(arguments: &Arguments) -> Result<Plan, AmbushError> {
    for name in &arguments.only {
        if !attempts::ALL.iter().any(|attempt| attempt.name == name) {
            return Err(AmbushError::UnknownAttempt(name.clone()));
        }
    }
    let wanted = |attempt: &&attempts::Attempt| {
        arguments.only.is_empty() || arguments.only.iter().any(|n| n == attempt.name)
    };
    let image = |wanted: bool, given: &Option<PathBuf>, guard: binaries::Guard| match given {
        _ if !wanted => Ok(None),
        Some(path) => std::fs::read(path).map(Some).map_err(AmbushError::Stage),
        None => Ok(Some(binaries::build(guard)?)),
    };
    Ok(Plan {
        attempts: attempts::ALL.iter().filter(wanted).collect(),
        excuses: excused::Excuses::read(nix::unistd::Uid::current().is_root())?,
        unguarded: image(!arguments.guarded_only, &arguments.unguarded_binary, binaries::Guard::Without)?,
        guarded: image(!arguments.unguarded_only, &arguments.guarded_binary, binaries::Guard::With)?,
        own: std::fs::read("/proc/self/exe")?,
    })
}

/// The play itself, in its own namespaces.
fn play(arguments: &Arguments, plan: &Plan, place: isolate::Place) -> u8 {
    match perform(arguments, plan, &place) {
        Ok(results) => {
            if arguments.json {
                report::json(&results);
            } else {
                report::table(&results);
            }
            u8::from(!results.hold())
        }
        Err(error) => failed(&error),
    }
}

fn perform(
    arguments: &Arguments,
    plan: &Plan,
    place: &isolate::Place,
) -> Result<report::Results, AmbushError> {
    let world = world::World::start(place, &plan.own)?;
    let show = arguments.show_output;
    let run = |image: &Option<Vec<u8>>, guarded: bool| -> Result<Option<report::Run>, AmbushError> {
        let Some(image) = image else { return Ok(None) };
        world.install(image)?;
        let mut run = report::Run { honest: world.honest_session(guarded, show)?, ..report::Run::default() };
        for attempt in &plan.attempts {
            let (trials, honest) = world.assault(std::slice::from_ref(attempt), guarded, show)?;
            run.trials.extend(trials.into_iter().map(|trial| (trial, honest.clone())));
        }
        // And what such a package really does: everything, in one call.
        let together: Vec<_> =
            plan.attempts.iter().copied().filter(|attempt| attempt.ends == attempts::Ends::Receipt).collect();
        if together.len() > 1 {
            run.together = Some(world.assault(&together, guarded, show)?);
        }
        Ok(Some(run))
    };
    let unguarded = run(&plan.unguarded, false)?;
    let guarded = run(&plan.guarded, true)?;
    Ok(report::Results::new(
        &plan.attempts,
        unguarded,
        guarded,
        &plan.excuses,
        place,
        arguments.only.is_empty(),
    ))
}
