//! The peer of a network rule: its text to a name, a pattern of names, an address or a network. Not its ports and
//! transport, which `rule.rs` reads.

use super::fault::Fault;
use super::rule::{FORMS, List};
use super::shared_names::Below;
use super::{punycode, shared_names};
use crate::model::address::{embedded_ipv4, is_metadata};
use crate::model::decide::full_prefix;
use crate::model::name::NameError;
use crate::model::{Name, NamePattern, Target};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PATTERNS: &str = "a name, *.name for one label before it, or **.name for one or more";

/// Reads the peer `host` of the rule `text`.
pub(super) fn parse_host(
    text: &str,
    host: &str,
    list: List,
    warnings: &mut Vec<Fault>,
) -> Result<Target, Fault> {
    if host.is_empty() {
        return Err(Fault::error("the rule has no peer before its port").expected(FORMS));
    }
    if host == "*" {
        return Ok(Target::Any);
    }
    if let Some((address, length)) = host.split_once('/') {
        let net = parse_net(text, address, length)?;
        check_net(text, host, net, list, warnings)?;
        return Ok(Target::Net { address: net.0, prefix: net.1 });
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        let net = (address, full_prefix(address));
        check_net(text, host, net, list, warnings)?;
        return Ok(Target::Net { address, prefix: net.1 });
    }
    if host.contains(':') {
        let fault = Fault::error(format!("`{host}` is no IPv6 address")).at(text, host);
        return Err(if host.contains('%') {
            fault.help("leave out the zone after `%`: a rule cannot name an interface")
        } else {
            fault
        });
    }
    parse_name(text, host, list, warnings)
}

fn parse_net(text: &str, address: &str, length: &str) -> Result<(IpAddr, u8), Fault> {
    let ip: IpAddr = address.parse().map_err(|_| {
        let fault = Fault::error(format!("`{address}` is no address")).at(text, address);
        fault.expected("an address before the prefix length, such as 10.0.0.0/16")
    })?;
    let full = full_prefix(ip);
    let prefix = length
        .parse::<u8>()
        .ok()
        .filter(|prefix| *prefix <= full && length.bytes().all(|b| b.is_ascii_digit()))
        .filter(|_| length.len() == 1 || !length.starts_with('0'))
        .ok_or_else(|| {
            Fault::error(format!("`{length}` is no prefix length"))
                .at(text, length)
                .expected(format!("0 to {full}"))
        })?;
    let network = masked(ip, prefix);
    if network != ip {
        return Err(Fault::error(format!("{address}/{length} has bits set beyond its prefix"))
            .at(text, address)
            .help(format!("the network is {network}/{prefix}; the one address is {ip}/{full}")));
    }
    Ok((network, prefix))
}

fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let shift = 32u32.saturating_sub(u32::from(prefix));
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & u32::MAX.checked_shl(shift).unwrap_or(0)))
        }
        IpAddr::V6(v6) => {
            let shift = 128u32.saturating_sub(u32::from(prefix));
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & u128::MAX.checked_shl(shift).unwrap_or(0)))
        }
    }
}

/// Refuses networks that can never match, and warns of those that surprise.
fn check_net(
    text: &str,
    host: &str,
    (address, prefix): (IpAddr, u8),
    list: List,
    warnings: &mut Vec<Fault>,
) -> Result<(), Fault> {
    let single = prefix == full_prefix(address);
    if address.is_unspecified() && prefix >= 8 && list == List::Allow {
        let loopback = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        return Err(Fault::error(format!("{address} is no peer: the kernel connects it to loopback"))
            .at(text, host)
            .help(format!("name loopback as what it is: {loopback}")));
    }
    if let IpAddr::V6(v6) = address {
        if prefix >= 96
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            let length = prefix.saturating_sub(96);
            let plain = if length == 32 { v4.to_string() } else { format!("{v4}/{length}") };
            return Err(Fault::error(format!(
                "{v6} is an IPv4-mapped address: the kernel connects it over IPv4"
            ))
            .at(text, host)
            .help(format!("write {plain}: it holds for both forms")));
        }
        let inside: Vec<String> = embedded_ipv4(v6).map(|v4| v4.to_string()).collect();
        if single && !inside.is_empty() && list == List::Allow {
            warnings.push(
                Fault::warning(format!("{v6} carries {} inside and may end there", inside.join(" and ")))
                    .help("this rule alone opens nothing: both forms must be allowed"),
            );
        }
    }
    if address.is_multicast() && !single && prefix >= 4 {
        return Err(Fault::error("multicast is opened address by address, never by a network")
            .at(text, host)
            .help(format!("name the group, such as {address}")));
    }
    if single && is_metadata(address) && list == List::Allow {
        warnings.push(
            Fault::warning(format!("{address} hands out credentials or metadata to whoever asks"))
                .help("remove the rule unless the function itself needs them from there"),
        );
    }
    let link_local = IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0));
    if !single && masked(link_local, prefix) == address && prefix >= 8 {
        warnings.push(
            Fault::warning("the network does not open the credential and metadata addresses inside it")
                .help("those are opened by a rule of exactly their address"),
        );
    }
    Ok(())
}

