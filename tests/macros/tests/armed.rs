//! Guarded programs that run, armed by the attribute alone: what a handler's caller gets to see, and
//! what a release build does that is not armed.
#![allow(clippy::unwrap_used)]

mod fixture;

use fixture::Fixture;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Output};

/// No form of it may leave the process.
const KEY: &str = "sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd2Fg1";

/// A function that tells its key in every way in which `lambda_runtime` passes an outcome on. What the
/// caller would get is printed backwards, so that nothing but the wrapper can have redacted it.
const FUNCTION: &str = r#"
#![forbid(unsafe_code)]
use fnguard::guarded;
use secrecy::ExposeSecret;

struct Context { request_id: String }
struct LambdaEvent { context: Context, payload: &'static str }

fn key() -> &'static str {
    fnguard::secret("STRIPE_KEY").map(|key| key.expose_secret()).unwrap_or("none")
}

#[guarded]
async fn boxed(event: LambdaEvent) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match event.payload {
        "panic" => panic!("refused: {}", key()),
        "honest" => Err("refused".into()),
        _ => Err(format!("refused: {}", key()).into()),
    }
}

#[guarded]
async fn text(_: LambdaEvent) -> Result<(), String> {
    tokio::task::yield_now().await;
    Err(format!("refused: {}", key()))
}

#[derive(Debug)]
enum Failure { Refused { #[allow(dead_code)] key: String } }

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("refused")
    }
}

#[guarded]
fn own(_: LambdaEvent) -> Result<(), Failure> {
    Err(Failure::Refused { key: key().to_owned() })
}

fn show(name: &str, text: &str) {
    println!("{name}: {}", text.chars().rev().collect::<String>());
}

fn event(payload: &'static str) -> LambdaEvent {
    LambdaEvent { context: Context { request_id: format!("id-{payload}") }, payload }
}

fn panic_text(payload: Box<dyn std::any::Any + Send>) -> String {
    payload.downcast_ref::<String>().cloned().unwrap_or_else(|| "no text".to_owned())
}

#[guarded]
#[tokio::main(flavor = "current_thread")]
async fn main() {
    println!("armed: {}", fnguard::is_armed());
    println!("environment: {:?}", std::env::var("STRIPE_KEY"));
    show("error", &boxed(event("error")).await.unwrap_err().to_string());
    show("honest", &boxed(event("honest")).await.unwrap_err().to_string());
    let panicked = tokio::spawn(boxed(event("panic"))).await.unwrap_err();
    show("panic", &panic_text(panicked.into_panic()));
    show("text", &text(event("text")).await.unwrap_err());
    let own = std::panic::catch_unwind(|| own(event("own")).map_err(|error| error.to_string()));
    match own {
        Ok(end) => show("own", &format!("{end:?}")),
        Err(payload) => show("own", &panic_text(payload)),
    }
    println!("last words of the program");
}
"#;

fn function(policy: &str) -> Fixture {
    let dependencies = "secrecy = \"0.10\"\ntokio = { version = \"1\", features = [\"macros\", \"rt\"] }";
    let fixture = Fixture::new("2024", dependencies);
    fixture.write("src/main.rs", FUNCTION);
    fixture.write("guard.toml", policy);
    fixture
}

fn run(program: PathBuf, environment: &[(&str, &str)]) -> Output {
    Command::new(program)
        .env_clear()
        .env("STRIPE_KEY", KEY)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// The line of a name, turned round.
fn line(output: &Output, name: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    said.unwrap_or_else(|| panic!("{output:?}")).chars().rev().collect()
}

#[test]
fn the_caller_gets_no_secret() {
    let policy = "version = 1\n[arm]\ndebug = \"enforce\"\n[secrets]\nenv = [\"STRIPE_KEY\"]\n";
    let output = run(function(policy).executable(&["build"]), &[]);
    assert!(output.status.success(), "{output:?}");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(stdout.contains("armed: true\nenvironment: Err(NotPresent)\n"), "{stdout}");

    assert_eq!(line(&output, "error"), "refused: [redacted:STRIPE_KEY]");
    assert_eq!(line(&output, "honest"), "refused");
    assert_eq!(line(&output, "panic"), "refused: [redacted:STRIPE_KEY]");
    assert_eq!(line(&output, "text"), "refused: [redacted:STRIPE_KEY]");
    // Only its Debug form holds the key, and nothing can be made in its place.
    assert_eq!(line(&output, "own"), "the handler's error held a secret: refused");
    assert!(stdout.ends_with("last words of the program\n"), "{stdout}");

    // What was taken out has a record: each of the error's forms that held it, and the panic.
    let records = fnguard_attacks::record::in_log(&output.stderr);
    let told = |stream: &str, id: &str| {
        let of = |record: &&Value| record["fnguard"] == "redacted" && record["stream"] == stream;
        records.iter().filter(of).any(|record| record["name"] == "STRIPE_KEY" && record["requestId"] == id)
    };
    assert!(told("error", "id-error") && told("panic", "id-panic"), "{records:?}");
    assert!(!told("error", "id-honest"), "{records:?}");

    let backwards: String = KEY.chars().rev().collect();
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(stream);
        assert!(!text.contains(KEY) && !text.contains(&backwards), "{text}");
    }
}

