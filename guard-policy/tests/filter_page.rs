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

/// What is explained as mediated is what the arbiter's dispatch takes, and nothing else.
#[test]
fn the_mediated_calls_are_those_of_the_dispatch() {
    let calls = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/arbiter/calls");
    let read = |name: &str| std::fs::read_to_string(calls.join(name)).unwrap();
    let (module, files) = (read("mod.rs"), read("files.rs"));
    let body = |text: &str, from: &str| -> String {
        let start = text.find(from).unwrap_or_else(|| panic!("no {from:?}"));
        let end = text[start..].find("\n}\n").unwrap();
        text[start..start + end].replace("FCHMODAT2", "libc::SYS_fchmodat2")
    };
    let mut dispatched = std::collections::BTreeSet::new();
    for text in [body(&module, "fn dispatch("), body(&files, "fn family(")] {
        for part in text.split("libc::SYS_").skip(1) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap();
            dispatched.insert(part[..end].to_owned());
        }
    }
    // Taken in one case only, as `mediated_by` says.
    for special in ["ioctl", "kcmp", "socket"] {
        assert!(dispatched.remove(special), "{special}");
    }
    let named: std::collections::BTreeSet<String> = syscalls::all(syscalls::Arch::X86_64)
        .iter()
        .filter(|(_, name)| syscalls::mediated_by(name).is_some())
        .map(|(_, name)| (*name).to_owned())
        .collect();
    assert_eq!(named, dispatched);
}
