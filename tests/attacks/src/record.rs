//! The guard's records in a log, each held against the schema that is published for them.

use serde_json::Value;
use std::sync::LazyLock;

/// `docs/violation.schema.json`, which readers of the log go by.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let text = include_str!("violation.schema.json");
    let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is one")
});

/// The records among the lines of a log, in their order: the lines that are JSON objects with the key
/// `fnguard`, which a guarded function's own lines can't have.
///
/// # Panics
///
/// If one of them is none by the schema.
#[track_caller]
pub fn in_log(log: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(log);
    let records = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let records: Vec<Value> = records.filter(|line| line.get("fnguard").is_some()).collect();
    for record in &records {
        if let Err(error) = SCHEMA.validate(record) {
            panic!("not by the schema: {error}\n{record}\n--- the log\n{text}");
        }
    }
    records
}
