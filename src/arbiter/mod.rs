//! The arbiter: the other process, above the function. It decides, performs what is allowed, and
//! carries everything that leaves.
//!
//! | room | what it does |
//! |---|---|
//! | `begin` | the arbiter's half of arming: handshake, read-back, posture line, threads |
//! | `handover` | becoming a copy of itself that nobody can read |
//! | `assess` | judges what the read-back found: each control, and whether it is held |
//! | `lifetime` | signals, the function's end, the arbiter's own |
//! | `serve` | takes notifications; `calls` decides and performs them |
//! | `target` | the only place that touches the function's process |
//! | `images` | programs and their load phases |
//! | `pending` | performed but not delivered |
//! | `links`, `invocations`, `vault` | what the function's side asks; open requests; secrets |
//! | `names`, `started` | the DNS proxy and its bindings; what is started at its first use |
//! | `output`, `witness` | the pumps; the records |
//! | `recent` | the violations that the function may ask for |
//! | `terminal` | the platform's terminal, where the function has one of its own |
//!
//! It shares no writable memory with the function. Nothing the function sends can end it: what
//! can't be understood ends that message, and a failure of the arbiter's own is a refusal.

mod assess;
pub(crate) mod begin;
mod calls;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod handover;
mod images;
mod invocations;
mod lifetime;
mod links;
pub mod names;
mod output;
mod pending;
mod recent;
mod serve;
mod started;
mod target;
mod terminal;
mod vault;
mod witness;

use crate::confine::DomainState;
use crate::redact;
use crate::report::{self, Barrier, LateSecret, Stream, Violation};
use fnguard_policy::model::{Name, Peer, Policy, RuleRef};
use images::Images;
use invocations::Invocations;
use links::Links;
use names::{Binding, Failure, Lookup, Names, Refusal, Upstream, Verdict};
use output::{Output, PumpEvents};
use pending::Pending;
use serve::Servers;
use started::Started;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use terminal::Terminal;
use vault::Vault;
use witness::Witness;

/// How long a response waits for the bytes that were written before it.
const BARRIER: Duration = Duration::from_millis(500);
/// How long it waits where it may not be held up.
const SOON: Duration = Duration::from_millis(1);

/// Why an invocation can't be closed whose output is not out.
const NOT_IN_TIME: &str =
    "the log took longer than half a second; whatever reads the function's stdout and stderr must keep up";
/// How many refused registrations of late secrets have a record of their own; the rest is counted.
const MOST_REFUSED: usize = 64;

/// Everything the arbiter holds.
pub(crate) struct Arbiter {
    policy: Arc<Policy>,
    /// The function's process.
    function: i32,
    /// Whether the launcher started it (an attribute forked it in place otherwise).
    launched: bool,
    /// The seccomp listener; `None` where the platform forbids one.
    listener: Option<OwnedFd>,
    /// Whether a received call waits through signals that do not kill (Linux 5.19).
    waits_killable: bool,
    domain: DomainState,
    /// The function's own program, where `[files] own_code` forbids opening it.
    own_code: Option<String>,
    /// Peers that are allowed without a rule: the runtime API that the platform named.
    implicit: Vec<Peer>,
    secrets: Vault,
    /// Registrations of late secrets that were refused.
    refused: AtomicUsize,
    witness: Arc<Witness>,
    invocations: Arc<Mutex<Invocations>>,
    images: Images,
    links: Links,
    pending: Pending,
    servers: Servers,
    output: OnceLock<Output>,
    /// The platform's nameservers, as they were before code of the function's ran.
    upstream: Upstream,
    names: Started<Names>,
    /// The terminals, where the function was given one.
    terminal: Option<Arc<Terminal>>,
    posture_line: OnceLock<String>,
}

impl Arbiter {
    fn invocations(&self) -> std::sync::MutexGuard<'_, Invocations> {
        self.invocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports a violation with where the function stands.
    fn report(&self, violation: Violation) {
        report_in_place(&self.witness, &self.invocations, violation);
    }

