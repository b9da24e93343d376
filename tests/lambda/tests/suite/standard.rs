//! Standard AWS Lambda, as far as it can be imposed here: prctl, seccomp, ptrace and Landlock refused, an
//! ordinary user. A function that was armed by its attribute still starts, serves, keeps its secrets
//! and says what does not hold; or it does not start, as its policy says.

use crate::platform::{DEGRADING, FORBIDDEN, GUARDED, KEY, PLATFORM, Start, take, unread_pipe};
use fnguard_attacks::sink::Tcp;
use fnguard_lambda_tests::function::AT_INIT;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

fnguard_attacks::tests! { "standard":
    degraded_it_serves, degraded_it_waits_for_its_log, degraded_it_leaks_nothing, otherwise_it_does_not_start,
}

fn degrading() -> Start {
    Start::of(&[PLATFORM, DEGRADING])
}

/// Each control that is not held is named, and none is called held that is not.
fn degraded_it_serves() {
    let function = degrading().serving();
    let posture = function.posture();
    assert_eq!(
        (&posture["armed_by"], &posture["mechanism"]),
        (&"attribute".into(), &"none".into()),
        "{posture}"
    );
    assert_eq!(posture["level"], "WARN");
    let named: Vec<&str> = posture["not_held"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    for control in ["network", "exec", "files", "exec_memory", "syscalls", "processes"] {
        assert_eq!(posture["controls"][control], "not_held", "{control}: {posture}");
        assert!(named.contains(&control), "{control}: {posture}");
    }
    for control in ["environment", "logs"] {
        assert_eq!(posture["controls"][control], "held", "{control}: {posture}");
    }
    for _ in 0..3 {
        function.serves();
    }
    let environment = function.response("environment", &json!({ "do": "environment" }));
    assert_eq!(environment, json!({ "variable": false, "initial": false, "other": "orders" }));
    let told = function.response("tell", &json!({ "do": "tell" }));
    assert_eq!(told["length"], KEY.len());
    // What is not held is open, and no record claims that it was stopped.
    let sink = Tcp::on(FORBIDDEN);
    let connected = function.response("connect", &json!({ "do": "connect", "to": sink.address.to_string() }));
    assert_eq!((connected, sink.connections()), ("connected".into(), 1));
    assert!(function.stderr.records("violation").is_empty(), "{}", function.text());
}

/// So much that it takes the arbiter longer to look through than the function to answer.
fn degraded_it_waits_for_its_log() {
    let (reader, writer) = unread_pipe();
    let seen = Arc::<Mutex<Vec<(String, usize)>>>::default();
    let kept = Arc::clone(&seen);
    let function = degrading()
        .stdout(writer)
        .on_answer(move |id, _| {
            let count = take(&reader).lines().filter(|line| line.starts_with(&format!("{id} x"))).count();
            kept.lock().unwrap_or_else(PoisonError::into_inner).push((id.to_owned(), count));
        })
        .serving();
    const ROUNDS: usize = 50;
    for round in 0..ROUNDS {
        let id = format!("round-{round}");
        let lines = function.response(&id, &json!({ "do": "flood", "bytes": 60_000 }));
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner).pop().expect("an answer");
        assert_eq!((&seen.0, json!(seen.1)), (&id, lines));
    }
}

fn degraded_it_leaks_nothing() {
    let function = degrading().serving();
    for word in ["panic", "error"] {
        let error = function.error(word, &json!({ "do": word }));
        assert!(!error.to_string().contains(KEY), "{error}");
        assert!(error.to_string().contains("[redacted:STRIPE_KEY]"), "{error}");
    }
    for word in ["tell", "thread"] {
        function.response(word, &json!({ "do": word }));
    }
    let outcome = function.stop();
    assert!(!outcome.shows(KEY.as_bytes()), "{}", outcome.text());
    for said in ["out: ", "err: ", "the thread knew ", "it was "] {
        assert!(
            outcome.shows(format!("{said}[redacted:STRIPE_KEY]").as_bytes()),
            "{said}\n{}",
            outcome.text()
        );
    }
    // A panic that nobody catches, and its end.
    let outcome = degrading().variable(AT_INIT, "panic").start().ended();
    assert_eq!(outcome.status, Some(101), "{}", outcome.text());
    assert!(outcome.shows(b"at init: [redacted:STRIPE_KEY]"), "{}", outcome.text());
    assert!(!outcome.shows(KEY.as_bytes()), "{}", outcome.text());
}

/// `on_unsupported = "refuse"`, the default: one JSON line, status 125, and nothing of the function's
/// has run.
fn otherwise_it_does_not_start() {
    for _ in 0..10 {
        let outcome = Start::of(&[PLATFORM, GUARDED]).variable(AT_INIT, "panic").start().ended();
        assert_eq!(outcome.status, Some(125), "{}", outcome.text());
        assert!(outcome.stdout.is_empty(), "{}", outcome.text());
        let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect(&text)).collect();
        assert_eq!(lines.len(), 1, "{}", outcome.text());
        assert_eq!((&lines[0]["fnguard"], &lines[0]["code"]), (&"refusal".into(), &"unsupported".into()));
        assert!(lines[0]["remedy"].to_string().contains("degrade"), "{}", lines[0]);
    }
}
