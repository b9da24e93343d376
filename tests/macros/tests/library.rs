//! A library with guarded handlers, and what links it: a program is armed once, by the one policy; an integration
//! test is not armed; and what is not armed in release handles no event of a platform's, whatever
//! a dependency has done to the environment by then.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

mod fixture;

use fixture::shown::{posture, records, refusal, run, said};
use fixture::{Fixture, one};
use object::Object as _;
use std::path::{Path, PathBuf};
use std::process::Output;

const COLLECT: &str = "-Clink-arg=-Wl,--gc-sections";

const ON_A_PLATFORM: &[(&str, &str)] = &[("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9")];

const LIBRARY: &str = r#"
pub const MOST: u32 = 100;

#[fnguard::guarded]
pub async fn place(amount: u32) -> Result<u32, String> {
    if amount > MOST { Err("too much".to_owned()) } else { Ok(amount) }
}

#[fnguard::guarded]
pub async fn cancel() -> Result<(), String> {
    Ok(())
}
"#;

const CALLS: &str = r#"
fn main() {
    std::hint::black_box((orders::place(1), orders::cancel()));
    println!("armed: {}", fnguard::is_armed());
}
"#;

const LINKS: &str = r#"
fn main() {
    println!("most: {}", orders::MOST);
    println!("armed: {}", fnguard::is_armed());
}
"#;

/// A test as everybody writes them.
const USUAL_TEST: &str = r#"
#[test]
fn not_armed() {
    std::hint::black_box(orders::place(1));
    eprintln!("armed: {}", fnguard::is_armed());
}
"#;

const POLICY: &str = "version = 1\n[arm]\ndebug = \"enforce\"\n[network]\nallow = [\"api.stripe.com:443\"]\n";

fn orders() -> Fixture {
    let fixture = Fixture::new("2024", "");
    fixture.write("src/lib.rs", LIBRARY);
    fixture.write("src/bin/calls.rs", CALLS);
    fixture.write("src/bin/links.rs", LINKS);
    fixture.write("tests/usual.rs", USUAL_TEST);
    // And one with a harness of its own.
    fixture.write("tests/own.rs", CALLS);
    fixture.write("guard.toml", POLICY);
    let manifest = std::fs::read_to_string(fixture.directory.join("Cargo.toml")).unwrap();
    fixture.write("Cargo.toml", &format!("{manifest}[[test]]\nname = \"own\"\nharness = false\n"));
    fixture
}

/// Both handlers register one policy; what links the library is armed once by it, whether it calls them
/// or not.
fn armed_once(fixture: &Fixture, kind: &[&str]) {
    for name in ["calls", "links"] {
        let mut arguments = vec!["rustc"];
        arguments.extend(kind);
        arguments.extend(["--", COLLECT]);
        let program = one(fixture, name, &arguments);
        let output = run(&program, &[], &[]);
        assert!(output.status.success(), "{output:?}");
        let posture = posture(&output);
        assert_eq!(
            (&posture["armed_by"], &posture["mechanism"], &posture["mode"]),
            (&"attribute".into(), &"seccomp".into(), &"enforce".into()),
            "{posture}"
        );
        let hash = fixture::notes(&std::fs::read(&program).unwrap()).remove(0).hash_hex();
        assert_eq!(posture["policy_hash"], hash.as_str());
        assert_eq!(said(&output, "armed"), "true");
    }
}

/// Cargo builds the crate's programs along with a test of it, in any order.
fn named(built: Vec<(String, PathBuf)>, name: &str) -> PathBuf {
    built.into_iter().find(|(built, _)| built == name).unwrap().1
}

fn is_stripped(program: &Path) -> bool {
    object::File::parse(&*std::fs::read(program).unwrap()).unwrap().symbols().next().is_none()
}

/// An integration test links the library with its policies and does not arm, stripped or not.
fn a_test_does_not_arm(fixture: &Fixture, kind: &[&str], stripped: bool) {
    let mut arguments = kind.to_vec();
    arguments.splice(1..1, ["--test", "usual"]);
    let test = named(fixture.executables(&arguments), "usual");
    assert_eq!(is_stripped(&test), stripped, "{kind:?}");
    assert_eq!(fixture::notes(&std::fs::read(&test).unwrap()).len(), 2, "the policies are linked");
    // A platform's variable makes no program of a test.
    for environment in [&[][..], ON_A_PLATFORM] {
        let output = run(&test, &["--nocapture"], environment);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("armed: false"), "{output:?}");
        assert!(records(&output, "posture").is_empty(), "{output:?}");
    }
}

