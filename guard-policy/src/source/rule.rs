//! One network rule: its text to a target, ports and a transport. The grammar, as documented in
//! `reference.rs`:
//!
//! ```text
//! rule      = "*" | [ transport ] peer ":" ports | "unix:" ( path | "@" name )
//! transport = "tcp/" | "udp/"
//! peer      = [ "*." | "**." ] name | address | network | "*"
//! address   = ipv4 | "[" ipv6 "]"
//! network   = ipv4 "/" length | "[" ipv6 "/" length "]" | ipv6 "/" length
//! ports     = port-or-range *( "," port-or-range )
//! ```
//!
//! Not the peer, which `host.rs` reads, nor the options of a rule that is a table, which `sections.rs` does.

use super::fault::Fault;
use super::host::parse_host;
use super::paths;
use crate::model::{PortRange, Target, Transport};
use std::net::Ipv6Addr;

/// Which list the rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// `[network] allow`.
    Allow,
    /// `[network] listen`.
    Listen,
}

/// What a rule's text says, and what to warn of.
#[derive(Clone, Debug)]
pub(super) struct RuleText {
    pub(super) to: Target,
    pub(super) ports: Vec<PortRange>,
    pub(super) transport: Transport,
    pub(super) warnings: Vec<Fault>,
}

pub(super) const FORMS: &str =
    "name:port, *.name:port, address:port, network/length:port, [ipv6]:port, unix:/path or unix:@name";

/// Every port.
const ALL_PORTS: &str = "1-65535";

/// Reads a rule.
pub(super) fn parse(text: &str, list: List) -> Result<RuleText, Fault> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        let fault = Fault::error("the rule is empty").expected(FORMS);
        return Err(fault.help("name a peer, or remove the rule"));
    }
    if let Some((at, space)) = text.char_indices().find(|(_, c)| c.is_whitespace())
        && !text.starts_with("unix:")
    {
        let part = text.get(at..at.saturating_add(space.len_utf8())).unwrap_or(text);
        let fault = Fault::error("a rule has no spaces").at(text, part).expected(FORMS);
        // Only spaces at the ends are taken away: what stands on either side of one in the middle may
        // be two names, and joined they would be a third, which is somebody else's.
        let is_one_word = !trimmed.contains(char::is_whitespace);
        return Err(if is_one_word && parse(trimmed, list).is_ok() {
            fault.help(format!("write {trimmed:?}"))
        } else {
            fault.help("write each peer as a rule of its own, and its ports as 443,8443")
        });
    }
    if text == "*" {
        return Ok(RuleText {
            to: Target::Any,
            ports: Vec::new(),
            transport: Transport::Tcp,
            warnings: Vec::new(),
        });
    }
    if let Some(url) = url(text, list) {
        return Err(url);
    }
    let (transport, rest) = transport(text)?;
    if let Some(socket) = rest.strip_prefix("unix:") {
        if rest.len() != text.len() {
            return Err(
                Fault::error("a unix socket has no transport prefix").help(format!("write \"{rest}\""))
            );
        }
        return unix(text, socket);
    }
    let (host, ports) = split(text, rest)?;
    let ports = parse_ports(text, host, ports, list)?;
    let mut warnings = Vec::new();
    let to = parse_host(text, host, list, &mut warnings)?;
    if ports.iter().any(|range| (range.low..=range.high).contains(&853)) && !matches!(to, Target::Any) {
        warnings.push(
            Fault::warning("port 853 is DNS over TLS: names so learned are bound to no rule")
                .help("leave names to the system's resolver, and remove the rule"),
        );
    }
    Ok(RuleText { to, ports, transport, warnings })
}

