//! The ambush's function as cargo-lambda builds it and runs it: with zig's linker, optimised, stripped,
//! and with `panic = "abort"`. From the zip as the platform starts it, armed by its attribute; from the
//! same zip after `fnguard package`, armed by the launcher; and below `cargo lambda watch`. In each an
//! honest order is done, the hostile dependency is stopped and recorded, and a panic shows no key.

use crate::platform::{
    FORBIDDEN, Function, KEY, Log, PATIENCE, PLATFORM, Start, fresh, scratch, signal_group,
};
use ambush_platform::charges::Charges;
use ambush_platform::resolver::Asked;
use fnguard_attacks::sink::Tcp;
use serde_json::{Value, json};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

fnguard_attacks::tests! { "cargo_lambda":
    unguarded_everything_succeeds, a_zip_is_armed_by_its_attribute, a_packaged_zip_is_armed_by_the_launcher,
    a_packaged_zip_on_standard_lambda, watched_and_invoked,
}

/// From PyPI, where they are the same programs as elsewhere. The versions that these tests were written
/// with.
const PACKAGES: [&str; 2] = ["cargo-lambda==1.9.2", "ziglang==0.17.1"];

/// What these tests need in their namespaces: a resolver, and a place for receipts that is theirs.
pub const SCRIPT: &str = "\
    file=$(mktemp) && echo 'nameserver 198.51.100.53' > $file && chmod 644 $file\n\
    mount --bind $file /etc/resolv.conf && rm $file\n\
    mkdir -p /tmp/receipts && mount -t tmpfs -o mode=1777 receipts /tmp/receipts";

/// Other secrets that the function's policy names.
const SECRETS: [(&str, &str); 3] = [
    ("DB_PASSWORD", "dbpw_live_k3Jh6Gf9Ds2Aq5We8Rt1Yu4I"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYzT4qL0sV8dNe"),
    ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEKz9Rf3Tg6Yh1Uj8Ik5Ol2Pq"),
];

/// Where everything is built, and stays for the next time.
fn built() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

fn zip(name: &str) -> PathBuf {
    built().join("cargo-lambda-zips").join(name).join("ambush-function/bootstrap.zip")
}

fn packaged() -> PathBuf {
    zip("guarded").with_file_name("bootstrap-guarded.zip")
}

fn degrading() -> PathBuf {
    zip("guarded").with_file_name("bootstrap-degrading.zip")
}

/// Builds what needs the machine's network and files: before the namespaces.
pub fn prepare() {
    let tools = cargo_lambda();
    for (name, features) in [("plain", &[] as &[&str]), ("guarded", &["--features", "guarded"])] {
        let directory = built().join("cargo-lambda-zips").join(name);
        let mut build = cargo_lambda_command(&tools, &["build"]);
        build
            .args(["--locked", "--release", "--output-format", "zip", "--package", "ambush-function"])
            // It would ask rustup, and this machine's own target is always there.
            .arg("--skip-target-check")
            .args(features)
            .arg("--lambda-dir")
            .arg(directory)
            .env("CARGO_TARGET_DIR", built().join("cargo-lambda-target"));
        succeeds(&mut build);
    }
    // The launcher as it is deployed, static, and the command beside it.
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let target = built().join("static-launcher");
    succeeds(
        cargo()
            .args(["build", "--locked", "--package", "fnguard-launcher", "--package", "fnguard-cli"])
            .args(["--target", &triple, "--target-dir"])
            .arg(&target)
            .env("RUSTFLAGS", "-C target-feature=+crt-static"),
    );
    let commands = target.join(triple).join("debug");
    let package = |zip: PathBuf, policy: Option<&Path>, output: PathBuf| {
        let mut command = Command::new(commands.join("fnguard"));
        command.arg("package").arg(zip).arg("--output").arg(output);
        command.arg("--launcher").arg(commands.join("fnguard-launcher"));
        if let Some(policy) = policy {
            command.arg("--policy").arg(policy);
        }
        as_a_user(&mut command);
        succeeds(&mut command);
    };
    package(zip("guarded"), None, packaged());
    // The same with another policy than the one in its binary.
    let policy = built().join("degrading.toml");
    let guard = include_str!("../../../../examples/ambush/function/guard.toml");
    std::fs::write(&policy, format!("{guard}\n[arm]\non_unsupported = \"degrade\"\n")).expect("a policy");
    package(zip("guarded"), Some(&policy), degrading());
    // What `cargo lambda watch` will find built.
    succeeds(
        cargo()
            .args(["build", "--locked", "--release", "--package", "ambush-function", "--features", "guarded"])
            .env("CARGO_TARGET_DIR", own_target()),
    );
}

/// The target directory that this test was built in: the ambush is built there as well.
fn own_target() -> &'static Path {
    built().parent().expect("it is below target/")
}

