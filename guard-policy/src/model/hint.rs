//! The way out of a refusal: the narrowest rule that would allow what was refused, in a notation of
//! its own: `[section] key += value` says to add the value to that list of that section. The
//! text stands in a violation's record as its `hint`, so what the function chose (names, paths) is
//! escaped here. Not a verdict on whether it should be allowed.

use super::address::{embedded_ipv4, is_private, needs_exact_rule};
use super::breadth::is_loader;
use super::{Name, Peer, Transport};
use std::fmt::Write;
use std::net::IpAddr;

/// The rule that would allow connecting or sending to `peer`: by the first name bound to the
/// address where there is one, else by the address.
///
/// ```
/// use fnguard_policy::model::{Name, Peer, Transport, narrowest_rule};
/// let peer = Peer::inet("203.0.113.9".parse()?, 443, Transport::Tcp);
/// assert_eq!(narrowest_rule(&peer, &[]), r#"[network] allow += "203.0.113.9:443""#);
/// let name = Name::parse("api.stripe.com")?;
/// assert_eq!(narrowest_rule(&peer, &[name]), r#"[network] allow += "api.stripe.com:443""#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn narrowest_rule(peer: &Peer, names: &[Name]) -> String {
    match peer {
        Peer::Inet { port: 0, .. } => "none: port 0 is no peer, and no rule opens it".to_owned(),
        Peer::Inet { address, port, transport } => {
            // Built again, for a caller that filled the fields by itself.
            let normal = Peer::inet(*address, *port, *transport);
            let address = if let Peer::Inet { address, .. } = normal { address } else { *address };
            let ends = places_it_ends(address);
            // A name opens the embedded address too, unless one of the two is not for names.
            if let Some(name) = names.first().filter(|_| !ends.iter().any(|end| needs_exact_rule(*end))) {
                let rule = quoted(&format!("{}{name}:{port}", prefix(*transport)));
                return if ends.iter().any(|end| is_private(*end)) {
                    format!("[network] allow += {{ to = {rule}, private = true }}")
                } else {
                    format!("[network] allow += {rule}")
                };
            }
            let rules: Vec<String> = ends.iter().map(|end| address_rule(*end, *port, *transport)).collect();
            format!("[network] allow += {}", rules.join(", "))
        }
        Peer::UnixPath(_) | Peer::UnixAbstract(_) => unix_rule("allow", peer),
    }
}

/// The rule that would allow binding or listening on `peer`, made by [`Peer::local`].
///
/// ```
/// use fnguard_policy::model::{Peer, Transport, narrowest_listen_rule};
/// let peer = Peer::local("127.0.0.1".parse()?, 8080, Transport::Tcp);
/// assert_eq!(narrowest_listen_rule(&peer), r#"[network] listen += "127.0.0.1:8080""#);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn narrowest_listen_rule(peer: &Peer) -> String {
    match peer {
        Peer::Inet { address, port, transport } => {
            format!("[network] listen += {}", address_rule(*address, *port, *transport))
        }
        Peer::UnixPath(_) | Peer::UnixAbstract(_) => unix_rule("listen", peer),
    }
}

/// The rule that would allow starting the program at a resolved path.
///
/// ```
/// # use fnguard_policy::model::narrowest_exec_rule;
/// assert_eq!(narrowest_exec_rule("/usr/bin/id"), r#"[exec] allow += "/usr/bin/id""#);
/// ```
pub fn narrowest_exec_rule(path: &str) -> String {
    if !path.starts_with('/') {
        "none: only a program with an absolute path can be allowed".to_owned()
    } else if is_loader(path) {
        "none: a dynamic loader runs any file; allow the program that it was to run".to_owned()
    } else {
        format!("[exec] allow += {}", quoted(path))
    }
}

/// The rule that would allow changing the file at a resolved path.
///
/// ```
/// # use fnguard_policy::model::narrowest_write_rule;
/// assert_eq!(narrowest_write_rule("/var/cache/x"), r#"[files] write += "/var/cache/x""#);
/// ```
pub fn narrowest_write_rule(path: &str) -> String {
    format!("[files] write += {}", quoted(path))
}

/// The rule that would allow reading the file at a resolved path.
///
/// ```
/// # use fnguard_policy::model::narrowest_read_rule;
/// assert_eq!(narrowest_read_rule("/var/cache/x"), r#"[files] read += "/var/cache/x""#);
/// ```
pub fn narrowest_read_rule(path: &str) -> String {
    format!("[files] read += {}", quoted(path))
}

/// A TOML basic string. Whatever is not a printable ASCII character, a letter or a digit is
/// escaped, so that no text can imitate another or steer a terminal.
///
/// ```
/// # use fnguard_policy::model::hint::quoted;
/// assert_eq!(quoted("a\"b\u{202e}\n"), r#""a\"b\u202E\n""#);
/// ```
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            // Writing to a String does not fail.
            _ if u32::from(c) <= 0xffff => _ = write!(out, "\\u{:04X}", u32::from(c)),
            _ => _ = write!(out, "\\U{:08X}", u32::from(c)),
        }
    }
    out.push('"');
    out
}

/// The address and the IPv4 addresses inside it: each needs a rule.
fn places_it_ends(address: IpAddr) -> Vec<IpAddr> {
    let inside = match address {
        IpAddr::V6(v6) => Some(embedded_ipv4(v6).map(|v4| {
            let normal = if v4.is_unspecified() { std::net::Ipv4Addr::LOCALHOST } else { v4 };
            IpAddr::V4(normal)
        })),
        IpAddr::V4(_) => None,
    };
    std::iter::once(address).chain(inside.into_iter().flatten()).collect()
}

fn address_rule(address: IpAddr, port: u16, transport: Transport) -> String {
    let prefix = prefix(transport);
    match address {
        IpAddr::V4(v4) => quoted(&format!("{prefix}{v4}:{port}")),
        IpAddr::V6(v6) => quoted(&format!("{prefix}[{v6}]:{port}")),
    }
}

fn unix_rule(key: &str, peer: &Peer) -> String {
    let text = match peer {
        Peer::UnixPath(path) => path.clone(),
        Peer::UnixAbstract(name) => match std::str::from_utf8(name) {
            Ok(name) => format!("@{name}"),
            Err(_) => return "none: a rule can only name an abstract socket whose name is UTF-8".to_owned(),
        },
        Peer::Inet { .. } => return String::new(),
    };
    format!("[network] {key} += {}", quoted(&format!("unix:{text}")))
}

fn prefix(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "",
        Transport::Udp => "udp/",
    }
}