    /// Whether the platform itself needs this peer.
    fn is_implicit(&self, peer: &Peer) -> bool {
        self.implicit.contains(peer)
    }

    /// The DNS proxy, started when it is first needed; `None` where it can't start just now, which
    /// refuses the lookup and is reported.
    fn names(&self) -> Option<&Names> {
        let start = || {
            let (witness, invocations) = (Arc::clone(&self.witness), Arc::clone(&self.invocations));
            let observer = Arc::new(move |lookup: Lookup| {
                if let Some(violation) = lookup_violation(&lookup) {
                    report_in_place(&witness, &invocations, violation);
                }
            });
            Names::start(Arc::clone(&self.policy), self.upstream.clone(), observer)
        };
        self.names.get_or_start(Instant::now(), start, |error| {
            self.report(Violation {
                detail: Some(error.to_string()),
                ..Violation::new(report::Control::Guard, report::Action::Blocked, "connect", "guard.names")
            });
        })
    }

    /// The names that lead to an address.
    fn names_of(&self, address: IpAddr) -> Vec<Name> {
        self.names.get().map(|names| names.names_of(address)).unwrap_or_default()
    }

    /// What is known of an address, for a record.
    fn history_of(&self, address: IpAddr) -> Option<Binding> {
        self.names.get().map(|names| names.history_of(address))
    }