/// cargo as a user calls it, in the function's directory.
fn cargo() -> Command {
    let mut command = Command::new(env!("CARGO"));
    as_a_user(&mut command);
    command
}

fn as_a_user(command: &mut Command) {
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/ambush/function"));
    for (name, _) in std::env::vars_os() {
        // What cargo sets for this test would be taken for the function's.
        let name = name.to_string_lossy().into_owned();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start)) {
            command.env_remove(name);
        }
    }
    // A wrapper that caches would be put before zig as well, which it does not know.
    command.env_remove("RUSTFLAGS").env_remove("RUSTC_WRAPPER").stdin(Stdio::null());
}

/// A Python environment with cargo-lambda and zig, made the first time.
fn cargo_lambda() -> PathBuf {
    let directory = built().join("cargo-lambda");
    let complete = directory.join("complete");
    let wanted = PACKAGES.join("\n");
    if std::fs::read_to_string(&complete).is_ok_and(|found| found == wanted) {
        return directory;
    }
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&directory));
    succeeds(
        Command::new(directory.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(PACKAGES),
    );
    std::fs::write(complete, wanted).expect("the environment can be marked");
    directory
}

/// `cargo lambda …`: its own programs, and cargo's, come first in the path.
fn cargo_lambda_command(tools: &Path, arguments: &[&str]) -> Command {
    let cargo = Path::new(env!("CARGO")).parent().expect("cargo lies in a directory");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        [tools.join("bin"), cargo.to_owned()].into_iter().chain(std::env::split_paths(&path)),
    );
    let mut command = Command::new(tools.join("bin/cargo-lambda"));
    command
        .arg("lambda")
        .args(arguments)
        .env("PATH", path.expect("a path"))
        // Linker scripts and zig's own cache.
        .env("XDG_CACHE_HOME", built().join("cargo-lambda-cache"));
    as_a_user(&mut command);
    command
}

#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// What stands around the function: the payment host and the resolver.
struct World {
    charges: Charges,
    _resolver: Asked,
    /// A file with the certificate of the host's authority.
    authority: PathBuf,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let charges = Charges::start(KEY).expect("a payment host");
        let authority = scratch().join("authority.pem");
        std::fs::write(&authority, &charges.authority).expect("a file");
        World { charges, _resolver: Asked::start(None).expect("a resolver"), authority }
    })
}

