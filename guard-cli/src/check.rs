//! `fnguard check`: whether a policy holds, and whether a binary carries it and is guarded from
//! its beginning.

use crate::arguments::Check;
use crate::elf::{self, Beginning};
use crate::finding;
use crate::terminal::{Tone, paint, visible};
use anyhow::{Context, Result, bail};
use fnguard_launcher::note;
use fnguard_policy::model::{Compiled, DebugArming, Policy, ReleaseArming};
use fnguard_policy::source::{self, Severity};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run(arguments: &Check, out: &mut impl Write) -> Result<ExitCode> {
    let default = Path::new(finding::DEFAULT_FILE);
    let path = match (&arguments.policy, &arguments.binary) {
        (Some(path), _) => Some(path.as_path()),
        // A binary can be looked at without the file that its policy came from.
        (None, Some(_)) if !default.exists() => None,
        (None, None) if !default.exists() => bail!(
            "there is no {} here; name a policy by --policy, or write one by `fnguard init`",
            finding::DEFAULT_FILE
        ),
        (None, _) => Some(default),
    };
    let mut holds = true;
    let mut hash = None;
    if let Some(path) = path {
        match source::parse(&finding::read_text(path)?, &path.display().to_string()) {
            Ok(parsed) => {
                for warning in &parsed.warnings {
                    writeln!(out, "{warning}\n")?;
                }
                let warnings = match parsed.warnings.len() {
                    0 => String::new(),
                    1 => ", 1 warning".to_owned(),
                    n => format!(", {n} warnings"),
                };
                writeln!(out, "{}: {}{warnings}", path.display(), paint("the policy holds", Tone::Good))?;
                describe(&parsed.policy, out)?;
                hash = Some(parsed.hash);
            }
            Err(found) => {
                debug_assert!(found.iter().any(|one| one.severity == Severity::Error));
                writeln!(out, "{found}")?;
                holds = false;
            }
        }
    }
    if let Some(binary) = &arguments.binary {
        holds &= check_binary(binary, path, hash, out)?;
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(policy: &Policy, out: &mut impl Write) -> Result<()> {
    for rule in policy.unlimited() {
        writeln!(out, "  {}: {rule} allows everything", paint("wide", Tone::Doubtful))?;
    }
    Ok(())
}

/// Whether the binary carries the policy.
fn check_binary(
    path: &Path,
    policy: Option<&Path>,
    hash: Option<[u8; 32]>,
    out: &mut impl Write,
) -> Result<bool> {
    let named = || path.display().to_string();
    let file = File::open(path).with_context(|| format!("can't open {}", named()))?;
    let notes = note::read(&file).with_context(named)?;
    let beginning = elf::beginning(&file).with_context(named)?;
    writeln!(
        out,
        "{}: a {} program for {}",
        named(),
        if notes.is_static { "static" } else { "dynamic" },
        notes.arch.unwrap_or("an architecture that fnguard does not know")
    )?;
    let holds = match &notes.policy {
        None if notes.launcher.is_some() => {
            writeln!(out, "  policy: none; it is fnguard's launcher, which reads its function's")?;
            true
        }
        None => {
            writeln!(
                out,
                "  policy: {}; #[guarded] puts one there, and `fnguard run --policy` needs none",
                paint("none in its note", Tone::Bad)
            )?;
            false
        }
        Some(blob) => {
            let compiled = Compiled::decode(blob).with_context(|| format!("{}: its policy note", named()))?;
            check_note(&compiled, notes.arch, policy, hash, out)?
        }
    };
    describe_beginning(&beginning, notes.policy.is_some(), out)?;
    Ok(holds)
}

fn check_note(
    compiled: &Compiled,
    arch: Option<&str>,
    policy: Option<&Path>,
    hash: Option<[u8; 32]>,
    out: &mut impl Write,
) -> Result<bool> {
    let mut holds = true;
    writeln!(out, "  policy: built from {}, hash {}", visible(&compiled.origin), compiled.hash_hex())?;
    match (policy, hash) {
        (Some(path), Some(hash)) if hash != compiled.hash => {
            writeln!(
                out,
                "  {}: {} is another policy; build the function again",
                paint("differs", Tone::Bad),
                path.display()
            )?;
            holds = false;
        }
        (Some(path), Some(_)) => writeln!(out, "  the same as {}", path.display())?,
        _ => {}
    }
    if arch != Some(compiled.arch.as_str()) {
        let (says, tone) = (format!("its filters are for {}", visible(&compiled.arch)), Tone::Bad);
        writeln!(out, "  {}; arming will refuse", paint(&says, tone))?;
        holds = false;
    }
    let arm = &compiled.policy.arm;
    let build = if compiled.debug_build { "debug" } else { "release" };
    let (arms, tone) = match (compiled.debug_build, arm.debug, arm.release) {
        (true, DebugArming::Off, _) => ("does not arm", Tone::Bad),
        (true, DebugArming::Audit, _) => ("arms in audit", Tone::Doubtful),
        (true, DebugArming::Enforce, _) | (false, _, ReleaseArming::Always) => ("arms", Tone::Good),
        (false, _, ReleaseArming::Never) => ("does not arm, and refuses real events", Tone::Bad),
    };
    writeln!(out, "  a {build} build: {}", paint(arms, tone))?;
    describe(&compiled.policy, out)?;
    Ok(holds)
}

fn describe_beginning(beginning: &Beginning, guarded: bool, out: &mut impl Write) -> Result<()> {
    if !beginning.has_sections {
        writeln!(out, "  what runs first can't be told: the file has no section headers")?;
        return Ok(());
    }
    if beginning.irelative > 0 {
        writeln!(
            out,
            "  {} IRELATIVE relocations: functions that the loader calls before every constructor",
            beginning.irelative
        )?;
    }
    let position = beginning.preinit.iter().position(|entry| elf::is_guard(entry));
    match (&beginning.preinit[..], position) {
        ([], _) if guarded => writeln!(
            out,
            "  {}: no .preinit_array, so the guard begins with the other constructors at best",
            paint("late", Tone::Bad)
        )?,
        ([], _) => {}
        (_, Some(0)) => writeln!(out, "  the guard is the first of .preinit_array")?,
        (entries, Some(before)) => {
            let names: Vec<String> = entries.iter().take(before).map(|entry| visible(entry)).collect();
            writeln!(out, "  {}: {}", paint("runs before the guard", Tone::Bad), names.join(", "))?;
        }
        (entries, None) => {
            let names: Vec<String> = entries.iter().map(|entry| visible(entry)).collect();
            let own = if guarded && entries.len() == 1 { ", which is the guard's" } else { "" };
            writeln!(
                out,
                "  .preinit_array has {} ({}){own}; the file has no symbols to tell whose",
                if entries.len() == 1 { "1 entry".to_owned() } else { format!("{} entries", entries.len()) },
                names.join(", ")
            )?;
        }
    }
    if guarded {
        let several = if beginning.init == 1 {
            "1 constructor".to_owned()
        } else {
            format!("{} constructors", beginning.init)
        };
        writeln!(out, "  {several} in .init_array, which run after the guard's")?;
    }
    if !beginning.interposed.is_empty() {
        writeln!(
            out,
            "  {}: it defines {} itself; under `fnguard run` none of it runs in the arbiter",
            paint("interposes libc", Tone::Doubtful),
            beginning.interposed.join(", ")
        )?;
    }
    Ok(())
}
