//! Records as a reader of the log sees them: their JSON against the published schema and page,
//! what hostile text in them can do, the limit on floods, and the marking of imitations.
//!
//! The oracles here (calendar, EMF rules, flood model, key finder) share nothing with the crate.

#![allow(clippy::unwrap_used)] // The helpers of a test may panic as the tests do.

use fnguard::report::emf::NamespaceError;
use fnguard::report::imitation::{self, Marker};
use fnguard::report::text::visible;
use fnguard::report::time::{rfc3339, unix_millis};
use fnguard::report::*;
use proptest::prelude::*;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PAGE: &str = include_str!("../docs/violations.md");
const SCHEMA: &str = include_str!("../docs/violation.schema.json");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn validator() -> &'static jsonschema::Validator {
    static VALIDATOR: LazyLock<jsonschema::Validator> =
        LazyLock::new(|| jsonschema::draft202012::new(&schema()).unwrap());
    &VALIDATOR
}

fn plain(text: &str) -> String {
    text.to_owned()
}

fn noon() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_795_424_880_455)
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn with_emf() -> Reporter {
    Reporter::new(Options { emf: Some(Namespace::new("Shop/fnguard").unwrap()), ..Options::default() })
}

/// A record of each kind with every field set. Written without struct update, so that a new field
/// has to be added here, and then to the schema and the page.
fn full() -> Vec<Record> {
    let full: Vec<Record> = vec![
        Violation {
            control: Control::Network,
            action: Action::Blocked,
            syscall: "connect".into(),
            address: text("203.0.113.9:443"),
            name: text("evil.example"),
            path: text("/tmp/x"),
            program: text("/bin/sh"),
            detail: text("SOCK_RAW"),
            rule: "network.allow".into(),
            hint: text("[network] allow = [\"evil.example:443\"]"),
            pid: Some(7),
            errno: text("EACCES"),
            phase: Phase::Init,
            request_ids: texts(&["r-1"]),
        }
        .into(),
        Suppressed {
            control: Control::Exec,
            action: Action::Audited,
            syscall: text("execve"),
            rule: text("exec.allow"),
            count: 12,
            targets: 64,
            unlisted: 3,
            last: text("/bin/sh"),
            request_ids: texts(&["r-1", "r-2"]),
        }
        .into(),
        Posture {
            mechanism: Mechanism::Seccomp,
            armed_by: text("launcher"),
            version: "0.1.0".into(),
            policy_hash: "0123456789abcdef".repeat(4),
            policy_origin: "guard.toml".into(),
            mode: "enforce".into(),
            controls: vec![
                ("network".into(), Held::Held),
                ("exec".into(), Held::Audit),
                ("files".into(), Held::NotHeld { reason: "the kernel has no Landlock".into() }),
                ("exec_memory".into(), Held::Open),
            ],
            secrets: texts(&["STRIPE_KEY", "DB_PASSWORD"]),
            weak: vec![("PIN".into(), "3 bytes".into())],
            looks_like_secret: texts(&["API_TOKEN"]),
            interposed: texts(&["connect"]),
            warnings: texts(&["[exec] allows every program"]),
            landlock_abi: Some(7),
            kernel: text("6.18.0"),
            pid: Some(7),
            arbiter_pid: Some(6),
            arming_us: Some(431),
        }
        .into(),
        Refusal {
            code: "secret_not_set".into(),
            message: "STRIPE_KEY is not set".into(),
            found: text("no such variable"),
            expected: text("a value"),
            remedy: text("set it, or list it under [secrets] optional"),
        }
        .into(),
        Ended {
            exit: Some(101),
            signal: text("SIGKILL"),
            counts: Counts { blocked: 3, audited: 2, suppressed: 1, redacted: 4 },
            pid: Some(7),
        }
        .into(),
        Redacted {
            name: "STRIPE_KEY".into(),
            count: 2,
            stream: Stream::Stdout,
            request_ids: texts(&["r-1"]),
        }
        .into(),
        LateSecret { name: "TOKEN".into(), accepted: false, reason: text("too short") }.into(),
        Barrier { waited_ms: 250, bytes_left: 9, request_ids: texts(&["r-1"]) }.into(),
        LateOutput { stream: Stream::Stderr, bytes: 17, after: texts(&["r-1"]) }.into(),
    ];
    for record in &full {
        // Fails to compile when a kind is added, so that it is added above too.
        match record {
            Record::Violation(_)
            | Record::Suppressed(_)
            | Record::Posture(_)
            | Record::Refusal(_)
            | Record::Ended(_)
            | Record::Redacted(_)
            | Record::LateSecret(_)
            | Record::Barrier(_)
            | Record::LateOutput(_) => {}
        }
    }
    assert_eq!(full.iter().map(Record::kind).collect::<BTreeSet<_>>().len(), 9);
    full
}

fn parse(line: &str) -> Map<String, Value> {
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => object,
        other => panic!("not an object: {other:?}: {line}"),
    }
}

fn assert_valid(line: &str) {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    if let Err(error) = validator().validate(&value) {
        panic!("{error}\n{line}");
    }
}

// ---- form ------------------------------------------------------------------------------------

#[test]
fn a_violation_reads_as_the_documentation_shows() {
    let mut reporter = Reporter::new(Options::default());
    let mut violation = Violation::new(Control::Network, Action::Blocked, "connect", "network.allow");
    violation.address = text("203.0.113.9:443");
    violation.name = text("evil.example");
    violation.request_ids = texts(&["8f5e"]);
    violation.phase = Phase::Handler;
    let line = reporter.violation(&violation, noon(), &plain).unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"timestamp":"2026-11-23T09:08:00.455Z","level":"ERROR","fnguard":"violation","#,
            r#""control":"network","action":"blocked","syscall":"connect","address":"203.0.113.9:443","#,
            r#""name":"evil.example","requestId":"8f5e","rule":"network.allow","seq":1}"#
        )
    );
    assert!(PAGE.contains(&line), "docs/violations.md shows another line than\n{line}");
}

#[test]
fn every_line_begins_with_timestamp_and_level() {
    // Lambda's log-level filter takes a line without both for INFO.
    for record in full() {
        let line = with_emf().record(&record, noon(), &plain);
        let head = format!(
            r#"{{"timestamp":"2026-11-23T09:08:00.455Z","level":"{}","fnguard":"{}","#,
            record.level().as_str(),
            record.kind()
        );
        assert!(line.starts_with(&head), "{line}");
        assert!(!line.contains('\n'));
    }
}

#[test]
fn levels_follow_what_happened() {
    let level = |record: Record| record.level();
    let violation = |action| Violation::new(Control::Exec, action, "execve", "exec.allow").into();
    assert_eq!(level(violation(Action::Blocked)), Level::Error);
    assert_eq!(level(violation(Action::Audited)), Level::Warn);
    let posture = |held| Posture { controls: vec![("network".into(), held)], ..Posture::default() };
    assert_eq!(level(posture(Held::Held).into()), Level::Info);
    assert_eq!(level(posture(Held::Audit).into()), Level::Info);
    assert_eq!(level(posture(Held::NotHeld { reason: "x".into() }).into()), Level::Warn);
    assert_eq!(level(Ended { exit: Some(0), ..Ended::default() }.into()), Level::Info);
    assert_eq!(level(Ended { exit: Some(1), ..Ended::default() }.into()), Level::Warn);
    assert_eq!(level(Ended { signal: text("SIGABRT"), ..Ended::default() }.into()), Level::Warn);
    assert_eq!(level(Refusal::default().into()), Level::Error);
    let redacted = Redacted { name: "A".into(), count: 1, stream: Stream::Stdout, request_ids: Vec::new() };
    assert_eq!(level(redacted.into()), Level::Warn);
    let late = |accepted| LateSecret { name: "A".into(), accepted, reason: None }.into();
    assert_eq!((level(late(true)), level(late(false))), (Level::Info, Level::Warn));
}

