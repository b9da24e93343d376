//! The commands that look and explain: check, explain, syscalls, schema, init, doctor.

mod stage;

use serde_json::Value;
use stage::{Stage, stderr, stdout};
use std::process::Stdio;

const POLICY: &str = r#"version = 1
[network]
allow = ["api.stripe.com:443", "10.0.0.0/16:5432", "udp/10.0.0.2:53", "unix:/run/app.sock"]
listen = ["127.0.0.1:8080"]
[exec]
allow = ["/usr/bin/id"]
[files]
write = ["/tmp"]
"#;

/// What is asked, the exit status, and what the answer contains.
#[test]
fn explain() {
    let stage = Stage::with_policy(POLICY);
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["connect", "api.stripe.com:443"], 0, &["allowed", "\"api.stripe.com:443\"", "guard.toml"]),
        (&["connect", "api.stripe.com:80"], 1, &["denied", "[network] allow += \"api.stripe.com:80\""]),
        (&["connect", "evil.example:443"], 1, &["denied", "can't resolve evil.example"]),
        (&["connect", "10.0.3.4:5432"], 0, &["allowed", "10.0.0.0/16:5432"]),
        (&["connect", "[::ffff:10.0.3.4]:5432"], 0, &["allowed"]),
        (&["connect", "169.254.169.254:80"], 1, &["denied", "169.254.169.254:80"]),
        (&["connect", "udp/10.0.0.2:53"], 0, &["allowed"]),
        (&["connect", "10.0.0.2:53"], 1, &["denied"]),
        (&["connect", "unix:/run/app.sock"], 0, &["allowed"]),
        (&["connect", "unix:@app"], 1, &["denied", "unix:@app"]),
        (&["listen", "127.0.0.1:8080"], 0, &["allowed"]),
        (&["listen", "0.0.0.0:8080"], 1, &["[network] listen += \"0.0.0.0:8080\""]),
        (&["exec", "/usr/bin/id"], 0, &["allowed"]),
        (&["exec", "/bin/id"], 0, &["allowed", "decided as /usr/bin/id"]),
        (&["exec", "id"], 0, &["found as /usr/bin/id"]),
        (&["exec", "/bin/sh"], 1, &["denied"]),
        (&["write", "/tmp/a/b"], 0, &["allowed", "\"/tmp\""]),
        (&["write", "/tmp/../etc/passwd"], 1, &["decided as /etc/passwd"]),
        (&["read", "/etc/passwd"], 0, &["is not set"]),
        (&["lookup", "api.stripe.com"], 0, &["allowed"]),
        (&["lookup", "evil.example"], 1, &["denied"]),
        (&["syscall", "read", "0"], 0, &["allowed"]),
        (&["syscall", "socket", "2", "1", "0"], 0, &["allowed: the kernel runs it"]),
        (&["syscall", "socket", "40", "1", "0"], 1, &["denied: the arbiter refuses it"]),
        (&["syscall", "clone3"], 1, &["denied", "errno 38"]),
        (&["syscall", "connect"], 0, &["mediated", "[network] allow", "explain connect HOST:PORT"]),
        (&["syscall", "openat2"], 0, &["mediated", "[files] write"]),
        (&["syscall", "execve"], 0, &["mediated", "[exec] allow"]),
        (&["syscall", "ptrace"], 1, &["denied: the arbiter refuses it"]),
        (&["syscall", "bpf"], 1, &["denied"]),
        (&["syscall", "mount"], 1, &["denied"]),
        (&["syscall", "ioctl", "1", "0x5412"], 1, &["denied", "--tty"]),
    ];
    for (asked, status, parts) in cases {
        let output = stage.run(["explain"].iter().chain(*asked));
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(*status), "{asked:?}: {text}{}", stderr(&output));
        for part in *parts {
            assert!(text.contains(part), "{asked:?}: {part:?} is missing in {text}");
        }
        assert!(!text.contains('\u{1b}'), "colour without a terminal: {text:?}");
    }
}

