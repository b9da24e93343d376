//! The corpora of the policy's fuzz targets, replayed: the seeds, and whatever a fuzzer has found.
#![allow(clippy::unwrap_used)] // A test says by its panic what went wrong.

#[path = "../../fuzz/properties/compiled.rs"]
mod compiled;
#[path = "../../fuzz/properties/policy.rs"]
mod policy;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder);
    let mut inputs = 0;
    for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        // Shown if the next line panics.
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs >= 3, "{target} has {inputs} inputs");
}

#[test]
fn policy() {
    replay("policy", policy::check);
}

#[test]
fn compiled() {
    replay("compiled", compiled::check);
}