#[test]
fn request_ids_and_phase() {
    let line = |ids: &[&str], phase| {
        let mut violation = Violation::new(Control::Files, Action::Blocked, "openat", "files.write");
        violation.request_ids = texts(ids);
        violation.phase = phase;
        parse(&Reporter::new(Options::default()).violation(&violation, noon(), &plain).unwrap())
    };
    let none = line(&[], Phase::Init);
    assert!(!none.contains_key("requestId") && !none.contains_key("requestIds"));
    assert_eq!(none["phase"], "init");
    let one = line(&["a"], Phase::Handler);
    assert_eq!(one["requestId"], "a");
    assert!(!one.contains_key("requestIds") && !one.contains_key("phase"));
    let two = line(&["a", "b"], Phase::Late);
    assert_eq!(two["requestIds"], serde_json::json!(["a", "b"]));
    assert!(!two.contains_key("requestId"));
    assert_eq!(two["phase"], "late");
}

#[test]
fn numbers_run_without_gaps_over_all_kinds() {
    let mut reporter = Reporter::new(Options::default());
    let violation = Violation::new(Control::Exec, Action::Blocked, "execve", "exec.allow");
    let mut lines = Vec::new();
    for round in 0..5 {
        lines.extend(full().iter().map(|record| reporter.record(record, noon(), &plain)));
        for _ in 0..3 {
            lines.extend(reporter.violation(&violation, noon(), &plain));
        }
        if round % 2 == 0 {
            lines.extend(reporter.summary(noon(), &plain));
        }
    }
    let numbers: Vec<u64> = lines.iter().map(|line| parse(line)["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
}

// ---- schema and page -------------------------------------------------------------------------

#[test]
fn every_kind_is_valid_with_all_fields_and_with_the_fewest() {
    let mut fewest = full();
    for record in &mut fewest {
        match record {
            Record::Violation(v) => *v = Violation::new(v.control, v.action, "connect", "network.allow"),
            Record::Suppressed(s) => {
                (s.syscall, s.rule, s.last) = (None, None, None);
                s.request_ids.clear();
            }
            Record::Posture(p) => {
                *p = Posture {
                    version: "0.1.0".into(),
                    policy_hash: "0".repeat(64),
                    policy_origin: "inline".into(),
                    mode: "audit".into(),
                    ..Posture::default()
                }
            }
            Record::Refusal(r) => {
                *r = Refusal { code: "x".into(), message: "y".into(), ..Refusal::default() }
            }
            Record::Ended(e) => *e = Ended::default(),
            Record::Redacted(r) => r.request_ids.clear(),
            Record::LateSecret(l) => (l.accepted, l.reason) = (true, None),
            Record::Barrier(b) => b.request_ids.clear(),
            Record::LateOutput(l) => l.after.clear(),
        }
    }
    for record in full().into_iter().chain(fewest) {
        assert_valid(&with_emf().record(&record, noon(), &plain));
        assert_valid(&Reporter::new(Options::default()).record(&record, noon(), &plain));
    }
    for control in Control::ALL {
        for action in Action::ALL {
            let violation = Violation::new(control, action, "syscall_463", "x");
            assert_valid(&with_emf().violation(&violation, noon(), &plain).unwrap());
        }
    }
    for stream in Stream::ALL {
        let record = Redacted { name: "A".into(), count: 1, stream, request_ids: Vec::new() }.into();
        assert_valid(&with_emf().record(&record, noon(), &plain));
    }
}

#[test]
fn the_schema_refuses_a_record_that_is_changed_in_any_one_place() {
    let validator = validator();
    let schema = schema();
    let mut mutants = 0;
    for record in full() {
        let whole = parse(&with_emf().record(&record, noon(), &plain));
        assert!(validator.is_valid(&Value::Object(whole.clone())));
        let mut check = |what: &str, mutant: Map<String, Value>| {
            mutants += 1;
            let line = Value::Object(mutant);
            assert!(!validator.is_valid(&line), "{}: {what} is not refused: {line}", record.kind());
        };
        for key in whole.keys() {
            let wrong = match &whole[key] {
                Value::String(_) => serde_json::json!(1),
                _ => serde_json::json!("text"),
            };
            let mut mutant = whole.clone();
            mutant.insert(key.clone(), wrong);
            check(&format!("{key} of another type"), mutant);
            for wrong in [Value::Null, serde_json::json!([[]]), serde_json::json!({"x": {}})] {
                let mut mutant = whole.clone();
                mutant.insert(key.clone(), wrong);
                check(&format!("{key} of another type"), mutant);
            }
            let mut mutant = whole.clone();
            let value = mutant.remove(key).unwrap();
            mutant.insert(format!("{key}_"), value);
            check(&format!("{key} misspelt"), mutant);
        }
        for required in schema["$defs"][record.kind()]["required"].as_array().unwrap() {
            let mut mutant = whole.clone();
            assert!(mutant.remove(required.as_str().unwrap()).is_some());
            check(&format!("{required} missing"), mutant);
        }
        for (key, wrong) in [
            ("level", "error"),
            ("level", "FATAL"),
            ("timestamp", "2026-11-23T09:08:00Z"),
            ("timestamp", "2026-11-23 09:08:00.455Z"),
            ("timestamp", "2026-13-23T09:08:00.455Z"),
            ("fnguard", "violations"),
            ("fnguard", "fnguard"),
        ] {
            let mut mutant = whole.clone();
            mutant.insert(key.to_owned(), wrong.into());
            check(&format!("{key} {wrong}"), mutant);
        }
        let mut mutant = whole.clone();
        mutant.insert("seq".to_owned(), 0.into());
        check("seq 0", mutant);
        for key in ["control", "action", "stream", "mechanism", "mode", "phase"] {
            if whole.contains_key(key) {
                let mut mutant = whole.clone();
                mutant.insert(key.to_owned(), "other".into());
                check(key, mutant);
            }
        }
        if whole.contains_key("action") {
            let mut mutant = whole.clone();
            let other = if whole["level"] == "ERROR" { "WARN" } else { "ERROR" };
            mutant.insert("level".to_owned(), other.into());
            check("a level that the action does not have", mutant);
            for key in ["_aws", "Violations"] {
                let mut mutant = whole.clone();
                mutant.remove(key);
                check("half a metric", mutant);
            }
            let mut mutant = whole.clone();
            mutant.insert("requestId".to_owned(), "a".into());
            mutant.insert("requestIds".to_owned(), serde_json::json!(["a", "b"]));
            check("requestId and requestIds", mutant);
        }
    }
    assert!(mutants > 500, "only {mutants}");
}

/// The rows of the tables on the page: by kind, which fields they name. The table before the
/// first kind is that of the fields that every record has.
fn fields_on_the_page() -> (BTreeSet<String>, BTreeMap<String, BTreeSet<String>>) {
    let mut common = BTreeSet::new();
    let mut kinds: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut place = None;
    for line in PAGE.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            place = (title == "Every record").then_some(None);
        } else if let Some(title) = line.strip_prefix("### `").and_then(|rest| rest.split('`').next()) {
            kinds.entry(title.to_owned()).or_default();
            place = Some(Some(title.to_owned()));
        } else if let (Some(place), Some(row)) = (&place, line.strip_prefix("| `")) {
            let field = row.split('`').next().unwrap().to_owned();
            match place {
                None => common.insert(field),
                Some(kind) => kinds.get_mut(kind).unwrap().insert(field),
            };
        }
    }
    (common, kinds)
}

