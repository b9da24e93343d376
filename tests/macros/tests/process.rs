//! The attribute's road with real processes: crates of an ordinary user, built as a user builds them. What
//! they do is judged by how they end, what reached the platform's stdout and stderr, and what the
//! outside sees of them.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.
#![allow(unsafe_code)] // Sockets under numbers that the test chooses.

mod fixture;

use fixture::shown::{posture, records, refusal, run, said};
use fixture::{one, programs};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

// Programs with policies of their own.

const TWO: &str = r#"
#[fnguard::guarded(policy = inline "version = 1\nmode = \"audit\"")]
async fn first() {}
mod inner {
    #[fnguard::guarded(policy = inline "version = 1")]
    pub async fn second() {}
}
fn main() {
    std::hint::black_box((first(), inner::second()));
}
"#;

/// A program that says whether it is armed, with `#[guarded]` on its main, and `ATTRIBUTES` around it.
fn main_under(attributes: &str, policy: &str) -> String {
    let attributes =
        attributes.replace("GUARDED", &format!("#[fnguard::guarded(policy = inline {policy:?})]"));
    let asynchronous = if attributes.contains("tokio") { "async " } else { "" };
    format!(
        "{attributes}\n{asynchronous}fn main() {{\n    println!(\"armed: {{}}\", fnguard::is_armed());\n    \
         println!(\"resolver: {{}}\", std::env::var(\"RES_OPTIONS\").unwrap_or_default());\n    \
         println!(\"connect: {{:?}}\", std::net::TcpStream::connect(std::env::args().nth(1).unwrap()).map_err(|e| e.kind()).map(drop));\n}}\n"
    )
}

#[test]
fn programs_arm_as_their_policies_say() {
    let tokio = "tokio = { version = \"1\", features = [\"macros\", \"rt\"] }";
    let flavor = "#[tokio::main(flavor = \"current_thread\")]";
    let sources = [
        ("two", TWO.to_owned()),
        ("default", main_under("GUARDED", "version = 1")),
        ("off", main_under("GUARDED", "version = 1\n[arm]\ndebug = \"off\"")),
        ("enforce", main_under("GUARDED", "version = 1\n[arm]\ndebug = \"enforce\"")),
        ("above", main_under(&format!("GUARDED\n{flavor}"), "version = 1\n[arm]\ndebug = \"enforce\"")),
        ("below", main_under(&format!("{flavor}\nGUARDED"), "version = 1\n[arm]\ndebug = \"enforce\"")),
        (
            "secret",
            main_under(
                "GUARDED",
                "version = 1\n[arm]\ndebug = \"enforce\"\n[secrets]\nenv = [\"TOKEN\", \"DB_*\"]",
            ),
        ),
    ];
    let sources: Vec<(&str, &str)> = sources.iter().map(|(name, source)| (*name, source.as_str())).collect();
    let fixture = programs(tokio, &sources);
    let built: Vec<(String, PathBuf)> = fixture.executables(&["build", "--bins"]);
    let program = |name: &str| built.iter().find(|(built, _)| built == name).unwrap().1.as_path();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();

    let two = refusal(&run(program("two"), &[], &[]));
    assert_eq!(two["code"], "two_policies", "{two}");
    let message = two["message"].as_str().unwrap();
    for place in ["two::first (src/bin/two.rs:2)", "two::inner::second (src/bin/two.rs:5)"] {
        assert!(message.contains(place), "{place}: {message}");
    }

    // A debug build arms in audit, so that a laptop stays pleasant: it lets through, and says so.
    let output = run(program("default"), &[&address], &[]);
    assert_eq!(
        (posture(&output)["mode"].as_str(), said(&output, "connect")),
        (Some("audit"), "Ok(())".into())
    );
    let violations = records(&output, "violation");
    assert_eq!(violations.len(), 1, "{output:?}");
    assert_eq!(
        (&violations[0]["action"], &violations[0]["address"]),
        (&"audited".into(), &address.as_str().into())
    );
    listener.accept().unwrap();

    let output = run(program("off"), &[&address], &[]);
    assert_eq!((said(&output, "armed"), said(&output, "connect")), ("false".into(), "Ok(())".into()));
    assert!(output.stderr.is_empty(), "{output:?}");
    listener.accept().unwrap();

    listener.set_nonblocking(true).unwrap();
    for name in ["enforce", "above", "below"] {
        let output = run(program(name), &[&address], &[]);
        assert_eq!(posture(&output)["mode"], "enforce");
        assert_eq!(said(&output, "armed"), "true", "{name}");
        assert_eq!(said(&output, "connect"), "Err(PermissionDenied)", "{name}");
        assert_eq!(records(&output, "violation").len(), 1, "{output:?}");
        assert!(listener.accept().is_err(), "{name}: nobody came");
    }

    // Its environment has no say in it: neither the launcher's variable, nor one of the platform's.
    for (name, value) in [("FNGUARD_LINK", "7"), ("FNGUARD_LINK", "0"), ("AWS_LAMBDA_RUNTIME_API", "")] {
        let output = run(program("enforce"), &[&address], &[(name, value)]);
        assert_eq!(said(&output, "armed"), "true", "{name}={value}");
        assert_eq!(posture(&output)["armed_by"], "attribute", "{name}={value}");
    }
    links_that_nobody_answers(program("enforce"), &address);
    assert!(listener.accept().is_err(), "nobody came");

    // The platform's options for the resolver stay, and asking over TCP comes to them, whether a captured variable
    // has left room for one or not.
    let token = ("TOKEN", "a-token-of-the-function");
    let given = ("RES_OPTIONS", "timeout:1");
    for (name, environment, options) in [
        ("enforce", vec![], "use-vc"),
        ("enforce", vec![given], "timeout:1 use-vc"),
        ("secret", vec![token], "use-vc"),
        ("secret", vec![token, given], "timeout:1 use-vc"),
    ] {
        let output = run(program(name), &[&address], &environment);
        assert_eq!(said(&output, "resolver").trim(), options, "{name} {environment:?}");
    }

    let missing =
        refusal(&run(program("secret"), &[&address], &[("DB_PASSWORD", "a-password-of-the-database")]));
    assert_eq!(missing["code"], "secret_not_set", "{missing}");
    assert!(missing["message"].as_str().unwrap().contains("TOKEN"), "{missing}");
    // A glob is captured where it matches, and asks for nothing where it does not.
    let secrets = |environment: &[(&str, &str)]| {
        posture(&run(program("secret"), &[&address], environment))["secrets"].clone()
    };
    assert_eq!(secrets(&[("TOKEN", "a-token-of-the-function")]), serde_json::json!(["TOKEN"]));
    let both =
        secrets(&[("TOKEN", "a-token-of-the-function"), ("DB_PASSWORD", "a-password-of-the-database")]);
    assert_eq!(both, serde_json::json!(["DB_PASSWORD", "TOKEN"]));
}