/// Unpacks a zip as the platform does; the path of its program.
fn unpacked(zip: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let task = scratch().join(fresh("task"));
    succeeds(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(zip).arg(&task));
    for entry in std::fs::read_dir(&task).expect("the task") {
        let path = entry.expect("an entry").path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    task.join("bootstrap")
}

fn start(zip: &Path) -> Start {
    around(Start::of(&[unpacked(zip)]))
}

/// With the function's own variables.
fn around(start: Start) -> Start {
    let start = start.variable("SSL_CERT_FILE", &world().authority);
    SECRETS.iter().fold(start, |start, (name, value)| start.variable(name, value))
}

/// An order, and what the dependency is told in it.
struct Order {
    id: String,
    event: Value,
}

fn order(instructions: &Value) -> Order {
    let id = fresh(&format!("order-{}", std::process::id()));
    let note = match instructions {
        Value::Null => String::new(),
        told => format!("please ring twice ~~ambush:{told}"),
    };
    Order { event: json!({ "id": id, "amount": 1250, "note": note }), id }
}

/// The order was done: charged once, kept, and answered so.
#[track_caller]
fn is_done(order: &Order, receipt: &Value) {
    let charges = world().charges.of(&order.id);
    assert_eq!(charges.len(), 1, "{receipt}");
    assert_eq!((charges[0].amount, &receipt["charge"]), (1250, &json!(charges[0].id)), "{receipt}");
    let kept = std::fs::read_to_string(format!("/tmp/receipts/{}", order.id)).expect("a receipt");
    assert_eq!(kept, charges[0].id);
}

/// What the dependency tries in one order: to connect, to start a program, to print the key.
struct Attempts {
    sink: Tcp,
    proof: PathBuf,
    told: Value,
}

fn attempts() -> Attempts {
    let (sink, proof) = (Tcp::on(FORBIDDEN), scratch().join(fresh("proof")));
    let told = json!([
        { "attempt": "tcp", "nonce": fresh("nonce"), "to": sink.address.to_string() },
        { "attempt": "sh-c", "nonce": fresh("nonce"), "proof": proof },
        { "attempt": "print-raw", "nonce": fresh("nonce") },
        { "attempt": "env-getenv", "nonce": fresh("nonce") },
    ]);
    Attempts { sink, proof, told }
}

fn panic_with_the_key() -> Order {
    order(&json!([{ "attempt": "panic-key", "nonce": fresh("nonce") }]))
}

fn has_key(text: &str) -> bool {
    text.contains(KEY) || SECRETS.iter().any(|(_, value)| text.contains(value))
}

/// The same function without the guard: every attempt succeeds, or the tests below would show nothing.
fn unguarded_everything_succeeds() {
    let function = start(&zip("plain")).serving();
    let (attempts, first) = (attempts(), fresh("request"));
    let order = order(&attempts.told);
    is_done(&order, &function.response(&first, &order.event));
    assert_eq!(attempts.sink.connections(), 1);
    assert!(attempts.proof.exists());
    assert!(function.stdout.text().contains(KEY), "{}", function.text());
    function.send("last", &panic_with_the_key().event);
    let outcome = function.ended();
    assert_eq!(outcome.signal, Some(libc::SIGABRT), "{}", outcome.text());
    assert!(String::from_utf8_lossy(&outcome.stderr).contains(KEY), "{}", outcome.text());
}

/// Whichever way it was armed.
#[track_caller]
fn holds(function: Function, armed_by: &str) {
    let posture = function.posture();
    assert_eq!((&posture["armed_by"], &posture["mode"]), (&armed_by.into(), &"enforce".into()), "{posture}");
    for control in ["environment", "network", "exec", "files", "exec_memory", "syscalls", "logs"] {
        assert_eq!(posture["controls"][control], "held", "{control}: {posture}");
    }
    // Honest work.
    let honest = order(&Value::Null);
    is_done(&honest, &function.response("honest", &honest.event));
    assert!(function.stderr.records("violation").is_empty(), "{}", function.text());
    // The dependency, within an order that is done nevertheless.
    let attempts = attempts();
    let hostile = order(&attempts.told);
    is_done(&hostile, &function.response("hostile", &hostile.event));
    assert_eq!(attempts.sink.connections(), 0, "{}", function.text());
    assert!(!attempts.proof.exists(), "{}", function.text());
    let records = function.stderr.records("violation");
    for (control, target) in [("network", attempts.sink.address.to_string()), ("exec", String::new())] {
        let found: Vec<&Value> = records
            .iter()
            .filter(|record| record["control"] == control && record.to_string().contains(&target))
            .collect();
        assert_eq!(found.len(), 1, "{control}\n{}", function.text());
        assert_eq!((&found[0]["action"], &found[0]["requestId"]), (&"blocked".into(), &"hostile".into()));
    }
    assert!(function.stdout.text().contains("the key is [redacted:STRIPE_KEY]"), "{}", function.text());
    // A panic that can't unwind: no handler's wrapper sees it.
    function.send("last", &panic_with_the_key().event);
    let outcome = function.ended();
    assert_eq!(outcome.signal, Some(libc::SIGABRT), "{}", outcome.text());
    let ended = outcome.records("ended");
    assert_eq!((ended.len(), &ended[0]["signal"]), (1, &"SIGABRT".into()), "{}", outcome.text());
    let (out, err) = (String::from_utf8_lossy(&outcome.stdout), String::from_utf8_lossy(&outcome.stderr));
    assert!(err.contains("panicked at") && err.contains("[redacted:STRIPE_KEY]"), "{}", outcome.text());
    assert!(!has_key(&out) && !has_key(&err), "{}", outcome.text());
}

fn a_zip_is_armed_by_its_attribute() {
    holds(start(&zip("guarded")).serving(), "attribute");
}

/// The packaged function where the platform refuses what holds it: it does not start, by the same word
/// as without a package.
fn a_packaged_zip_on_standard_lambda() {
    let bootstrap = unpacked(&packaged());
    let outcome = around(Start::of(&[Path::new(PLATFORM), &bootstrap])).start().ended();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert_eq!(outcome.records("refusal")[0]["code"], "unsupported", "{}", outcome.text());

    // With a policy that says so, it starts with less, and says so.
    let function = around(Start::of(&[Path::new(PLATFORM), &unpacked(&degrading())])).serving();
    let posture = function.posture();
    assert_eq!(
        (&posture["armed_by"], &posture["mechanism"]),
        (&"launcher".into(), &"none".into()),
        "{posture}"
    );
    let honest = order(&Value::Null);
    is_done(&honest, &function.response("honest", &honest.event));
    let told = json!([{ "attempt": "print-raw", "nonce": fresh("nonce") }]);
    let hostile = order(&told);
    is_done(&hostile, &function.response("hostile", &hostile.event));
    assert!(function.stdout.text().contains("the key is [redacted:STRIPE_KEY]"), "{}", function.text());
    function.send("last", &panic_with_the_key().event);
    let outcome = function.ended();
    assert_eq!(outcome.signal, Some(libc::SIGABRT), "{}", outcome.text());
    assert!(!has_key(&outcome.text()) && outcome.shows(b"[redacted:STRIPE_KEY]"), "{}", outcome.text());
}

fn a_packaged_zip_is_armed_by_the_launcher() {
    holds(start(&packaged()).serving(), "launcher");
}

/// `cargo lambda watch`, in its own process group.
struct Watch {
    child: std::process::Child,
    stdout: Log,
    stderr: Log,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The function is in a group of its own, and ends when it loses its runtime API.
        signal_group(self.child.id() as i32, libc::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The port that cargo-lambda listens on; the namespace is these tests' own.
const PORT: &str = "9000";

fn watch(tools: &Path) -> Watch {
    let (out, stdout) = std::io::pipe().expect("a pipe");
    let (err, stderr) = std::io::pipe().expect("a pipe");
    let mut command = cargo_lambda_command(tools, &["watch"]);
    command
        .args(["--ignore-changes", "--invoke-address", "127.0.0.1", "--invoke-port", PORT])
        .args(["--release", "--features", "guarded"])
        .env("CARGO_TARGET_DIR", own_target())
        .env("CARGO_NET_OFFLINE", "true")
        .env("SSL_CERT_FILE", &world().authority)
        .env("STRIPE_KEY", KEY)
        .envs(SECRETS)
        .stdout(stdout)
        .stderr(stderr)
        .process_group(0);
    let child = command.spawn().expect("cargo-lambda starts");
    Watch { child, stdout: Log::read(out), stderr: Log::read(err) }
}

/// `cargo lambda invoke`: whether it succeeded, and what it printed.
fn invoke(tools: &Path, event: &Value) -> (bool, String) {
    let mut command = cargo_lambda_command(tools, &["invoke", "ambush-function"]);
    command.args(["--invoke-address", "127.0.0.1", "--invoke-port", PORT, "--data-ascii"]);
    let output = command.arg(event.to_string()).output().expect("cargo-lambda starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
}

/// On a developer's machine: the emulator's runtime API has a scheme and a path, and the function is
/// started by cargo.
fn watched_and_invoked() {
    let tools = cargo_lambda();
    let watch = watch(&tools);
    let text = || format!("--- stdout\n{}\n--- stderr\n{}", watch.stdout.text(), watch.stderr.text());
    let done = |order: &Order| {
        let (ok, said) = invoke(&tools, &order.event);
        assert!(ok, "{said}\n{}", text());
        is_done(order, &serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}\n{}", text())));
    };
    // It says so before it listens; nothing tells when it does.
    watch.stdout.find(|said| said.contains("starting Runtime server").then_some(()));
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(format!("127.0.0.1:{PORT}")).is_err() {
        assert!(Instant::now() < deadline, "it does not listen\n{}", text());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    done(&order(&Value::Null));
    let posture = watch.stderr.await_record(|record| record["fnguard"] == "posture");
    assert_eq!(
        (&posture["armed_by"], &posture["mode"]),
        (&"attribute".into(), &"enforce".into()),
        "{posture}"
    );

    let attempts = attempts();
    done(&order(&attempts.told));
    assert_eq!(attempts.sink.connections(), 0, "{}", text());
    assert!(!attempts.proof.exists(), "{}", text());
    for control in ["network", "exec"] {
        let found = watch
            .stderr
            .await_record(|record| record["fnguard"] == "violation" && record["control"] == control);
        assert!(found["requestId"].is_string(), "{found}");
    }
    watch.stdout.find(|said| said.contains("the key is [redacted:STRIPE_KEY]").then_some(()));

    // This build unwinds: the runtime answers with the panic's text.
    let (_, said) = invoke(&tools, &panic_with_the_key().event);
    assert!(said.contains("[redacted:STRIPE_KEY]") && !has_key(&said), "{said}\n{}", text());
    done(&order(&Value::Null));
    assert!(!has_key(&text()), "{}", text());
}
