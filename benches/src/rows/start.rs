//! Starting a program by the launcher: `true`, from its start to its end, seen from outside.

use super::{Bench, Outcome, Row, whole_process};
use crate::pairs::{Aim, Estimate};
use crate::policies;
use crate::table::{Figure, Value};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const ROW: Row = Row {
    name: "start",
    title: "Starting a program",
    prepare: |bench| {
        bench.programs.command()?;
        bench.programs.launch()?;
        Ok(())
    },
    run,
};

fn run(bench: &Bench) -> Outcome<Vec<Figure>> {
    let program = find("true").ok_or("there is no program `true` in PATH")?;
    let policy = bench.programs.directory().join("start.toml");
    std::fs::write(&policy, policies::START)?;
    let compiled = policies::compile_to(bench.programs.directory(), "start.policy", policies::START)?;
    let command = bench.programs.command()?;
    let launch = bench.programs.launch()?;
    let sandlock = find("sandlock");

    let plain = || Command::new(&program);
    let by_command = || {
        let mut line = Command::new(&command);
        line.arg("run").arg("--policy").arg(&policy).arg("--").arg(&program);
        line
    };
    let by_launch = || {
        let mut line = Command::new(&launch);
        line.arg(&compiled).arg(&program);
        line
    };
    // The same wishes: two peers, writing below /tmp, reading and executing anywhere.
    let by_sandlock = |path: &Path| {
        let mut line = Command::new(path);
        line.args(["run", "--net-allow", "203.0.113.7:443", "--net-allow", "127.0.0.1:9001"])
            .args(["--fs-read", "/", "--fs-write", "/tmp", "--"])
            .arg(&program);
        line
    };
    let mut samples = Vec::new();
    for _ in 0..bench.pairs {
        let mut fastest = [f64::INFINITY; 4];
        for _ in 0..3 {
            for (which, line) in
                [Some(plain()), Some(by_command()), Some(by_launch()), sandlock.as_deref().map(by_sandlock)]
                    .into_iter()
                    .enumerate()
            {
                if let (Some(mut line), Some(best)) = (line, fastest.get_mut(which)) {
                    *best = best.min(whole_process(&mut line)?.as_nanos() as f64 / 1000.0);
                }
            }
        }
        samples.push(fastest);
    }
    let middle = |which: fn(&[f64; 4]) -> f64| Estimate::of(samples.iter().map(which)).ok_or("no pairs");
    let (plain, run, launch) = (middle(|s| s[0])?, middle(|s| s[1])?, middle(|s| s[2])?);
    let mut figures = vec![
        Figure {
            what: "`fnguard run -- true`".to_owned(),
            against: "plain `true`".to_owned(),
            aim: ("≤ +1200 µs".to_owned(), Aim::AtMost(1200.0)),
            value: Value::Measured(middle(|s| s[1] - s[0])?, "µs more"),
            note: format!("{:.0} µs against {:.0} µs", run.median, plain.median),
        },
        Figure {
            what: "the launcher with a compiled policy".to_owned(),
            against: "plain `true`".to_owned(),
            aim: (String::new(), Aim::None),
            value: Value::Measured(middle(|s| s[2] - s[0])?, "µs more"),
            note: format!("{:.0} µs", launch.median),
        },
    ];
    if sandlock.is_some() {
        let theirs = middle(|s| s[3])?;
        figures.push(Figure {
            what: "`fnguard run -- true`".to_owned(),
            against: "`sandlock run … -- true`, the same wishes".to_owned(),
            aim: ("≤ 0.4×".to_owned(), Aim::AtMost(0.4)),
            value: Value::Ratio(middle(|s| s[1] / s[3])?),
            note: format!("{:.0} µs against {:.0} µs", run.median, theirs.median),
        });
    } else {
        eprintln!(
            "fnguard-benches: start: no `sandlock` in PATH, not compared with it: cargo install sandlock-cli --version 0.9.0"
        );
    }
    Ok(figures)
}

/// A program in PATH.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}