fn parse_name(text: &str, host: &str, list: List, warnings: &mut Vec<Fault>) -> Result<Target, Fault> {
    if !host.is_ascii() {
        let fault = Fault::error(format!("`{host}` is not ASCII: DNS carries the A-label")).at(text, host);
        return Err(match punycode::a_name(host) {
            Some(ascii) if Name::parse(&ascii).is_ok() => {
                fault.help(format!("if these are the letters you mean, write \"{ascii}\""))
            }
            _ => fault.help("write the name as your registrar shows it in ASCII (xn--…)"),
        });
    }
    if let Some((depth, base)) = pattern(host) {
        return parse_pattern(text, host, base, depth, list, warnings);
    }
    if host.contains('*') {
        return Err(Fault::error("`*` cannot be part of a label")
            .at(text, host)
            .expected(PATTERNS)
            .help("list the names, or put those that belong together below one of your own"));
    }
    let name = named(text, host, host, list)?;
    if name.labels().len() == 1 {
        warnings.push(
            Fault::warning(format!(
                "`{host}` has no dot: what it means depends on the resolver's search list"
            ))
            .help("write the full name"),
        );
    }
    if let Some(shared) = shared_names::exact(&name) {
        warnings.push(Fault::warning(shared.why).help(shared.narrower));
    }
    Ok(Target::Name(NamePattern::Exact(name)))
}

/// The name `given`, which is the peer `host` or the base of its pattern, in normal form: one that no address could be
/// taken for, and that may stand in the list.
fn named(text: &str, host: &str, given: &str, list: List) -> Result<Name, Fault> {
    let name = Name::parse(given).map_err(|error| {
        let fault = Fault::error(format!("`{given}` is no name: {error}")).at(text, given).expected(FORMS);
        match error {
            NameError::Byte if given.contains('@') => fault.help("leave out what stands before `@`"),
            _ => fault,
        }
    })?;
    let last = name.labels().last().map_or("", String::as_str);
    if last.bytes().all(|b| b.is_ascii_digit()) || is_hex_number(last) {
        // WHATWG URL, "ends in a number": such a text is an address to some and a name to others.
        return Err(Fault::error(format!("`{given}` is neither an address nor a name"))
            .at(text, given)
            .expected("an IPv4 address: four numbers from 0 to 255, without leading zeros"));
    }
    if list == List::Listen {
        return Err(Fault::error("a listening rule names an address of the function's own, not a name")
            .at(text, host)
            .help("127.0.0.1 is loopback; 0.0.0.0 and [::] are every address"));
    }
    if last == "localhost" {
        return Err(Fault::error(format!("`{host}` is loopback, and no name binds loopback"))
            .at(text, host)
            .help("write 127.0.0.1 or [::1] with the port"));
    }
    Ok(name)
}

/// How many labels may stand before the base of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    One,
    Any,
}

/// The base of a pattern, if the text is one.
fn pattern(host: &str) -> Option<(Depth, &str)> {
    let of = |depth, mark| host.strip_prefix(mark).map(|base| (depth, base));
    of(Depth::Any, "**.").or_else(|| of(Depth::One, "*."))
}

fn parse_pattern(
    text: &str,
    host: &str,
    base: &str,
    depth: Depth,
    list: List,
    warnings: &mut Vec<Fault>,
) -> Result<Target, Fault> {
    if base.contains('*') {
        return Err(Fault::error("`*` stands once, as the first label").at(text, host).expected(PATTERNS));
    }
    let name = named(text, host, base, list)?;
    match shared_names::below(&name, depth == Depth::Any) {
        Some(Below::Registry(suffix)) => {
            return Err(Fault::error(format!(
                "below `{suffix}` stand everybody's names: `{host}` is no peer"
            ))
            .at(text, host)
            .expected("a pattern below a name of one owner, such as *.example.com")
            .help("list the names; `*` with its ports and `allow_any = true` is every name"));
        }
        Some(Below::Shared(shared)) => {
            warnings.push(Fault::warning(shared.why).help(shared.narrower));
        }
        None => {}
    }
    Ok(Target::Name(match depth {
        Depth::One => NamePattern::OneLabel(name),
        Depth::Any => NamePattern::AnyDepth(name),
    }))
}

fn is_hex_number(label: &str) -> bool {
    label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}
