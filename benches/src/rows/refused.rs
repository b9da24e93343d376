//! A refused connect(2): notified, looked at, decided, recorded, answered; against a loop that
//! answers EPERM to whatever it is told of.

use super::{Bench, Outcome, Row, us};
use crate::pairs::{Aim, Estimate};
use crate::policies;
use crate::table::{Figure, Value};
use crate::workload::{Workload, command, pair};

pub const ROW: Row = Row {
    name: "refused",
    title: "A refused connect",
    prepare: |bench| {
        bench.programs.baseline("notify")?;
        bench.programs.baseline("workload")?;
        bench.programs.launch()?;
        Ok(())
    },
    run,
};

/// The port that is asked for; the policy names another.
const REFUSED: &str = "9";

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let notify = bench.programs.baseline("notify")?;
    let workload = bench.programs.baseline("workload")?.display().to_string();
    let launch = bench.programs.launch()?;
    let policy = policies::compile_to(bench.programs.directory(), "refused.policy", &policies::one_peer(10))?;
    let policy = policy.display().to_string();
    let (rounds, calls) = if bench.quick { (2, 50) } else { (10, 500) };
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs {
        // EACCES and EPERM.
        let mut ours = Workload::start(command(&launch, &[&policy, &workload, "connect", REFUSED, "13"]))?;
        let mut theirs = Workload::start(command(&notify, &["refuse", &workload, "connect", REFUSED, "1"]))?;
        pairs.push(pair(&mut ours, &mut theirs, rounds, calls)?);
    }
    let ratio = Estimate::of(pairs.iter().map(|(ours, theirs)| ours / theirs)).ok_or("no pairs")?;
    let ours = Estimate::of(pairs.iter().map(|(ours, _)| us(*ours))).ok_or("no pairs")?;
    let theirs = Estimate::of(pairs.iter().map(|(_, theirs)| us(*theirs))).ok_or("no pairs")?;
    Ok(vec![Figure {
        what: "connect(2) to a peer that no rule allows".to_owned(),
        against: "a notify loop that answers EPERM (C)".to_owned(),
        aim: ("≤ 1.3×".to_owned(), Aim::AtMost(1.3)),
        value: Value::Ratio(ratio),
        note: format!("{:.2} µs against {:.2} µs", ours.median, theirs.median),
    }])
}
