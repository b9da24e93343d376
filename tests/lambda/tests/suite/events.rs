//! Invocations: what is out when the answer is, under which request a record stands, and what the
//! runtime itself does to the process.

use crate::platform::{FORBIDDEN, Function, GUARDED, KEY, Log, PLAIN, Start, named_pipe, take, unread_pipe};
use ambush_platform::runtime_api::Answer;
use fnguard_attacks::sink::Tcp;
use fnguard_lambda_tests::function::AT_INIT;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};

fnguard_attacks::tests! { "events":
    answers, request_ids, several_at_once, before_the_first_event, after_the_answer,
    lines_are_out_before_the_answer, a_blocked_log_fails_the_invocation, trace_ids,
    missing_variables, link_local_runtime_api, secrets_leave_by_no_way,
}

fn guarded() -> Start {
    Start::of(&[GUARDED])
}

fn plain() -> Start {
    Start::of(&[PLAIN])
}

fn connect_to(sink: &Tcp) -> Value {
    json!({ "do": "connect", "to": sink.address.to_string() })
}

fn violations(function: &Function) -> Vec<Value> {
    function.stderr.records("violation")
}

fn answers() {
    let function = guarded().serving();
    let posture = function.posture();
    assert_eq!((&posture["armed_by"], &posture["mechanism"]), (&"attribute".into(), &"seccomp".into()));
    for _ in 0..3 {
        function.serves();
    }
    assert!(violations(&function).is_empty(), "{}", function.text());
}

/// Each violation stands under the request that was open, and under no other.
fn request_ids() {
    let sink = Tcp::on(FORBIDDEN);
    assert_eq!(plain().serving().response("plain", &connect_to(&sink)), "connected");
    assert_eq!(sink.connections(), 1);

    let function = guarded().serving();
    for id in ["8476a536-e9f4-11e8-9739-2dfe598c3fcd", "second", "third"] {
        // A target of its own each time, or it would only be counted.
        let sink = Tcp::on(FORBIDDEN);
        let answer = function.response(id, &connect_to(&sink));
        assert!(answer.as_str().is_some_and(|text| text.contains("denied")), "{answer}");
        assert_eq!(sink.connections(), 0);
        let record = violations(&function).pop().expect("a record");
        assert_eq!((&record["requestId"], &record["phase"]), (&id.into(), &Value::Null), "{record}");
        assert_eq!(record["address"], sink.address.to_string());
    }
    assert_eq!(violations(&function).len(), 3, "{}", function.text());
}

/// With two invocations open nobody can say whose call it was: the record names both.
fn several_at_once() {
    let at_once = |start: Start| start.variable("AWS_LAMBDA_MAX_CONCURRENCY", "2").serving();
    let event = |sink: &Tcp| json!({ "do": "meet", "to": sink.address.to_string() });
    let both = |function: &Function, sink: &Tcp| {
        for id in ["one", "two"] {
            function.send(id, &event(sink));
        }
        let answers = ["one", "two"].map(|id| function.response_to(id));
        answers.into_iter().find(|answer| !answer.is_null()).expect("one of them connects")
    };
    let sink = Tcp::on(FORBIDDEN);
    assert_eq!(both(&at_once(plain()), &sink), "connected");
    assert_eq!(sink.connections(), 1);

    let sink = Tcp::on(FORBIDDEN);
    let function = at_once(guarded());
    assert_ne!(both(&function, &sink), "connected");
    assert_eq!(sink.connections(), 0);
    let found = violations(&function);
    assert_eq!(found.len(), 1, "{}", function.text());
    let ids: BTreeSet<&str> =
        found[0]["requestIds"].as_array().expect("ids").iter().filter_map(Value::as_str).collect();
    assert_eq!(ids, BTreeSet::from(["one", "two"]), "{}", found[0]);
    assert!(found[0]["requestId"].is_null(), "{}", found[0]);
    function.serves();
}

