//! How functions end, and what the platform sees of it: signals to the group, ends in the middle of
//! printing, and a panic that can't unwind.

use crate::platform::{
    GUARDED, PATIENCE, PLAIN, Start, ends, is_readable, named_pipe, pidfd, signal, signal_group,
};
use fnguard_attacks::outcome::Outcome;
use fnguard_lambda_tests::function::AT_INIT;
use serde_json::json;
use std::io::Read;
use std::os::fd::AsRawFd;

fnguard_attacks::tests! { "ends":
    a_signal_to_the_group_comes_twice, a_killed_group_leaves_nobody, no_line_is_lost,
}

/// The platform sends SIGTERM to the group when it shuts down: it reaches the function from there, and once
/// more from the arbiter, which can't know that it has.
fn a_signal_to_the_group_comes_twice() {
    let senders = |program: &str, guarded: bool| {
        let function = Start::of(&[program]).serving();
        let pipe = named_pipe();
        // Open for both, so that neither end waits for the other.
        let mut ours = std::fs::File::options().read(true).write(true).open(&pipe).expect("the pipe");
        function.response("handler", &json!({ "do": "count-terms", "to": pipe }));
        let mut next = || {
            assert!(is_readable(ours.as_raw_fd(), PATIENCE), "the signal does not come");
            let mut sender = [0; 4];
            ours.read_exact(&mut sender).expect("a sender");
            i32::from_ne_bytes(sender)
        };
        // Two signals that are pending together are one: the arbiter must come second.
        if guarded {
            signal(function.id(), libc::SIGSTOP);
        }
        signal_group(function.id(), libc::SIGTERM);
        let first = next();
        assert_eq!(first, std::process::id() as i32);
        if guarded {
            signal(function.id(), libc::SIGCONT);
            assert_eq!(next(), function.id(), "the arbiter passes it on");
        }
        // And it goes on: what a signal does is the function's own affair.
        function.serves();
        function.stop();
    };
    senders(PLAIN, false);
    senders(GUARDED, true);
}

/// As the platform ends an execution environment.
fn a_killed_group_leaves_nobody() {
    let function = Start::of(&[GUARDED]).serving();
    let arbiter = pidfd(function.id()).expect("the arbiter");
    let child = pidfd(function.function_id()).expect("the function");
    assert_ne!(function.id(), function.function_id());
    signal_group(function.id(), libc::SIGKILL);
    assert!(ends(&arbiter) && ends(&child));
    let outcome = function.ended();
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{}", outcome.text());
}

/// How many lines of 64 bytes: more than a pipe of the usual size holds.
const LINES: usize = 3000;

#[track_caller]
fn has_all_lines(outcome: &Outcome, how: &str) {
    let out = String::from_utf8_lossy(&outcome.stdout);
    let numbers: Vec<&str> =
        out.lines().filter_map(|line| line.strip_prefix("line ")?.split(' ').next()).collect();
    let expected: Vec<String> = (0..LINES).map(|number| format!("{number:08}")).collect();
    assert_eq!(numbers.len(), LINES, "{how}");
    assert!(numbers == expected, "{how}: not each line once and in order");
}

/// Whatever ends the function alone: each line that it had written is in the log, and its end is the
/// platform's to see.
fn no_line_is_lost() {
    for (end, status, sig) in
        [("abort", None, Some(libc::SIGABRT)), ("exit", Some(7), None), ("kill", None, Some(libc::SIGKILL))]
    {
        for _ in 0..5 {
            let function = Start::of(&[GUARDED]).serving();
            function.send("last", &json!({ "do": "lines", "count": LINES, "end": end }));
            let outcome = function.ended();
            assert_eq!((outcome.status, outcome.signal), (status, sig), "{end}\n{}", outcome.text());
            has_all_lines(&outcome, end);
            assert_eq!(outcome.records("ended").len(), 1, "{end}");
        }
    }
    // By a panic before the runtime could catch it.
    let outcome = Start::of(&[GUARDED]).variable(AT_INIT, format!("lines {LINES}")).start().ended();
    assert_eq!(outcome.status, Some(101), "{}", outcome.text());
    has_all_lines(&outcome, "panic at init");
    // By a panic that the runtime catches: the function goes on, and so does its log.
    let function = Start::of(&[GUARDED]).serving();
    function.error("last", &json!({ "do": "lines", "count": LINES, "end": "panic" }));
    function.serves();
    has_all_lines(&function.stop(), "panic");
    // Killed from outside, by somebody who picks out that one process, as the kernel does when memory
    // runs out.
    let function = Start::of(&[GUARDED]).serving();
    function.response("lines", &json!({ "do": "lines", "count": LINES, "end": "" }));
    signal(function.function_id(), libc::SIGKILL);
    let outcome = function.ended();
    assert_eq!(outcome.signal, Some(libc::SIGKILL), "{}", outcome.text());
    has_all_lines(&outcome, "killed");
    assert_eq!(outcome.records("ended")[0]["signal"], "SIGKILL");
}