    fn start_invocation(&self, id: &str) -> Result<(), &'static str> {
        let late = self.invocations().start(id)?;
        for output in late {
            self.witness.record(output);
        }
        Ok(())
    }

    /// Closes an invocation after everything written before this moment is out. False if it was
    /// to be `soon` and was not: it stays open then.
    fn finish_invocation(&self, id: &str, soon: bool) -> Result<bool, &'static str> {
        if !self.invocations().is_open(id) {
            return Err("no such invocation is open");
        }
        let limit = if soon { SOON } else { BARRIER };
        let began = Instant::now();
        let out = self.output.get().is_none_or(|output| output.barrier(limit));
        self.witness.summarise();
        let told = self.witness.flush(limit.saturating_sub(began.elapsed()));
        if soon && !(out && told) {
            return Ok(false);
        }
        let ids = self.invocations().ids();
        self.invocations().finish(id)?;
        if out && told {
            return Ok(true);
        }
        self.witness.record(Barrier {
            waited_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_left: self.output.get().map_or(0, Output::bytes_left),
            request_ids: ids,
        });
        Err(NOT_IN_TIME)
    }

    /// Registers a late secret.
    fn protect(&self, name: &str, value: &[u8]) -> Result<(), &'static str> {
        let told = |accepted, reason| LateSecret { name: name.to_owned(), accepted, reason };
        match self.secrets.protect(name, value) {
            // Known already: nothing changes, and there is nothing to tell.
            Ok(None) => Ok(()),
            Ok(Some((output, records))) => {
                self.witness.set_matchers(output, records);
                self.witness.record(told(true, None));
                Ok(())
            }
            Err(reason) if self.refused.fetch_add(1, Ordering::Relaxed) < MOST_REFUSED => {
                self.witness.record(told(false, Some(reason.to_owned())));
                Err(reason)
            }
            Err(reason) => {
                self.report(message_violation("Protect", reason));
                Err(reason)
            }
        }
    }

    /// Redacts a text that leaves by the runtime.
    fn redact(&self, text: &str, stream: Stream) -> String {
        let (redacted, counts) = self.witness.matcher().redact_counted(text.as_bytes());
        let counts: Vec<(String, u64)> =
            counts.iter().map(|count| (count.name.to_string(), count.count)).collect();
        self.redacted(stream, &counts);
        String::from_utf8(redacted)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

impl PumpEvents for Arbiter {
    fn matcher(&self) -> Arc<redact::Matcher> {
        self.witness.matcher()
    }

    fn wrote(&self, stream: Stream, bytes: usize) {
        self.invocations().wrote(stream, bytes);
    }

    fn redacted(&self, stream: Stream, counts: &[(String, u64)]) {
        let request_ids = self.invocations().ids();
        for (name, count) in counts {
            self.witness.redacted(report::Redacted {
                name: name.clone(),
                count: *count,
                stream,
                request_ids: request_ids.clone(),
            });
        }
    }
}

/// The violation of a message that broke the rules of the link, and was dropped.
fn message_violation(message: &str, problem: &str) -> Violation {
    Violation {
        detail: Some(format!("{message}: {problem}")),
        ..Violation::new(report::Control::Guard, report::Action::Blocked, "link", "guard.link")
    }
}

/// Reports a violation with where the function stands.
fn report_in_place(witness: &Witness, invocations: &Mutex<Invocations>, mut violation: Violation) {
    let invocations = invocations.lock().unwrap_or_else(PoisonError::into_inner);
    violation.phase = invocations.phase();
    violation.request_ids = invocations.ids();
    drop(invocations);
    witness.violation(&violation);
}

/// The record of a lookup that was refused, or let through only to be reported.
fn lookup_violation(lookup: &Lookup) -> Option<Violation> {
    let RuleRef { key, .. } = &lookup.rule;
    let (action, detail) = match &lookup.verdict {
        Verdict::Refused(Refusal::NotAllowed) => (report::Action::Blocked, None),
        Verdict::Refused(Refusal::NotAHostName) => (report::Action::Blocked, Some("no host name".to_owned())),
        Verdict::Refused(refusal) => (report::Action::Blocked, Some(format!("{refusal:?}"))),
        Verdict::Answered { audited: true, .. } => (report::Action::Audited, None),
        Verdict::Answered { unbound, .. } if !unbound.is_empty() => {
            let list: Vec<String> = unbound.iter().map(ToString::to_string).collect();
            (
                report::Action::Blocked,
                Some(format!("answered with {}, where names may not lead", list.join(", "))),
            )
        }
        // A limit of the guard's own, which the function must not take for its nameserver's failure.
        Verdict::Failed(failure @ Failure::Busy) => {
            return Some(Violation {
                name: Some(lookup.name.clone()),
                detail: Some(failure.to_string()),
                ..Violation::new(report::Control::Guard, report::Action::Blocked, "lookup", "guard.names")
            });
        }
        Verdict::Answered { .. } | Verdict::Failed(_) => return None,
    };
    let hint = Name::parse(&lookup.name)
        .ok()
        .filter(|_| matches!(lookup.verdict, Verdict::Refused(Refusal::NotAllowed)))
        .map(|name| format!("[network] allow += \"{name}:443\""));
    Some(Violation {
        name: Some(lookup.name.clone()),
        detail,
        hint,
        ..Violation::new(report::Control::Network, action, "lookup", *key)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fnguard_policy::model::Transport;

    fn lookup(verdict: Verdict) -> Lookup {
        let rule = RuleRef { key: "network.allow", text: Some("api.test:443".to_owned()) };
        let (kind, transport) = (names::RecordType::A, Transport::Tcp);
        Lookup { name: "api.test".to_owned(), kind, transport, rule, verdict }
    }

    #[test]
    fn a_limit_of_the_guards_own_is_told_and_a_nameservers_failure_is_not() {
        let busy = lookup_violation(&lookup(Verdict::Failed(Failure::Busy))).unwrap();
        assert_eq!((busy.control, busy.rule.as_str()), (report::Control::Guard, "guard.names"));
        assert_eq!(busy.name.as_deref(), Some("api.test"));
        assert!(lookup_violation(&lookup(Verdict::Failed(Failure::Timeout))).is_none());
        let answered = Verdict::Answered { audited: false, bound: vec![], unbound: vec![] };
        assert!(lookup_violation(&lookup(answered)).is_none());
    }
}