fn before_the_first_event() {
    let sink = Tcp::on(FORBIDDEN);
    let at_init = format!("connect {}", sink.address);
    plain().variable(AT_INIT, &at_init).serving().serves();
    assert_eq!(sink.connections(), 1);

    let sink = Tcp::on(FORBIDDEN);
    let function = guarded().variable(AT_INIT, format!("connect {}", sink.address)).serving();
    function.serves();
    assert_eq!(sink.connections(), 0);
    let found = violations(&function);
    assert_eq!(found.len(), 1, "{}", function.text());
    assert_eq!((&found[0]["phase"], &found[0]["requestId"]), (&"init".into(), &Value::Null), "{}", found[0]);
}

/// A thread that was left behind prints and connects once the answer is out.
fn after_the_answer() {
    let after = |function: &Function, sink: &Tcp| {
        let gate = named_pipe();
        function.response("before", &json!({ "do": "late", "gate": gate, "to": sink.address.to_string() }));
        // Waits for the thread to open its end.
        drop(std::fs::File::options().write(true).open(&gate).expect("the gate"));
        function.stdout.await_line("late line");
    };
    let sink = Tcp::on(FORBIDDEN);
    let function = plain().serving();
    after(&function, &sink);
    assert_eq!(sink.connections(), 1);

    let sink = Tcp::on(FORBIDDEN);
    let function = guarded().serving();
    after(&function, &sink);
    let violation = function.stderr.await_record(|record| record["fnguard"] == "violation");
    assert_eq!((&violation["phase"], &violation["requestId"]), (&"late".into(), &Value::Null), "{violation}");
    assert!(violation["requestIds"].is_null(), "{violation}");
    assert_eq!(sink.connections(), 0);

    function.response("next", &json!({ "do": "answer" }));
    let late = function.stderr.await_record(|record| record["fnguard"] == "late_output");
    let bytes = "late line\n".len();
    assert_eq!((&late["stream"], &late["bytes"]), (&"stdout".into(), &bytes.into()), "{late}");
    assert!(late.to_string().contains("\"before\"") && !late.to_string().contains("\"next\""), "{late}");
    // What came within no invocation is in the record once.
    function.serves();
    assert_eq!(function.stderr.records("late_output").len(), 1, "{}", function.text());
}

/// The platform freezes the function as soon as it has the answer: whatever is not in the log then may
/// never be.
fn lines_are_out_before_the_answer() {
    let ((out, stdout), (err, stderr)) = (unread_pipe(), unread_pipe());
    let seen = Arc::<Mutex<Vec<(String, String, String)>>>::default();
    let kept = Arc::clone(&seen);
    let function = guarded()
        .stdout(stdout)
        .stderr(stderr)
        .on_answer(move |id, _| {
            let seen = (id.to_owned(), take(&out), take(&err));
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        })
        .serving();
    const ROUNDS: usize = 300;
    for round in 0..ROUNDS {
        function.response(&format!("round-{round}"), &json!({ "do": "log" }));
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(seen.len(), ROUNDS);
    for (id, out, err) in seen.iter() {
        assert!(out.ends_with(&format!("out of {id}\n")), "{id}: {out:?}");
        assert!(err.ends_with(&format!("err of {id}\n")), "{id}: {err:?}");
    }
}

/// Nobody reads the log: the invocation fails in bounded time, says why, and nothing is lost.
fn a_blocked_log_fails_the_invocation() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    // SAFETY: a descriptor of our own.
    assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } >= 4096);
    let function = guarded().stdout(writer).serving();
    let error = function.error("blocked", &json!({ "do": "flood", "bytes": 60_000 }));
    let message = error["errorMessage"].to_string();
    assert!(message.contains("cannot be closed") && message.contains("the log took longer"), "{error}");
    let record = function.stderr.await_record(|record| record["fnguard"] == "barrier");
    assert_eq!(record["requestId"], "blocked", "{record}");
    // What the pump has read and can't write stands in no pipe any more.
    assert!(record["bytes_left"].is_u64(), "{record}");
    let waited = record["waited_ms"].as_u64().expect("a time");
    assert!((400..10_000).contains(&waited), "{record}");

    // Once somebody reads, everything is there and the function goes on.
    let log = Log::read(reader);
    function.serves();
    let printed = 60_000 / format!("blocked {}\n", "x".repeat(120)).len();
    let is_whole = |line: &&str| line.len() == 128 && line.starts_with("blocked x");
    log.find(|text| (text.lines().filter(is_whole).count() == printed).then_some(()));
}

