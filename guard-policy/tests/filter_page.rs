//! docs/syscalls.md is what the table says. `UPDATE_DOCS=1` writes it.

use fnguard_policy::syscalls;
use std::path::Path;

#[test]
fn the_page_in_the_tree_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/syscalls.md");
    let page = syscalls::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == page,
        "docs/syscalls.md is not what the table says; run\n\
         UPDATE_DOCS=1 cargo test -p fnguard-policy --features filter --test filter_page"
    );
}

#[test]
fn every_call_is_on_the_page_with_its_reason() {
    let page = syscalls::markdown();
    for (set, row) in syscalls::rows() {
        assert!(page.contains(&format!("## {}\n", set.name)));
        assert!(page.contains(&format!("| `{}`", row.name)), "{}", row.name);
        for rule in row.rules.iter().filter(|rule| !rule.what.is_empty()) {
            assert!(page.contains(rule.what), "{}: {}", row.name, rule.what);
        }
    }
    // A table's cells are split by bars, so no text may have one.
    for line in page.lines().filter(|line| line.starts_with('|')) {
        assert_eq!(line.matches('|').count(), 5, "{line}");
    }
}
