//! One invocation of a handler: its id, and its being open at the arbiter.

use super::redaction::{Payload, redact_payload};
use super::{ARBITER, Arbiter, Plan};
use crate::error::Error;
use once_cell::sync::Lazy;
use std::collections::HashSet;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What the attribute knows of the function that it stands on.
#[derive(Debug)]
pub struct Site {
    /// Its path, for messages.
    pub function: &'static str,
    /// The origin of its policy, for messages.
    pub policy: &'static str,
    /// Whether its crate is built with debug assertions.
    pub debug_build: bool,
    /// Whether its crate is built as a unit test.
    pub test: bool,
    /// Whether its policy says `[arm] release = "never"`.
    pub never_in_release: bool,
}

/// The longest request id, and what it may be made of: what the arbiter takes.
const LONGEST_ID: usize = crate::link::LONGEST_ID;

/// A request id as the arbiter takes it. Ids of Lambda are UUIDs and stay as they are; what a
/// test or another platform makes up may have to be cut, and other characters become `_`.
pub fn request_id(id: &(impl AsRef<str> + ?Sized)) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "-_:.".contains(c) { c } else { '_' };
    id.as_ref().chars().take(LONGEST_ID).map(fits).collect()
}

/// What a request that is none of `lambda_http`'s has in place of `RequestExt::lambda_context_ref`:
/// the same name one reference further out, where method resolution looks later.
pub trait WithoutContext {
    /// There is no context.
    fn lambda_context_ref(&self) -> Option<&NoContext> {
        None
    }
}

impl<T> WithoutContext for &T {}

/// The context that is never there.
#[derive(Debug)]
pub struct NoContext {
    /// Never read.
    pub request_id: String,
}

/// An invocation, from its beginning to the moment its answer may leave.
///
/// It is closed at the latest when it is dropped, as with a handler's future that is dropped half
/// way.
#[derive(Debug)]
pub struct Invocation {
    arbiter: &'static Arbiter,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No arbiter, and none is needed.
    Unarmed,
    /// Opened under this id.
    Open(String),
    /// A guarded function that was called by another in the same invocation, which closes it when
    /// it ends itself.
    Within,
    /// It must fail, and why.
    Refused(String),
    /// Closed.
    Closed,
}

/// The ids that this process has opened at its arbiter.
static OPEN: Lazy<Mutex<HashSet<String>>> = Lazy::new(Mutex::default);
/// Whether an arbiter has ever answered. Once it has, no answer means that it is gone, not that
/// there never was one.
static ANSWERED: AtomicBool = AtomicBool::new(false);
/// Counts the calls that have no request id.
static CALLS: AtomicU64 = AtomicU64::new(1);

impl Invocation {
    /// Opens an invocation under its request id, or under `call-N` without one.
    pub fn open(site: &'static Site, id: Option<String>) -> Self {
        let real_events = crate::start::initial_runtime_api();
        Invocation::open_at(&ARBITER, &ANSWERED, site, id, real_events)
    }

    fn open_at(
        arbiter: &'static Arbiter,
        answered: &AtomicBool,
        site: &Site,
        id: Option<String>,
        real_events: bool,
    ) -> Self {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(next_call);
        let with = |state| Invocation { arbiter, state };
        let mut open = open_ids();
        if open.contains(&id) {
            return with(State::Within);
        }
        let error = match (arbiter.start)(&id) {
            Ok(()) => {
                answered.store(true, Ordering::Relaxed);
                open.insert(id.clone());
                return with(State::Open(id));
            }
            Err(error) => error,
        };
        drop(open);
        let Site { function, policy, .. } = site;
        with(match error {
            Error::NotArmed if answered.load(Ordering::Relaxed) => {
                State::Refused(format!("fnguard: the arbiter is gone; {function} handles no more events"))
            }
            Error::NotArmed if real_events && !site.debug_build && !site.test => State::Refused(format!(
                "fnguard: this process is not armed, so {function} handles no event: {REMEDY} (policy: {policy})"
            )),
            Error::NotArmed => State::Unarmed,
            error => State::Refused(format!("fnguard: the invocation cannot be opened: {error}")),
        })
    }

