//! Which rules of a list can never decide, because an earlier one covers all that they do. Pure; the place in the file is
//! [`sections`](super::sections)' matter.

use crate::model::address::needs_exact_rule;
use crate::model::decide::{full_prefix, net_covers};
use crate::model::{NamePattern, NetworkRule, PortRange, Target};
use std::net::IpAddr;

/// Whether `earlier` decides whatever `later` could, so that `later` adds nothing.
///
/// A later rule that lets a name lead into private space does add that.
pub(super) fn covers(earlier: &NetworkRule, later: &NetworkRule) -> bool {
    if later.private && !earlier.private {
        return false;
    }
    let everything = earlier.to == Target::Any && earlier.ports.is_empty();
    let any = later.to == Target::Any && later.ports.is_empty();
    let by_ports = (everything && !any)
        || (earlier.transport == later.transport && ports_cover(&earlier.ports, &later.ports));
    by_ports && target_covers(&earlier.to, &later.to)
}

fn ports_cover(earlier: &[PortRange], later: &[PortRange]) -> bool {
    // A unix socket has none.
    if earlier.is_empty() || later.is_empty() {
        return earlier.is_empty() && later.is_empty();
    }
    // Ranges that touch hold together what one of them alone does not.
    let covered = |port: u16| earlier.iter().any(|range| (range.low..=range.high).contains(&port));
    later.iter().all(|range| (range.low..=range.high).all(covered))
}

fn target_covers(earlier: &Target, later: &Target) -> bool {
    match (earlier, later) {
        (Target::Name(earlier), Target::Name(later)) => pattern_covers(earlier, later),
        (Target::Net { address: net, prefix }, Target::Net { address, prefix: length }) => {
            (net, prefix) == (address, length)
                || (prefix <= length
                    && !opened_exactly(*address, *length)
                    && net_covers(*net, *prefix, *address))
        }
        (Target::Any, Target::Net { address, prefix }) => !opened_exactly(*address, *prefix),
        (Target::Any, _) => true,
        (earlier, later) => earlier == later,
    }
}

/// A rule of exactly one address that no wider rule opens.
fn opened_exactly(address: IpAddr, prefix: u8) -> bool {
    prefix == full_prefix(address) && needs_exact_rule(address)
}

fn pattern_covers(earlier: &NamePattern, later: &NamePattern) -> bool {
    match (earlier, later) {
        (earlier, NamePattern::Exact(name)) => earlier.matches(name),
        (NamePattern::OneLabel(earlier), NamePattern::OneLabel(later)) => earlier == later,
        (NamePattern::AnyDepth(base), NamePattern::OneLabel(later) | NamePattern::AnyDepth(later)) => {
            base == later || earlier.matches(later)
        }
        (NamePattern::Exact(_) | NamePattern::OneLabel(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::source::parse;

    /// Whether the second rule is said to add nothing.
    fn second_is_idle(first: &str, second: &str) -> bool {
        let text = format!("version = 1\n[network]\nallow_any = true\nallow = [{first}, {second}]\n");
        let parsed = parse(&text, "guard.toml").unwrap_or_else(|errors| panic!("{errors}"));
        parsed.warnings.iter().any(|warning| warning.to_string().contains("decides"))
    }

    #[test]
    fn rules_that_add_nothing() {
        for (first, second, expected) in [
            (r#""*.a.test:443""#, r#""x.a.test:443""#, true),
            (r#""x.a.test:443""#, r#""*.a.test:443""#, false),
            (r#""*.a.test:443""#, r#""x.y.a.test:443""#, false),
            (r#""**.a.test:443""#, r#""x.y.a.test:443""#, true),
            (r#""**.a.test:443""#, r#""*.y.a.test:443""#, true),
            (r#""**.a.test:443""#, r#""*.a.test:443""#, true),
            (r#""*.a.test:443""#, r#""**.a.test:443""#, false),
            (r#""**.a.test:443""#, r#""a.test:443""#, false),
            (r#""*.a.test:443""#, r#""x.a.test:8443""#, false),
            (r#""*.a.test:1-443,444-600""#, r#""x.a.test:440-450""#, true),
            (r#""*.a.test:443""#, r#""udp/x.a.test:443""#, false),
            (r#""*.a.test:443""#, r#"{ to = "x.a.test:443", private = true }"#, false),
            (r#"{ to = "*.a.test:443", private = true }"#, r#""x.a.test:443""#, true),
            (r#"{ to = "*.a.test:443", audit = true }"#, r#""x.a.test:443""#, true),
            (r#""203.0.113.0/24:443""#, r#""203.0.113.9:443""#, true),
            (r#""203.0.113.9:443""#, r#""203.0.113.0/24:443""#, false),
            (r#""169.254.0.0/16:80""#, r#""169.254.169.254:80""#, false),
            (r#""*:80""#, r#""169.254.169.254:80""#, false),
            (r#""*""#, r#""udp/x.a.test:443""#, true),
            (r#""*:443""#, r#""x.a.test:443""#, true),
            (r#""*:443""#, r#""unix:/run/x""#, false),
            (r#""*""#, r#""unix:/run/x""#, true),
            (r#""2001:db8::/32:443""#, r#""[2001:db8::1]:443""#, true),
            (r#""unix:/run/x""#, r#""unix:/run/x""#, true),
        ] {
            assert_eq!(second_is_idle(first, second), expected, "{first} then {second}");
        }
    }
}
