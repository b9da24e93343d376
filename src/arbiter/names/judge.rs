//! What is done with a query: the policy's decision on the name, and the proxy's own on the
//! type. Pure.

use super::Refusal;
use super::message::Question;
use fnguard_policy::model::{Action, Mode, Name, NamePattern, Policy, RuleRef, Target};

/// The outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// Refused here and now.
    Refuse(Refusal, RuleRef),
    /// To be asked.
    Ask(Permit),
}

/// A question that may be asked, and what may come of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Permit {
    /// The name, in normal form.
    pub(super) name: Name,
    /// By which rule.
    pub(super) rule: RuleRef,
    /// No rule allows it, or one that wants a report.
    pub(super) audited: bool,
    /// A rule names it exactly.
    pub(super) exact: bool,
    /// It may lead into private networks.
    pub(super) private: bool,
    /// The function gets even the addresses that are not bound, because in audit nothing may
    /// come out differently.
    pub(super) deliver_all: bool,
}

/// Judges a question of class IN.
///
/// A name that is no host name can be named by no rule. In audit it is refused too: it cannot
/// be asked without passing the function's own bytes on.
pub(super) fn judge(policy: &Policy, question: &Question) -> Judgement {
    let Some(name) = question.host() else {
        let rule = RuleRef { key: "network.allow", text: None };
        return Judgement::Refuse(Refusal::NotAHostName, rule);
    };
    let decision = policy.decide_lookup(&name);
    if decision.action == Action::Deny {
        return Judgement::Refuse(Refusal::NotAllowed, decision.rule);
    }
    if !question.kind.is_address() {
        return Judgement::Refuse(Refusal::RecordType, decision.rule);
    }
    // Several rules may cover a name, for several ports; any of them may open private space.
    let mut private = false;
    let mut exact = false;
    for rule in &policy.network.allow {
        match &rule.to {
            Target::Name(pattern) if pattern.matches(&name) => {
                private |= rule.private;
                exact |= matches!(pattern, NamePattern::Exact(_));
            }
            Target::Any => private |= rule.private,
            _ => {}
        }
    }
    Judgement::Ask(Permit {
        name,
        audited: decision.action == Action::Audit,
        rule: decision.rule,
        exact,
        private,
        deliver_all: policy.network.mode == Mode::Audit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbiter::names::message;
    use fnguard_policy::model::{NetworkRule, PortRange, Transport};

    fn rule(pattern: NamePattern, private: bool, audit: bool) -> NetworkRule {
        NetworkRule {
            text: format!("{pattern:?}"),
            to: Target::Name(pattern),
            ports: vec![PortRange { low: 443, high: 443 }],
            transport: Transport::Tcp,
            private,
            audit,
        }
    }

    fn question(labels: &[&[u8]], kind: u8) -> Question {
        let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label);
        }
        bytes.extend_from_slice(&[0, 0, kind, 0, 1]);
        message::query(&bytes).unwrap().question
    }

    fn policy(mode: Mode) -> Policy {
        let name = |text: &str| Name::parse(text).unwrap();
        let mut policy = Policy::default();
        policy.network.mode = mode;
        policy.network.allow = vec![
            rule(NamePattern::Exact(name("api.test")), false, false),
            rule(NamePattern::Exact(name("db.test")), true, false),
            rule(NamePattern::Exact(name("watched.test")), false, true),
            rule(NamePattern::OneLabel(name("wild.test")), false, false),
            rule(NamePattern::Exact(name("both.wild.test")), true, false),
        ];
        policy
    }

    fn refusal(mode: Mode, labels: &[&[u8]], kind: u8) -> Option<Refusal> {
        match judge(&policy(mode), &question(labels, kind)) {
            Judgement::Refuse(refusal, _) => Some(refusal),
            Judgement::Ask(_) => None,
        }
    }

    #[test]
    fn who_is_asked_and_who_is_refused() {
        type Case = (&'static [&'static [u8]], u8, Option<Refusal>);
        let enforced: &[Case] = &[
            (&[b"api", b"test"], 1, None),
            (&[b"API", b"Test"], 28, None),
            (&[b"api", b"test"], 65, Some(Refusal::RecordType)),
            (&[b"api", b"test"], 16, Some(Refusal::RecordType)),
            (&[b"api", b"test"], 255, Some(Refusal::RecordType)),
            (&[b"evilapi", b"test"], 1, Some(Refusal::NotAllowed)),
            (&[b"api", b"test", b"evil", b"example"], 1, Some(Refusal::NotAllowed)),
            (&[b"x", b"api", b"test"], 1, Some(Refusal::NotAllowed)),
            (&[b"test"], 1, Some(Refusal::NotAllowed)),
            (&[b"a", b"wild", b"test"], 1, None),
            (&[b"a", b"b", b"wild", b"test"], 1, Some(Refusal::NotAllowed)),
            (&[b"evil", b"example"], 16, Some(Refusal::NotAllowed)),
            (&[b"api.test"], 1, Some(Refusal::NotAHostName)),
            (&[b"x.y", b"wild", b"test"], 1, Some(Refusal::NotAHostName)),
            (&[b"api\0", b"test"], 1, Some(Refusal::NotAHostName)),
            (&[], 1, Some(Refusal::NotAHostName)),
        ];
        for (labels, kind, expected) in enforced {
            assert_eq!(refusal(Mode::Enforce, labels, *kind), *expected, "{labels:?} {kind}");
        }
        assert_eq!(refusal(Mode::Audit, &[b"evil", b"example"], 1), None);
        assert_eq!(refusal(Mode::Audit, &[b"evil", b"example"], 16), Some(Refusal::RecordType));
        assert_eq!(refusal(Mode::Audit, &[b"api.test"], 1), Some(Refusal::NotAHostName));
    }

    #[test]
    fn what_a_rule_permits() {
        let permit = |mode, labels: &[&[u8]]| match judge(&policy(mode), &question(labels, 1)) {
            Judgement::Ask(it) => (it.audited, it.exact, it.private, it.deliver_all),
            Judgement::Refuse(..) => panic!("{labels:?} is refused"),
        };
        assert_eq!(permit(Mode::Enforce, &[b"api", b"test"]), (false, true, false, false));
        assert_eq!(permit(Mode::Enforce, &[b"db", b"test"]), (false, true, true, false));
        assert_eq!(permit(Mode::Enforce, &[b"watched", b"test"]), (true, true, false, false));
        assert_eq!(permit(Mode::Enforce, &[b"a", b"wild", b"test"]), (false, false, false, false));
        assert_eq!(permit(Mode::Enforce, &[b"both", b"wild", b"test"]), (false, true, true, false));
        assert_eq!(permit(Mode::Audit, &[b"api", b"test"]), (false, true, false, true));
        assert_eq!(permit(Mode::Audit, &[b"evil", b"example"]), (true, false, false, true));
    }
}