/// A URL where a rule should be: proposes the rule.
fn url(text: &str, list: List) -> Option<Fault> {
    let (scheme, rest) = text.split_once("://")?;
    // RFC 3986, 3.1. Anything else before "://" is part of a rule, such as an abstract socket's name.
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return None;
    }
    let fault = Fault::error("a rule names a peer, not a URL").expected(FORMS);
    if scheme.eq_ignore_ascii_case("unix") {
        let proposed = format!("unix:/{}", rest.trim_start_matches('/'));
        return Some(fault.help(format!("write \"{proposed}\"")));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let port = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => "80",
        "postgres" | "postgresql" => "5432",
        "mysql" => "3306",
        "redis" => "6379",
        _ => "443",
    };
    let proposed = if parse(host, list).is_ok() { host.to_owned() } else { format!("{host}:{port}") };
    Some(if parse(&proposed, list).is_ok() { fault.help(format!("write \"{proposed}\"")) } else { fault })
}

fn transport(text: &str) -> Result<(Transport, &str), Fault> {
    if let Some(rest) = text.strip_prefix("tcp/") {
        return Ok((Transport::Tcp, rest));
    }
    if let Some(rest) = text.strip_prefix("udp/") {
        return Ok((Transport::Udp, rest));
    }
    match text.split_once('/') {
        // A word before the slash is no address: somebody means a transport.
        Some((word, rest)) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()) => {
            let fault = Fault::error(format!("unknown transport `{word}`"))
                .at(text, word)
                .expected("\"tcp/\", \"udp/\" or nothing, which is TCP");
            Err(match word.to_ascii_lowercase().as_str() {
                "tcp" => fault.help(format!("write \"{rest}\"")),
                "udp" | "quic" => fault.help(format!("write \"udp/{rest}\"")),
                _ => fault,
            })
        }
        _ => Ok((Transport::Tcp, text)),
    }
}

fn unix(text: &str, socket: &str) -> Result<RuleText, Fault> {
    let mut warnings = Vec::new();
    let to = if let Some(name) = socket.strip_prefix('@') {
        // unix(7): sun_path has 108 bytes, the first of which is the NUL of an abstract name.
        if name.is_empty() || name.len() > 107 {
            return Err(Fault::error("an abstract socket's name has 1 to 107 bytes").at(text, name));
        }
        Target::UnixAbstract(name.as_bytes().to_vec())
    } else if socket.starts_with('/') {
        let path = paths::normalised(socket).map_err(|fault| fault.at(text, socket))?;
        if path.len() > 107 {
            return Err(Fault::error("a unix socket's path has at most 107 bytes").at(text, socket));
        }
        if let Some(daemon) = paths::commanding_socket(&path) {
            warnings.push(
                Fault::warning(format!(
                    "{daemon} starts programs for whoever connects: no other rule holds those"
                ))
                .help("remove the rule unless the function's work is to start programs"),
            );
        }
        Target::UnixPath(path)
    } else {
        let fault = Fault::error("a unix rule needs an absolute path, or @ and an abstract name");
        return Err(fault.at(text, socket).expected("unix:/path or unix:@name"));
    };
    Ok(RuleText { to, ports: Vec::new(), transport: Transport::Tcp, warnings })
}