#[test]
fn page_schema_and_records_name_the_same_fields() {
    let (common, page) = fields_on_the_page();
    assert_eq!(common, ["timestamp", "level", "fnguard", "seq"].map(str::to_owned).into());
    let schema = schema();
    let kinds: BTreeSet<String> = full().iter().map(|record| record.kind().to_owned()).collect();
    assert_eq!(page.keys().cloned().collect::<BTreeSet<_>>(), kinds);
    for record in full() {
        let kind = record.kind();
        let mut in_record: BTreeSet<String> =
            parse(&with_emf().record(&record, noon(), &plain)).keys().cloned().collect();
        // A record has one of the two; each kind that has one may have the other.
        if in_record.contains("requestId") || in_record.contains("requestIds") {
            in_record.extend(["requestId".to_owned(), "requestIds".to_owned()]);
        }
        let in_schema: BTreeSet<String> =
            schema["$defs"][kind]["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(in_record, in_schema, "record and schema, {kind}");
        let on_page: BTreeSet<String> = page[kind].union(&common).cloned().collect();
        assert_eq!(in_schema, on_page, "schema and page, {kind}");
    }
}

#[test]
fn examples_on_the_page_are_valid() {
    let examples: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("{\"timestamp\"")).collect();
    assert!(examples.len() >= 9, "only {}", examples.len());
    examples.iter().for_each(|line| assert_valid(line));
    let kinds: BTreeSet<String> =
        examples.iter().map(|line| parse(line)["fnguard"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds.len(), full().len(), "kinds without an example: have {kinds:?}");
}

#[test]
fn of_a_secret_in_a_stream_the_first_is_printed_and_the_rest_is_counted() {
    let mut reporter = Reporter::new(Options::default());
    let redacted = |name: &str, count, stream, id: &str| Redacted {
        name: name.into(),
        count,
        stream,
        request_ids: texts(&[id]),
    };
    let key = |stream, id| redacted("KEY", 1, stream, id);
    // One each, whatever the others do.
    for first in
        [key(Stream::Stdout, "a"), key(Stream::Error, "a"), redacted("OTHER", 2, Stream::Stdout, "a")]
    {
        let line = reporter.redacted(first.clone(), noon(), &plain).unwrap();
        assert_valid(&line);
        assert_eq!(parse(&line)["count"], first.count);
    }
    assert_eq!(reporter.summary_due_in(noon()), None);
    for id in ["a", "b", "b"].into_iter().cycle().take(3000) {
        assert_eq!(reporter.redacted(key(Stream::Stdout, id), noon(), &plain), None);
    }
    assert_eq!(reporter.summary_due_in(noon()), Some(Options::default().summary_after));
    let lines = reporter.summary(noon(), &plain);
    assert_eq!(lines.len(), 1);
    assert_valid(&lines[0]);
    let line = parse(&lines[0]);
    assert_eq!(
        (&line["name"], &line["count"], &line["stream"]),
        (&"KEY".into(), &3000.into(), &"stdout".into())
    );
    assert_eq!(line["requestIds"], serde_json::json!(["a", "b"]));
    assert_eq!(reporter.counts().redacted, 3004);
    // After a summary the next one is news again.
    assert!(reporter.redacted(key(Stream::Stdout, "c"), noon(), &plain).is_some());
    assert!(reporter.summary(noon(), &plain).is_empty());
}

// ---- metric ----------------------------------------------------------------------------------

/// One metric of a line: its sets of dimensions by name and value, its name and its value.
type Metric = (Vec<Vec<(String, String)>>, String, f64);

/// The rules of the Embedded Metric Format's specification, followed by hand: what a directive
/// names must stand at the root, dimensions as strings and metrics as numbers.
fn metrics(line: &Map<String, Value>) -> Vec<Metric> {
    let mut found = Vec::new();
    // Both say when; the one is a text, the other a count of milliseconds.
    let timestamp = line["_aws"]["Timestamp"].as_u64().unwrap();
    assert_eq!(line["timestamp"], rfc3339(UNIX_EPOCH + Duration::from_millis(timestamp)));
    for directive in line["_aws"]["CloudWatchMetrics"].as_array().unwrap() {
        let namespace = directive["Namespace"].as_str().unwrap();
        assert!((1..=255).contains(&namespace.len()));
        let sets = directive["Dimensions"].as_array().unwrap();
        assert!(!sets.is_empty());
        let sets: Vec<Vec<(String, String)>> = sets
            .iter()
            .map(|set| {
                let names = set.as_array().unwrap();
                assert!((1..=30).contains(&names.len()));
                names
                    .iter()
                    .map(|name| {
                        let name = name.as_str().unwrap();
                        let value = line[name].as_str().expect("a dimension's value is a string");
                        assert!(!value.is_empty() && value.len() <= 1024 && value.is_ascii());
                        (name.to_owned(), value.to_owned())
                    })
                    .collect()
            })
            .collect();
        let definitions = directive["Metrics"].as_array().unwrap();
        assert!((1..=100).contains(&definitions.len()));
        for definition in definitions {
            assert_eq!(definition["Unit"], "Count");
            let name = definition["Name"].as_str().unwrap();
            found.push((sets.clone(), name.to_owned(), line[name].as_f64().unwrap()));
        }
    }
    found
}

#[test]
fn only_violations_carry_the_metric_and_their_sum_is_the_total() {
    let mut reporter = with_emf();
    let mut sum = 0.0;
    let mut add = |line: &str| {
        for (sets, name, value) in metrics(&parse(line)) {
            assert_eq!(name, "Violations");
            assert!(
                sets.contains(&vec![("control".into(), "exec".into()), ("action".into(), "blocked".into())])
            );
            sum += value;
        }
    };
    for at in 0..1000 {
        let mut violation = Violation::new(Control::Exec, Action::Blocked, "execve", "exec.allow");
        violation.program = Some(format!("/bin/{}", at % 100));
        if let Some(line) = reporter.violation(&violation, noon(), &plain) {
            add(&line);
        }
    }
    reporter.summary(noon(), &plain).iter().for_each(|line| add(line));
    assert_eq!(sum, 1000.0);
    for record in full() {
        let line = parse(&with_emf().record(&record, noon(), &plain));
        let counts = matches!(record, Record::Violation(_) | Record::Suppressed(_));
        assert_eq!(line.contains_key("_aws"), counts, "{}", record.kind());
        let line = parse(&Reporter::new(Options::default()).record(&record, noon(), &plain));
        assert!(!line.contains_key("_aws") && !line.contains_key("Violations"));
    }
}

#[test]
fn a_metric_before_the_epoch_is_still_valid() {
    let violation = Violation::new(Control::Exec, Action::Blocked, "execve", "exec.allow");
    let line = with_emf().violation(&violation, UNIX_EPOCH - Duration::from_secs(5), &plain).unwrap();
    assert_valid(&line);
    assert_eq!(parse(&line)["_aws"]["Timestamp"], 0);
}

#[test]
fn a_namespace_is_checked() {
    assert_eq!(Namespace::new("Shop/fn guard-1_2.3#4:5").unwrap().as_str(), "Shop/fn guard-1_2.3#4:5");
    assert_eq!(Namespace::new(""), Err(NamespaceError::Length { found: 0 }));
    assert_eq!(Namespace::new(&"x".repeat(256)), Err(NamespaceError::Length { found: 256 }));
    assert!(Namespace::new(&"x".repeat(255)).is_ok());
    assert_eq!(Namespace::new("a\"b"), Err(NamespaceError::Character { found: '"' }));
    assert_eq!(Namespace::new("a\\b"), Err(NamespaceError::Character { found: '\\' }));
    assert_eq!(Namespace::new("grün"), Err(NamespaceError::Character { found: 'ü' }));
    assert_eq!(Namespace::new(":a"), Err(NamespaceError::Character { found: ':' }));
    assert_eq!(Namespace::new("AWS/Lambda"), Err(NamespaceError::Reserved));
}

// ---- hostile text ----------------------------------------------------------------------------

/// Puts `hostile` into every field that may come from the function.
fn fill(record: &mut Record, hostile: &str) {
    let some = || Some(hostile.to_owned());
    let ids = || vec![hostile.to_owned(), format!("{hostile}2")];
    match record {
        Record::Violation(v) => {
            (v.address, v.name, v.path) = (some(), some(), some());
            (v.program, v.detail, v.hint) = (some(), some(), some());
            v.request_ids = ids();
        }
        Record::Suppressed(s) => (s.last, s.request_ids) = (some(), ids()),
        Record::Posture(p) => {
            p.controls[2].1 = Held::NotHeld { reason: hostile.into() };
            p.secrets = ids();
            p.weak = vec![("A".into(), hostile.into())];
            (p.looks_like_secret, p.interposed, p.warnings) = (ids(), ids(), ids());
            p.kernel = some();
        }
        Record::Refusal(r) => {
            r.message = hostile.into();
            (r.found, r.expected, r.remedy) = (some(), some(), some());
        }
        Record::Ended(_) => {}
        Record::Redacted(r) => (r.name, r.request_ids) = (hostile.into(), ids()),
        Record::LateSecret(l) => (l.name, l.reason) = (hostile.into(), some()),
        Record::Barrier(b) => b.request_ids = vec![hostile.to_owned()],
        Record::LateOutput(l) => l.after = ids(),
    }
}

fn strings(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, out)),
        Value::Object(object) => object.values().for_each(|item| strings(item, out)),
        _ => {}
    }
}