/// Sockets that the parent, this process, made and handed down under the launcher's variable: one that
/// nobody reads, one whose other end is gone, one that carries a stream.
fn links_that_nobody_answers(program: &Path, address: &str) {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::os::unix::process::CommandExt;
    for (kind, answer) in [
        (libc::SOCK_SEQPACKET, Some(&b"\x05nonsense"[..])),
        (libc::SOCK_SEQPACKET, None),
        (libc::SOCK_STREAM, Some(&b"\x00"[..])),
    ] {
        let mut pair = [0i32; 2];
        // SAFETY: two descriptors are made, which are owned from here on.
        let (ours, theirs) = unsafe {
            assert_eq!(libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()), 0);
            (OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1]))
        };
        if let Some(bytes) = answer {
            // SAFETY: the bytes are alive.
            let sent = unsafe { libc::send(ours.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), 0) };
            assert_eq!(sent, bytes.len() as isize);
        }
        let ours = answer.map(|_| ours);
        let number = theirs.as_raw_fd();
        let mut command = Command::new(program);
        command.arg(address).env_clear().env("FNGUARD_LINK", "19").stdin(Stdio::null());
        // SAFETY: dup2(2) only, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                if libc::dup2(number, 19) == 19 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let output = command.output().unwrap();
        assert_eq!(posture(&output)["armed_by"], "attribute", "{output:?}");
        assert_eq!(said(&output, "armed"), "true");
        if let (Some(ours), libc::SOCK_STREAM) = (&ours, kind) {
            let mut byte = 0u8;
            // SAFETY: one byte of our own.
            let left = unsafe { libc::recv(ours.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT) };
            assert!(left <= 0, "a stream of somebody else's was written to");
        }
    }
}

// Below the launcher.

const ADOPTS: &str = r#"
#[fnguard::guarded(policy = inline "version = 1\n[arm]\ndebug = \"enforce\"\n[secrets]\nenv = [\"TOKEN\"]")]
fn main() {
    println!("pid: {}", std::process::id());
    println!("armed: {}", fnguard::is_armed());
    println!("environment: {}", std::env::var("TOKEN").is_ok());
    println!("asked: {}", fnguard::secret("TOKEN").is_ok());
    println!("connect: {:?}", std::net::TcpStream::connect(std::env::args().nth(1).unwrap()).map_err(|e| e.kind()).map(drop));
}
"#;

