//! `fnguard explain`: what a policy decides about one thing, by which rule, and the line that would
//! allow it. Asks the same functions as the arbiter does.

use crate::arguments::{Explain, Request};
use crate::finding;
use crate::terminal::{Tone, paint, visible};
use anyhow::{Context, Result, anyhow, bail};
use fnguard_policy::filter::interpreter::{Interpreter, SeccompData};
use fnguard_policy::filter::{self, return_value};
use fnguard_policy::model::{
    Action, Decision, Name, Peer, Policy, Transport, narrowest_exec_rule, narrowest_listen_rule,
    narrowest_read_rule, narrowest_rule, narrowest_write_rule,
};
use fnguard_policy::syscalls::{self, Answer, Arch, FUNCTION};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

/// Stands for the address that a name would resolve to: TEST-NET-2 (RFC 5737), public space that
/// is nobody's.
const SOME_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
/// The process id that the filter is asked about; any will do.
const SOME_PROCESS: u32 = 4242;

/// An explanation on its way out.
struct Explained {
    what: String,
    decision: Decision,
    /// The mode of the section that decided.
    mode: fnguard_policy::model::Mode,
    hint: String,
    notes: Vec<String>,
}

pub(crate) fn run(arguments: &Explain, out: &mut impl Write) -> Result<ExitCode> {
    let found = finding::in_named_or_default(arguments.policy.as_deref())?;
    let place = found.place();
    // As the arbiter does, so that this machine's links decide.
    let mut policy = found.policy().clone();
    policy.resolve_rules(|path| absolute(Path::new(path)).ok().map(|(text, _)| text));
    let policy = &policy;
    let explained = match &arguments.what {
        Request::Connect { peer } => connect(policy, peer)?,
        Request::Listen { address } => listen(policy, address)?,
        Request::Exec { path } => exec(policy, path)?,
        Request::Write { path } => write(policy, path)?,
        Request::Read { path } => read(policy, path)?,
        Request::Lookup { name } => lookup(policy, name)?,
        Request::Syscall { name, arguments } => return syscall(policy, name, arguments, out),
    };
    explained.print(&place, out)
}

