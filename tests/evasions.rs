//! docs/evasions.md names, for each way around the guard, the test that holds it: every one exists. What
//! they test is theirs; this looks at names only, so that no rename leaves the page behind.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use std::path::Path;

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = include_str!("../docs/evasions.md");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| evasion")) {
        rows += 1;
        let (_, tests) = line.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        for named in tests.split(", ") {
            let bare = named.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap();
            let (file, function) = bare.split_once("::").unwrap();
            let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
            if !is_test(&text, function) {
                wrong.push(bare.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "no such tests: {wrong:#?}");
    assert!(rows > 20, "{rows}");
}

/// Whether the file runs a function of that name: by libtest's attribute, or in the list of a suite that
/// has a runner of its own.
fn is_test(text: &str, function: &str) -> bool {
    let Some(before) = text.find(&format!("\nfn {function}()")).map(|at| &text[..=at]) else { return false };
    let directly_above = before.rsplit("\n\n").next().unwrap_or_default();
    let by_attribute = directly_above.lines().any(|line| line == "#[test]");
    let list = text.split("fnguard_attacks::tests! {").nth(1).and_then(|rest| rest.split('}').next());
    let by_list = list.is_some_and(|list| {
        list.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == function)
    });
    by_attribute || by_list
}

#[test]
fn a_test_is_told_from_another_function() {
    let attribute = "\n#[test]\nfn held() {}\n\nfn helper() {}\n";
    assert!(is_test(attribute, "held") && !is_test(attribute, "helper") && !is_test(attribute, "hel"));
    let list = "fnguard_attacks::tests! { \"x\": held, other }\n\nfn held() {}\n\nfn helper() {}\n";
    assert!(is_test(list, "held") && !is_test(list, "helper") && !is_test(list, "absent"));
}
