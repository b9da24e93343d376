//! The corpora of the fuzz targets that need no more than the public face, replayed: the seeds, and
//! whatever a fuzzer has found. Those that reach into the crate are replayed by `src/fuzzing.rs`.
#![allow(clippy::unwrap_used)] // A test says by its panic what went wrong.

#[path = "../fuzz/properties/imitation.rs"]
mod imitation;
#[path = "../fuzz/properties/redact.rs"]
mod redact;

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
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
fn imitation() {
    replay("imitation", imitation::check);
}

#[test]
fn redact() {
    replay("redact", redact::check);
}

/// The parser that judges `imitation` sees what it is there for.
#[test]
fn a_forged_record_is_seen() {
    assert!(imitation::forges(br#"  {"a":[{"\u0046nguard":"violation"}]}"#));
    assert!(!imitation::forges(br#"{"fnguard?":"violation"}"#));
}
