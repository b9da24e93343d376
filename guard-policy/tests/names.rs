//! Host names: normal form, limits, and comparison label by label against a reference of five
//! lines.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

use fnguard_policy::model::name::NameError;
use fnguard_policy::model::{Name, NamePattern, Policy};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn case_and_the_dot_at_the_end() {
    for text in ["api.stripe.com", "API.Stripe.COM", "api.stripe.com.", "aPi.stripe.com."] {
        assert_eq!(name(text), name("api.stripe.com"));
        assert_eq!(name(text).to_string(), "api.stripe.com");
    }
}

#[test]
fn what_is_no_name() {
    let long = "a".repeat(63);
    for (text, expected) in [
        ("", NameError::Empty),
        (".", NameError::Empty),
        ("..", NameError::Label),
        (".com", NameError::Label),
        ("a..b", NameError::Label),
        ("a.b..", NameError::Label),
        (&format!("{long}a.example"), NameError::Label),
        (&[long.as_str(); 4].join("."), NameError::Long),
        ("a b.example", NameError::Byte),
        ("a\0.example", NameError::Byte),
        ("bücher.example", NameError::Byte),
        ("api\u{3002}stripe.com", NameError::Byte),
        ("a\\.b.example", NameError::Byte),
        ("*.example", NameError::Byte),
        ("a/b.example", NameError::Byte),
    ] {
        assert_eq!(Name::parse(text), Err(expected), "{text:?}");
    }
    // 253 characters are 255 octets on the wire: the most there is.
    let most = format!("{long}.{long}.{long}.{}", "a".repeat(61));
    assert_eq!((most.len(), name(&most).to_string()), (253, most.clone()));
    assert_eq!(Name::parse(&format!("{most}a")), Err(NameError::Long));
    assert_eq!(Name::parse(&format!("{most}.")), Ok(name(&most)));
}

#[test]
fn a_label_with_a_dot_is_never_joined() {
    for labels in [
        vec![b"api.stripe".as_slice(), b"com"],
        vec![b"api.stripe.com".as_slice()],
        vec![b"api".as_slice(), b"stripe.com"],
        vec![b"api\0".as_slice(), b"stripe", b"com"],
        vec![b"api".as_slice(), b"", b"com"],
        vec![b"api\\046stripe".as_slice(), b"com"],
        vec![&[0xe3, 0x80, 0x82], b"com"],
    ] {
        assert!(Name::from_labels(labels.iter().copied()).is_err(), "{labels:?}");
    }
}

#[test]
fn suffix_confusion() {
    let patterns = [
        NamePattern::Exact(name("stripe.com")),
        NamePattern::OneLabel(name("stripe.com")),
        NamePattern::AnyDepth(name("stripe.com")),
    ];
    for (text, expected) in [
        ("stripe.com", [true, false, false]),
        ("STRIPE.com.", [true, false, false]),
        ("api.stripe.com", [false, true, true]),
        ("a.b.stripe.com", [false, false, true]),
        ("evilstripe.com", [false, false, false]),
        ("evil-stripe.com", [false, false, false]),
        ("stripe.com.evil.example", [false, false, false]),
        ("stripe.comx", [false, false, false]),
        ("xstripe.com", [false, false, false]),
        ("com", [false, false, false]),
        ("stripe", [false, false, false]),
        ("api.stripe.com.evil.example", [false, false, false]),
        ("stripe.com.stripe.com", [false, false, true]),
    ] {
        assert_eq!(patterns.each_ref().map(|pattern| pattern.matches(&name(text))), expected, "{text}");
    }
}

#[test]
fn an_encoded_name_is_held_to_the_rules() {
    // What the launcher reads from a binary is no more trusted than what a policy says.
    for labels in [vec!["api.stripe".to_owned(), "com".to_owned()], vec![], vec![String::new()]] {
        let encoded = serde_json::to_string(&labels).unwrap();
        assert!(serde_json::from_str::<Name>(&encoded).is_err(), "{encoded}");
    }
    let upper: Name = serde_json::from_str(r#"["API","Stripe","com"]"#).unwrap();
    assert_eq!(upper, name("api.stripe.com"));
    assert_eq!(serde_json::to_string(&upper).unwrap(), r#"["api","stripe","com"]"#);
}

#[test]
fn only_named_hosts_are_looked_up() {
    use fnguard_policy::model::{Action, NetworkRule, PortRange, Target, Transport};
    let mut policy = Policy::default();
    policy.network.allow.push(NetworkRule {
        text: "api.stripe.com:443".to_owned(),
        to: Target::Name(NamePattern::Exact(name("api.stripe.com"))),
        ports: vec![PortRange { low: 443, high: 443 }],
        transport: Transport::Tcp,
        private: false,
        audit: false,
    });
    assert_eq!(policy.decide_lookup(&name("API.stripe.com.")).action, Action::Allow);
    for other in ["stripe.com", "x.api.stripe.com", "api.stripe.com.evil.example", "apistripe.com"] {
        assert_eq!(policy.decide_lookup(&name(other)).action, Action::Deny, "{other}");
    }
}

/// The reference: texts with a dot in front, compared from the end.
fn reference(pattern: &NamePattern, text: &str) -> bool {
    let text = text.to_lowercase();
    match pattern.to_string().strip_prefix("**.") {
        Some(base) => text.ends_with(&format!(".{base}")),
        None => match pattern.to_string().strip_prefix("*.") {
            Some(base) => text.strip_suffix(&format!(".{base}")).is_some_and(|rest| !rest.contains('.')),
            None => text == pattern.to_string(),
        },
    }
}

fn labels() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "b", "ab", "A", "a-b", "com", "com-a"]), 1..5).prop_map(|labels| labels.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn matching_is_as_the_reference_says(base in labels(), text in labels(), extra in labels(), join in any::<bool>()) {
        let text = if join { format!("{extra}.{base}") } else { text };
        for pattern in [
            NamePattern::Exact(name(&base)),
            NamePattern::OneLabel(name(&base)),
            NamePattern::AnyDepth(name(&base)),
        ] {
            prop_assert_eq!(pattern.matches(&name(&text)), reference(&pattern, &text), "{} {}", pattern, text);
        }
    }

    #[test]
    fn parsing_never_panics_and_is_stable(text in prop_oneof![any::<String>(), "[a-zA-Z0-9_.-]{0,300}"]) {
        if let Ok(parsed) = Name::parse(&text) {
            prop_assert_eq!(Name::parse(&parsed.to_string()), Ok(parsed.clone()));
            prop_assert_eq!(parsed.to_string(), text.strip_suffix('.').unwrap_or(&text).to_lowercase());
            prop_assert!(parsed.to_string().len() <= 253);
            let wire = parsed.labels().iter().map(String::as_bytes);
            prop_assert_eq!(Name::from_labels(wire), Ok(parsed.clone()));
        }
    }

    #[test]
    fn wire_labels_never_panic(labels in vec(vec(any::<u8>(), 0..70), 0..6)) {
        if let Ok(parsed) = Name::from_labels(labels.iter().map(Vec::as_slice)) {
            prop_assert_eq!(parsed.labels().len(), labels.len());
        }
    }
}
