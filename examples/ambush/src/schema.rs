//! The schema that is published for the guard's records, and whether a log keeps to it. What a record
//! stands for is `judge`'s to say.

use serde_json::Value;
use std::sync::LazyLock;

/// What whoever reads the log goes by.
static PUBLISHED: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let text = include_str!("violation.schema.json");
    let schema = serde_json::from_str(text).expect("the published schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the published schema is a schema")
});

/// The first of a guarded function's lines that is a record and none by the schema, and why.
pub fn fault<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<String> {
    lines.into_iter().find_map(|line| {
        let record: Value = serde_json::from_str(line).ok()?;
        record.get("fnguard")?;
        let error = PUBLISHED.validate(&record).err()?;
        Some(format!("a record is none by its schema: {error}: {line}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_none_is_found_among_other_lines() {
        let page = include_str!("../../../docs/violations.md");
        let records = || page.lines().filter(|line| line.starts_with("{\"timestamp\""));
        assert!(records().count() >= 9);
        assert_eq!(fault(records().chain(["{\"level\":\"INFO\"}", "no JSON", "{\"fnguard?\":1}"])), None);
        let wrong = records().next().map(|line| line.replace("\"blocked\"", "\"stopped\""));
        assert!(fault(records().chain(wrong.as_deref())).is_some_and(|fault| fault.contains("stopped")));
        assert!(fault(["{\"fnguard\":\"violation\"}"]).is_some());
    }
}
