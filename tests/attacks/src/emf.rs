//! A log line as CloudWatch reads it: the rules of the Embedded Metric Format's specification, followed
//! by hand. Not the schema of fnguard's records, and nothing of the code that writes them.

use serde_json::Value;

/// One value of one metric.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// The namespace.
    pub namespace: String,
    /// The metric's name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Each set of dimensions: names and values.
    pub dimensions: Vec<Vec<(String, String)>>,
}

/// The metrics that CloudWatch makes of a line; none if it is no document of the format.
///
/// # Panics
///
/// If the line has the metadata and breaks a rule: CloudWatch would drop it without a word.
#[track_caller]
pub fn metrics(line: &Value) -> Vec<Metric> {
    let Some(metadata) = line.get("_aws") else { return Vec::new() };
    let text = |value: &Value, most: usize| {
        let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text: {line}"));
        assert!((1..=most).contains(&text.len()), "{text:?} is too short or too long: {line}");
        text.to_owned()
    };
    let list =
        |value: &Value| value.as_array().unwrap_or_else(|| panic!("{value} is no list: {line}")).clone();

    // Milliseconds since 1970: what is older than two weeks, or two hours ahead, is refused.
    let stamp = metadata["Timestamp"].as_u64().unwrap_or_else(|| panic!("no Timestamp: {line}"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    assert!((now.as_millis() as u64).abs_diff(stamp) < 3_600_000, "{stamp} is not in milliseconds: {line}");

    let mut metrics = Vec::new();
    for directive in list(&metadata["CloudWatchMetrics"]) {
        let namespace = text(&directive["Namespace"], 1024);
        assert!(!namespace.starts_with("AWS/"), "a namespace of Amazon's: {line}");
        let sets = list(&directive["Dimensions"]);
        let dimensions = sets.iter().map(|set| {
            let names = list(set);
            assert!(names.len() <= 30, "a set has more than 30 dimensions: {line}");
            // The value of a dimension stands at the root, and is a text.
            names
                .iter()
                .map(|name| text(name, 250))
                .map(|name| (name.clone(), text(&line[&name], 1024)))
                .collect()
        });
        let dimensions: Vec<Vec<(String, String)>> = dimensions.collect();
        assert!(!dimensions.is_empty(), "no set of dimensions: {line}");
        let definitions = list(&directive["Metrics"]);
        assert!((1..=100).contains(&definitions.len()), "{line}");
        for definition in definitions {
            let name = text(&definition["Name"], 1024);
            assert_eq!(definition["Unit"], "Count", "{line}");
            let value = line[&name].as_f64().unwrap_or_else(|| panic!("{name} is no number: {line}"));
            metrics.push(Metric {
                namespace: namespace.clone(),
                name,
                value,
                dimensions: dimensions.clone(),
            });
        }
    }
    assert!(!metrics.is_empty(), "metadata without a metric: {line}");
    metrics
}
