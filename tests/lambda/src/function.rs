//! What the function does. Each event says what: `{"do": "connect", "to": "203.0.113.9:4444"}`. Nothing
//! here judges: what came of it is seen from outside.

use lambda_runtime::{Error, LambdaEvent};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::ffi::c_int;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use tokio::sync::Barrier;

/// The variable that says what to do before the first event: `connect ADDRESS`, `panic`, `leave`.
pub const AT_INIT: &str = "FUNCTION_AT_INIT";
/// The one secret.
pub const KEY: &str = "STRIPE_KEY";

/// What happens before the runtime starts.
///
/// # Panics
///
/// If it is told to.
pub fn begin() {
    let told = std::env::var(AT_INIT).unwrap_or_default();
    match told.split_once(' ').unwrap_or((&told, "")) {
        ("connect", to) => println!("at init: {}", connect(to)),
        ("panic", _) => panic!("at init: {}", key()),
        ("lines", count) => {
            lines(count.parse().unwrap_or(0));
            panic!("at init, after its lines");
        }
        _ => {}
    }
}

/// Handles one event.
///
/// # Errors
///
/// If it is told to.
///
/// # Panics
///
/// If it is told to.
pub async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    let id = event.context.request_id;
    let word = |name: &str| event.payload[name].as_str().unwrap_or_default().to_owned();
    match word("do").as_str() {
        "answer" => Ok(json!({ "id": id })),
        "log" => {
            println!("out of {id}");
            eprintln!("err of {id}");
            Ok(Value::Null)
        }
        "connect" => Ok(json!(connect(&word("to")))),
        "meet" => meet(&word("to")).await,
        "late" => late(word("gate"), word("to")),
        "lines" => end_after_lines(event.payload["count"].as_u64().unwrap_or(0), &word("end")),
        "flood" => {
            let line = format!("{id} {}\n", "x".repeat(120));
            let count = event.payload["bytes"].as_u64().unwrap_or(0) / line.len() as u64;
            std::io::stdout().write_all(line.repeat(usize::try_from(count)?).as_bytes())?;
            Ok(json!(count))
        }
        "trace" => Ok(json!(std::env::var("_X_AMZN_TRACE_ID").ok())),
        "tell" => {
            println!("out: {}", key());
            // In two pieces as eprintln! would write it, a record could come in between.
            let line = format!("err: {}\n", key());
            std::io::stderr().write_all(line.as_bytes())?;
            Ok(json!({ "length": key().len() }))
        }
        "environment" => {
            let start = format!("{KEY}=").into_bytes();
            let initial = std::fs::read("/proc/self/environ")?;
            Ok(json!({
                "variable": std::env::var_os(KEY).is_some(),
                "initial": initial.windows(start.len()).any(|part| part == start),
                "other": std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok(),
            }))
        }
        "panic" => panic!("it was {} all along", key()),
        "thread" => {
            let ended = std::thread::spawn(|| panic!("the thread knew {}", key())).join();
            Ok(json!(ended.is_err()))
        }
        "error" => Err(format!("refused: {}", key()).into()),
        "count-terms" => count_terms(&word("to")),
        other => Err(format!("the function of these tests does not know {other:?}").into()),
    }
}

/// The key, from the guard or, without one, from the environment.
fn key() -> &'static str {
    static FROM_ENVIRONMENT: OnceLock<SecretString> = OnceLock::new();
    if fnguard::is_armed() {
        return fnguard::secret(KEY).map_or("none", |key| key.expose_secret());
    }
    FROM_ENVIRONMENT.get_or_init(|| std::env::var(KEY).unwrap_or_default().into()).expose_secret()
}

fn connect(to: &str) -> String {
    match TcpStream::connect(to) {
        Ok(_) => "connected".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Two invocations meet; one of them connects while both are open.
async fn meet(to: &str) -> Result<Value, Error> {
    static BOTH: OnceLock<Barrier> = OnceLock::new();
    let both = BOTH.get_or_init(|| Barrier::new(2));
    let leads = both.wait().await.is_leader();
    let came = if leads { Some(connect(to)) } else { None };
    both.wait().await;
    Ok(json!(came))
}

/// A thread that goes on after the answer, once somebody opens the gate.
fn late(gate: String, to: String) -> Result<Value, Error> {
    std::thread::Builder::new().spawn(move || {
        let mut word = Vec::new();
        if File::open(gate).and_then(|mut gate| gate.read_to_end(&mut word)).is_ok() {
            connect(&to);
            println!("late line");
        }
    })?;
    Ok(Value::Null)
}

/// Numbered lines of 64 bytes.
fn lines(count: u64) {
    let mut out = std::io::stdout().lock();
    for number in 0..count {
        // A line a write, as println does it.
        let _ = out.write_all(format!("line {number:08} {}\n", ".".repeat(49)).as_bytes());
    }
}

fn end_after_lines(count: u64, end: &str) -> Result<Value, Error> {
    lines(count);
    match end {
        "panic" => panic!("after its lines"),
        "abort" => std::process::abort(),
        "exit" => std::process::exit(7),
        "kill" => {
            // SAFETY: takes two numbers; its own process.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
            Err("still there".into())
        }
        _ => Ok(Value::Null),
    }
}

/// From now on each SIGTERM writes its sender's process id to a pipe that is opened here.
fn count_terms(to: &str) -> Result<Value, Error> {
    static PIPE: AtomicI32 = AtomicI32::new(-1);
    extern "C" fn note(_: c_int, about: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the kernel passes what SA_SIGINFO asks for; write(2) is async-signal-safe.
        unsafe {
            let sender = (*about).si_pid().to_ne_bytes();
            libc::write(PIPE.load(Ordering::Relaxed), sender.as_ptr().cast(), sender.len());
        }
    }
    let pipe = OpenOptions::new().write(true).open(to)?;
    PIPE.store(pipe.as_raw_fd(), Ordering::Relaxed);
    let _ = pipe.into_raw_fd();
    // SAFETY: a whole structure, and a handler that does only what a handler may.
    let set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
        libc::sigaction(libc::SIGTERM, &action, std::ptr::null_mut())
    };
    if set == 0 { Ok(Value::Null) } else { Err(std::io::Error::last_os_error().into()) }
}