/// The line that explain offers, put into the policy, allows what was asked.
#[test]
fn what_explain_offers_allows_it() {
    for (asked, section, key) in [
        (["connect", "api.stripe.com:80"], "network", "allow"),
        (["connect", "[2001:db8::1]:443"], "network", "allow"),
        (["listen", "[::1]:9000"], "network", "listen"),
        (["exec", "/bin/cat"], "exec", "allow"),
        (["write", "/var/log/app.log"], "files", "write"),
    ] {
        let stage = Stage::with_policy("version = 1\n");
        let text = stdout(&stage.run(["explain"].iter().chain(&asked)));
        let offered = text.split("to allow it: ").nth(1).unwrap().lines().next().unwrap();
        let rule = offered.strip_prefix(&format!("[{section}] {key} += ")).unwrap();
        stage.write("guard.toml", format!("version = 1\n[{section}]\n{key} = [{rule}]\n"));
        let output = stage.run(["explain"].iter().chain(&asked));
        assert_eq!(output.status.code(), Some(0), "{asked:?}: {}{}", stdout(&output), stderr(&output));
    }
}

#[test]
fn explain_says_what_it_does_not_understand() {
    let stage = Stage::with_policy(POLICY);
    for (asked, says) in [
        (&["connect", "api.stripe.com"] as &[&str], "such as api.stripe.com:443"),
        (&["connect", ""], "the peer is empty; expected name:port, such as api.stripe.com:443"),
        (&["connect", "a b"], "such as api.stripe.com:443"),
        (&["connect", "2001:db8::1:443"], "brackets"),
        (&["connect", "https://api.stripe.com:443"], "is no peer"),
        (&["listen", "localhost:80"], "listens on an address"),
        (&["connect", "unix:"], "the path is empty"),
        (&["syscall", "reed"], "no system call"),
        (&["syscall", "read", "x"], "no 64-bit number"),
        (&["dance"], "unrecognized"),
    ] {
        let output = stage.run(["explain"].iter().chain(asked));
        assert_eq!(output.status.code(), Some(2), "{asked:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{asked:?}: {}", stderr(&output));
    }
    let output = Stage::new().run(["explain", "exec", "/bin/id"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("fnguard init"), "{}", stderr(&output));
    let output = Stage::with_policy("version = 2\n").run(["explain", "exec", "/bin/id"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn check_a_policy() {
    let stage = Stage::with_policy(POLICY);
    let output = stage.run(["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("guard.toml: the policy holds\n"), "{}", stdout(&output));

    stage.write(
        "wide.toml",
        "version = 1\n[network]\nallow = [\"api.github.com:443\", \"*:443\"]\nallow_any = true\n",
    );
    let output = stage.run(["check", "--policy", "wide.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let text = stdout(&output);
    assert!(text.contains("wide.toml:3:") && text.contains("warning"), "{text}");
    assert!(text.contains("*:443") && text.contains("allows everything"), "{text}");

    stage.write("guard.toml", "version = 1\nmood = \"enforce\"\n[exec]\nallow = [\"id\"]\n");
    let output = stage.run(["check"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.contains("guard.toml:2:1: unknown key `mood`"), "{text}");
    assert!(text.contains("guard.toml:4:") && text.contains("2 errors"), "{text}");

    let output = Stage::new().run(["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("there is no guard.toml here"), "{}", stderr(&output));
}

#[test]
fn check_a_binary_without_a_note() {
    let stage = Stage::new();
    let output = stage.run(["check", "/bin/true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("none in its note"), "{}", stdout(&output));
    assert!(!stdout(&output).contains("the guard's"), "it has none: {}", stdout(&output));
    stage.write("script", "#!/bin/sh\n");
    let output = stage.run(["check", "script"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no 64-bit ELF"), "{}", stderr(&output));
}

#[test]
fn the_schema_takes_the_template() {
    let stage = Stage::new();
    let schema: Value = serde_json::from_slice(&stage.run(["schema"]).stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&serde_json::json!({"version": 1, "mode": "audit"})));
    assert!(!validator.is_valid(&serde_json::json!({"version": 1, "mood": "audit"})));
    let published = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guard.schema.json");
    assert_eq!(stdout(&stage.run(["schema"])), std::fs::read_to_string(published).unwrap());
}

#[test]
fn init_writes_once() {
    let stage = Stage::new();
    assert_eq!(stage.run(["init"]).status.code(), Some(0));
    let text = std::fs::read_to_string(stage.path.join("guard.toml")).unwrap();
    assert_eq!(stage.run(["check"]).status.code(), Some(0));
    stage.write("guard.toml", "mine");
    let output = stage.run(["init"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("exists and is left as it is"), "{}", stderr(&output));
    assert!(stderr(&output).contains("`fnguard check --policy guard.toml` reads it"), "{}", stderr(&output));
    assert_eq!(std::fs::read(stage.path.join("guard.toml")).unwrap(), b"mine");
    // Nor through a link.
    std::os::unix::fs::symlink("target.toml", stage.path.join("link.toml")).unwrap();
    assert_eq!(stage.run(["init", "link.toml"]).status.code(), Some(1));
    assert!(!stage.path.join("target.toml").exists());
    assert_eq!(stage.run(["init", "other.toml"]).status.code(), Some(0));
    assert_eq!(std::fs::read_to_string(stage.path.join("other.toml")).unwrap(), text);
}

#[test]
fn syscalls_lists_both_architectures() {
    let stage = Stage::with_policy(POLICY);
    let x86 = stdout(&stage.run(["syscalls", "--arch", "x86_64"]));
    let arm = stdout(&stage.run(["syscalls", "--arch", "aarch64"]));
    let number = |text: &str, name: &str| -> Option<u32> {
        let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    assert_eq!(number(&x86, "read"), Some(0));
    assert_eq!(number(&arm, "read"), Some(63));
    assert_eq!(number(&arm, "open"), None);
    assert!(stage.run(["syscalls", "--policy", "guard.toml"]).status.success());
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/syscalls.md");
    assert_eq!(stdout(&stage.run(["syscalls", "--markdown"])), std::fs::read_to_string(page).unwrap());
}

/// A reader that leaves early is no failure.
#[test]
fn a_reader_that_leaves() {
    let stage = Stage::new();
    let mut child =
        stage.command(["syscalls"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn help_shows_examples() {
    let stage = Stage::new();
    for command in ["run", "package", "check", "explain"] {
        let output = stage.run([command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("Examples:"), "{command}: {}", stdout(&output));
    }
    for arguments in [&["--help"] as &[&str], &["--version"]] {
        assert_eq!(stage.run(arguments).status.code(), Some(0));
    }
    assert_eq!(stage.run::<&str>([]).status.code(), Some(2));
}

#[test]
fn doctor_reports_what_arming_finds() {
    let stage = Stage::with_policy("version = 1\n");
    let output = stage.run(["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let probes = report["probes"].as_array().unwrap();
    assert!(probes.len() >= 13);
    for probe in probes {
        assert!(["ok", "refused", "killed"].contains(&probe["result"].as_str().unwrap()), "{probe}");
    }
    // What the doctor says is what a real start finds.
    let started = stage.run(["run", "--", "/bin/true"]);
    let holds = report["mechanism"] == "seccomp";
    assert_eq!(started.status.code(), Some(if holds { 0 } else { 125 }), "{report} {}", stderr(&started));
    assert_eq!(output.status.code(), Some(i32::from(!holds)));
    assert!(stdout(&stage.run(["doctor"])).contains("notification"));
}

/// Under a guard that lets the doctor start, another listener can't be installed: the probe must
/// say so, and must not hang or end the doctor.
#[test]
fn doctor_under_a_guard() {
    let own = std::fs::canonicalize(stage::FNGUARD).unwrap();
    let stage = Stage::with_policy(&format!(
        "version = 1\n[exec]\nallow = [{:?}]\n[files]\nwrite = [\"/var/tmp\"]\n",
        own.to_str().unwrap()
    ));
    let output = stage.run(["run", "--", stage::FNGUARD, "doctor", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", stdout(&output), stderr(&output)));
    assert_eq!(report["mechanism"], "none", "{report}");
    let listener = report["probes"].as_array().unwrap().iter().find(|one| one["name"] == "seccomp_listener");
    assert_eq!(listener.unwrap()["result"], "refused", "{report}");
    assert_eq!(output.status.code(), Some(1));
}
