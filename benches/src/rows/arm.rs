//! Arming by the attribute: from the program's own first code to `main`, against the least that a
//! fork, a filter and the handing over of its listener can cost.

use super::{Bench, Outcome, Row, printed_number, us};
use crate::pairs::{Aim, Estimate};
use crate::table::{Figure, Value};
use std::process::Command;

pub const ROW: Row = Row {
    name: "arm",
    title: "Arming, by the attribute",
    prepare: |bench| {
        bench.programs.function("arm-bare")?;
        bench.programs.function("arm-attribute")?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let (bare, guarded) = (bench.programs.function("arm-bare")?, bench.programs.function("arm-attribute")?);
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs {
        // The fastest of three on each side: one cold page or one interrupt is not the cost.
        let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..3 {
            ours = ours.min(printed_number(
                Command::new(&guarded)
                    .env("STRIPE_KEY", "sk_live_0123456789abcdefghij")
                    .env("DB_PASSWORD", "correct horse battery staple"),
            )?);
            theirs = theirs.min(printed_number(&mut Command::new(&bare))?);
        }
        pairs.push((ours, theirs));
    }
    let ratio = Estimate::of(pairs.iter().map(|(ours, theirs)| ours / theirs)).ok_or("no pairs")?;
    let ours = Estimate::of(pairs.iter().map(|(ours, _)| us(*ours))).ok_or("no pairs")?;
    let theirs = Estimate::of(pairs.iter().map(|(_, theirs)| us(*theirs))).ok_or("no pairs")?;
    Ok(vec![
        Figure {
            what: "first code to `main`, armed by `#[guarded]`".to_owned(),
            against: "the same program: fork, empty filter, listener handed over (C)".to_owned(),
            aim: ("≤ 2×".to_owned(), Aim::AtMost(2.0)),
            value: Value::Ratio(ratio),
            note: format!("{:.0} µs against {:.0} µs", ours.median, theirs.median),
        },
        Figure {
            what: "the same, absolute".to_owned(),
            against: "—".to_owned(),
            aim: ("< 1000 µs".to_owned(), Aim::AtMost(1000.0)),
            value: Value::Measured(ours, "µs"),
            note: String::new(),
        },
    ])
}