#[test]
fn a_release_build_that_is_not_armed_refuses_real_events() {
    let fixture = function("version = 1\n[arm]\nrelease = \"never\"\n[secrets]\nenv = [\"STRIPE_KEY\"]\n");
    let program = fixture.executable(&["build", "--release"]);

    let output = run(program.clone(), &[("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")]);
    assert!(line(&output, "honest").contains("this process is not armed, so orders::boxed handles no event"));
    assert!(line(&output, "honest").contains("guard.toml"));

    // Without a platform it is a program like any other.
    let output = run(program, &[]);
    assert_eq!(line(&output, "honest"), "refused");
    assert_eq!(line(&output, "error"), format!("refused: {KEY}"));
}

/// A function with a subscriber that connects somewhere whenever it writes an event.
const TRACED: &str = r#"
use fnguard::guarded;
use secrecy::ExposeSecret;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

struct Context { request_id: String }
struct LambdaEvent { context: Context, port: u16 }

#[guarded]
async fn handler(event: LambdaEvent) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let key = fnguard::secret("STRIPE_KEY")?.expose_secret();
    let _ = TcpStream::connect(("203.0.113.9", event.port));
    let _ = std::fs::write(format!("/{key}"), key);
    Ok(())
}

fn writer() -> std::io::Stdout {
    static NEXT: AtomicU16 = AtomicU16::new(4000);
    let _ = TcpStream::connect(("203.0.113.10", NEXT.fetch_add(1, Ordering::Relaxed)));
    std::io::stdout()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = TcpStream::connect("203.0.113.8:443");
    tracing_subscriber::fmt().json().with_writer(writer).init();
    if std::env::args().len() == 1 {
        fnguard::trace_violations().unwrap();
    }
    for port in [1, 2] {
        let request_id = format!("id-{port}");
        handler(LambdaEvent { context: Context { request_id }, port }).await.unwrap();
    }
}
"#;

#[test]
fn violations_are_events_where_the_function_wants_them() {
    let dependencies = "secrecy = \"0.10\"\ntokio = { version = \"1\", features = [\"macros\", \"rt\"] }\n\
         tracing-subscriber = { version = \"0.3\", default-features = false, features = [\"fmt\", \"json\"] }";
    let fixture = Fixture::new("2024", dependencies);
    fixture.write("src/main.rs", TRACED);
    fixture
        .write("guard.toml", "version = 1\n[arm]\ndebug = \"enforce\"\n[secrets]\nenv = [\"STRIPE_KEY\"]\n");
    let program = fixture.executable(&["build"]);
    let output = run(program.clone(), &[]);
    assert!(output.status.success(), "{output:?}");
    let lines = |bytes: &[u8]| -> Vec<Value> {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
            .collect()
    };
    let records = fnguard_attacks::record::in_log(&output.stderr);
    let record = |seq: &Value| records.iter().find(|record| record["seq"] == *seq);

    let events = lines(&output.stdout);
    for event in &events {
        assert_eq!((&event["target"], &event["level"]), (&json!("fnguard::violation"), &json!("ERROR")));
        // It says what its record says.
        let fields = &event["fields"];
        let record = record(&fields["seq"]).unwrap_or_else(|| panic!("{event} has no record"));
        for field in ["action", "control", "syscall", "address", "path", "rule", "phase"] {
            assert_eq!(fields[field], record[field], "{event}\n{record}");
        }
        assert_eq!(fields["request_id"], record["requestId"], "{event}\n{record}");
    }

    // The one before, which is emitted at once, then each invocation's with what the subscriber did on the
    // events of the round before: never what it does in the same round.
    let aims: Vec<&str> = events
        .iter()
        .map(|event| &event["fields"])
        .map(|fields| fields["address"].as_str().or(fields["path"].as_str()).unwrap())
        .collect();
    assert_eq!(
        aims,
        [
            "203.0.113.8:443",
            "203.0.113.10:4000",
            "203.0.113.9:1",
            "/[redacted:STRIPE_KEY]",
            "203.0.113.10:4001",
            "203.0.113.10:4002",
            "203.0.113.10:4003",
            "203.0.113.9:2",
        ]
    );
    assert_eq!(events[0]["fields"]["phase"], "init");
    assert_eq!(events[2]["fields"]["request_id"], "id-1");
    // They were written before the invocation was over.
    assert!(!records.iter().any(|record| record["fnguard"] == "late_output"), "{records:?}");

    // Who does not ask gets none, and the log is the same.
    let output = Command::new(program).arg("quiet").env_clear().env("STRIPE_KEY", KEY).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(
        fnguard_attacks::record::in_log(&output.stderr)
            .iter()
            .any(|record| record["address"] == "203.0.113.9:2")
    );
}
