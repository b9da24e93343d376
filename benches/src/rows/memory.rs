//! The arbiter's memory: what it has for itself (Private_Clean + Private_Dirty of smaps_rollup,
//! proc_pid_smaps(5)), some calls after its function began.

use super::{Bench, Outcome, Row};
use crate::pairs::Aim;
use crate::policies;
use crate::runtime_api::{Invocations, event};
use crate::table::{Figure, Value};
use crate::workload::{Workload, command};
use std::process::Command;

pub const ROW: Row = Row {
    name: "memory",
    title: "The arbiter's private memory",
    prepare: |bench| {
        bench.programs.baseline("workload")?;
        bench.programs.launch()?;
        bench.programs.command()?;
        bench.programs.function("arm-attribute")?;
        bench.programs.function("hello-guarded")?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let workload = bench.programs.baseline("workload")?.display().to_string();
    let directory = bench.programs.directory();
    let policy = policies::compile_to(directory, "memory.policy", &policies::one_peer(10))?;
    let source = directory.join("memory.toml");
    std::fs::write(&source, policies::one_peer(10))?;
    let (policy, source) = (policy.display().to_string(), source.display().to_string());
    let refused = ["connect", "9", "13"];
    let mut figures = Vec::new();

    let launch = bench.programs.launch()?;
    let mut launched =
        Workload::start(command(&launch, &[&[policy.as_str(), &workload], &refused[..]].concat()))?;
    launched.batch(100)?;
    figures.push(figure("launcher, compiled policy, after 100 refused calls", 3.0, launched.process())?);

    let run = bench.programs.command()?;
    let line = [&["run", "--policy", source.as_str(), "--", &workload], &refused[..]].concat();
    let mut run = Workload::start(command(&run, &line))?;
    run.batch(100)?;
    figures.push(figure("`fnguard run`, after 100 refused calls", 3.0, run.process())?);

    // It prints one line when it is armed, and then waits.
    let mut armed = Workload::start(command(&bench.programs.function("arm-attribute")?, &["wait"]))?;
    armed.line()?;
    figures.push(figure("attribute, a `main` that waits", 4.0, armed.process())?);

    let mut function = Invocations::start(Command::new(bench.programs.function("hello-guarded")?))?;
    for number in 0..100 {
        function.invoke(&event(number, None, true))?;
    }
    figures.push(figure("attribute, a Lambda function after 100 events", 4.0, function.process())?);
    Ok(figures)
}

fn figure(what: &str, aim: f64, process: u32) -> Outcome<Figure> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{path}: {error}; the arbiter is closed to others: run as root"))?;
    let field = |name: &str| -> Outcome<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("a field is missing")?;
        Ok(line.trim_start_matches(':').trim_end_matches("kB").trim().parse::<f64>()? / 1024.0)
    };
    let (clean, dirty) = (field("Private_Clean")?, field("Private_Dirty")?);
    let round = |mebibytes: f64| (mebibytes * 100.0).round() / 100.0;
    Ok(Figure {
        what: what.to_owned(),
        against: "—".to_owned(),
        aim: (format!("≤ {aim} MiB"), Aim::AtMost(aim)),
        value: Value::Counted(round(clean + dirty), "MiB"),
        note: format!("written to {:.2}, Pss {:.2}, Rss {:.2}", dirty, field("Pss")?, field("Rss")?),
    })
}
