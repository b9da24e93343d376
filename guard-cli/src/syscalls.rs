//! `fnguard syscalls`: the function's table of system calls, for reading and for grep.

use crate::arguments::{ArchName, Syscalls};
use crate::finding;
use crate::terminal::{Tone, paint};
use anyhow::{Context, Result};
use fnguard_policy::model::Policy;
use fnguard_policy::syscalls::{self, Answer, Arch, Row, When, rows};
use std::io::Write;
use std::process::ExitCode;

pub(crate) fn run(arguments: &Syscalls, out: &mut impl Write) -> Result<ExitCode> {
    if arguments.markdown {
        out.write_all(syscalls::markdown().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let arch = match arguments.arch {
        Some(ArchName::X86_64) => Arch::X86_64,
        Some(ArchName::Aarch64) => Arch::Aarch64,
        None => Arch::of_host().context("fnguard has no table for this machine; name one by --arch")?,
    };
    let found = arguments.policy.as_deref().map(finding::in_file).transpose()?;
    let policy = found.as_ref().map(finding::Found::policy);
    let mut heading = "";
    for (set, row) in rows() {
        let Some(number) = syscalls::number(arch, row.name) else { continue };
        if heading != set.name {
            let gap = if heading.is_empty() { "" } else { "\n" };
            writeln!(out, "{gap}{}", paint(set.name, Tone::Strong))?;
            heading = set.name;
        }
        line(out, number, row, policy)?;
    }
    writeln!(out, "\nA call that stands nowhere here is denied by the arbiter, and reported.")?;
    Ok(ExitCode::SUCCESS)
}

fn line(out: &mut impl Write, number: u32, row: &Row, policy: Option<&Policy>) -> Result<()> {
    let rules: Vec<_> =
        row.rules.iter().filter(|rule| policy.is_none_or(|policy| rule.when.holds(policy))).collect();
    let always = rules
        .iter()
        .any(|rule| rule.conditions.is_empty() && (policy.is_some() || rule.when == When::Always));
    let (word, tone) = match (always, rules.is_empty(), row.otherwise) {
        (true, ..) => ("allowed", Tone::Good),
        (false, false, _) => ("depends", Tone::Doubtful),
        (false, true, Answer::Notify) => ("asked", Tone::Doubtful),
        (false, true, Answer::Errno(_)) => ("refused", Tone::Bad),
        (false, true, Answer::Kill) => ("kills", Tone::Bad),
        (false, true, Answer::Allow) => ("allowed", Tone::Good),
    };
    let word = paint(&format!("{word:8}"), tone);
    writeln!(out, "  {number:4}  {:24} {word} {}", row.name, row.reason)?;
    for rule in rules.iter().filter(|rule| !rule.what.is_empty() || rule.when != When::Always) {
        let when = if policy.is_some() { "" } else { rule.when.describe() };
        let gap = if rule.what.is_empty() || when.is_empty() { "" } else { ", " };
        writeln!(out, "        {:24} {:8} if {}{gap}{when}", "", "", rule.what)?;
    }
    Ok(())
}
