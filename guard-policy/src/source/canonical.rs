//! A policy back to TOML: every key stated, one order, one spelling. What `parse` makes of it is
//! the same policy. Not what the author wrote: comments and spelling are gone.

use super::words::Words;
use crate::model::hint::quoted;
use crate::model::{NetworkRule, Policy, PortRange, Target, Transport};
use std::fmt::Write;
use std::net::IpAddr;

/// Prints a policy as `guard.toml`.
///
/// ```
/// use fnguard_policy::{model::Policy, source};
/// let text = source::canonical(&Policy::default());
/// assert!(text.starts_with("version = 1\nmode = \"enforce\"\n"));
/// assert_eq!(source::parse(&text, "guard.toml")?.policy, Policy::default());
/// # Ok::<(), source::Diagnostics>(())
/// ```
///
/// The round trip holds for policies that `parse` can make: with rules whose `text` is
/// [`rule_text`], names that are exact, and abstract sockets whose names are UTF-8.
pub fn canonical(policy: &Policy) -> String {
    let Policy { version, mode, arm, secrets, network, exec, files, memory, report } = policy;
    let mut out = format!("version = {version}\nmode = \"{}\"\n", mode.word());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let word = |key: &str, word: &str| format!("{key} = \"{word}\"");

    line("\n[arm]".to_owned());
    line(word("release", arm.release.word()));
    line(word("debug", arm.debug.word()));
    line(word("mechanism", arm.mechanism.word()));
    line(word("on_unsupported", arm.on_unsupported.word()));
    line(format!("strict_init = {}", arm.strict_init));

    line("\n[secrets]".to_owned());
    line(format!("env = {}", array(secrets.env.iter().map(|pattern| quoted(&pattern.text)))));
    line(format!("optional = {}", array(secrets.optional.iter().map(|name| quoted(name)))));
    line(word("on_weak", secrets.on_weak.word()));

    line("\n[network]".to_owned());
    line(word("mode", network.mode.word()));
    if network.allow.iter().chain(&network.listen).any(NetworkRule::is_unlimited) {
        line("allow_any = true".to_owned());
    }
    line(format!("allow = {}", array(network.allow.iter().map(rule))));
    line(format!("listen = {}", array(network.listen.iter().map(rule))));

    line("\n[exec]".to_owned());
    line(word("mode", exec.mode.word()));
    if exec.any {
        line("allow_any = true".to_owned());
    }
    let any = exec.any.then(|| quoted("*"));
    line(format!("allow = {}", array(any.into_iter().chain(exec.allow.iter().map(|path| quoted(path))))));
    line(format!("fork = {}", exec.fork));

    line("\n[files]".to_owned());
    line(word("mode", files.mode.word()));
    if files.write.iter().any(|path| path == "/") {
        line("allow_any = true".to_owned());
    }
    line(format!("write = {}", array(files.write.iter().map(|path| quoted(path)))));
    if let Some(read) = &files.read {
        line(format!("read = {}", array(read.iter().map(|path| quoted(path)))));
    }
    line(word("own_code", files.own_code.word()));

    line("\n[memory]".to_owned());
    line(word("executable", memory.executable.word()));

    line("\n[report]".to_owned());
    line(match &report.emf {
        None => "emf = false".to_owned(),
        Some(namespace) => format!("emf = {}", quoted(namespace)),
    });
    out
}

/// The canonical text of a rule's `to`: `api.stripe.com:443`, `udp/[2001:db8::/32]:8000-8100`.
///
/// ```
/// use fnguard_policy::model::{PortRange, Target, Transport};
/// use fnguard_policy::source::rule_text;
///
/// let to = Target::Net { address: "2001:db8::".parse()?, prefix: 32 };
/// let ports = [PortRange { low: 8000, high: 8100 }];
/// assert_eq!(rule_text(&to, &ports, Transport::Udp), "udp/[2001:db8::/32]:8000-8100");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn rule_text(to: &Target, ports: &[PortRange], transport: Transport) -> String {
    let mut out = String::new();
    if transport == Transport::Udp {
        out.push_str("udp/");
    }
    // Writing to a String does not fail.
    _ = match to {
        Target::Name(pattern) => write!(out, "{pattern}"),
        Target::Net { address: IpAddr::V4(v4), prefix: 32 } => write!(out, "{v4}"),
        Target::Net { address: IpAddr::V4(v4), prefix } => write!(out, "{v4}/{prefix}"),
        Target::Net { address: IpAddr::V6(v6), prefix: 128 } => write!(out, "[{v6}]"),
        Target::Net { address: IpAddr::V6(v6), prefix } => write!(out, "[{v6}/{prefix}]"),
        Target::UnixPath(path) => return format!("unix:{path}"),
        Target::UnixAbstract(name) => return format!("unix:@{}", String::from_utf8_lossy(name)),
        Target::Any if ports.is_empty() => return "*".to_owned(),
        Target::Any => write!(out, "*"),
    };
    for (index, PortRange { low, high }) in ports.iter().enumerate() {
        out.push(if index == 0 { ':' } else { ',' });
        _ = if low == high { write!(out, "{low}") } else { write!(out, "{low}-{high}") };
    }
    out
}

fn rule(rule: &NetworkRule) -> String {
    let to = quoted(&rule_text(&rule.to, &rule.ports, rule.transport));
    match (rule.private, rule.audit) {
        (false, false) => to,
        (true, false) => format!("{{ to = {to}, private = true }}"),
        (false, true) => format!("{{ to = {to}, audit = true }}"),
        (true, true) => format!("{{ to = {to}, private = true, audit = true }}"),
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}
