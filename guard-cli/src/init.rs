//! `fnguard init`: a commented guard.toml to begin with.

use crate::arguments::Init;
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

const TEMPLATE: &str = include_str!("template.toml");

pub(crate) fn run(arguments: &Init, out: &mut impl Write) -> Result<ExitCode> {
    let path = &arguments.file;
    let mut file = match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{0} exists and is left as it is; `fnguard check --policy {0}` reads it", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("can't create {}", path.display())),
    };
    file.write_all(TEMPLATE.as_bytes()).with_context(|| format!("can't write {}", path.display()))?;
    writeln!(
        out,
        "wrote {}: it denies network and programs, and lets files change below /tmp only\n\
         next: `fnguard run --audit -- PROGRAM` reports what the program needs",
        path.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fnguard_policy::{model::Policy, source};

    #[test]
    fn the_template_is_the_default_policy() {
        let parsed = source::parse(TEMPLATE, "guard.toml").unwrap();
        assert_eq!(parsed.policy, Policy::default());
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
    }

    /// What the comments offer is valid as well.
    #[test]
    fn its_examples_hold() {
        let text: String = TEMPLATE
            .lines()
            .filter(|line| !matches!(*line, "env = []" | "allow = []"))
            .map(|line| {
                let example = line.strip_prefix("# ").filter(|rest| rest.contains(" = ["));
                format!("{}\n", example.unwrap_or(line))
            })
            .collect();
        let parsed = source::parse(&text, "guard.toml").unwrap();
        assert_eq!(parsed.policy.network.allow.len(), 3);
        assert_eq!(parsed.policy.secrets.env.len(), 2);
        assert!(parsed.policy.files.read.is_some());
    }
}