/// Splits the peer from its ports. `rest` is `text` without its transport.
fn split<'a>(text: &'a str, rest: &'a str) -> Result<(&'a str, &'a str), Fault> {
    let prefix = text.strip_suffix(rest).unwrap_or("");
    let missing = |peer: &str| {
        Fault::error("the rule has no port")
            .expected("a port after the peer")
            .help(format!("write \"{prefix}{peer}:443\", or the ports it needs"))
    };
    if let Some(inner) = rest.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(Fault::error("`[` without `]`").at(text, rest).expected("[ipv6]:port"));
        };
        return match after.strip_prefix(':') {
            Some(ports) => Ok((host, ports)),
            None if after.is_empty() => Err(missing(rest)),
            None if after.starts_with('/') => {
                let (length, ports) = after.split_once(':').unwrap_or((after, "443"));
                Err(Fault::error("the prefix length stands inside the brackets")
                    .at(text, after)
                    .help(format!("write \"{prefix}[{host}{length}]:{ports}\"")))
            }
            None => Err(Fault::error("only a port may follow `]`").at(text, after).expected("[ipv6]:port")),
        };
    }
    // Before the question of ports: colons of a bare IPv6 address are not what they seem.
    if let Ok(v6) = rest.parse::<Ipv6Addr>() {
        let fault = Fault::error("an IPv6 address stands in brackets, with a port behind");
        let guess = rest.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse::<u16>().ok().filter(|_| host.parse::<Ipv6Addr>().is_ok())?;
            Some(format!(" or \"{prefix}[{host}]:{port}\""))
        });
        return Err(fault
            .expected("[ipv6]:port")
            .help(format!("write \"{prefix}[{v6}]:443\"{}", guess.unwrap_or_default())));
    }
    // A colon before the slash is that of an IPv6 address, or the slash begins a URL's path.
    if let Some((net, after)) = rest.split_once('/')
        && (!net.contains(':') || net.parse::<Ipv6Addr>().is_ok())
    {
        return match after.split_once(':') {
            Some((length, ports)) => {
                let end = net.len().saturating_add(1).saturating_add(length.len());
                Ok((rest.get(..end).unwrap_or(rest), ports))
            }
            None if net.contains(':') => Err(missing(&format!("[{rest}]"))),
            None => Err(missing(rest)),
        };
    }
    match rest.split_once(':') {
        None => Err(missing(rest)),
        Some((host, ports)) if ports.contains(':') => {
            let fault = Fault::error("more than one colon").at(text, rest).expected(FORMS);
            Err(if host.is_empty() || host.bytes().all(|b| b.is_ascii_hexdigit()) {
                fault.help("an IPv6 address stands in brackets: [2001:db8::1]:443")
            } else {
                fault
            })
        }
        Some(parts) => Ok(parts),
    }
}

fn parse_ports(text: &str, host: &str, ports: &str, list: List) -> Result<Vec<PortRange>, Fault> {
    const EXPECTED: &str = "a port (443), a list (443,8443) or a range (8000-8100)";
    if ports.is_empty() {
        return Err(Fault::error("the rule has no port")
            .expected(EXPECTED)
            .help(format!("write \"{text}443\", or the ports it needs")));
    }
    if let Some((digits, path)) = ports.split_once('/')
        && digits.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(Fault::error("a rule ends with its ports; paths are not held")
            .at(text, ports.get(digits.len()..).unwrap_or(path))
            .help(format!("write \"{host}:{digits}\"")));
    }
    let port = |digits: &str| -> Result<u16, Fault> {
        let bad = |message: String| Fault::error(message).at(text, digits).expected(EXPECTED);
        if digits == "*" {
            return Err(bad("`*` is no port".to_owned()).help(format!("every port is {ALL_PORTS}")));
        }
        if digits.is_empty() {
            return Err(Fault::error("a port is missing in the list").at(text, ports).expected(EXPECTED));
        }
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            let fault = bad(format!("`{digits}` is no port"));
            return Err(match well_known(digits) {
                Some(number) => fault.help(format!("write {number}")),
                None => fault,
            });
        }
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(bad(format!("`{digits}` has a leading zero")));
        }
        match digits.parse::<u16>() {
            Err(_) => Err(bad(format!("port {digits} is above 65535"))),
            Ok(0) if list == List::Allow => Err(bad("port 0 is no peer: no rule opens it".to_owned())),
            Ok(number) => Ok(number),
        }
    };
    ports
        .split(',')
        .map(|part| match part.split_once('-') {
            None => port(part).map(|number| PortRange { low: number, high: number }),
            Some((low, high)) => {
                let range = PortRange { low: port(low)?, high: port(high)? };
                if range.low > range.high {
                    return Err(Fault::error("the range of ports runs backwards")
                        .at(text, part)
                        .help(format!("write {}-{}", range.high, range.low)));
                }
                if range.low == 0 {
                    return Err(Fault::error("port 0 means any free port: it stands alone, not in a range")
                        .at(text, part));
                }
                Ok(range)
            }
        })
        .collect()
}

fn well_known(service: &str) -> Option<u16> {
    Some(match service.to_ascii_lowercase().as_str() {
        "http" => 80,
        "https" => 443,
        "mysql" => 3306,
        "postgres" | "postgresql" => 5432,
        "redis" => 6379,
        _ => return None,
    })
}
