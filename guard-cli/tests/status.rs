//! `fnguard run` stands in the program's place: its status and signal, its input, its place in a
//! pid namespace and in a terminal's job control. And fnguard's own failures, told apart from it.

mod stage;

use stage::{FNGUARD, Stage, others, records, stderr, stdout, with_input};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

const PLAIN: &str = "version = 1\n";

#[test]
fn exit_statuses_are_mirrored() {
    let stage = Stage::with_policy(PLAIN);
    for status in [0, 1, 42, 124, 125, 126, 127, 255] {
        let output = stage.shell(&format!("exit {status}"));
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
}

#[test]
fn signals_are_mirrored() {
    let stage = Stage::with_policy(PLAIN);
    for (name, number) in [
        ("TERM", libc::SIGTERM),
        ("KILL", libc::SIGKILL),
        ("SEGV", libc::SIGSEGV),
        ("ABRT", libc::SIGABRT),
        ("PIPE", libc::SIGPIPE),
        ("HUP", libc::SIGHUP),
        ("XFSZ", libc::SIGXFSZ),
        ("VTALRM", libc::SIGVTALRM),
        ("PROF", libc::SIGPROF),
    ] {
        let output = stage.shell(&format!("kill -{name} $$"));
        assert_eq!(output.status.signal(), Some(number), "{name}: {}", stderr(&output));
        let ended = records(&output).pop().unwrap();
        assert_eq!(ended["fnguard"], "ended");
        assert_eq!(ended["signal"], format!("SIG{name}"));
    }
}

/// A signal that is sent to fnguard reaches the program, which may handle it.
#[test]
fn signals_are_passed_on() {
    let stage = Stage::with_policy(PLAIN);
    let script = "trap 'echo handled; exit 7' TERM; echo ready; while :; do read line || wait; done";
    let mut child = stage
        .command(["run", "--", "/bin/sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "ready");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "handled");
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn standard_input_is_untouched() {
    let stage = Stage::with_policy(PLAIN);
    let mut bytes = vec![0; 1 << 20];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    let output = with_input(&mut stage.command(["run", "--", "cat"]), bytes.clone());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == bytes, "{} bytes came back of {}", output.stdout.len(), bytes.len());
}

/// A socket on 0 could also be written to, past the guard: its bytes come by a pipe, and all of them.
#[test]
fn standard_input_that_is_a_socket() {
    let stage = Stage::with_policy(PLAIN);
    let mut bytes = vec![0; 1 << 20];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let child = stage
        .command(["run", "--", "cat"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut ours, &sent));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(output.stdout == bytes, "{} bytes came back of {}", output.stdout.len(), bytes.len());
}

/// A pipe on 0 is carried as well. A pipeline ends when its reader has ended, whoever writes.
#[test]
fn an_endless_writer_ends_with_its_reader() {
    let stage = Stage::with_policy(PLAIN);
    let output = Command::new("bash")
        .args(["-c", "yes | \"$0\" run -- head -n 1; echo \"${PIPESTATUS[*]}\"", FNGUARD])
        .current_dir(&stage.path)
        .output()
        .unwrap();
    assert_eq!(stdout(&output), "y\n141 0\n", "{}", stderr(&output));
}

/// What a program finds ignored stays as fnguard's parent left it.
#[test]
fn a_broken_pipe_ends_the_program() {
    let stage = Stage::with_policy(PLAIN);
    let ignored = |output: &std::process::Output| {
        let line = stdout(output);
        let mask = u64::from_str_radix(line.trim().rsplit('\t').next().unwrap(), 16).unwrap();
        mask >> (libc::SIGPIPE - 1) & 1 == 1
    };
    let arguments = ["run", "--", "grep", "SigIgn", "/proc/self/status"];
    assert!(!ignored(&stage.run(arguments)));
    let shell = Command::new("sh")
        .args(["-c", "trap '' PIPE; exec \"$0\" \"$@\"", FNGUARD])
        .args(arguments)
        .current_dir(&stage.path)
        .output()
        .unwrap();
    assert!(ignored(&shell));
}

#[test]
fn own_failures_have_statuses_of_their_own() {
    let stage = Stage::with_policy(PLAIN);
    for (arguments, status, says) in [
        (&["run", "--", "no-such-program"] as &[&str], 127, "no such program in PATH"),
        (&["run", "--", "./no-such-program"], 127, "No such file"),
        (&["run", "--", "./guard.toml"], 126, "x bit"),
        (&["run", "--", "/"], 126, "x bit"),
        (&["run", "--policy", "absent.toml", "--", "true"], 125, "absent.toml"),
        (&["run"], 125, "PROGRAM"),
        (&["run", "--adit", "--", "true"], 125, "--audit"),
    ] {
        let output = stage.run(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}

/// A file with its x bit and nothing in it that the kernel could run.
#[test]
fn what_the_kernel_cannot_execute() {
    let stage = Stage::with_policy(PLAIN);
    let path = stage.write("data", "\0no program");
    std::os::unix::fs::chown(&path, None, None).unwrap();
    let mut permissions = path.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&path, permissions).unwrap();
    let output = stage.run(["run", "--", "./data"]);
    assert_eq!(output.status.code(), Some(126), "{}", stderr(&output));
    let said = others(&output);
    assert!(said.contains("data: cannot execute: ENOEXEC; it is neither"), "{}", stderr(&output));
    std::fs::write(&path, "#!/no/such/interpreter\n").unwrap();
    let output = stage.run(["run", "--", "./data"]);
    assert_eq!(output.status.code(), Some(127), "{}", stderr(&output));
    let said = others(&output);
    assert!(said.contains("data: cannot execute: ENOENT; the interpreter that"), "{}", stderr(&output));
}

#[test]
fn the_policy_is_looked_for_and_what_was_looked_for_is_said() {
    let stage = Stage::new();
    let output = stage.run(["run", "--", "/bin/true"]);
    assert_eq!(output.status.code(), Some(125));
    let text = stderr(&output);
    for part in ["--policy FILE: not given", "a note in", "guard.toml in", "version = 1", "fnguard init"] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    // What it shows as a policy is one.
    let minimal = text.split("a minimal one is\n\n").nth(1).unwrap();
    stage.write("guard.toml", minimal.trim_end());
    assert_eq!(stage.run(["run", "--", "/bin/true"]).status.code(), Some(0));
}

#[test]
fn a_wrong_policy_is_told_with_its_place() {
    let stage = Stage::with_policy("version = 1\n[network]\nalow = [\"api.stripe.com:443\"]\n");
    let output = stage.run(["run", "--", "/bin/true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("guard.toml:3:1: unknown key `alow`"), "{}", stderr(&output));
    for (text, says) in [
        ("version = 2\n", "guard.toml:1:11"),
        ("version = 1\n[network\n", "guard.toml:2:"),
        ("\u{feff}\0", "guard.toml:1:"),
    ] {
        let output = Stage::with_policy(text).run(["run", "--", "/bin/true"]);
        assert_eq!(output.status.code(), Some(125), "{text:?}");
        assert!(stderr(&output).contains(says), "{text:?}: {}", stderr(&output));
    }
}

/// What is no policy's file at all, and what to do then.
#[test]
fn a_policy_that_is_no_text_file() {
    let stage = Stage::with_policy(PLAIN);
    stage.write("binary.toml", b"version = 1\nmode = \"\xff\"\n");
    stage.write("wide.toml", b"\xff\xfev\0e\0");
    stage.write("long.toml", vec![b'#'; (1 << 20) + 1]);
    std::fs::create_dir(stage.path.join("folder")).unwrap();
    nix::unistd::mkfifo(&stage.path.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (policy, says) in [
        (
            "binary.toml",
            &["binary.toml:2:9: the policy is not UTF-8", "0xff", "save the file as UTF-8"] as &[&str],
        ),
        ("wide.toml", &["wide.toml:1:1:", "it is UTF-16"]),
        ("long.toml", &["longer than 1048576 bytes", "name a TOML file"]),
        ("folder", &["is a directory", "folder/guard.toml"]),
        ("absent.toml", &["No such file", "`fnguard init absent.toml`"]),
        ("pipe", &["is no regular file", "write the policy into one"]),
        ("/dev/zero", &["is no regular file"]),
    ] {
        for command in
            [&["run", "--policy", policy, "--", "/bin/true"] as &[&str], &["check", "--policy", policy]]
        {
            let output = stage.run(command);
            let status = if command[0] == "run" { 125 } else { 1 };
            assert_eq!(output.status.code(), Some(status), "{command:?}: {}", stderr(&output));
            for part in says {
                assert!(stderr(&output).contains(part), "{command:?}: no {part:?} in {}", stderr(&output));
            }
        }
    }
}

#[test]
fn a_required_secret_that_is_not_set_is_named() {
    let stage = Stage::with_policy("version = 1\n[secrets]\nenv = [\"ABSENT_KEY\"]\n");
    let output = stage.run(["run", "--", "/bin/true"]);
    assert_eq!(output.status.code(), Some(125));
    let refusal = records(&output).pop().unwrap();
    assert!(refusal.to_string().contains("ABSENT_KEY"), "{refusal}");

    // The page shows this very record.
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/violations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let shown = page.lines().find(|line| line.starts_with('{') && line.contains(r#""fnguard":"refusal""#));
    let shown = shown.unwrap().replace("STRIPE_KEY", "ABSENT_KEY");
    let mut shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    for field in ["timestamp", "seq"] {
        shown[field] = refusal[field].clone();
    }
    assert_eq!(refusal, shown);
}

/// Too few descriptors, wherever they run out, and a machine without /proc: the remedy names them.
#[test]
fn what_a_start_lacks_is_named_with_its_remedy() {
    let stage = Stage::with_policy(PLAIN);
    let shell = |program: &str, words: &[&str], script: &str| {
        let mut command = Command::new(program);
        command.args(words).args(["sh", "-c", script, FNGUARD]).current_dir(&stage.path);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let mut refused = 0;
    for limit in 6..40 {
        let script = format!("ulimit -n {limit}; exec \"$0\" run -- /bin/true");
        let output = shell("env", &[], &script);
        if output.status.success() {
            continue;
        }
        let text = stderr(&output);
        if output.status.code() != Some(125) {
            // Just enough to arm, and one too few for a call: that is refused, with a record.
            assert!(text.contains("\"violation\"") && text.contains("EMFILE"), "{limit}: {text}");
            continue;
        }
        assert!(text.contains("ulimit -n"), "{limit}: {text}");
        refused += 1;
    }
    assert!(refused > 3, "{refused}");
    let output = shell(
        "unshare",
        &["--user", "--map-root-user", "--mount"],
        "mount -t tmpfs none /proc && exec \"$0\" run -- /bin/true",
    );
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    let refusal = records(&output).pop().unwrap();
    assert!(refusal["remedy"].as_str().unwrap().contains("mount /proc"), "{refusal}");
    assert!(refusal["found"].as_str().unwrap().contains("ENOENT"), "{refusal}");
}

/// A clean end says nothing; whatever was told of before is summed up.
#[test]
fn a_clean_end_has_no_record() {
    let stage = Stage::with_policy(PLAIN);
    let ended = |script: &str| {
        let output = stage.shell(script);
        records(&output).into_iter().find(|record| record["fnguard"] == "ended")
    };
    assert_eq!(ended("exit 0"), None);
    let after_a_violation = ended("echo x > /etc/fnguard-absent; exit 0").unwrap();
    assert_eq!(after_a_violation["level"], "INFO");
    assert_eq!(after_a_violation["exit"], 0);
    assert_eq!(ended("exit 3").unwrap()["level"], "WARN");
}

/// As the first process of a pid namespace: no signal can end it, so it exits with 128 + n, and
/// every orphan is its child.
#[test]
fn as_pid_1() {
    let stage = Stage::with_policy("version = 1\n[exec]\nfork = true\n");
    let inside = |script: &str| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--pid", "--fork", "--mount-proc", FNGUARD])
            .args(["run", "--", "/bin/sh", "-c", script])
            .current_dir(&stage.path)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    for (name, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11)] {
        let output = inside(&format!("kill -{name} $$"));
        assert_eq!(output.status.code(), Some(128 + number), "{name}: {}", stderr(&output));
    }
    assert_eq!(inside("exit 9").status.code(), Some(9));
    // The orphan's parent ends first; its own end is awaited by its entry in /proc, which a zombie
    // keeps.
    let output = inside(
        "orphan=$( ( ( : ) & echo $! ) ); \
         n=0; while [ -e /proc/$orphan ] && [ $n -lt 100000 ]; do n=$((n+1)); done; \
         [ -e /proc/$orphan ] && echo left || echo reaped",
    );
    assert_eq!(stdout(&output), "reaped\n", "{}", stderr(&output));
}

/// ^Z stops the whole job, `fg` goes on with it, and the terminal stays usable.
#[test]
fn job_control() {
    let stage = Stage::with_policy(PLAIN);
    let script = stage.write("session.py", include_str!("session.py"));
    let output = Command::new("python3")
        .arg(&script)
        .arg(FNGUARD)
        .current_dir(&stage.path)
        .env("TERM", "dumb")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{}", stdout(&output), stderr(&output));
}
