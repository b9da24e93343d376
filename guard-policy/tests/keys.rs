//! The table of keys against the parser, and against what is printed from it.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::model::Policy;
use fnguard_policy::source::keys::{Key, Kind, NETWORK_RULE, SECTIONS, Section, TOP_LEVEL};
use fnguard_policy::source::{parse, reference};
use serde_json::Value;
use std::path::Path;

const REGENERATE: &str = "cargo run -p fnguard-policy --features source --example generate-docs";

fn docs(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; {REGENERATE}", path.display()))
}

#[test]
fn the_page_is_current() {
    assert!(docs("policy.md") == reference::markdown(), "docs/policy.md is stale: {REGENERATE}");
}

#[test]
fn the_schema_is_current() {
    assert!(
        docs("guard.schema.json") == reference::json_schema(),
        "docs/guard.schema.json is stale: {REGENERATE}"
    );
}

/// A policy that sets one key, beside what the key needs beside it.
fn setting(section: &Section, key: &Key, value: &str) -> String {
    let Key { name, .. } = key;
    if std::ptr::eq(section, &NETWORK_RULE) {
        let to = if *name == "to" { String::new() } else { "to = \"db.internal.example:5432\", ".to_owned() };
        return format!("version = 1\n[network]\nallow = [{{ {to}{name} = {value} }}]\n");
    }
    let env = if *name == "optional" { "env = [\"STRIPE_KEY\"]\n" } else { "" };
    match (section.name, *name) {
        ("", "version") => format!("version = {value}\n"),
        ("", _) => format!("version = 1\n{name} = {value}\n"),
        (section, _) => format!("version = 1\n[{section}]\n{env}{name} = {value}\n"),
    }
}

fn all_keys() -> impl Iterator<Item = (&'static Section, &'static Key)> {
    let sections = SECTIONS.iter().chain([&TOP_LEVEL, &NETWORK_RULE]);
    sections.flat_map(|section| section.keys.iter().map(move |key| (section, key)))
}

#[test]
fn every_key_is_read() {
    let mut seen = 0;
    for (section, key) in all_keys().filter(|(_, key)| !key.kind.is_reserved()) {
        if key.name == "version" {
            continue;
        }
        let text = setting(section, key, key.example);
        let parsed = parse(&text, "guard.toml").unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        // The second holds for `allow_any`, which does nothing without a rule that needs it.
        assert!(
            parsed.policy != Policy::default() || !parsed.warnings.is_empty(),
            "nothing reads it:\n{text}"
        );
        seen += 1;
    }
    assert!(seen > 20);
}

#[test]
fn every_key_has_a_type() {
    for (section, key) in all_keys().filter(|(_, key)| !key.kind.is_reserved()) {
        let text = setting(section, key, "1979-05-27");
        let errors = parse(&text, "guard.toml").expect_err(&text);
        let error = errors.iter().next().unwrap();
        assert!(error.message.starts_with(&format!("wrong type for `{}`", key.name)), "{error}");
        assert_eq!(error.expected, Some(key.kind.expected()), "{error}");
        assert_eq!(error.found.as_deref(), Some("a date or time"), "{error}");
        assert_eq!((errors.errors(), error.length), (1, "1979-05-27".len()), "{errors}");
    }
}

#[test]
fn every_reserved_key_is_refused() {
    let mut seen = 0;
    for (section, key) in all_keys().filter(|(_, key)| key.kind.is_reserved()) {
        let text = setting(section, key, "true");
        let errors = parse(&text, "guard.toml").expect_err(&text);
        assert!(
            errors.iter().any(|error| error.message.contains("reserved: this version does not enforce it")),
            "{errors}"
        );
        seen += 1;
    }
    assert_eq!(seen, 7);
    let errors = parse("version = 1\n[logs]\nanything = 1\n", "guard.toml").unwrap_err();
    assert_eq!(
        errors.iter().next().unwrap().message,
        "section [logs] is reserved: this version does not enforce it"
    );
}

#[test]
fn the_stated_defaults_hold() {
    let mut seen = 0;
    for (section, key) in all_keys() {
        // Words such as "unset" are no value.
        if !(key.default.starts_with(['"', '[']) || matches!(key.default, "true" | "false")) {
            continue;
        }
        let text = setting(section, key, key.default);
        let parsed = parse(&text, "guard.toml").unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        let mut expected = Policy::default();
        if key.name == "optional" {
            expected.secrets.env = parsed.policy.secrets.env.clone();
        }
        if std::ptr::eq(section, &NETWORK_RULE) {
            expected =
                parse("version = 1\n[network]\nallow = [\"db.internal.example:5432\"]\n", "").unwrap().policy;
        }
        assert_eq!(parsed.policy, expected, "{text}");
        seen += 1;
    }
    assert!(seen > 15);
}