/// `fnguard run` arms by the note in the program; its attribute finds the arbiter there, and makes no second.
#[test]
fn below_the_launcher_a_program_adopts() {
    let fixture = programs("", &[("adopts", ADOPTS)]);
    let program = one(&fixture, "adopts", &["build"]);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.toml");
    let command = ["build", "--manifest-path", workspace.to_str().unwrap(), "--package", "fnguard-cli"];
    let fnguard = fixture.executable(&command);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();

    let alone = run(&program, &[&address], &[("TOKEN", TOKEN)]);
    let below = run(&fnguard, &["run", "--", program.to_str().unwrap(), &address], &[("TOKEN", TOKEN)]);
    for (output, armed_by) in [(&alone, "attribute"), (&below, "launcher")] {
        assert!(output.status.success(), "{output:?}");
        let posture = posture(output);
        assert_eq!((&posture["armed_by"], &posture["mode"]), (&armed_by.into(), &"enforce".into()));
        // One arbiter, and this very process is what it holds.
        assert_eq!(said(output, "pid"), posture["pid"].to_string(), "{posture}");
        for (step, expected) in [
            ("armed", "true"),
            ("environment", "false"),
            ("asked", "true"),
            ("connect", "Err(PermissionDenied)"),
        ] {
            assert_eq!(said(output, step), expected, "{armed_by} {step}: {output:?}");
        }
        assert_eq!(records(output, "violation").len(), 1, "{output:?}");
    }
    assert_eq!(posture(&alone)["policy_hash"], posture(&below)["policy_hash"]);
    assert!(listener.accept().is_err(), "nobody came");
}

// One hostile program, unguarded first.

const HOSTILE: &str = r##"
use std::ffi::c_int;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

unsafe extern "C" {
    fn pthread_atfork(prepare: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) -> c_int;
}

/// Where the handlers of fork(3) leave their trace: a directory, which mkdir(2) makes without a heap.
static TRACE: AtomicBool = AtomicBool::new(false);
extern "C" fn trace() {
    TRACE.store(true, Ordering::SeqCst);
    unsafe { libc::write(2, b"a handler ran\n".as_ptr().cast(), 14) };
}

/// An entry of the program's own before the guard's: foreign code that runs first.
#[used]
#[unsafe(link_section = ".preinit_array")]
static FIRST: extern "C" fn() = first;
extern "C" fn first() {
    unsafe { pthread_atfork(trace, trace, trace) };
}

/// A constructor that is linked in, as early as a priority can be.
#[used]
#[unsafe(link_section = ".init_array.00000")]
static EARLY: extern "C" fn(c_int, *const *const i8, *const *const i8) = early;
static SAW: AtomicBool = AtomicBool::new(false);
extern "C" fn early(_: c_int, _: *const *const i8, mut environment: *const *const i8) {
    unsafe {
        while !(*environment).is_null() {
            let entry = std::ffi::CStr::from_ptr((*environment).cast()).to_bytes();
            if entry.starts_with(b"TOKEN=") {
                SAW.store(true, Ordering::SeqCst);
            }
            // The platform's name for its runtime API is taken away before main.
            environment = environment.add(1);
        }
        libc::unsetenv(c"AWS_LAMBDA_RUNTIME_API".as_ptr());
    }
}

fn opens(path: &str) -> String {
    match std::fs::OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC).open(path) {
        Ok(_) => "opened".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[fnguard::guarded(policy = inline POLICY)]
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["state"] => {
            println!("armed: {}", fnguard::is_armed());
            println!("saw: {}", SAW.load(Ordering::SeqCst));
            println!("handlers: {}", TRACE.load(Ordering::SeqCst));
            println!("connect: {:?}", std::net::TcpStream::connect("127.0.0.1:9").map(drop).map_err(|e| e.kind()));
        }
        ["fork"] => unsafe {
            if libc::fork() == 0 {
                libc::_exit(0);
            }
            println!("handlers: {}", TRACE.load(Ordering::SeqCst));
        },
        ["abort"] => unsafe { libc::abort() },
        ["raise"] => unsafe {
            libc::raise(libc::SIGTERM);
        },
        ["kill-thread"] => unsafe {
            libc::pthread_kill(libc::pthread_self(), libc::SIGTERM);
        },
        ["execute", program] => {
            let status = std::process::Command::new(program).status();
            println!("execute: {:?}", status.map(|status| status.code()).map_err(|error| error.kind()));
        }
        ["own-code"] => {
            let path = std::fs::read_link("/proc/self/exe").unwrap();
            println!("path: {}", opens(path.to_str().unwrap()));
            println!("exe: {}", opens("/proc/self/exe"));
            println!("root: {}", opens(&format!("/proc/self/root{}", path.display())));
            println!("other: {}", opens("/etc/passwd"));
        }
        other => panic!("{other:?}"),
    }
}
"##;

const TOKEN: &str = "s3cr3t-Value-of-the-function-7f1c";
const SECRETS: [(&str, &str); 3] = [
    ("TOKEN", TOKEN),
    ("DB_PASSWORD", "correct-horse-battery-staple-91"),
    ("API_KEY", "sk_live_9f8Qe7Rt6Yu5Io4Pa3Sd"),
];

