//! The function's table as a page, docs/syscalls.md: made from the same rows as the filter, so
//! that it can't say anything else. A test holds the page in the tree against it.

use super::{ARBITER, Answer, Arch, FUNCTION, Row, Set, Table, When, number};
use std::fmt::Write;

/// The page.
pub fn markdown() -> String {
    let mut out = String::from(
        "# System calls\n\n\
         Generated from `guard-policy/src/syscalls/`; do not edit. Regenerate with\n\
         `UPDATE_DOCS=1 cargo test -p fnguard-policy --features filter --test filter_page`.\n\n\
         What the function may do without asking, and on which arguments that depends. **Everything\n\
         that is not named here, and every call whose arguments match no line, is notified to the\n\
         arbiter**, which performs it itself after deciding, or denies and reports it. Conditions\n\
         on `int` arguments look at the lower 32 bits, as the kernel does; on pointers at all 64.\n\
         Calls through a foreign architecture (`int 0x80`) end the process; x32 numbers are notified.\n",
    );
    table(&mut out, &FUNCTION);
    out.push_str(
        "\n# The arbiter's own filter\n\n\
         The arbiter runs under a filter of its own, which notifies nobody. What it does not name\n\
         fails with EPERM.\n",
    );
    table(&mut out, &ARBITER);
    out
}

fn table(out: &mut String, table: &Table) {
    for set in table.sets {
        section(out, set);
    }
}

fn section(out: &mut String, set: &Set) {
    // Writing to a String does not fail.
    let _ = write!(out, "\n## {}\n\n", set.name);
    if !set.note.is_empty() {
        let _ = write!(out, "{}\n\n", set.note);
    }
    out.push_str("| call | answer | when | why |\n|---|---|---|---|\n");
    for row in set.rows {
        lines(out, row);
    }
}

fn lines(out: &mut String, row: &Row) {
    let call = match missing_on(row.name) {
        Some(arch) => format!("`{}` (not on {arch})", row.name),
        None => format!("`{}`", row.name),
    };
    let otherwise = answer(row.otherwise);
    if let [only] = row.rules
        && only.conditions.is_empty()
        && only.when == When::Always
    {
        let _ = writeln!(out, "| {call} | allowed | always | {} |", row.reason);
        return;
    }
    if row.rules.is_empty() {
        let _ = writeln!(out, "| {call} | {otherwise} | always | {} |", row.reason);
        return;
    }
    let _ = writeln!(out, "| {call} | {otherwise} | unless a line below matches | {} |", row.reason);
    for rule in row.rules {
        let mut when = String::from(rule.what);
        if rule.when != When::Always {
            let _ = write!(when, "{}{}", if when.is_empty() { "" } else { ", " }, rule.when.describe());
        }
        let _ = writeln!(out, "| | allowed | {when} | {} |", rule.reason);
    }
}

fn answer(answer: Answer) -> String {
    match answer {
        Answer::Allow => "allowed".to_owned(),
        Answer::Notify => "notified".to_owned(),
        Answer::Errno(super::abi::ENOSYS) => "ENOSYS".to_owned(),
        Answer::Errno(super::abi::EPERM) => "EPERM".to_owned(),
        Answer::Errno(errno) => format!("errno {errno}"),
        Answer::Kill => "ends the process".to_owned(),
    }
}

fn missing_on(name: &str) -> Option<Arch> {
    Arch::ALL.into_iter().find(|&arch| number(arch, name).is_none())
}