/// lambda_runtime writes the trace into the environment at each invocation: the guard's own view of the
/// environment must not stand in its way.
fn trace_ids() {
    for start in [plain(), guarded()] {
        let function = start.serving();
        for (id, trace) in [("one", "Root=1-1;Sampled=1"), ("two", "Root=1-2;Sampled=0")] {
            function.send_traced(id, trace, &json!({ "do": "trace" }));
            assert_eq!(function.response_to(id), trace);
        }
    }
}

/// Without the variables that it needs lambda_runtime panics before the first event.
fn missing_variables() {
    for name in ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION"]
    {
        let outcome = guarded().without(name).start().ended();
        assert_eq!(outcome.status, Some(101), "{name}\n{}", outcome.text());
        assert!(outcome.shows(format!("Missing {name}").as_bytes()), "{}", outcome.text());
        assert_eq!(outcome.records("ended")[0]["exit"], 101);
    }
    // Its message shows a value that is no UTF-8: here one that holds the key, in a form that arming leaves
    // where it is.
    use std::os::unix::ffi::OsStringExt;
    let hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect();
    let value = |text: &str| std::ffi::OsString::from_vec([text.as_bytes(), b"\xff"].concat());
    let name = "AWS_LAMBDA_FUNCTION_NAME";
    let outcome = plain().variable(name, value(&hex)).start().ended();
    assert!(outcome.shows(hex.as_bytes()), "{}", outcome.text());
    let outcome = guarded().variable(name, value(&hex)).start().ended();
    assert_eq!(outcome.status, Some(101), "{}", outcome.text());
    assert!(!outcome.shows(hex.as_bytes()), "{}", outcome.text());
    assert!(outcome.shows(b"[redacted:STRIPE_KEY]"), "{}", outcome.text());
    // As it is, the environment is not clean: the function is not started.
    let outcome = guarded().variable(name, value(KEY)).start().ended();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert_eq!(outcome.records("refusal")[0]["code"], "not_held", "{}", outcome.text());
}

/// The platform's runtime API is at a link-local address today: allowed because the platform names it,
/// although link-local addresses need a rule of their own.
fn link_local_runtime_api() {
    let address = (ambush_platform::runtime_api::HOST, 9001).into();
    let function = guarded().api_at(address).serving();
    function.serves();
    assert!(violations(&function).is_empty(), "{}", function.text());
    // Another port of the same address is no runtime API.
    let sink = Tcp::on(&ambush_platform::runtime_api::HOST.to_string());
    function.response("other", &connect_to(&sink));
    assert_eq!(sink.connections(), 0);
    assert_eq!(violations(&function).len(), 1, "{}", function.text());
}

/// By log, by error, by panic, and by a panic of another thread, which only the log shows.
fn secrets_leave_by_no_way() {
    let shows = |answer: &Answer| {
        let (Answer::Response(body) | Answer::Error(body)) = answer;
        String::from_utf8_lossy(body).contains(KEY)
    };
    for (start, leaks) in [(plain(), true), (guarded(), false)] {
        let function = start.serving();
        for word in ["panic", "error"] {
            let answer = function.invoke(word, &json!({ "do": word }));
            assert!(matches!(answer, Answer::Error(_)), "{word}: {answer:?}");
            assert_eq!(shows(&answer), leaks, "{word}: {answer:?}");
        }
        for word in ["tell", "thread"] {
            function.response(word, &json!({ "do": word }));
        }
        function.serves();
        let outcome = function.stop();
        assert_eq!(outcome.shows(KEY.as_bytes()), leaks, "{}", outcome.text());
        for said in ["out: ", "err: ", "the thread knew ", "it was "] {
            let said = format!("{said}{}", if leaks { KEY } else { "[redacted:STRIPE_KEY]" });
            assert!(outcome.shows(said.as_bytes()), "{said}\n{}", outcome.text());
        }
    }
}