/// Characters that a terminal or viewer obeys, listed apart from the crate's own list.
fn is_visible(c: char) -> bool {
    !(c.is_control()
        || "\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{ad}"
            .contains(c))
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => any::<String>(),
        2 => "[a-z/.]{0,40}",
        1 => (0u32..0x300).prop_filter_map("no char", char::from_u32).prop_map(String::from),
        1 => prop::sample::select(vec![
            "\"", "\\", "\\\"", "\n", "\r\n", "\u{0}", "\u{1b}[2J", "\u{7f}", "\u{9b}", "\u{2028}", "\u{2029}",
            "\u{202e}", "\u{feff}", "\u{10ffff}", "\u{e0041}", "\",\"fnguard\":\"posture", "\\u0022", "…"
        ]).prop_map(str::to_owned),
        1 => (prop::sample::select(vec!["a", "é", "\u{1}", "\"", "😀", "\u{e0041}"]), 0usize..3000)
            .prop_map(|(c, n)| c.repeat(n)),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn hostile_text_stays_inside_its_field(hostile in hostile_text()) {
        for mut record in full() {
            fill(&mut record, &hostile);
            let line = with_emf().record(&record, noon(), &plain);
            prop_assert!(line.len() <= LINE_MAX, "{} bytes: {line}", line.len());
            prop_assert!(line.chars().all(is_visible), "{line:?}");
            assert_valid(&line);
            let parsed = parse(&line);
            prop_assert_eq!(&parsed["fnguard"], record.kind());
            // What comes out is what went in, or its beginning and an ellipsis.
            let mut out = Vec::new();
            strings(&Value::Object(parsed), &mut out);
            let faithful = |text: &String| {
                let kept = text.strip_suffix('…').unwrap_or(text);
                hostile.starts_with(kept) || format!("{hostile}2").starts_with(kept)
            };
            if !hostile.is_empty() && record.kind() != "ended" {
                prop_assert!(out.iter().any(faithful), "{hostile:?} is nowhere in {line}");
            }
        }
    }

    #[test]
    fn a_sentence_never_moves_the_cursor(hostile in hostile_text()) {
        for mut record in full() {
            fill(&mut record, &hostile);
            let mut reporter = Reporter::new(Options { style: Style::Terminal, ..Options::default() });
            let line = reporter.record(&record, noon(), &plain);
            prop_assert!(line.starts_with("fnguard: "));
            prop_assert!(line.chars().all(is_visible), "{line:?}");
            prop_assert!(line.len() <= LINE_MAX, "{} bytes", line.len());
        }
    }

    #[test]
    fn a_text_is_cut_only_when_it_must_be(name in hostile_text()) {
        let mut violation = Violation::new(Control::Network, Action::Blocked, "connect", "network.allow");
        violation.address = Some(name.clone());
        let line = Reporter::new(Options::default()).violation(&violation, noon(), &plain).unwrap();
        let raw = line.split_once(r#""address":""#).unwrap().1.split_once(r#"","rule""#).unwrap().0;
        let shown = parse(&line)["address"].as_str().unwrap().to_owned();
        prop_assert!(raw.len() <= 255);
        if shown != name {
            prop_assert!(shown.ends_with('…') && name.starts_with(shown.trim_end_matches('…')));
            // No more than one escaped character and the ellipsis short of the limit.
            prop_assert!(raw.len() > 255 - 12 - 3, "cut to {} bytes", raw.len());
        }
    }
}

#[test]
fn a_text_fills_its_room_to_the_last_byte() {
    for (unit, shown) in [("a", 1), ("é", 2), ("\u{1}", 6), ("\"", 2), ("😀", 4)] {
        for count in 0..300 {
            let mut violation = Violation::new(Control::Network, Action::Blocked, "connect", "network.allow");
            violation.address = Some(unit.repeat(count));
            let line = Reporter::new(Options::default()).violation(&violation, noon(), &plain).unwrap();
            let raw = line.split_once(r#""address":""#).unwrap().1.split_once(r#"","rule""#).unwrap().0;
            if count * shown <= 255 {
                assert_eq!(raw.len(), count * shown);
            } else {
                assert_eq!(raw.len(), (255 - 3) / shown * shown + 3, "{count} of {unit:?}");
                assert!(raw.ends_with('…'));
            }
        }
    }
}

#[test]
fn the_longest_record_of_each_kind_fits() {
    for hostile in ["\u{1}", "a", "\"", "é", "\u{e0041}"] {
        for mut record in full() {
            fill(&mut record, &hostile.repeat(5000));
            match &mut record {
                Record::Violation(v) => {
                    (v.syscall, v.rule) = (hostile.repeat(999), hostile.repeat(999));
                    v.errno = Some(hostile.repeat(999));
                    v.request_ids = vec![hostile.repeat(999); 999];
                    v.pid = Some(u32::MAX);
                }
                Record::Posture(p) => {
                    (p.version, p.policy_hash) = (hostile.repeat(999), hostile.repeat(999));
                    (p.policy_origin, p.mode) = (hostile.repeat(999), hostile.repeat(999));
                    p.armed_by = Some(hostile.repeat(999));
                    let list = vec![hostile.repeat(99); 999];
                    (p.secrets, p.looks_like_secret) = (list.clone(), list.clone());
                    (p.interposed, p.warnings) = (list.clone(), list.clone());
                    p.weak = list.iter().map(|text| (text.clone(), text.clone())).collect();
                    let held = Held::NotHeld { reason: hostile.repeat(999) };
                    p.controls = (0..999).map(|n| (format!("{hostile}{n}"), held.clone())).collect();
                    p.arming_us = Some(u64::MAX);
                }
                Record::Refusal(r) => r.code = hostile.repeat(999),
                Record::Suppressed(s) => {
                    (s.syscall, s.rule) = (Some(hostile.repeat(999)), Some(hostile.repeat(999)));
                    s.request_ids = vec![hostile.repeat(999); 999];
                    (s.count, s.targets, s.unlisted) = (u64::MAX, u64::MAX, u64::MAX);
                }
                Record::LateOutput(l) => l.after = vec![hostile.repeat(999); 999],
                Record::Barrier(b) => b.request_ids = vec![hostile.repeat(999); 999],
                Record::Redacted(r) => r.request_ids = vec![hostile.repeat(999); 999],
                Record::Ended(e) => e.signal = Some(hostile.repeat(999)),
                Record::LateSecret(_) => {}
            }
            let emf = Namespace::new(&"n".repeat(255)).ok();
            for style in [Style::Json, Style::Terminal] {
                let mut reporter = Reporter::new(Options { style, emf: emf.clone(), ..Options::default() });
                let line = reporter.record(&record, noon(), &plain);
                assert!(line.len() <= LINE_MAX, "{} has {} bytes in {style:?}", record.kind(), line.len());
                if style == Style::Json {
                    parse(&line);
                }
            }
        }
    }
}

#[test]
fn a_list_that_is_cut_says_how_much_is_missing() {
    let secrets: Vec<String> = (0..500).map(|n| format!("SECRET_NUMBER_{n}")).collect();
    let posture = Posture { secrets: secrets.clone(), ..Posture::default() };
    let line = Reporter::new(Options::default()).record(&posture.into(), noon(), &plain);
    let parsed = parse(&line);
    let shown = parsed["secrets"].as_array().unwrap();
    let named = shown.len() - 1;
    assert!(named > 20);
    assert!(shown.iter().zip(&secrets).take(named).all(|(shown, secret)| shown == secret));
    assert_eq!(shown[named], format!("… {} more", 500 - named));
}

/// What says whom it was meant for stands at the end of a name.
#[test]
fn the_longest_name_that_dns_can_carry_is_shown_whole() {
    let label = "\\255".repeat(48);
    let mut violation = Violation::new(Control::Network, Action::Blocked, "lookup", "network.allow");
    violation.name =
        Some(format!("{}evil.example", format!("{label}.").repeat(4) + &"\\255".repeat(40) + "."));
    let line = Reporter::new(Options::default()).record(&violation.clone().into(), noon(), &plain);
    assert_eq!(parse(&line)["name"], violation.name.unwrap());
}

#[test]
fn a_secret_in_any_text_of_the_function_is_redacted_before_it_is_escaped_or_cut() {
    // Escaped or cut first, none of these would be found.
    for secret in ["sk_live_4242", "two\nlines\"and\\a\u{1b}half", "tail\u{2028}sep"] {
        let redact = |text: &str| text.replace(secret, "[redacted:KEY]");
        for padding in [0, 1, 200, 240, 250, 1000, 1010, 1020] {
            let hostile = format!("{}{secret}{}", "x".repeat(padding), "y".repeat(2000));
            for mut record in full() {
                fill(&mut record, &hostile);
                for style in [Style::Json, Style::Terminal] {
                    let mut reporter = Reporter::new(Options { style, ..Options::default() });
                    let line = reporter.record(&record, noon(), &redact);
                    let shown = match style {
                        Style::Json => {
                            let mut out = Vec::new();
                            strings(&Value::Object(parse(&line)), &mut out);
                            out.concat()
                        }
                        Style::Terminal => line,
                    };
                    // Not even the first four characters, which a cut could have left.
                    let start: String = secret.chars().take(4).collect();
                    assert!(!shown.contains(&start), "{} {padding}: {shown}", record.kind());
                    if padding == 0 && record.kind() != "ended" && style == Style::Json {
                        assert!(shown.contains("[redacted:KEY]"), "{}: {shown}", record.kind());
                    }
                }
            }
        }
    }
}

#[test]
fn a_summary_redacts_what_it_kept() {
    let redact = |text: &str| text.replace("sk_live_4242", "[redacted:KEY]");
    let mut reporter = Reporter::new(Options::default());
    for n in 0..100 {
        let mut violation = Violation::new(Control::Network, Action::Blocked, "connect", "network.allow");
        violation.name = Some(format!("{n:02}{}sk_live_4242.example", "x".repeat(245)));
        violation.request_ids = vec![format!("{}sk_live_4242", "r".repeat(60))];
        reporter.violation(&violation, noon(), &redact);
    }
    let lines = reporter.summary(noon(), &redact);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains(r#""unlisted":36"#), "{lines:?}");
    assert!(!lines[0].contains("sk_l"), "{lines:?}");
}

#[test]
fn redaction_never_reaches_the_guards_own_words() {
    // A function that registers "network", "blocked", "fnguard" as secrets would blank its trail.
    let redact = |_: &str| "[redacted:ALL]".to_owned();
    for record in full() {
        let before = parse(&with_emf().record(&record, noon(), &plain));
        let after = parse(&with_emf().record(&record, noon(), &redact));
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
        for own in [
            "timestamp",
            "level",
            "fnguard",
            "seq",
            "control",
            "action",
            "syscall",
            "rule",
            "errno",
            "phase",
            "mechanism",
            "policy_hash",
            "mode",
            "controls",
            "code",
            "stream",
            "outcome",
            "_aws",
            "Violations",
        ] {
            assert_eq!(before.get(own), after.get(own), "{own} of {}", record.kind());
        }
    }
}

#[test]
fn bytes_that_are_not_text_become_visible() {
    assert_eq!(visible(b"plain"), "plain");
    assert_eq!(visible(b"\xff\xfe"), r"\xff\xfe");
    assert_eq!(visible("é".as_bytes()), "é");
    // Surrogates and overlong forms are not UTF-8.
    assert_eq!(visible(b"\xed\xa0\x80"), r"\xed\xa0\x80");
    assert_eq!(visible(b"\xc0\xaf"), r"\xc0\xaf");
    assert_eq!(visible(b"a\xe2\x82"), r"a\xe2\x82");
    let mut violation = Violation::new(Control::Files, Action::Blocked, "openat", "files.write");
    violation.path = Some(visible(b"/tmp/\xff\x00\x1b[2J\"\\"));
    let line = Reporter::new(Options::default()).violation(&violation, noon(), &plain).unwrap();
    assert!(line.contains(r#""path":"/tmp/\\xff\u0000\u001b[2J\"\\""#), "{line}");
    assert_valid(&line);
}

// ---- terminal --------------------------------------------------------------------------------

#[test]
fn a_person_gets_a_sentence() {
    let mut reporter = Reporter::new(Options { style: Style::Terminal, ..Options::default() });
    let mut violation = Violation::new(Control::Network, Action::Blocked, "connect", "network.allow");
    violation.address = text("203.0.113.9:443");
    violation.name = text("evil.example");
    violation.hint = text("[network] allow = [\"evil.example:443\"]");
    assert_eq!(
        reporter.violation(&violation, noon(), &plain).unwrap(),
        "fnguard: blocked connect to 203.0.113.9:443 (evil.example): no rule in [network] allow names it. \
         To allow it: [network] allow = [\"evil.example:443\"]"
    );
    let mut violation = Violation::new(Control::Exec, Action::Audited, "execve", "exec.allow");
    violation.program = text("/bin/sh\u{1b}[2J");
    assert_eq!(
        reporter.violation(&violation, noon(), &plain).unwrap(),
        "fnguard: audited execve of /bin/sh\\u{1b}[2J, let through: [exec] allow has it reported."
    );
    let mut violation = Violation::new(Control::Memory, Action::Blocked, "mprotect", "memory.executable");
    violation.errno = text("EPERM");
    assert_eq!(
        reporter.violation(&violation, noon(), &plain).unwrap(),
        "fnguard: blocked mprotect: [memory] executable does not allow it; the caller saw EPERM."
    );
    let violation = Violation::new(Control::Guard, Action::Blocked, "kill", "guard");
    assert!(reporter.violation(&violation, noon(), &plain).unwrap().contains("whatever the policy says"),);
    for record in full() {
        let line = reporter.record(&record, noon(), &plain);
        assert!(line.len() > 30 && !line.contains("None") && !line.contains("Some"), "{line}");
    }
}

// ---- time ------------------------------------------------------------------------------------

/// Every day of the years 1 to 9999, counted by hand from 0001-01-01, a day that lies 719,162 days
/// before the Unix epoch.
#[test]
fn every_date_is_right() {
    let leap = |y: u32| (y.is_multiple_of(4) && !y.is_multiple_of(100)) || y.is_multiple_of(400);
    let mut day = -719_162_i64;
    for year in 1..=9999 {
        for month in 1..=12 {
            let days = match month {
                2 if leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for of_month in 1..=days {
                let seconds = Duration::from_secs(day.unsigned_abs() * 86_400);
                let time = if day < 0 { UNIX_EPOCH - seconds } else { UNIX_EPOCH + seconds };
                assert_eq!(rfc3339(time), format!("{year:04}-{month:02}-{of_month:02}T00:00:00.000Z"));
                day += 1;
            }
        }
    }
    assert_eq!(rfc3339(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
}

#[test]
fn the_time_of_day_is_rounded_down_and_held_within_four_digit_years() {
    let at = |nanos: u64| rfc3339(UNIX_EPOCH + Duration::from_nanos(nanos));
    assert_eq!(at(999_999), "1970-01-01T00:00:00.000Z");
    assert_eq!(at(86_399_999_999_999), "1970-01-01T23:59:59.999Z");
    assert_eq!(at(951_782_400_000_000_000), "2000-02-29T00:00:00.000Z");
    assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_nanos(1)), "1969-12-31T23:59:59.999Z");
    let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
    assert_eq!(rfc3339(far), "9999-12-31T23:59:59.999Z");
    assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1 << 40)), "0000-01-01T00:00:00.000Z");
    assert_eq!(unix_millis(UNIX_EPOCH - Duration::from_micros(1)), -1);
}

proptest! {
    #[test]
    fn times_sort_as_their_texts_do(a in 0u64..253_402_300_799_999, b in 0u64..253_402_300_799_999) {
        let text = |millis| rfc3339(UNIX_EPOCH + Duration::from_millis(millis));
        prop_assert_eq!(a.cmp(&b), text(a).cmp(&text(b)));
    }
}

// ---- floods ----------------------------------------------------------------------------------

fn attempt(control: Control, action: Action, syscall: &str, rule: &str, target: u32) -> Violation {
    let mut violation = Violation::new(control, action, syscall, rule);
    violation.address = Some(format!("203.0.113.9:{target}"));
    violation
}

/// What a line tells, as far as floods go.
fn told(lines: &[String]) -> (u64, u64) {
    let (mut printed, mut counted) = (0, 0);
    for line in lines {
        let line = parse(line);
        match line["fnguard"].as_str().unwrap() {
            "violation" => printed += 1,
            "suppressed" => counted += line["count"].as_u64().unwrap(),
            other => panic!("{other}"),
        }
    }
    (printed, counted)
}

#[test]
fn a_flood_is_counted_and_does_not_hide_another_kind() {
    let mut reporter = Reporter::new(Options::default());
    let mut lines = Vec::new();
    for n in 0..100_000 {
        let v = attempt(Control::Network, Action::Blocked, "connect", "network.allow", n);
        lines.extend(reporter.violation(&v, noon(), &plain));
    }
    assert_eq!(lines.len(), 64);
    let other = attempt(Control::Exec, Action::Blocked, "execve", "exec.allow", 1);
    assert!(reporter.violation(&other, noon(), &plain).is_some());
    // Audited calls of a kind must not hide a blocked one.
    let audited = attempt(Control::Network, Action::Audited, "connect", "network.allow", 7);
    assert!(reporter.violation(&audited, noon(), &plain).is_some());
    let summary = reporter.summary(noon(), &plain);
    assert_eq!(summary.len(), 1);
    let line = parse(&summary[0]);
    assert_eq!(line["count"], 99_936);
    assert_eq!(line["unlisted"], 99_936);
    assert_eq!(line["targets"], 64);
    assert_eq!(line["last"], "203.0.113.9:99999");
    assert_eq!(line["rule"], "network.allow");
    assert!(reporter.summary(noon(), &plain).is_empty());
    assert_eq!(reporter.counts(), Counts { blocked: 100_001, audited: 1, suppressed: 99_936, redacted: 0 });
}

#[test]
fn a_repeated_target_is_counted_and_told_with_its_requests() {
    let mut reporter = Reporter::new(Options::default());
    for n in 0..10 {
        let mut v = attempt(Control::Network, Action::Blocked, "connect", "network.allow", 443);
        v.request_ids = vec![format!("r-{}", n % 2)];
        assert_eq!(reporter.violation(&v, noon(), &plain).is_some(), n == 0);
    }
    let line = parse(&reporter.summary(noon(), &plain)[0]);
    assert_eq!(line["count"], 9);
    assert_eq!(line["targets"], 1);
    assert_eq!(line["unlisted"], 0);
    assert!(!line.contains_key("last"));
    assert_eq!(line["requestIds"], serde_json::json!(["r-1", "r-0"]));
    for n in 0..100 {
        let mut v = attempt(Control::Network, Action::Blocked, "connect", "network.allow", 443);
        v.request_ids = vec![format!("r-{n}{}", "x".repeat(100))];
        assert!(reporter.violation(&v, noon(), &plain).is_none());
    }
    let line = &reporter.summary(noon(), &plain)[0];
    assert_eq!(parse(line)["requestIds"].as_array().unwrap().len(), 16);
    assert_valid(line);
}

#[test]
fn as_many_kinds_as_a_function_can_make_take_bounded_room() {
    let mut reporter = Reporter::new(Options::default());
    let (mut first_round, mut total) = (Vec::new(), 0u64);
    for n in 0..50_000 {
        let v = attempt(Control::Syscall, Action::Blocked, &format!("call_{n}"), "syscalls", n);
        first_round.extend(reporter.violation(&v, noon(), &plain));
        total += 1;
    }
    // 2048 kinds of their own, which are all the targets there may be, and the first of the rest.
    assert_eq!(first_round.len(), 2048 + 1);
    // In the kind of the rest, another call is another target; the same one again is not.
    let mut reporter_of_calls = Reporter::new(Options::default());
    for n in 0..300 {
        let v = Violation::new(Control::Syscall, Action::Blocked, format!("call_{n}"), "syscalls");
        assert!(reporter_of_calls.violation(&v, noon(), &plain).is_some(), "{n}");
        assert!(reporter_of_calls.violation(&v, noon(), &plain).is_none(), "{n}");
    }
    // Another control still gets its own first record, in the kind of the rest.
    let guard = attempt(Control::Guard, Action::Blocked, "kill", "guard", 1);
    let line = reporter.violation(&guard, noon(), &plain).unwrap();
    assert!(line.contains(r#""syscall":"kill""#));
    for control in Control::ALL {
        for action in Action::ALL {
            for n in 0..1000 {
                let v = attempt(control, action, &format!("late_{n}"), "x", n);
                first_round.extend(reporter.violation(&v, noon(), &plain));
                total += 1;
            }
        }
    }
    assert!(first_round.len() <= 2048 + 16, "{}", first_round.len());
    let summary = reporter.summary(noon(), &plain);
    assert!(summary.len() <= 2048 + 16);
    let rest: Vec<_> =
        summary.iter().map(|line| parse(line)).filter(|l| !l.contains_key("syscall")).collect();
    assert!(!rest.is_empty() && rest.iter().all(|line| !line.contains_key("rule")));
    summary.iter().for_each(|line| assert_valid(line));
    let (_, counted) = told(&summary);
    assert_eq!(counted + first_round.len() as u64, total);
}

/// Numbers that have no name are one kind together: a sweep over them hides no call that has one.
#[test]
fn numbers_without_a_name_share_a_kind() {
    let mut reporter = Reporter::new(Options::default());
    let mut printed = 0;
    for n in 0..10_000 {
        let call = format!("syscall_{n}");
        let v = Violation {
            detail: Some("arguments 0x0, 0x0, 0x0".to_owned()),
            ..Violation::new(Control::Syscall, Action::Blocked, call, "guard.syscalls")
        };
        printed += u64::from(reporter.violation(&v, noon(), &plain).is_some());
    }
    assert_eq!(printed, 64, "each number is a target");
    let first = attempt(Control::Network, Action::Blocked, "sendto", "network.allow", 53);
    assert!(reporter.violation(&first, noon(), &plain).is_some());
    let summary = reporter.summary(noon(), &plain);
    assert_eq!(summary.len(), 1);
    let line = parse(&summary[0]);
    assert_eq!(line["count"], 9936);
    assert!(!line.contains_key("syscall") && !line.contains_key("rule"));
    assert_valid(&summary[0]);
}

#[test]
fn targets_of_many_kinds_share_a_bound_and_firsts_pass_it() {
    let mut reporter = Reporter::new(Options::default());
    let mut printed = 0;
    for kind in 0..200 {
        for n in 0..100 {
            let v = attempt(Control::Syscall, Action::Blocked, &format!("call_{kind}"), "syscalls", n);
            let line = reporter.violation(&v, noon(), &plain);
            assert!(n > 0 || line.is_some(), "the first of kind {kind} is missing");
            printed += usize::from(line.is_some());
        }
    }
    assert_eq!(printed, 2048 + (200 - 32));
    // A new window has the whole room again.
    let later = noon() + Duration::from_secs(600);
    for n in 0..100 {
        let v = attempt(Control::Syscall, Action::Blocked, "syscall_199", "syscalls", n);
        assert_eq!(reporter.violation(&v, later, &plain).is_some(), n < 64);
    }
}

#[test]
fn targets_are_printed_anew_after_the_window_and_when_the_clock_is_set_back() {
    let mut reporter = Reporter::new(Options::default());
    let v = attempt(Control::Network, Action::Blocked, "connect", "network.allow", 443);
    let mut at = |time| reporter.violation(&v, time, &plain).is_some();
    assert!(at(noon()));
    assert!(!at(noon() + Duration::from_secs(599)));
    assert!(at(noon() + Duration::from_secs(600)));
    assert!(!at(noon() + Duration::from_secs(1199)));
    assert!(at(noon() + Duration::from_secs(1200)));
    assert!(at(noon() - Duration::from_secs(86_400)));
    assert!(!at(noon() - Duration::from_secs(86_399)));
    // What was counted before a window ended is still told.
    let (_, counted) = told(&reporter.summary(noon(), &plain));
    assert_eq!(counted, 3);
}

#[test]
fn a_summary_is_due_some_time_after_the_first_that_was_counted() {
    let mut reporter = Reporter::new(Options::default());
    let v = attempt(Control::Network, Action::Blocked, "connect", "network.allow", 443);
    reporter.violation(&v, noon(), &plain);
    assert_eq!(reporter.summary_due_in(noon()), None);
    reporter.violation(&v, noon() + Duration::from_secs(1), &plain);
    reporter.violation(&v, noon() + Duration::from_secs(5), &plain);
    let due = |after| reporter.summary_due_in(noon() + Duration::from_secs(after));
    assert_eq!(due(1), Some(Duration::from_secs(10)));
    assert_eq!(due(5), Some(Duration::from_secs(6)));
    assert_eq!(due(100), Some(Duration::ZERO));
    assert_eq!(due(0), Some(Duration::from_secs(10)));
    assert_eq!(reporter.summary(noon(), &plain).len(), 1);
    assert_eq!(reporter.summary_due_in(noon()), None);
}

proptest! {
    /// Against a model that remembers everything.
    #[test]
    fn nothing_is_lost_and_every_first_is_printed(
        steps in prop::collection::vec((0u32..5, 0u32..90, prop::bool::weighted(0.02)), 1..600)
    ) {
        let mut reporter = Reporter::new(Options::default());
        let mut model: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        let (mut lines, mut expected) = (Vec::new(), 0);
        for &(kind, target, summarise) in &steps {
            let control = Control::ALL[kind as usize];
            let v = attempt(control, Action::Blocked, "x", "y", target);
            let line = reporter.violation(&v, noon(), &plain);
            let seen = model.entry(kind).or_default();
            let print = seen.len() < 64 && seen.insert(target);
            prop_assert_eq!(line.is_some(), print);
            expected += u64::from(print);
            lines.extend(line);
            if summarise {
                lines.extend(reporter.summary(noon(), &plain));
            }
        }
        lines.extend(reporter.summary(noon(), &plain));
        let (printed, counted) = told(&lines);
        prop_assert_eq!(printed, expected);
        prop_assert_eq!(printed + counted, steps.len() as u64);
        prop_assert_eq!(reporter.counts().blocked, steps.len() as u64);
        prop_assert_eq!(reporter.counts().suppressed, counted);
    }
}

// ---- imitation -------------------------------------------------------------------------------

/// Every key of a JSON text at any depth, repeated ones too, as serde_json reads them; `None` if
/// it is no JSON.
fn keys(text: &[u8]) -> Option<Vec<String>> {
    use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
    struct Keys<'a>(&'a mut Vec<String>);
    impl<'de> DeserializeSeed<'de> for Keys<'_> {
        type Value = ();
        fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<(), D::Error> {
            d.deserialize_any(self)
        }
    }
    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = ();
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("JSON")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                self.0.push(key);
                map.next_value_seed(Keys(self.0))?;
            }
            Ok(())
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
            while seq.next_element_seed(Keys(self.0))?.is_some() {}
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
    }
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Keys(&mut found).deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    // The same text must be JSON to serde_json's own reader too.
    Value::deserialize(&mut serde_json::Deserializer::from_slice(text)).ok()?;
    Some(found)
}

/// Whether a reader could take the line for a record: after whatever a forgiving reader strips in
/// front, some suffix of it is JSON with the key.
fn passes_for_a_record(line: &[u8]) -> bool {
    let starts = line.iter().enumerate().filter(|&(_, &byte)| byte == b'{').map(|(at, _)| at);
    starts.into_iter().any(|at| {
        let end = line.iter().rposition(|&byte| byte == b'}').map_or(line.len(), |end| end + 1);
        let object = line.get(at..end).unwrap_or_default();
        keys(object).is_some_and(|keys| keys.iter().any(|key| key.eq_ignore_ascii_case("fnguard")))
    })
}

fn marked(input: &[u8]) -> Vec<u8> {
    imitation::mark(input).unwrap_or_else(|| input.to_vec())
}

#[test]
fn imitations_are_marked() {
    let far = format!(r#"{{{}"fnguard":"violation"}}"#, r#""filler":"0123456789","#.repeat(1000));
    let forgeries: Vec<Vec<u8>> = [
        r#"{"fnguard":"violation","control":"network"}"#,
        r#"   {"fnguard":"posture"}"#,
        "\t\r{\"fnguard\":\"posture\"}",
        "\u{feff}{\"fnguard\":\"posture\"}",
        "\u{1b}[31m{\"fnguard\":\"posture\"}\u{1b}[0m",
        "{\"fnguard\":\"posture\"}\r",
        r#"{ "fnguard" : "posture" }"#,
        r#"{"\u0066nguard":"posture"}"#,
        r#"{"\u0066\u006e\u0067\u0075\u0061\u0072\u0064":"posture"}"#,
        r#"{"fngu\u0061rd":"posture"}"#,
        r#"{"\u0046NGU\u0041RD":"posture"}"#,
        r#"{"fn\u0067uard":1,"fnguard":2}"#,
        r#"{"fnguard":"violation","fnguard":"posture"}"#,
        r#"{"FNGUARD":"posture"}"#,
        r#"{"FnGuard":"posture"}"#,
        r#"{"a":{"fnguard":"posture"}}"#,
        r#"{"a":[1,{"b":{"fnguard":{}}}]}"#,
        r#"{"a\"fnguard":1,"fnguard":2}"#,
        r#"{"a":"\\","fnguard":2}"#,
        r#"{"timestamp":"2026-11-23T09:08:00.455Z","level":"ERROR","fnguard":"violation","seq":18}"#,
        r#"prefix {"fnguard":"violation"}"#,
        r#"{"x":""fnguard":1}{"fnguard":1}"#,
        &far,
    ]
    .iter()
    .map(|line| line.as_bytes().to_vec())
    .collect();
    for forgery in forgeries {
        let shown = String::from_utf8_lossy(&forgery);
        assert!(passes_for_a_record(&forgery), "the finder itself misses {shown}");
        let out = marked(&forgery);
        assert!(!passes_for_a_record(&out), "{shown} became {}", String::from_utf8_lossy(&out));
    }
    assert_eq!(marked(br#"{"fnguard":"violation"}"#), br#"{"fnguard?":"violation"}"#);
    assert_eq!(marked(br#"{"fnguard?":"violation"}"#), br#"{"fnguard?":"violation"}"#);
}

#[test]
fn a_line_cut_before_its_end_is_marked_all_the_same() {
    // What a reader sees after the guard's own newline, or a platform that splits long lines.
    assert_eq!(marked(br#"{"timestamp":"x","fnguard":"viol"#), br#"{"timestamp":"x","fnguard?":"viol"#);
}

#[test]
fn the_guards_own_lines_are_marked_when_a_function_prints_them() {
    for record in full() {
        let line = with_emf().record(&record, noon(), &plain);
        assert!(passes_for_a_record(line.as_bytes()));
        assert!(!passes_for_a_record(&marked(line.as_bytes())), "{line}");
        let mut reporter = Reporter::new(Options { style: Style::Terminal, ..Options::default() });
        let sentence = reporter.record(&record, noon(), &plain);
        for front in ["", "  ", "\r", "\u{feff}", "\u{1b}[1m", "text\u{1b}[1G", "text\r"] {
            let out = marked(format!("{front}{sentence}").as_bytes());
            assert!(String::from_utf8(out).unwrap().starts_with(&format!("{front}fnguard:? ")));
        }
    }
    assert_eq!(marked(b"FNGUARD: blocked"), b"FNGUARD:? blocked");
    assert_eq!(marked(b"fnfnguard:\tblocked"), b"fnfnguard:?\tblocked");
}

#[test]
fn honest_lines_are_left_alone() {
    for line in [
        "an honest line",
        "",
        r#"{"level":"INFO","message":"fnguard is on"}"#,
        r#"{"guard":"fnguard policy"}"#,
        "at fnguard::handler::wrapper",
        "fnguard:1",
        "fnguard:",
        r#"{"my_fnguard":1,"fnguard_mode":2,"fnguard?":3}"#,
        r#""fnguard""#.trim_matches('"'),
        "\u{0}\u{1}\u{ff}",
    ] {
        assert_eq!(imitation::mark(line.as_bytes()), None, "{line}");
    }
}

#[test]
fn two_streams_through_one_marker_can_not_share_a_key() {
    let mut marker = Marker::new();
    let mut out = Vec::new();
    for piece in [br#"{"fn"#.as_slice(), br#"guard"#, br#"":"violation"}"#] {
        marker.push(piece, &mut out);
    }
    assert_eq!(out, br#"{"fnguard?":"violation"}"#);
    // A record of the guard's in between ends the line, and the key with it.
    let mut marker = Marker::new();
    let mut out = Vec::new();
    marker.push(br#"{"fngu"#, &mut out);
    marker.newline();
    out.extend_from_slice(b"\nrecord\n");
    marker.push(br#"ard":1}"#, &mut out);
    assert_eq!(out, b"{\"fngu\nrecord\nard\":1}");
}

/// Pieces from which keys, near-keys and JSON come together by chance.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\"",
        "\\",
        "\\\"",
        "\\\\",
        " ",
        "\n",
        "1",
        "fnguard",
        "fnguard",
        "\"fnguard\"",
        "\"fnguard\":",
        "FNGUARD",
        "fn",
        "guard",
        "f",
        "n",
        "g",
        "u",
        "a",
        "r",
        "d",
        "\\u0066",
        "\\u006E",
        "\\u0067",
        "\\u00",
        "66",
        "\\U0066",
        "fnguard: ",
        "?",
        "\u{feff}",
        "é",
        "\r",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes())
}

/// A JSON text with the key in it now and then, spelt with random escapes and case, and blanks.
fn json_text() -> impl Strategy<Value = String> {
    let letters = prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 7);
    let forged = letters.prop_map(|how| {
        let mut out = String::from("\"");
        for (letter, (escaped, upper, upper_hex)) in "fnguard".chars().zip(how) {
            let letter = if upper { letter.to_ascii_uppercase() } else { letter };
            match (escaped, upper_hex) {
                (false, _) => out.push(letter),
                (true, false) => out.push_str(&format!("\\u{:04x}", letter as u32)),
                (true, true) => out.push_str(&format!("\\u{:04X}", letter as u32)),
            }
        }
        out + "\""
    });
    let other = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let key = prop_oneof![forged.clone(), other.clone()].boxed();
    let leaf = prop_oneof![Just("1".to_owned()), Just("null".to_owned()), other, forged];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let blank = prop::sample::select(vec!["", " ", "\t", "  \r"]);
        let member = (key.clone(), blank, inner.clone()).prop_map(|(k, b, v)| format!("{k}{b}:{b}{v}"));
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|items| format!("{{{}}}", items.join(","))),
        ]
    })
}

/// The marked form of a parsed JSON value: each string that is the key, in any case, gets a `?`.
fn expected(value: Value) -> Value {
    let rename = |text: String| {
        let mut text = text;
        if text.eq_ignore_ascii_case("fnguard") {
            text.push('?');
        }
        // The terminal's prefix is marked inside strings too; JSON shows its blank as such.
        let mut out = String::new();
        for c in text.chars() {
            if matches!(c, ' ' | '\t') && out.to_ascii_lowercase().ends_with("fnguard:") {
                out.push('?');
            }
            out.push(c);
        }
        out
    };
    match value {
        Value::String(text) => Value::String(rename(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(expected).collect()),
        Value::Object(object) => {
            Value::Object(object.into_iter().map(|(key, value)| (rename(key), expected(value))).collect())
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_json_that_comes_out_has_the_key(text in json_text()) {
        let had = keys(text.as_bytes()).expect("the generator makes JSON");
        let out = marked(text.as_bytes());
        let left = keys(&out).expect("what was JSON stays JSON");
        prop_assert_eq!(had.len(), left.len());
        prop_assert!(!left.iter().any(|key| key.eq_ignore_ascii_case("fnguard")), "{text}");
        // Nothing else has changed.
        let before: Value = serde_json::from_str(&text).unwrap();
        let after: Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(expected(before), after);
    }

    #[test]
    fn no_bytes_that_come_out_pass_for_a_record(input in soup()) {
        for line in marked(&input).split(|&byte| byte == b'\n') {
            prop_assert!(!passes_for_a_record(line), "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_cut_of_the_input_does_not_matter(input in soup(), cuts in prop::collection::vec(0usize..200, 0..20)) {
        let whole = marked(&input);
        let mut one_by_one = Vec::new();
        let mut marker = Marker::new();
        for (at, byte) in input.iter().enumerate() {
            marker.push(std::slice::from_ref(byte), &mut one_by_one);
            // Nothing is held back: the last byte out is the last byte in.
            prop_assert_eq!(one_by_one.last(), Some(byte));
            prop_assert!(one_by_one.len() > at);
        }
        prop_assert_eq!(&one_by_one, &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|&cut| cut <= input.len()).collect();
        cuts.sort_unstable();
        cuts.push(input.len());
        let (mut pieces, mut marker, mut from) = (Vec::new(), Marker::new(), 0);
        for to in cuts {
            marker.push(&input[from..to], &mut pieces);
            from = to;
        }
        prop_assert_eq!(&pieces, &whole);
        // Marking adds `?` and takes nothing away; marking twice adds nothing.
        let mut rest = input.iter().peekable();
        for byte in &whole {
            if rest.peek() == Some(&byte) { rest.next(); } else { prop_assert_eq!(*byte, b'?'); }
        }
        prop_assert!(rest.next().is_none());
        prop_assert_eq!(marked(&whole), whole);
    }
}
