//! `fnguard doctor`: what this platform allows, tried in throw-away processes, and what fnguard
//! would hold a function with. The probes are the library's: they make the calls that arming makes.

mod machine;

use crate::arguments::Doctor;
use crate::terminal::{Tone, paint, visible};
use anyhow::{Context, Result, bail};
use fnguard::probe::{PROBES, Probe};
use machine::Machine;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// What a probe has not answered by then it will not answer, in seconds.
const PATIENCE: u32 = 5;
/// Tried for information: nothing of fnguard's needs it, but it makes some sandboxes possible, and
/// some escapes from a kernel.
const USER_NAMESPACE: &str = "user_namespace";
/// Without these there is no seccomp mechanism. The rest is named in the posture line if it lacks.
const SECCOMP_NEEDS: [&str; 6] =
    ["no_new_privs", "seccomp_listener", "notification", "add_descriptor", "take_descriptor", "read_memory"];

/// How a probe came out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Ok(String),
    Refused(String),
    Killed(String),
}

struct Tried {
    name: &'static str,
    what: &'static str,
    purpose: &'static str,
    outcome: Outcome,
}

pub(crate) fn run(arguments: &Doctor, out: &mut impl Write) -> Result<ExitCode> {
    if let Some(name) = &arguments.probe {
        return probe(name, out);
    }
    let mut tried = Vec::new();
    for probe in PROBES {
        let outcome = in_a_process(probe.name)?;
        tried.push(Tried { name: probe.name, what: probe.what, purpose: probe.purpose, outcome });
    }
    tried.push(Tried {
        name: USER_NAMESPACE,
        what: "unshare(CLONE_NEWUSER)",
        purpose: "nothing of fnguard's; the ambush example isolates itself with it",
        outcome: in_a_process(USER_NAMESPACE)?,
    });
    let machine = Machine::look();
    let verdict = Verdict::of(&tried);
    if arguments.json {
        let mut report = report(&machine, &tried, &verdict).to_string();
        report.push('\n');
        out.write_all(report.as_bytes())?;
    } else {
        print(&machine, &tried, &verdict, out)?;
    }
    Ok(if verdict.mechanism == Mechanism::Seccomp { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries one thing in this process.
fn probe(name: &str, out: &mut impl Write) -> Result<ExitCode> {
    // A platform may answer by not answering.
    nix::unistd::alarm::set(PATIENCE);
    let result = if name == USER_NAMESPACE {
        unshare(CloneFlags::CLONE_NEWUSER)
            .map(|()| String::new())
            .map_err(|error| format!("unshare: {error}"))
    } else {
        let probe = Probe::named(name).with_context(|| format!("there is no probe {name:?}"))?;
        probe.run().map_err(|refusal| refusal.to_string())
    };
    let (text, status) = match result {
        Ok(detail) => (detail, ExitCode::SUCCESS),
        Err(reason) => (reason, ExitCode::FAILURE),
    };
    out.write_all(text.as_bytes())?;
    Ok(status)
}

/// Runs a probe in a process of its own.
fn in_a_process(name: &str) -> Result<Outcome> {
    let own = std::env::current_exe().context("can't tell where fnguard lies; mount /proc")?;
    let output = Command::new(&own)
        .args(["doctor", "--probe", name])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .with_context(|| format!("can't start {} to probe in", own.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    outcome(output.status, text)
}

fn outcome(status: ExitStatus, text: String) -> Result<Outcome> {
    Ok(match (status.code(), status.signal()) {
        (Some(0), _) => Outcome::Ok(text),
        (Some(1), _) => Outcome::Refused(text),
        (_, Some(libc::SIGALRM)) => Outcome::Killed(format!("no answer in {PATIENCE} s")),
        (_, Some(number)) => {
            let name = nix::sys::signal::Signal::try_from(number)
                .map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned());
            Outcome::Killed(format!("the process was ended by {name}"))
        }
        (code, None) => bail!("a probe ended with the unexpected status {code:?}"),
    })
}

/// What fnguard would use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Seccomp,
    /// Sealing would hold, for a function that reaches nobody.
    SealedOnly,
    None,
}

struct Verdict {
    mechanism: Mechanism,
    landlock: bool,
    /// What seccomp lacks.
    missing: Vec<&'static str>,
}

impl Verdict {
    fn of(tried: &[Tried]) -> Self {
        let holds =
            |name: &str| tried.iter().any(|one| one.name == name && matches!(one.outcome, Outcome::Ok(_)));
        let missing: Vec<&str> = SECCOMP_NEEDS.into_iter().filter(|name| !holds(name)).collect();
        let mechanism = match (missing.is_empty(), holds("descriptor_limit")) {
            (true, _) => Mechanism::Seccomp,
            (false, true) => Mechanism::SealedOnly,
            (false, false) => Mechanism::None,
        };
        Verdict { mechanism, landlock: holds("landlock"), missing }
    }

    fn mechanism(&self) -> &'static str {
        match self.mechanism {
            Mechanism::Seccomp => "seccomp",
            Mechanism::SealedOnly | Mechanism::None => "none",
        }
    }

    fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match self.mechanism {
            Mechanism::Seccomp => {
                sentences.push(
                    "seccomp with notification: network, exec and system calls are held here".to_owned(),
                );
            }
            Mechanism::SealedOnly | Mechanism::None => {
                sentences.push(format!(
                    "seccomp can't be used here ({}): with `[arm] on_unsupported = \"refuse\"` nothing starts, \
                     with \"degrade\" secrets are scrubbed and redacted and nothing else is held",
                    self.missing.join(", ")
                ));
                if self.mechanism == Mechanism::SealedOnly {
                    sentences.push(
                        "sealed descriptors (`mechanism = \"sealed\"`) would close network and files here, what the policy \
                         allows included"
                            .to_owned(),
                    );
                }
            }
        }
        if !self.landlock {
            sentences.push(
                "without Landlock, file rules and `[exec] allow` can't be held, and are refused or degraded by name"
                    .to_owned(),
            );
        }
        sentences
    }
}

fn print(machine: &Machine, tried: &[Tried], verdict: &Verdict, out: &mut impl Write) -> Result<()> {
    writeln!(out, "{}", visible(&machine.to_string()))?;
    for one in tried {
        let (word, tone, detail) = match &one.outcome {
            Outcome::Ok(detail) => ("ok", Tone::Good, detail),
            Outcome::Refused(detail) => ("refused", Tone::Bad, detail),
            Outcome::Killed(detail) => ("killed", Tone::Bad, detail),
        };
        let word = paint(&format!("{word:8}"), tone);
        let detail = if detail.is_empty() { String::new() } else { format!(" ({})", visible(detail)) };
        writeln!(out, "  {word} {:20} {}{detail}", one.name, one.what)?;
        if !matches!(one.outcome, Outcome::Ok(_)) {
            writeln!(out, "           {:20} {}", "", paint(&format!("for: {}", one.purpose), Tone::Quiet))?;
        }
    }
    for sentence in verdict.sentences() {
        writeln!(out, "{sentence}")?;
    }
    Ok(())
}

fn report(machine: &Machine, tried: &[Tried], verdict: &Verdict) -> Value {
    let probes: Vec<Value> = tried
        .iter()
        .map(|one| {
            let (result, detail) = match &one.outcome {
                Outcome::Ok(detail) => ("ok", detail),
                Outcome::Refused(detail) => ("refused", detail),
                Outcome::Killed(detail) => ("killed", detail),
            };
            json!({ "name": one.name, "what": one.what, "purpose": one.purpose, "result": result, "detail": detail })
        })
        .collect();
    json!({
        "fnguard": "doctor",
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine.to_json(),
        "probes": probes,
        "mechanism": verdict.mechanism(),
        "remarks": verdict.sentences(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(refused: &[&str]) -> Vec<Tried> {
        PROBES
            .iter()
            .map(|probe| Tried {
                name: probe.name,
                what: probe.what,
                purpose: probe.purpose,
                outcome: if refused.contains(&probe.name) {
                    Outcome::Refused("EPERM".to_owned())
                } else {
                    Outcome::Ok(String::new())
                },
            })
            .collect()
    }

    #[test]
    fn verdicts() {
        assert_eq!(Verdict::of(&tried(&[])).mechanism, Mechanism::Seccomp);
        for needed in SECCOMP_NEEDS {
            assert!(Probe::named(needed).is_some(), "{needed} is no probe");
            assert_eq!(Verdict::of(&tried(&[needed])).mechanism, Mechanism::SealedOnly, "{needed}");
        }
        let verdict = Verdict::of(&tried(&["no_new_privs", "descriptor_limit", "landlock"]));
        assert_eq!(verdict.mechanism, Mechanism::None);
        assert!(!verdict.landlock);
    }

    #[test]
    fn ends() {
        let status = ExitStatus::from_raw;
        assert_eq!(outcome(status(0), "ABI 4".to_owned()).unwrap(), Outcome::Ok("ABI 4".to_owned()));
        assert_eq!(outcome(status(0x100), "x".to_owned()).unwrap(), Outcome::Refused("x".to_owned()));
        assert!(
            matches!(outcome(status(libc::SIGSYS), String::new()).unwrap(), Outcome::Killed(text) if text.contains("SIGSYS"))
        );
        assert!(outcome(status(0x6500), String::new()).is_err());
    }
}
