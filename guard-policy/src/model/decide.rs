//! Deciding, pure: a policy and a request in, a decision out. Performing is the arbiter's.
//!
//! Some peers are held more tightly than the rules' text says:
//!
//! - port 0 is no peer: no rule opens it (for listening it asks for any free port, and a rule
//!   may say so);
//! - addresses of [`needs_exact_rule`] (credentials, metadata, multicast, broadcast) are opened by
//!   a rule of exactly that address, never by a network, a name or `*`;
//! - an IPv6 address that carries an IPv4 address inside ([`embedded_ipv4`]) may end at either,
//!   so both must be allowed.
//!
//! ```
//! use fnguard_policy::model::{Action, Decision, Peer, Policy, RuleRef, Transport};
//!
//! let peer = Peer::inet("203.0.113.9".parse()?, 443, Transport::Tcp);
//! let rule = RuleRef { key: "network.allow", text: None };
//! assert_eq!(Policy::default().decide_connect(&peer, &[]), Decision { action: Action::Deny, rule });
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use super::address::{embedded_ipv4, needs_exact_rule};
use super::breadth::is_loader;
use super::{Mode, Name, NetworkRule, Policy, PortRange, Target, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which line of the policy decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleRef {
    /// The key that decided, or that would have to name the request: `network.allow`.
    pub key: &'static str,
    /// The rule's text where one matched.
    pub text: Option<String>,
}

/// What is done with a call. The order is of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// A rule allows it.
    Allow,
    /// No rule allows it; it is let through and reported.
    Audit,
    /// It is refused and reported.
    Deny,
}

/// A decision and its ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// By which rule.
    pub rule: RuleRef,
}

/// Whom a call wants to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An internet address, normalised by [`Peer::inet`] or [`Peer::local`].
    Inet {
        /// The address; never a mapped IPv4 address. To connect to, never 0.0.0.0 or `::`.
        address: IpAddr,
        /// The port.
        port: u16,
        /// The transport.
        transport: Transport,
    },
    /// A unix socket by its resolved path.
    UnixPath(String),
    /// A unix socket by its abstract name, without the leading NUL.
    UnixAbstract(Vec<u8>),
}

impl Peer {
    /// Whom a call connects or sends to. Normalises: mapped IPv4 becomes IPv4, the unspecified
    /// address becomes loopback (which is what the kernel makes of it: ip(7)).
    pub fn inet(address: IpAddr, port: u16, transport: Transport) -> Self {
        let address = match unmapped(address) {
            IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            other => other,
        };
        Peer::Inet { address, port, transport }
    }

    /// The address of the function's own that it binds or listens on, for
    /// [`Policy::decide_listen`]. Normalises as [`Peer::inet`] does but for the unspecified
    /// address: to a listener it is every address of the machine, not loopback.
    pub fn local(address: IpAddr, port: u16, transport: Transport) -> Self {
        Peer::Inet { address: unmapped(address), port, transport }
    }
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4),
        v4 => v4,
    }
}

fn settle(mode: Mode, rule: Option<&NetworkRule>, key: &'static str) -> Decision {
    match rule {
        Some(rule) => Decision {
            action: if rule.audit { Action::Audit } else { Action::Allow },
            rule: RuleRef { key, text: Some(rule.text.clone()) },
        },
        None => Decision {
            action: match mode {
                Mode::Enforce => Action::Deny,
                Mode::Audit => Action::Audit,
            },
            rule: RuleRef { key, text: None },
        },
    }
}

impl Policy {
    /// Decides a connection or a datagram to `peer`. `names` are the names that answers the
    /// function received have bound to the address. The first rule that covers the peer decides.
    pub fn decide_connect(&self, peer: &Peer, names: &[Name]) -> Decision {
        let Peer::Inet { address, port, transport } = peer else {
            return self.settle_connect(peer, names);
        };
        // A caller that filled the fields by itself is normalised here.
        let peer = Peer::inet(*address, *port, *transport);
        let decision = self.settle_connect(&peer, names);
        let Peer::Inet { address: IpAddr::V6(v6), .. } = peer else {
            return decision;
        };
        embedded_ipv4(v6)
            .map(|v4| self.settle_connect(&Peer::inet(IpAddr::V4(v4), *port, *transport), names))
            .fold(decision, |strictest, next| if next.action > strictest.action { next } else { strictest })
    }

    fn settle_connect(&self, peer: &Peer, names: &[Name]) -> Decision {
        let reachable = !matches!(peer, Peer::Inet { port: 0, .. });
        let rule = self.network.allow.iter().find(|rule| reachable && rule_covers(rule, peer, names));
        settle(self.network.mode, rule, "network.allow")
    }

    /// Decides a bind to a port, or a listen. `peer` is made by [`Peer::local`].
    pub fn decide_listen(&self, peer: &Peer) -> Decision {
        let rule = self.network.listen.iter().find(|rule| rule_covers(rule, peer, &[]));
        settle(self.network.mode, rule, "network.listen")
    }

    /// Whether any rule names this host, so that its resolution is no surprise.
    pub fn decide_lookup(&self, name: &Name) -> Decision {
        let rule = self.network.allow.iter().find(|rule| match &rule.to {
            Target::Name(pattern) => pattern.matches(name),
            Target::Any => true,
            _ => false,
        });
        settle(self.network.mode, rule, "network.allow")
    }

