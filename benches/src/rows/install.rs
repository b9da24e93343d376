//! Installing the function's filter: seccomp(2) alone, for a policy as small functions have it.

use super::{Bench, Outcome, Row, printed_number, us};
use crate::pairs::{Aim, Estimate};
use crate::policies;
use crate::table::{Figure, Value};
use std::process::Command;

pub const ROW: Row = Row {
    name: "install",
    title: "Installing the filter",
    prepare: |bench| Ok(bench.programs.baseline("install").map(drop)?),
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let install = bench.programs.baseline("install")?;
    let program = policies::compile(policies::START)?.function;
    // struct sock_filter: operation, jump when true, jump when false, operand.
    let bytes: Vec<u8> = program
        .instructions
        .iter()
        .flat_map(|(code, jt, jf, k)| [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()].concat())
        .collect();
    let file = bench.programs.directory().join("filter");
    std::fs::write(&file, bytes)?;
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs {
        pairs.push((
            printed_number(Command::new(&install).arg(&file))?,
            printed_number(Command::new(&install).arg(&file).arg("empty"))?,
        ));
    }
    let ours = Estimate::of(pairs.iter().map(|(ours, _)| us(*ours))).ok_or("no pairs")?;
    let empty = Estimate::of(pairs.iter().map(|(_, empty)| us(*empty))).ok_or("no pairs")?;
    Ok(vec![Figure {
        what: "seccomp(2) with the function's filter".to_owned(),
        against: "—".to_owned(),
        aim: ("≤ 300 µs".to_owned(), Aim::AtMost(300.0)),
        value: Value::Measured(ours, "µs"),
        note: format!(
            "{} instructions; a filter of one instruction takes {:.0} µs",
            program.instructions.len(),
            empty.median
        ),
    }])
}
