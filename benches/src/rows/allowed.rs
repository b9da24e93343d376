//! An allowed connect(2) over loopback: performed by the arbiter on a copy of the socket, against
//! the same done by a broker that has no policy.

use super::{Bench, Outcome, Row, us};
use crate::pairs::{Aim, Estimate};
use crate::policies;
use crate::table::{Figure, Value};
use crate::workload::{Workload, command, pair};
use std::net::TcpListener;

pub const ROW: Row = Row {
    name: "allowed",
    title: "An allowed connect",
    prepare: |bench| {
        bench.programs.baseline("notify")?;
        bench.programs.baseline("workload")?;
        bench.programs.launch()?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let notify = bench.programs.baseline("notify")?;
    let workload = bench.programs.baseline("workload")?.display().to_string();
    let launch = bench.programs.launch()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let port = address.port().to_string();
    let policy = policies::compile_to(
        bench.programs.directory(),
        "allowed.policy",
        &policies::one_peer(address.port()),
    )?;
    let policy = policy.display().to_string();
    // Connections are reset by their client before they are taken; the thread clears them away.
    let accepting = listener.try_clone()?;
    std::thread::spawn(move || accepting.incoming().for_each(drop));
    let (rounds, calls) = if bench.quick { (2, 20) } else { (20, 100) };
    let mut pairs = Vec::new();
    for _ in 0..bench.pairs {
        let mut ours = Workload::start(command(&launch, &[&policy, &workload, "connect", &port, "0"]))?;
        let mut theirs = Workload::start(command(&notify, &["broker", &workload, "connect", &port, "0"]))?;
        pairs.push(pair(&mut ours, &mut theirs, rounds, calls)?);
    }
    let mut bare = Workload::start(command(workload.as_ref(), &["connect", &port, "0"]))?;
    let bare: Result<Vec<f64>, _> = (0..rounds).map(|_| bare.batch(calls)).collect();
    let bare = Estimate::of(bare?).ok_or("no batches")?;
    let ratio = Estimate::of(pairs.iter().map(|(ours, theirs)| ours / theirs)).ok_or("no pairs")?;
    let ours = Estimate::of(pairs.iter().map(|(ours, _)| us(*ours))).ok_or("no pairs")?;
    let theirs = Estimate::of(pairs.iter().map(|(_, theirs)| us(*theirs))).ok_or("no pairs")?;
    Ok(vec![Figure {
        what: "connect(2) to an allowed listener on loopback".to_owned(),
        against: "the same by a minimal broker (C)".to_owned(),
        aim: ("≤ 1.3×".to_owned(), Aim::AtMost(1.3)),
        value: Value::Ratio(ratio),
        note: format!(
            "{:.2} µs against {:.2} µs; unmediated {:.2} µs",
            ours.median,
            theirs.median,
            us(bare.median)
        ),
    }])
}
