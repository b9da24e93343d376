//! What `#[guarded]` adds to a hello-world on `lambda_runtime`: crates and bytes.

use super::{Bench, Outcome, Row};
use crate::pairs::Aim;
use crate::programs::cargo;
use crate::table::{Figure, Value};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

pub const ROW: Row = Row {
    name: "size",
    title: "What the attribute adds to a hello-world on lambda_runtime",
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
    let linked = |features| crates(features, "normal,no-proc-macro");
    let (before, after) = (linked(&[])?, linked(&["--features", "guarded"])?);
    let (all_before, all_after) = (crates(&[], "normal")?, crates(&["--features", "guarded"], "normal")?);
    let added: Vec<&str> = after.difference(&before).map(String::as_str).collect();
    let sizes = (stripped(bench, &plain)?, stripped(bench, &guarded)?);
    let kib = |bytes: u64| bytes as f64 / 1024.0;
    Ok(vec![
        Figure {
            what: "crates that are linked".to_owned(),
            against: "without the attribute".to_owned(),
            aim: ("≤ 25".to_owned(), Aim::AtMost(25.0)),
            value: Value::Counted(added.len() as f64, "more"),
            note: format!("{} to {}: {}", before.len(), after.len(), added.join(", ")),
        },
        Figure {
            what: "crates with those of macros, which run in the compiler".to_owned(),
            against: "without the attribute".to_owned(),
            aim: (String::new(), Aim::None),
            value: Value::Counted(all_after.difference(&all_before).count() as f64, "more"),
            note: format!("{} to {}", all_before.len(), all_after.len()),
        },
        Figure {
            what: "stripped release binary".to_owned(),
            against: "without the attribute".to_owned(),
            aim: ("≤ 700 KiB".to_owned(), Aim::AtMost(700.0)),
            value: Value::Counted((kib(sizes.1) - kib(sizes.0)).round(), "KiB more"),
            note: format!("{:.0} KiB to {:.0} KiB", kib(sizes.0), kib(sizes.1)),
        },
    ])
}

/// The names of the crates below the function.
fn crates(features: &[&str], edges: &str) -> Outcome<BTreeSet<String>> {
    let output = Command::new(cargo())
        .args(["tree", "--package", "fnguard-benches-function", "--prefix", "none", "--edges", edges])
        .args(["--format", "{p}", "--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .args(features)
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo tree: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let name_and_version = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Ok(text.lines().filter(|line| !line.is_empty()).map(name_and_version).collect())
}

/// The size of a program without its symbols.
fn stripped(bench: &Bench, program: &Path) -> Outcome<u64> {
    let name = program.file_name().ok_or("a program without a name")?;
    let out = bench.programs.directory().join(name);
    let status = Command::new("strip").arg("-o").arg(&out).arg(program).status()?;
    if !status.success() {
        return Err("strip (binutils) failed".into());
    }
    Ok(std::fs::metadata(&out)?.len())
}