    /// Decides the start of a program by its resolved path.
    pub fn decide_exec(&self, path: &str) -> Decision {
        let matched = self.exec.allow.iter().find(|allowed| allowed.as_str() == path).cloned();
        let action = match (&matched, self.exec.any, self.exec.mode) {
            (Some(_), _, _) | (None, true, _) => Action::Allow,
            (None, false, Mode::Audit) => Action::Audit,
            (None, false, Mode::Enforce) => Action::Deny,
        };
        Decision { action, rule: RuleRef { key: "exec.allow", text: matched } }
    }

    /// Decides a change of the file at a resolved absolute path.
    pub fn decide_write(&self, path: &str) -> Decision {
        decide_path(self.files.mode, &self.files.write, path, "files.write")
    }

    /// Lets every rule that names a path mean what `resolve` makes of it as well. Requests are decided by
    /// resolved paths, so that a rule through a symbolic link (`/bin/sh`, `/var/run/x`) would match none.
    /// A path that may be written by another rule stays as it is: what it leads to could be the
    /// function's own doing, of an earlier run. And none comes to mean what no rule may say without more
    /// ado: everything, or to start a dynamic loader.
    ///
    /// ```
    /// use fnguard_policy::model::{Action, Policy};
    ///
    /// let mut policy = Policy::default();
    /// policy.exec.allow = vec!["/bin/sh".to_owned(), "/tmp/sh".to_owned()];
    /// policy.resolve_rules(|_| Some("/usr/bin/dash".to_owned()));
    /// assert_eq!(policy.exec.allow, ["/bin/sh", "/usr/bin/dash", "/tmp/sh"]);
    /// ```
    pub fn resolve_rules(&mut self, resolve: impl Fn(&str) -> Option<String>) {
        let written = self.files.write.clone();
        let other = |path: &str| {
            let may_change = written.iter().any(|rule| rule != path && is_below(path, rule));
            resolve(path).filter(|resolved| resolved != path && resolved != "/" && !may_change)
        };
        let add = |paths: &mut Vec<String>| {
            *paths = std::mem::take(paths)
                .into_iter()
                .flat_map(|path| {
                    let other = other(&path);
                    std::iter::once(path).chain(other)
                })
                .collect();
        };
        add(&mut self.exec.allow);
        self.exec.allow.retain(|path| !is_loader(path));
        add(&mut self.files.write);
        if let Some(read) = &mut self.files.read {
            add(read);
        }
        for rules in [&mut self.network.allow, &mut self.network.listen] {
            *rules = std::mem::take(rules)
                .into_iter()
                .flat_map(|rule| {
                    let other = match &rule.to {
                        Target::UnixPath(path) => other(path),
                        _ => None,
                    };
                    let other = other.map(|path| NetworkRule { to: Target::UnixPath(path), ..rule.clone() });
                    std::iter::once(rule).chain(other)
                })
                .collect();
        }
    }

    /// Decides reading the file at a resolved absolute path.
    pub fn decide_read(&self, path: &str) -> Decision {
        match &self.files.read {
            None => Decision { action: Action::Allow, rule: RuleRef { key: "files.read", text: None } },
            Some(rules) => decide_path(self.files.mode, rules, path, "files.read"),
        }
    }
}

fn decide_path(mode: Mode, rules: &[String], path: &str, key: &'static str) -> Decision {
    let matched = rules.iter().find(|rule| is_below(path, rule)).cloned();
    let action = match (&matched, mode) {
        (Some(_), _) => Action::Allow,
        (None, Mode::Audit) => Action::Audit,
        (None, Mode::Enforce) => Action::Deny,
    };
    Decision { action, rule: RuleRef { key, text: matched } }
}

/// Whether `path` is `base` or below it, by whole components. A path that is relative or goes
/// up is below nothing: the caller resolves paths before it asks.
fn is_below(path: &str, base: &str) -> bool {
    if !path.starts_with('/') || !base.starts_with('/') || path.split('/').any(|part| part == "..") {
        return false;
    }
    match path.strip_prefix(base.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

fn rule_covers(rule: &NetworkRule, peer: &Peer, names: &[Name]) -> bool {
    match peer {
        Peer::Inet { address, port, transport } => {
            // `*` alone has no ports: it is every port of both transports.
            let everything = rule.to == Target::Any && rule.ports.is_empty();
            (everything || (rule.transport == *transport && ports_cover(&rule.ports, *port)))
                && target_covers(&rule.to, *address, names)
        }
        Peer::UnixPath(path) => match &rule.to {
            Target::UnixPath(allowed) => allowed == path,
            Target::Any => rule.ports.is_empty(),
            _ => false,
        },
        Peer::UnixAbstract(name) => match &rule.to {
            Target::UnixAbstract(allowed) => allowed == name,
            Target::Any => rule.ports.is_empty(),
            _ => false,
        },
    }
}

fn ports_cover(ports: &[PortRange], port: u16) -> bool {
    ports.iter().any(|range| (range.low..=range.high).contains(&port))
}

fn target_covers(target: &Target, address: IpAddr, names: &[Name]) -> bool {
    if needs_exact_rule(address) {
        return matches!(target, Target::Net { address: exact, prefix }
            if *exact == address && *prefix == full_prefix(address));
    }
    match target {
        Target::Name(pattern) => names.iter().any(|name| pattern.matches(name)),
        Target::Net { address: net, prefix } => net_covers(*net, *prefix, address),
        Target::Any => true,
        Target::UnixPath(_) | Target::UnixAbstract(_) => false,
    }
}

/// The prefix length at which a network is one address.
pub(crate) fn full_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Whether an address lies in a network; one of IPv4 never in one of IPv6.
pub(crate) fn net_covers(net: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
            u32::from(net) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(net), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128u32.saturating_sub(u32::from(prefix))).unwrap_or(0);
            u128::from(net) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}
