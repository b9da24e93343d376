//! Properties of the source: a policy printed and parsed is the same policy, and no text makes the
//! parser panic.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::model::{
    Arm, DebugArming, Exec, Executable, Files, Mechanism, Memory, Mode, Name, NamePattern, Network,
    NetworkRule, OnUnsupported, OnWeak, OwnCode, Policy, PortRange, ReleaseArming, Report, SecretPattern,
    Secrets, Target, Transport,
};
use fnguard_policy::source::{Severity, canonical, parse, rule_text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn mode() -> impl Strategy<Value = Mode> {
    select(vec![Mode::Enforce, Mode::Audit])
}

fn ports(with_zero: bool) -> impl Strategy<Value = Vec<PortRange>> {
    let range = (1u16.., 1u16..).prop_map(|(a, b)| PortRange { low: a.min(b), high: a.max(b) });
    let one = (1u16..).prop_map(|port| PortRange { low: port, high: port });
    let zero = Just(PortRange { low: 0, high: 0 });
    if with_zero {
        vec(prop_oneof![one, range, zero], 1..4).boxed()
    } else {
        vec(prop_oneof![one, range], 1..4).boxed()
    }
}

fn transport() -> impl Strategy<Value = Transport> {
    select(vec![Transport::Tcp, Transport::Udp])
}

fn name() -> impl Strategy<Value = Target> {
    // The last label has a letter and is not a hexadecimal number, or it is no name's.
    "([a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9])?\\.){0,3}[g-km-z][a-z0-9-]{0,8}"
        .prop_filter("loopback", |name| !name.ends_with("localhost"))
        .prop_map(|name| Target::Name(NamePattern::Exact(Name::parse(&name).unwrap())))
}

fn net() -> impl Strategy<Value = Target> {
    let v4 = (any::<u32>(), 0u8..=32).prop_map(|(bits, prefix)| {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Target::Net { address: IpAddr::V4(Ipv4Addr::from(bits & mask)), prefix }
    });
    let v6 = (any::<u128>(), 0u8..=128).prop_map(|(bits, prefix)| {
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
        Target::Net { address: IpAddr::V6(Ipv6Addr::from(bits & mask)), prefix }
    });
    prop_oneof![v4, v6].prop_filter("what the parser refuses", |target| match target {
        Target::Net { address, prefix } => {
            let full = if address.is_ipv4() { 32 } else { 128 };
            let multicast = address.is_multicast() && *prefix != full && *prefix >= 4;
            let nobody = address.is_unspecified() && *prefix >= 8;
            let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
            !(multicast || nobody || mapped)
        }
        _ => true,
    })
}

fn path() -> impl Strategy<Value = String> {
    "(/[a-zé0-9 \"\\\\_=#\\[\\]{}'-][a-zA-Z0-9._ -]{0,8}){1,4}"
        .prop_filter("what the parser refuses", |path| {
            path.len() <= 107 && !path.contains("/ld") && !path.contains("/libc")
        })
}

fn unix() -> impl Strategy<Value = Target> {
    let abstract_name = "[ -~é\n]{1,40}".prop_map(|name| Target::UnixAbstract(name.into_bytes()));
    prop_oneof![path().prop_map(Target::UnixPath), abstract_name]
}

fn rule(listen: bool) -> impl Strategy<Value = NetworkRule> {
    let peers = if listen {
        prop_oneof![net(), Just(Target::Any)].boxed()
    } else {
        prop_oneof![4 => name(), 4 => net(), 1 => Just(Target::Any)].boxed()
    };
    let inet = (peers, ports(listen), transport(), any::<bool>());
    let other = prop_oneof![unix(), Just(Target::Any)].prop_map(|to| (to, Vec::new(), Transport::Tcp, false));
    (prop_oneof![3 => inet, 1 => other], any::<bool>()).prop_map(
        |((to, ports, transport, private), audit)| {
            let private = private && matches!(to, Target::Name(_));
            NetworkRule { text: rule_text(&to, &ports, transport), to, ports, transport, private, audit }
        },
    )
}

fn secrets() -> impl Strategy<Value = Secrets> {
    let exact = vec(("[A-Z0-9_]{1,6}_KEY", any::<bool>()), 0..4);
    let globs = vec("[A-Z]{1,4}[*?]_TOKEN[*]?", 0..3);
    (exact, globs, select(vec![OnWeak::Warn, OnWeak::Refuse])).prop_map(|(exact, globs, on_weak)| {
        let optional = exact.iter().filter(|(_, optional)| *optional).map(|(name, _)| name.clone()).collect();
        let names = exact.into_iter().map(|(name, _)| name).chain(globs);
        Secrets { env: names.map(|text| SecretPattern { text }).collect(), optional, on_weak }
    })
}

prop_compose! {
    fn arm()(
        release in select(vec![ReleaseArming::Always, ReleaseArming::Never]),
        debug in select(vec![DebugArming::Enforce, DebugArming::Audit, DebugArming::Off]),
        mechanism in select(vec![Mechanism::Auto, Mechanism::Seccomp, Mechanism::Sealed]),
        on_unsupported in select(vec![OnUnsupported::Refuse, OnUnsupported::Degrade]),
        strict_init in any::<bool>(),
    ) -> Arm {
        Arm { release, debug, mechanism, on_unsupported, strict_init }
    }
}

prop_compose! {
    fn network()(mode in mode(), allow in vec(rule(false), 0..5), listen in vec(rule(true), 0..3)) -> Network {
        Network { mode, allow, listen }
    }
}

prop_compose! {
    fn exec()(mode in mode(), allow in vec(path(), 0..3), any in any::<bool>(), fork in any::<bool>()) -> Exec {
        Exec { mode, allow, any, fork }
    }
}

prop_compose! {
    fn files()(
        mode in mode(),
        write in vec(prop_oneof![4 => path(), 1 => Just("/".to_owned())], 0..3),
        read in option::of(vec(path(), 0..3)),
        own_code in select(vec![OwnCode::Allow, OwnCode::Deny]),
    ) -> Files {
        Files { mode, write, read, own_code }
    }
}

prop_compose! {
    fn policy()(
        mode in mode(),
        arm in arm(),
        secrets in secrets(),
        network in network(),
        exec in exec(),
        files in files(),
        executable in select(vec![Executable::LoadPhase, Executable::Files, Executable::Any]),
        emf in option::of("[A-Za-z][A-Za-z0-9 ._/#:-]{0,20}"),
    ) -> Policy {
        // The parser refuses programs that the function may write over.
        let mut exec = exec;
        let stays = |program: &String| {
            let below = |base: &String| program == base || program.starts_with(&format!("{base}/"));
            !files.write.iter().any(below)
        };
        exec.allow.retain(stays);
        let emf = emf.filter(|namespace| !namespace.starts_with("AWS/"));
        Policy {
            version: 1, mode, arm, secrets, network, exec, files,
            memory: Memory { executable },
            report: Report { emf },
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_printed_is_parsed(policy in policy()) {
        let text = canonical(&policy);
        match parse(&text, "guard.toml") {
            Ok(parsed) => prop_assert_eq!(parsed.policy, policy, "{}", text),
            Err(errors) => prop_assert!(false, "{errors}\n{text}"),
        }
    }

    /// A policy of wide rules, parsed without the `allow_any` that `canonical` prints.
    #[test]
    fn everything_needs_to_be_said(policy in policy()) {
        let text: String =
            canonical(&policy).lines().filter(|line| !line.starts_with("allow_any")).map(|line| format!("{line}\n")).collect();
        prop_assert_eq!(parse(&text, "guard.toml").is_err(), !policy.unlimited().is_empty(), "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        shown(&text);
    }

    /// Near the grammar, where the parser goes deeper.
    #[test]
    fn no_tokens_panic(
        tokens in vec(select(vec![
            "version = 1\n", "version", "[network]\n", "[", "]", "]]", "[[", "{", "}", "=", ",", "\n", "\"", "'", "\"\"\"", ".",
            "allow", "to", "mode", "env", "emf", "true", "1", "0x1", "1e9", "1979-05-27", "é", "\u{202e}", "\\u0000", "#", " ",
            "\t", "\r\n", "api.example", ":443", "udp/", "unix:@", "[::1]", "10.0.0.0/8", "*", "**.", "://", "%", "/", "..",
        ]), 0..40),
    ) {
        shown(&tokens.concat());
    }

    /// Inside a rule.
    #[test]
    fn no_rule_panics(
        rule in prop_oneof![any::<String>(), "(udp/|tcp/|unix:|x/|http://)?[\\[\\]:*./@%,a-f0-9é-]{0,24}"],
        key in select(vec!["allow", "listen"]),
    ) {
        let quoted = fnguard_policy::model::hint::quoted(&rule);
        let text = format!("version = 1\n[network]\nallow_any = true\n{key} = [{quoted}]\n");
        if let Ok(parsed) = parse(&text, "guard.toml") {
            // A rule that holds is printed as one that holds and means the same.
            let printed = canonical(&parsed.policy);
            let again = parse(&printed, "guard.toml").map_err(|errors| TestCaseError::fail(format!("{errors}")))?;
            let meaning = |policy: &Policy| -> Vec<_> {
                let network = policy.network.allow.iter().chain(&policy.network.listen);
                network.map(|r| (r.to.clone(), r.ports.clone(), r.transport)).collect()
            };
            prop_assert_eq!(meaning(&again.policy), meaning(&parsed.policy));
            prop_assert_eq!(canonical(&again.policy), printed);
        }
    }
}

/// Parses and prints, so that places and marks are computed too.
fn shown(text: &str) {
    match parse(text, "guard.toml") {
        Ok(parsed) => assert!(parsed.warnings.iter().all(|w| w.severity == Severity::Warning)),
        Err(errors) => {
            assert!(errors.errors() > 0);
            assert!(!errors.to_string().is_empty());
            for error in &errors {
                assert!(error.line >= 1 && error.column >= 1 && error.length >= 1, "{error:?}");
                assert!(text.contains(error.text.as_str()), "{error:?}");
            }
        }
    }
}

#[test]
fn the_hash_is_of_the_text() {
    // printf 'version = 1\n' | sha256sum
    let parsed = parse("version = 1\n", "guard.toml").unwrap();
    let hex: String = parsed.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "dbab12665d98aef021ba64953c61b0ed8a908cfb56a1c01e2fcb4b052b71a2a1");
}
