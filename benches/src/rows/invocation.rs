//! A whole invocation through a local runtime API: from the event's leaving to the answer's
//! arriving, guarded and not. Beside a handler that does nothing stands one that logs, and one that
//! asks a service which takes two milliseconds, as a database does.

use super::{Bench, Outcome, Row};
use crate::pairs::{Aim, Estimate};
use crate::runtime_api::{Invocations, Service, event};
use crate::table::{Figure, Value};
use std::process::Command;

pub const ROW: Row = Row {
    name: "invocation",
    title: "A whole invocation",
    prepare: |bench| {
        bench.programs.function("hello-plain")?;
        bench.programs.function("hello-guarded")?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let plain = bench.programs.function("hello-plain")?;
    let guarded = bench.programs.function("hello-guarded")?;
    let service = Service::start()?;
    let rounds = if bench.quick { 3 } else { 40 };
    let mut figures = Vec::new();
    for (what, upstream, log) in [
        ("a handler that does nothing", None, false),
        ("a handler that logs a line", None, true),
        ("a handler that logs a line and asks a service (2 ms)", Some(service.port), true),
    ] {
        let mut pairs = Vec::new();
        for _ in 0..bench.pairs {
            let mut ours = Invocations::start(Command::new(&guarded))?;
            let mut theirs = Invocations::start(Command::new(&plain))?;
            let (mut mine, mut other) = (Vec::new(), Vec::new());
            for round in 0..rounds + 5 {
                let event = event(round, upstream, log);
                let (a, b) = if round % 2 == 0 {
                    let a = ours.invoke(&event)?;
                    (a, theirs.invoke(&event)?)
                } else {
                    let b = theirs.invoke(&event)?;
                    (ours.invoke(&event)?, b)
                };
                // The first ones warm up.
                if round >= 5 {
                    mine.push(a.as_nanos() as f64 / 1000.0);
                    other.push(b.as_nanos() as f64 / 1000.0);
                }
            }
            let middle = |samples: Vec<f64>| Estimate::of(samples).map_or(f64::NAN, |e| e.median);
            pairs.push((middle(mine), middle(other)));
        }
        let ratio = Estimate::of(pairs.iter().map(|(ours, theirs)| ours / theirs)).ok_or("no pairs")?;
        let ours = Estimate::of(pairs.iter().map(|(ours, _)| *ours)).ok_or("no pairs")?;
        let theirs = Estimate::of(pairs.iter().map(|(_, theirs)| *theirs)).ok_or("no pairs")?;
        let more = Estimate::of(pairs.iter().map(|(ours, theirs)| ours - theirs)).ok_or("no pairs")?;
        figures.push(Figure {
            what: what.to_owned(),
            against: "without the attribute".to_owned(),
            aim: ("≤ 1.02×".to_owned(), Aim::AtMost(1.02)),
            value: Value::Ratio(ratio),
            note: format!(
                "{:.0} µs against {:.0} µs: {:.1} µs more",
                ours.median, theirs.median, more.median
            ),
        });
    }
    Ok(figures)
}