    /// Whether there is no arbiter, and none is needed.
    pub(super) fn is_unarmed(&self) -> bool {
        matches!(self.state, State::Unarmed)
    }

    /// Why the invocation must fail, if it must.
    pub(super) fn refusal(&self) -> Option<&str> {
        match &self.state {
            State::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// Makes the future of a handler that is a plain function. The invocation goes on with it.
    ///
    /// # Panics
    ///
    /// If the invocation must fail, and with the function's own panic.
    pub fn construct<F>(&self, make: impl FnOnce() -> F) -> F {
        if let Some(reason) = self.refusal() {
            panic!("{reason}");
        }
        if self.is_unarmed() {
            return make();
        }
        match catch_unwind(AssertUnwindSafe(make)) {
            Ok(future) => future,
            // Unwinding drops the invocation, which closes it.
            Err(payload) => resume_unwind(self.redact_panic(payload)),
        }
    }

    /// Runs a handler that is a plain function to its end.
    ///
    /// # Panics
    ///
    /// With the handler's own panic, and if the invocation must fail and its error type cannot say so.
    pub fn run<O>(self, call: impl FnOnce() -> O, plan: Plan<O>) -> O {
        if let Some(reason) = self.refusal() {
            return plan.fail(reason.to_owned());
        }
        if self.is_unarmed() {
            return call();
        }
        let end = catch_unwind(AssertUnwindSafe(call));
        let end = self.redact(end, &plan);
        self.emit_violations();
        let closed = self.close();
        plan.settle(end, closed)
    }

    /// Takes the secrets out of what a handler ended with.
    pub(super) fn redact<O>(&self, end: Result<O, Payload>, plan: &Plan<O>) -> Result<O, Payload> {
        end.and_then(|outcome| plan.redact(outcome, self.arbiter.redact_error))
            .map_err(|payload| self.redact_panic(payload))
    }

    /// Emits what was refused so far, while what a subscriber prints still belongs to the invocation.
    pub(super) fn emit_violations(&self) {
        if let State::Open(_) = self.state {
            (self.arbiter.emit_new)();
        }
    }

    fn redact_panic(&self, payload: Payload) -> Payload {
        redact_payload(payload, self.arbiter.redact_panic)
    }

    /// Closes the invocation. Blocks until what the function has written is out, for half a second
    /// at most: for some ten microseconds as a rule.
    pub(super) fn close(mut self) -> Result<(), Error> {
        self.close_once()
    }

    /// Closes the invocation if that takes a millisecond at most; gives it back otherwise.
    pub(super) fn close_soon(mut self) -> Result<Result<(), Error>, Self> {
        let State::Open(id) = &self.state else { return Ok(self.close_once()) };
        let Some(closed) = (self.arbiter.finish_soon)(id) else { return Err(self) };
        open_ids().remove(id);
        self.state = State::Closed;
        Ok(closed)
    }

    fn close_once(&mut self) -> Result<(), Error> {
        match mem::replace(&mut self.state, State::Closed) {
            State::Open(id) => {
                let closed = (self.arbiter.finish)(&id);
                open_ids().remove(&id);
                closed
            }
            State::Unarmed | State::Within | State::Refused(_) | State::Closed => Ok(()),
        }
    }
}

impl Drop for Invocation {
    fn drop(&mut self) {
        // Whoever dropped it waits for no answer, so there is nobody to tell. A dead arbiter is
        // noticed by the next invocation.
        let _ = self.close_once();
    }
}

/// What to do about a process that is not armed.
const REMEDY: &str = if cfg!(guarded_platform) {
    "start it by the launcher (`fnguard package`), or set [arm] release = \"always\" in its policy"
} else {
    "fnguard arms on Linux alone, on x86_64 and aarch64"
};

fn next_call() -> String {
    format!("call-{}", CALLS.fetch_add(1, Ordering::Relaxed))
}

fn open_ids() -> std::sync::MutexGuard<'static, HashSet<String>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::RedactedError;
    use super::*;
    use std::sync::Mutex;

    /// What the arbiter of these tests was asked, by id.
    static ASKED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn note(line: String) {
        ASKED.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn asked(id: &str) -> Vec<String> {
        let asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        let about = |line: &&String| line.ends_with(id);
        asked.iter().filter(about).map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    static ANSWERS: Arbiter = Arbiter {
        start: |id| {
            note(format!("start {id}"));
            Ok(())
        },
        finish: |id| {
            note(format!("finish {id}"));
            Ok(())
        },
        finish_soon: |id| {
            // Where bytes wait to be written.
            (!id.starts_with("late")).then(|| {
                note(format!("soon {id}"));
                Ok(())
            })
        },
        redact_error: |text| Ok(text.replace("hunter2", "[redacted:KEY]")),
        redact_panic: |text| Ok(text.replace("hunter2", "[redacted:KEY]")),
        emit_new: || (),
    };

    static ABSENT: Arbiter = Arbiter {
        start: |_| Err(Error::NotArmed),
        finish: |_| panic!("nothing was opened"),
        finish_soon: |_| panic!("nothing was opened"),
        redact_error: |_| panic!("nobody is there to redact"),
        redact_panic: |_| panic!("nobody is there to redact"),
        emit_new: || panic!("nothing was opened"),
    };

    /// Answers the first message, and is gone then.
    static DIES: Arbiter = Arbiter {
        start: |_| Ok(()),
        finish: |_| Err(Error::ArbiterGone { source: crate::sys::Errno(32) }),
        finish_soon: |_| Some(Err(Error::ArbiterGone { source: crate::sys::Errno(32) })),
        redact_error: |_| Err(Error::ArbiterGone { source: crate::sys::Errno(32) }),
        redact_panic: |_| Err(Error::ArbiterGone { source: crate::sys::Errno(32) }),
        emit_new: || (),
    };

    const RELEASE: Site = Site {
        function: "orders::handler",
        policy: "guard.toml",
        debug_build: false,
        test: false,
        never_in_release: false,
    };

    fn open(arbiter: &'static Arbiter, id: &str) -> Invocation {
        Invocation::open_at(arbiter, &AtomicBool::new(false), &RELEASE, Some(id.to_owned()), true)
    }

    type Answer = Result<u32, Box<dyn std::error::Error + Send + Sync>>;

    fn plan() -> Plan<Answer> {
        use super::super::{RebuildFromError as _, TextsOfDyn as _};
        let outcome = super::super::Outcome::<Answer>::new();
        Plan::new((&&&&outcome).texts(), (&&outcome).rebuild())
    }

    fn payload(of: impl FnOnce() -> Answer + std::panic::UnwindSafe) -> String {
        let payload = catch_unwind(of).unwrap_err();
        payload.downcast_ref::<String>().cloned().unwrap_or_else(|| panic!("not a String"))
    }

    #[test]
    fn an_invocation_is_opened_and_closed_once() {
        let answer = open(&ANSWERS, "once").run(
            || {
                note("handler once".to_owned());
                Ok(7)
            },
            plan(),
        );
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(asked("once"), ["start", "handler", "finish"]);
    }

    #[test]
    fn an_invocation_is_closed_in_place_where_nothing_waits_to_be_written() {
        open(&ANSWERS, "prompt").close_soon().unwrap().unwrap();
        assert_eq!(asked("prompt"), ["start", "soon"]);
        let invocation = open(&ANSWERS, "late").close_soon().unwrap_err();
        assert_eq!(asked("late"), ["start"]);
        invocation.close().unwrap();
        assert_eq!(asked("late"), ["start", "finish"]);
        let error = open(&DIES, "gone").close_soon().unwrap().unwrap_err();
        assert!(error.to_string().contains("the arbiter does not answer"), "{error}");
        // The id is free again, however it was closed.
        for id in ["prompt", "late", "gone"] {
            assert!(matches!(open(&ANSWERS, id).state, State::Open(_)));
        }
    }

    #[test]
    fn what_is_dropped_is_closed() {
        drop(open(&ANSWERS, "dropped"));
        assert_eq!(asked("dropped"), ["start", "finish"]);
    }

    #[test]
    fn a_guarded_function_within_another_leaves_the_invocation_open() {
        let outer = open(&ANSWERS, "nested");
        open(&ANSWERS, "nested").run(|| Ok(1), plan()).unwrap();
        assert_eq!(asked("nested"), ["start"]);
        outer.run(|| Ok(1), plan()).unwrap();
        assert_eq!(asked("nested"), ["start", "finish"]);
        open(&ANSWERS, "nested").run(|| Ok(1), plan()).unwrap();
        assert_eq!(asked("nested"), ["start", "finish", "start", "finish"]);
    }

    #[test]
    fn secrets_leave_neither_by_error_nor_by_panic() {
        let error = open(&ANSWERS, "error").run(|| Err("key hunter2".into()), plan()).unwrap_err();
        assert_eq!(error.to_string(), "key [redacted:KEY]");
        assert_eq!(format!("{error:?}"), "\"key [redacted:KEY]\"");
        assert!(error.is::<RedactedError>());

        let honest = open(&ANSWERS, "honest").run(|| Err(std::io::Error::other("no").into()), plan());
        assert!(honest.unwrap_err().is::<std::io::Error>());

        let text = payload(|| open(&ANSWERS, "panic").run(|| panic!("key {}", "hunter2"), plan()));
        assert_eq!(text, "key [redacted:KEY]");
        assert_eq!(asked("panic"), ["start", "finish"]);

        let text = payload(|| open(&ANSWERS, "make").construct(|| panic!("key {}", "hunter2")));
        assert_eq!(text, "key [redacted:KEY]");
        assert_eq!(asked("make"), ["start", "finish"]);
    }

    #[test]
    fn an_arbiter_that_died_fails_the_invocation() {
        let error = open(&DIES, "died").run(|| Ok(1), plan()).unwrap_err();
        assert!(error.to_string().contains("the arbiter does not answer"), "{error}");
        // What cannot be redacted is not shown.
        let error = open(&DIES, "died").run(|| Err("key hunter2".into()), plan()).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
        let text = payload(|| open(&DIES, "died").run(|| panic!("key {}", "hunter2"), plan()));
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn real_events_need_an_arbiter() {
        let opened = |answered: bool, site: Site, real: bool| {
            let answered = AtomicBool::new(answered);
            let invocation = Invocation::open_at(&ABSENT, &answered, &site, None, real);
            invocation.refusal().map(str::to_owned)
        };
        let debug = || Site { debug_build: true, ..RELEASE };
        let test = || Site { test: true, ..RELEASE };
        let never = || Site { never_in_release: true, ..RELEASE };

        let refusal = opened(false, RELEASE, true).unwrap();
        assert!(refusal.contains("not armed") && refusal.contains("orders::handler"), "{refusal}");
        assert!(opened(false, never(), true).is_some());
        for (site, real) in [(RELEASE, false), (debug(), true), (test(), true)] {
            assert_eq!(opened(false, site, real), None);
        }
        // Where one has answered, its silence is no lack of arming.
        for site in [RELEASE, debug(), test()] {
            assert!(opened(true, site, false).unwrap().contains("gone"));
        }
    }

    #[test]
    fn unarmed_an_id_may_be_open_twice() {
        let unarmed = || {
            let site = Site { test: true, ..RELEASE };
            Invocation::open_at(&ABSENT, &AtomicBool::new(false), &site, Some("twice".to_owned()), false)
        };
        let first = unarmed();
        let error = unarmed().run(|| Err("as it is".into()), plan()).unwrap_err();
        assert_eq!(error.to_string(), "as it is");
        drop(first);
    }

    #[test]
    fn ids_are_made_to_fit() {
        assert_eq!(
            request_id("8476a536-e9f4-11e8-9739-2dfe598c3fcd"),
            "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
        );
        assert_eq!(request_id("a\n\u{e9} b"), "a___b");
        assert_eq!(request_id(&"x".repeat(500)).len(), LONGEST_ID);
        assert!(next_call().starts_with("call-"));
    }
}