/// One with a harness of its own is told from no program, and arms (docs/limits.md).
fn a_test_with_its_own_harness_arms(fixture: &Fixture) {
    let built = fixture.executables(&["test", "--no-run", "--test", "own"]);
    let output = run(&named(built, "own"), &[], &[]);
    assert_eq!((said(&output, "armed"), &posture(&output)["mode"]), ("true".into(), &"enforce".into()));
}

#[test]
fn a_library_arms_what_links_it_and_no_test_of_it() {
    let fixture = orders();
    armed_once(&fixture, &[]);
    a_test_does_not_arm(&fixture, &["test", "--no-run"], false);
    a_test_with_its_own_harness_arms(&fixture);
}

#[test]
fn in_release_as_well() {
    let fixture = orders();
    // The fixture's profile is fat LTO, one codegen unit, stripped.
    armed_once(&fixture, &["--release"]);
    a_test_does_not_arm(&fixture, &["test", "--no-run", "--release"], true);
    a_test_does_not_arm(&fixture, &["rustc", "--release", "--", "-Cstrip=none"], false);
}

// A dependency that wants the guard to be off.

/// It takes the platform's variable away before main, and brings along what marks a test binary.
const DEPENDENCY: &str = r#"
use std::ffi::{c_char, c_int};

unsafe extern "C" {
    fn unsetenv(name: *const c_char) -> c_int;
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = constructor;
extern "C" fn constructor() {
    unsafe { unsetenv(c"AWS_LAMBDA_RUNTIME_API".as_ptr()) };
}

pub static MARK: &str = "/library/test/src/";
"#;

/// A program whose main is guarded as well as its handler.
const PROGRAM: &str = r#"
#[fnguard::guarded]
fn handle(event: u32) -> Result<u32, String> {
    Ok(event)
}

#[fnguard::guarded]
fn main() {
    std::hint::black_box(ships::MARK);
    println!("armed: {}", fnguard::is_armed());
    println!("variable: {}", std::env::var("AWS_LAMBDA_RUNTIME_API").is_ok());
    println!("handled: {:?}", handle(7));
}
"#;

/// The program in release, by a policy for release builds.
fn in_release(fixture: &Fixture, release: &str) -> PathBuf {
    fixture.write("guard.toml", &format!("version = 1\n[arm]\nrelease = \"{release}\"\n"));
    one(fixture, "program", &["build", "--release"])
}

/// It went on to its end, armed or not, and handled the event. The dependency's constructor has run.
#[track_caller]
fn handles(output: &Output, armed: bool) {
    assert!(output.status.success(), "{output:?}");
    assert_eq!((said(output, "armed"), said(output, "handled")), (armed.to_string(), "Ok(7)".into()));
    assert_eq!(said(output, "variable"), "false", "{output:?}");
    assert_eq!(records(output, "posture").len(), usize::from(armed), "{output:?}");
}

#[test]
fn a_dependency_switches_nothing_off() {
    let fixture = Fixture::new("2024", "ships = { path = \"ships\" }");
    fixture
        .write("ships/Cargo.toml", "[package]\nname = \"ships\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
    fixture.write("ships/src/lib.rs", DEPENDENCY);
    fixture.write("src/bin/program.rs", PROGRAM);

    // Not armed, as its policy has it: where no platform has started it, a program like any other.
    let program = in_release(&fixture, "never");
    handles(&run(&program, &[], &[]), false);
    let output = run(&program, &[], ON_A_PLATFORM);
    assert_eq!((said(&output, "armed"), said(&output, "variable")), ("false".into(), "false".into()));
    let handled = said(&output, "handled");
    assert!(handled.starts_with("Err(") && handled.contains("this process is not armed, so"), "{handled}");

    let program = in_release(&fixture, "always");
    handles(&run(&program, &[], &[]), true);
    handles(&run(&program, &[], ON_A_PLATFORM), true);
    // Put where cargo's tests lie it passes for one and does not arm. Its main does not begin then.
    let deps = fixture.directory.join("deps");
    std::fs::create_dir(&deps).unwrap();
    let among_tests = deps.join("program");
    std::fs::copy(&program, &among_tests).unwrap();
    for environment in [&[][..], ON_A_PLATFORM] {
        let refused = refusal(&run(&among_tests, &[], environment));
        assert_eq!(refused["code"], "not_armed", "{refused}");
        assert!(refused["message"].as_str().unwrap().starts_with("program::main is guarded"), "{refused}");
    }
}
