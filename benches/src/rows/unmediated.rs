//! System calls that the filter allows without asking: under the whole guard, against a filter of
//! one instruction. Beside each ratio stands how many instructions of BPF the call runs: none where
//! the kernel knows the answer by the number alone (its bitmap, Linux 5.11).

use super::{Bench, Outcome, Row};
use crate::pairs::{Aim, Estimate};
use crate::policies;
use crate::table::{Figure, Value};
use crate::workload::{Workload, command, pair};
use fnguard_policy::filter::interpreter::{Interpreter, SeccompData};
use fnguard_policy::syscalls::{self, Arch};

pub const ROW: Row = Row {
    name: "unmediated",
    title: "System calls that nobody is asked about",
    prepare: |bench| {
        bench.programs.baseline("allow")?;
        bench.programs.baseline("workload")?;
        bench.programs.launch()?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let allow = bench.programs.baseline("allow")?;
    let workload = bench.programs.baseline("workload")?.display().to_string();
    let launch = bench.programs.launch()?;
    let text = policies::one_peer(10);
    let policy = policies::compile_to(bench.programs.directory(), "calls.policy", &text)?;
    let policy = policy.display().to_string();
    let filter = policies::compile(&text)?.function;
    let arch = Arch::of_host().ok_or("there is no table for this architecture")?;
    let (rounds, calls) = if bench.quick { (2, 1000) } else { (20, 10_000) };
    let mut figures = Vec::new();
    for (call, what) in [
        ("read", "read(2) of a byte of /dev/zero"),
        ("write", "write(2) of a byte to /dev/null"),
        ("futex", "futex(2), waking nobody"),
        ("epoll_wait", "epoll_wait(2), nothing ready"),
        ("openat", "openat(2) for reading, and close(2)"),
    ] {
        let mut pairs = Vec::new();
        for _ in 0..bench.pairs {
            let mut ours = Workload::start(command(&launch, &[&policy, &workload, call]))?;
            let mut theirs = Workload::start(command(&allow, &[&workload, call]))?;
            pairs.push(pair(&mut ours, &mut theirs, rounds, calls)?);
        }
        let ratio = Estimate::of(pairs.iter().map(|(ours, theirs)| ours / theirs)).ok_or("no pairs")?;
        let ours = Estimate::of(pairs.iter().map(|(ours, _)| *ours)).ok_or("no pairs")?;
        let theirs = Estimate::of(pairs.iter().map(|(_, theirs)| *theirs)).ok_or("no pairs")?;
        let number = syscalls::number(arch, call).ok_or("a call without a number")?;
        let data =
            SeccompData { nr: i32::try_from(number)?, arch: arch.audit_value(), ..SeccompData::default() };
        let trace = Interpreter::new(&filter.instructions)?.trace(&data);
        let steps = if trace.read_arguments {
            format!("{} BPF instructions", trace.steps)
        } else {
            "answered by number".to_owned()
        };
        figures.push(Figure {
            what: what.to_owned(),
            against: "under a filter of one instruction".to_owned(),
            aim: ("≤ 1.05×".to_owned(), Aim::AtMost(1.05)),
            value: Value::Ratio(ratio),
            note: format!("{:.0} ns against {:.0} ns; {steps}", ours.median, theirs.median),
        });
    }
    Ok(figures)
}