#[test]
fn absent_sections_are_the_default_policy() {
    assert_eq!(parse("version = 1\n", "guard.toml").unwrap().policy, Policy::default());
    let empty: String = SECTIONS
        .iter()
        .filter(|section| !section.reserved)
        .map(|section| format!("[{}]\n", section.name))
        .collect();
    assert_eq!(parse(&format!("version = 1\n{empty}"), "guard.toml").unwrap().policy, Policy::default());
}

#[test]
fn the_overall_mode_reaches_every_section() {
    let modes = |text: &str| {
        let policy = parse(text, "guard.toml").unwrap_or_else(|errors| panic!("{errors}")).policy;
        [policy.mode, policy.network.mode, policy.exec.mode, policy.files.mode]
    };
    use fnguard_policy::model::Mode::{Audit, Enforce};
    assert_eq!(modes("version = 1\nmode = \"audit\"\n"), [Audit; 4]);
    assert_eq!(modes("version = 1\nmode = \"audit\"\n[network]\n[exec]\n[files]\n"), [Audit; 4]);
    assert_eq!(
        modes("version = 1\nmode = \"audit\"\n[exec]\nmode = \"enforce\"\n"),
        [Audit, Audit, Enforce, Audit]
    );
    assert_eq!(modes("version = 1\n[files]\nmode = \"audit\"\n"), [Enforce, Enforce, Enforce, Audit]);
}

#[test]
fn the_page_shows_policies_that_hold() {
    let page = docs("policy.md");
    let blocks: Vec<&str> =
        page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let policies: Vec<&&str> = blocks.iter().filter(|block| block.contains("version")).collect();
    assert!(!policies.is_empty());
    for policy in policies {
        let parsed = parse(policy, "docs/policy.md").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(parsed.warnings, []);
    }
}

#[test]
fn the_schema_knows_exactly_the_keys() {
    let schema: Value = serde_json::from_str(&docs("guard.schema.json")).unwrap();
    let names = |value: &Value| -> Vec<String> {
        value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().cloned().collect()
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let known = |section: &Section| section.keys.iter().map(|key| key.name.to_owned()).collect::<Vec<_>>();
    let mut top = known(&TOP_LEVEL);
    top.extend(SECTIONS.iter().map(|section| section.name.to_owned()));
    assert_eq!(sorted(names(&schema["properties"])), sorted(top));
    assert_eq!(schema["additionalProperties"], false);
    for section in SECTIONS.iter().filter(|section| !section.reserved) {
        let inner = &schema["properties"][section.name];
        assert_eq!(sorted(names(&inner["properties"])), sorted(known(section)), "{}", section.title);
        assert_eq!(inner["additionalProperties"], false);
        for key in section.keys {
            let property = &inner["properties"][key.name];
            match key.kind {
                Kind::Reserved => assert_eq!(property["not"], serde_json::json!({}), "{}", key.name),
                Kind::Choice(choices) => {
                    let words: Vec<&str> = choices.iter().map(|choice| choice.word).collect();
                    assert_eq!(property["enum"], serde_json::json!(words));
                }
                Kind::Boolean => assert_eq!(property["type"], "boolean"),
                _ => assert!(property["type"] == "array" || property["anyOf"].is_array(), "{property}"),
            }
        }
    }
    let rule = &schema["definitions"]["rule"]["anyOf"][1];
    assert_eq!(sorted(names(&rule["properties"])), sorted(known(&NETWORK_RULE)));
}

/// What the parser accepts, editors must not mark; what has the wrong shape, they must.
#[test]
fn the_schema_agrees_on_the_golden_policies() {
    let schema: Value = serde_json::from_str(&docs("guard.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let (mut held, mut marked) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        // Syntax errors, and integers beyond 64 bits, are the editor's own to show.
        let Ok(document) = toml::from_str::<Value>(&text) else {
            let prefixes = ["syntax", "duplicate", "version_enormous"];
            assert!(prefixes.iter().any(|prefix| name.starts_with(prefix)), "{name}");
            continue;
        };
        let is_valid = schema.is_valid(&document);
        if parse(&text, "guard.toml").is_ok() {
            assert!(
                is_valid,
                "{name}: {:?}",
                schema.iter_errors(&document).map(|e| e.to_string()).collect::<Vec<_>>()
            );
            held += 1;
        }
        let shape = [
            "unknown",
            "reserved",
            "boolean",
            "string_for",
            "integer_in",
            "section",
            "key_of",
            "mode",
            "ports",
        ];
        if shape.iter().any(|prefix| name.starts_with(prefix)) {
            assert!(!is_valid, "{name}");
            marked += 1;
        }
    }
    assert!(held >= 10 && marked >= 12, "{held} {marked}");
}