fn hostile(debug: &str) -> String {
    let allowed = std::fs::canonicalize("/bin/true").unwrap();
    let policy = format!(
        "version = 1\n[arm]\ndebug = \"{debug}\"\n[secrets]\nenv = [\"TOKEN\", \"DB_*\", \"API_KEY\"]\n\
         [exec]\nallow = [{allowed:?}]\n[files]\nwrite = [\"/var/tmp\"]\nown_code = \"deny\"\n"
    );
    HOSTILE.replace("POLICY", &format!("{policy:?}"))
}

/// What a guarded process ends with is what its platform sees, and the arbiter lives to write it.
#[track_caller]
fn ended_by(program: &Path, technique: &str, signal: i32, name: &str) {
    let output = run(program, &[technique], &SECRETS);
    assert_eq!(output.status.signal(), Some(signal), "{technique}: {output:?}");
    let ended = records(&output, "ended");
    assert_eq!(ended.len(), 1, "{technique}: {output:?}");
    assert_eq!(ended[0]["signal"], name, "{technique}: {output:?}");
}

fn withstands(program: &Path, is_static: bool) {
    // libc's own idea of the thread's id is the child's: these reach the function alone.
    ended_by(program, "abort", libc::SIGABRT, "SIGABRT");
    ended_by(program, "raise", libc::SIGTERM, "SIGTERM");
    ended_by(program, "kill-thread", libc::SIGTERM, "SIGTERM");
    let output = run(program, &["state"], &SECRETS);
    assert_eq!(posture(&output)["armed_by"], "attribute");
    assert_eq!((said(&output, "armed"), said(&output, "saw")), ("true".into(), "false".into()), "{output:?}");
    // No handler of fork(3) ran in either process.
    assert_eq!(said(&output, "handlers"), "false", "is_static {is_static}: {output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a handler ran"), "{output:?}");
    assert_eq!(said(&output, "connect"), "Err(PermissionDenied)");
}

#[test]
fn a_hostile_program_is_held() {
    let libc = "libc = \"0.2\"";
    let fixture = programs(libc, &[("hostile", &hostile("off"))]);
    // Unguarded, everything it tries succeeds.
    let program = one(&fixture, "hostile", &["build"]);
    assert_eq!(run(&program, &["abort"], &SECRETS).status.signal(), Some(libc::SIGABRT));
    let output = run(&program, &["state"], &SECRETS);
    assert_eq!((said(&output, "armed"), said(&output, "saw")), ("false".into(), "true".into()));
    assert_eq!(said(&output, "connect"), "Err(ConnectionRefused)");
    let output = run(&program, &["fork"], &SECRETS);
    assert_eq!(said(&output, "handlers"), "true");
    assert!(String::from_utf8_lossy(&output.stderr).contains("a handler ran"), "{output:?}");
    for program_to_run in ["/bin/true", "/bin/false"] {
        assert!(
            said(&run(&program, &["execute", program_to_run], &SECRETS), "execute").starts_with("Ok(Some(")
        );
    }
    let output = run(&program, &["own-code"], &SECRETS);
    for step in ["path", "exe", "root", "other"] {
        assert_eq!(said(&output, step), "opened");
    }

    fixture.write("src/bin/hostile.rs", &hostile("enforce"));
    let program = one(&fixture, "hostile", &["rustc", "--", "-Cdebuginfo=0"]);
    withstands(&program, false);
    let allowed = std::fs::canonicalize("/bin/true").unwrap();
    let denied = std::fs::canonicalize("/bin/false").unwrap();
    let output = run(&program, &["execute", allowed.to_str().unwrap()], &SECRETS);
    assert_eq!(said(&output, "execute"), "Ok(Some(0))", "{output:?}");
    assert!(records(&output, "violation").is_empty(), "{output:?}");
    let output = run(&program, &["execute", denied.to_str().unwrap()], &SECRETS);
    assert_eq!(said(&output, "execute"), "Err(PermissionDenied)", "{output:?}");
    let violations = records(&output, "violation");
    assert_eq!((violations.len(), &violations[0]["control"]), (1, &"exec".into()), "{output:?}");
    let output = run(&program, &["own-code"], &SECRETS);
    assert_eq!(posture(&output)["controls"]["own_code"], "held");
    for step in ["path", "exe", "root"] {
        assert_eq!(said(&output, step), "PermissionDenied", "{step}");
    }
    assert_eq!(said(&output, "other"), "opened");
    assert!(records(&output, "violation").iter().all(|record| record["control"] == "files"), "{output:?}");
    assert!(!records(&output, "violation").is_empty(), "{output:?}");

    // The same as a static program of glibc.
    let program = one(&fixture, "hostile", &["rustc", "--", "-Ctarget-feature=+crt-static"]);
    withstands(&program, true);
}