impl Explained {
    fn print(&self, place: &str, out: &mut impl Write) -> Result<ExitCode> {
        use fnguard_policy::model::Mode;
        let (word, tone) = match self.decision.action {
            Action::Allow => ("allowed", Tone::Good),
            Action::Audit => ("let through and reported", Tone::Doubtful),
            Action::Deny => ("denied", Tone::Bad),
        };
        writeln!(out, "{}: {}", visible(&self.what), paint(word, tone))?;
        let rule = &self.decision.rule;
        let (section, key) = rule.key.split_once('.').unwrap_or(("", rule.key));
        let by = match &rule.text {
            Some(text) => format!("[{section}] {key}: {text:?}"),
            None if self.decision.action == Action::Allow => {
                format!("[{section}] {key} is not set, which leaves this alone")
            }
            None => format!(
                "no rule of [{section}] {key}, and [{section}] is in {}",
                if self.mode == Mode::Audit { "audit" } else { "enforce" }
            ),
        };
        writeln!(out, "  by: {by}\n  in: {place}")?;
        if self.decision.action != Action::Allow && rule.text.is_none() {
            writeln!(out, "  to allow it: {}", paint(&self.hint, Tone::Strong))?;
        }
        for note in &self.notes {
            writeln!(out, "  note: {note}")?;
        }
        Ok(if self.decision.action == Action::Deny { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// A peer as written on the command line.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    Name { name: Name, port: u16, transport: Transport },
    Address { address: SocketAddr, transport: Transport },
    UnixPath(String),
    UnixAbstract(Vec<u8>),
}

fn parse_peer(text: &str) -> Result<Written> {
    if text.is_empty() {
        bail!("the peer is empty; expected name:port, such as api.stripe.com:443, or unix:/path");
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(match path.strip_prefix('@') {
            Some(name) => Written::UnixAbstract(name.as_bytes().to_vec()),
            None => Written::UnixPath(absolute(Path::new(path))?.0),
        });
    }
    let (transport, rest) = match text.split_once('/') {
        Some(("udp", rest)) => (Transport::Udp, rest),
        Some(("tcp", rest)) => (Transport::Tcp, rest),
        Some(_) => {
            bail!("{text:?} is no peer; expected name:port, address:port, [v6]:port, udp/… or unix:/path")
        }
        None => (Transport::Tcp, text),
    };
    if let Ok(address) = rest.parse::<SocketAddr>() {
        return Ok(Written::Address { address, transport });
    }
    let Some((host, port)) = rest.rsplit_once(':') else {
        let is_host = Name::parse(rest).is_ok() || rest.parse::<Ipv4Addr>().is_ok();
        let host = if is_host { rest } else { "api.stripe.com" };
        bail!("{text:?} has no port; expected name:port, such as {host}:443");
    };
    let port = port.parse().with_context(|| format!("{port:?} is no port; expected a number up to 65535"))?;
    if host.contains(':') {
        bail!("{text:?}: an IPv6 address stands in brackets, such as [2001:db8::1]:443");
    }
    let name = Name::parse(host).with_context(|| format!("{host:?} is no host name"))?;
    Ok(Written::Name { name, port, transport })
}

fn connect(policy: &Policy, text: &str) -> Result<Explained> {
    let (peer, names) = match parse_peer(text)? {
        Written::Address { address, transport } => {
            (Peer::inet(address.ip(), address.port(), transport), vec![])
        }
        Written::Name { name, port, transport } => (Peer::inet(SOME_ADDRESS, port, transport), vec![name]),
        Written::UnixPath(path) => (Peer::UnixPath(path), vec![]),
        Written::UnixAbstract(name) => (Peer::UnixAbstract(name), vec![]),
    };
    let decision = policy.decide_connect(&peer, &names);
    let mut notes = Vec::new();
    if let Some(name) = names.first() {
        notes.push(
            "judged by its name: the address must be one that an answer to the function's own query gave"
                .to_owned(),
        );
        if policy.decide_lookup(name).action == Action::Deny {
            notes.push(format!("the function can't resolve {name}: no rule names it"));
        }
        let matched = decision.rule.text.as_ref();
        let private = policy.network.allow.iter().any(|rule| Some(&rule.text) == matched && rule.private);
        if matched.is_some() && !private {
            notes.push(
                "an answer in private, loopback or link-local space is not bound to it (private = true in the rule allows private space)"
                    .to_owned(),
            );
        }
    } else if let Peer::Inet { address, .. } = &peer
        && decision.action != Action::Allow
        && policy.network.allow.iter().any(|rule| matches!(rule.to, fnguard_policy::model::Target::Name(_)))
    {
        notes.push(format!("{address} would be allowed if an allowed name resolved to it"));
    }
    Ok(Explained {
        what: format!("connect {text}"),
        decision,
        mode: policy.network.mode,
        hint: narrowest_rule(&peer, &names),
        notes,
    })
}

fn listen(policy: &Policy, text: &str) -> Result<Explained> {
    let peer = match parse_peer(text)? {
        Written::Address { address, transport } => Peer::local(address.ip(), address.port(), transport),
        Written::UnixPath(path) => Peer::UnixPath(path),
        Written::UnixAbstract(name) => Peer::UnixAbstract(name),
        Written::Name { .. } => bail!("{text:?}: a program listens on an address, such as 127.0.0.1:8080"),
    };
    Ok(Explained {
        what: format!("listen {text}"),
        decision: policy.decide_listen(&peer),
        mode: policy.network.mode,
        hint: narrowest_listen_rule(&peer),
        notes: Vec::new(),
    })
}

fn lookup(policy: &Policy, text: &str) -> Result<Explained> {
    let name = Name::parse(text).with_context(|| format!("{text:?} is no host name"))?;
    let hint = narrowest_rule(&Peer::inet(SOME_ADDRESS, 443, Transport::Tcp), std::slice::from_ref(&name));
    Ok(Explained {
        what: format!("lookup {name}"),
        decision: policy.decide_lookup(&name),
        mode: policy.network.mode,
        hint,
        notes: Vec::new(),
    })
}

/// The path as the arbiter sees it: absolute, symbolic links followed as far as it exists. And
/// what to say where that is another than was given.
fn absolute(path: &Path) -> Result<(String, Option<String>)> {
    if path.as_os_str().is_empty() {
        bail!("the path is empty; expected a path such as /tmp/orders");
    }
    let given = std::path::absolute(path).with_context(|| format!("{} is no path", path.display()))?;
    // The longest part that exists is resolved; the rest can't have links.
    let mut missing = Vec::new();
    let mut there = given.clone();
    let resolved = loop {
        match there.canonicalize() {
            Ok(resolved) => break resolved,
            Err(_) => match (there.components().next_back(), there.parent()) {
                (Some(Component::Normal(last)), Some(parent)) => {
                    missing.push(last.to_owned());
                    there = parent.to_owned();
                }
                (Some(Component::ParentDir), _) => {
                    bail!("{} goes up from a directory that does not exist", path.display())
                }
                _ => break there,
            },
        }
    };
    let resolved: PathBuf = missing.iter().rev().fold(resolved, |path, part| path.join(part));
    let text = resolved
        .to_str()
        .ok_or_else(|| anyhow!("{} is not UTF-8, so no rule can name it", resolved.display()))?
        .to_owned();
    let note = (resolved != path).then(|| format!("decided as {}", visible(&text)));
    Ok((text, note))
}

fn exec(policy: &Policy, path: &Path) -> Result<Explained> {
    let (text, note) = if path.components().count() == 1 && !path.has_root() {
        let program = fnguard::find_program(path.as_os_str())?;
        absolute(&program).map(|(text, _)| (text.clone(), Some(format!("found as {}", visible(&text)))))?
    } else {
        absolute(path)?
    };
    let decision = policy.decide_exec(&text);
    let mut notes: Vec<String> = note.into_iter().collect();
    if decision.action == Action::Allow && policy.exec.any {
        notes.push("[exec] allows every program (allow = [\"*\"])".to_owned());
    } else if decision.action == Action::Allow {
        notes
            .push("held by Landlock; where the kernel has none (before Linux 5.13) it is refused".to_owned());
    }
    Ok(Explained {
        what: format!("exec {}", path.display()),
        decision,
        mode: policy.exec.mode,
        hint: narrowest_exec_rule(&text),
        notes,
    })
}

fn write(policy: &Policy, path: &Path) -> Result<Explained> {
    let (text, note) = absolute(path)?;
    let mut notes: Vec<String> = note.into_iter().collect();
    if matches!(text.as_str(), "/dev/null" | "/dev/zero" | "/dev/full") {
        notes.push("this device stays writable under every policy".to_owned());
    }
    Ok(Explained {
        what: format!("write {}", path.display()),
        decision: policy.decide_write(&text),
        mode: policy.files.mode,
        hint: narrowest_write_rule(&text),
        notes,
    })
}

fn read(policy: &Policy, path: &Path) -> Result<Explained> {
    let (text, note) = absolute(path)?;
    Ok(Explained {
        what: format!("read {}", path.display()),
        decision: policy.decide_read(&text),
        mode: policy.files.mode,
        hint: narrowest_read_rule(&text),
        notes: note.into_iter().collect(),
    })
}

/// What becomes of a system call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Allowed,
    Mediated,
    Denied,
}

impl Fate {
    fn tone(self) -> Tone {
        match self {
            Fate::Allowed => Tone::Good,
            Fate::Mediated => Tone::Doubtful,
            Fate::Denied => Tone::Bad,
        }
    }
}

/// Asks the compiled filter itself, and names the row of the table beside its answer.
fn syscall(policy: &Policy, name: &str, given: &[u64], out: &mut impl Write) -> Result<ExitCode> {
    let arch = Arch::of_host().context("fnguard has no system call table for this machine")?;
    let Some(number) = syscalls::number(arch, name) else {
        bail!(
            "{name:?} is no system call that this fnguard knows on {arch}: a call without a name is denied and \
             reported; `fnguard syscalls` lists those that need no asking"
        );
    };
    let mut program = filter::compile(policy, arch)?;
    for &slot in &program.pid_slots {
        if let Some(instruction) = program.instructions.get_mut(usize::from(slot)) {
            instruction.3 = SOME_PROCESS;
        }
    }
    let mut args = [0; 6];
    for (register, value) in args.iter_mut().zip(given) {
        *register = *value;
    }
    let data =
        SeccompData { nr: i32::try_from(number)?, arch: arch.audit_value(), instruction_pointer: 0, args };
    let value = Interpreter::new(&program.instructions)?.run(&data);
    let (word, fate) = if value == return_value(Answer::Allow) {
        ("allowed: the kernel runs it, the arbiter never sees it".to_owned(), Fate::Allowed)
    } else if value == return_value(Answer::Kill) {
        ("denied: it ends the process".to_owned(), Fate::Denied)
    } else if value != return_value(Answer::Notify) {
        (format!("denied: it fails with errno {}, and nobody is asked", value & 0xffff), Fate::Denied)
    } else if let Some(by) = syscalls::mediated_by(name) {
        (format!("mediated: the arbiter decides it, by {by}"), Fate::Mediated)
    } else if name == "socket" && syscalls::is_udp(args[0] as i32, args[1] as i32, args[2] as i32) {
        (
            "mediated: the arbiter makes the socket; whom it may hear is by [network] listen".into(),
            Fate::Mediated,
        )
    } else {
        ("denied: the arbiter refuses it, and reports it".to_owned(), Fate::Denied)
    };
    let shown: Vec<String> = args.iter().take(given.len()).map(|value| format!("{value:#x}")).collect();
    writeln!(out, "{name}({}) on {arch}: {}", shown.join(", "), paint(&word, fate.tone()))?;
    match FUNCTION.row(name) {
        None if fate == Fate::Mediated => {
            writeln!(out, "  by: no row of the table names it: every such call goes to the arbiter")?;
        }
        None => {
            writeln!(out, "  by: no row of the table names it, and the arbiter decides no such call")?;
        }
        Some(row) => {
            writeln!(out, "  by: {}", row.reason)?;
            for rule in row.rules.iter().filter(|rule| !rule.what.is_empty()) {
                let stands = if rule.when.holds(policy) { "" } else { " (not under this policy)" };
                writeln!(out, "  allowed: {}{stands}: {}", rule.what, rule.reason)?;
            }
        }
    }
    if let Some(question) = question_for(name).filter(|_| fate == Fate::Mediated) {
        writeln!(out, "  ask: fnguard explain {question}")?;
    }
    if name == "ioctl" && fate == Fate::Denied {
        writeln!(out, "  note: under `fnguard run --tty` the arbiter performs those that set that terminal")?;
    }
    Ok(if fate == Fate::Denied { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The question that says what the arbiter would decide, for a call that is decided by more than its
/// registers.
fn question_for(name: &str) -> Option<&'static str> {
    match syscalls::mediated_by(name)? {
        "[network] allow" => Some("connect HOST:PORT"),
        "[network] listen" => Some("listen ADDRESS:PORT"),
        "[exec] allow" => Some("exec PATH"),
        "[files] write" => Some("write PATH"),
        "[files] write, read and own_code" => Some("write PATH, or read PATH"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers() {
        let port = |text: &str| parse_peer(text).unwrap();
        assert!(matches!(
            port("api.stripe.com:443"),
            Written::Name { port: 443, transport: Transport::Tcp, .. }
        ));
        assert!(matches!(port("udp/10.0.0.2:53"), Written::Address { transport: Transport::Udp, .. }));
        assert!(matches!(port("[2001:db8::1]:443"), Written::Address { .. }));
        assert_eq!(port("unix:@app"), Written::UnixAbstract(b"app".to_vec()));
        for wrong in
            ["api.stripe.com", "2001:db8::1:443", "sctp/a.b:1", "a.b:65536", "a.b:", ":443", "https://a.b:1"]
        {
            assert!(parse_peer(wrong).is_err(), "{wrong}");
        }
    }
}
