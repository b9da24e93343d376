//! What a refusal's hint proposes, put into the policy, allows exactly what was refused.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::model::{Action, Name, Peer, Policy, Transport, narrowest_rule, narrowest_write_rule};
use fnguard_policy::source::parse;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::IpAddr;

/// The policy that follows a hint.
fn following(hint: &str) -> Result<Policy, TestCaseError> {
    let (section, rules) = hint.split_once("] ").ok_or_else(|| TestCaseError::fail(hint.to_owned()))?;
    let (key, rules) = rules.split_once(" += ").ok_or_else(|| TestCaseError::fail(hint.to_owned()))?;
    let text = format!("version = 1\n{section}]\n{key} = [{rules}]\n");
    parse(&text, "guard.toml")
        .map(|parsed| parsed.policy)
        .map_err(|errors| TestCaseError::fail(errors.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn a_network_hint_opens_what_was_refused(
        v4 in any::<u32>(),
        v6 in any::<u128>(),
        kind in 0u8..5,
        port in 1u16..,
        transport in select(vec![Transport::Tcp, Transport::Udp]),
        bound in proptest::option::of(select(vec!["api.stripe.com", "a-b.example"])),
    ) {
        let inside = u128::from(v4);
        let address = match kind {
            0 => IpAddr::V4(v4.into()),
            1 => IpAddr::V6(v6.into()),
            2 => IpAddr::V6(((0x0064_ff9b_u128 << 96) | inside).into()),
            3 => IpAddr::V6(((0x2002_u128 << 112) | (inside << 80)).into()),
            _ => IpAddr::V6(((0x2001_u128 << 112) | (v6 >> 32)).into()),
        };
        let peer = Peer::inet(address, port, transport);
        let names: Vec<Name> = bound.iter().map(|name| Name::parse(name).unwrap()).collect();
        prop_assert_eq!(Policy::default().decide_connect(&peer, &names).action, Action::Deny);
        let hint = narrowest_rule(&peer, &names);
        let policy = following(&hint)?;
        prop_assert_eq!(policy.decide_connect(&peer, &names).action, Action::Allow, "{}", hint);
        for (other_port, other) in [(port ^ 1, transport), (port, match transport {
            Transport::Tcp => Transport::Udp,
            Transport::Udp => Transport::Tcp,
        })] {
            let beside = Peer::inet(address, other_port, other);
            prop_assert_eq!(policy.decide_connect(&beside, &names).action, Action::Deny, "{}", hint);
        }
        prop_assert!(policy.unlimited().is_empty());
    }

    #[test]
    fn a_file_hint_opens_what_was_refused(path in "(/[a-zé0-9 \"\\\\=#-]{1,8}){1,4}") {
        let policy = following(&narrowest_write_rule(&path))?;
        prop_assert_eq!(policy.decide_write(&path).action, Action::Allow);
        prop_assert_eq!(policy.decide_write(&format!("{path}x")).action, Action::Deny);
    }

    /// Whatever the function chose as a path, the hint is one line of printable text.
    #[test]
    fn a_hint_is_one_printable_line(path in any::<String>()) {
        let hint = narrowest_write_rule(&path);
        prop_assert!(!hint.chars().any(char::is_control), "{}", hint);
        prop_assert!(hint.chars().all(|c| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric()), "{}", hint);
    }
}
