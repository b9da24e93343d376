//! Real programs under `fnguard run`: interpreters, a shell with pipes, dynamic programs that are
//! allowed and those that are not, and the loader that would run any file.

mod stage;

use stage::{Stage, real_program, stderr, stdout, violations};

#[test]
fn python() {
    let stage = Stage::with_policy("version = 1\n[memory]\nexecutable = \"files\"\n");
    let python = real_program("python3");
    // Extension modules are loaded after the start.
    let code = "import ctypes, hashlib, json, subprocess, sys\n\
                print(json.dumps({'sum': 1 + 1}))\n\
                try:\n    subprocess.run(['/usr/bin/id'])\n\
                except PermissionError as error:\n    print('refused', error.errno)\n";
    let output = stage.run(["run", "--", &python, "-c", code]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "{\"sum\": 2}\nrefused 13\n");
    assert_eq!(violations(&output)[0]["control"], "exec");
}

#[test]
fn node() {
    let stage = Stage::with_policy("version = 1\n[memory]\nexecutable = \"any\"\n");
    let node = real_program("node");
    let code = "let n = 0; for (let i = 0; i < 1e6; i++) n += i; console.log(n);\
                const { spawnSync } = require('child_process');\
                console.log(spawnSync('/usr/bin/id').error.code);";
    let output = stage.run(["run", "--", &node, "-e", code]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "499999500000\nEACCES\n", "{}", stderr(&output));
}

/// Audit lets through what the policy speaks of, and no executable memory: what compiles while it runs
/// needs its key there too, as the help and the README say.
#[test]
fn node_in_audit() {
    let node = real_program("node");
    let stage = Stage::with_policy("version = 1\n[memory]\nexecutable = \"any\"\n");
    // A port that nobody listens on: refused by its kernel, and not by the guard.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let code =
        format!("require('net').connect({port}, '127.0.0.1').on('error', error => console.log(error.code))");
    let output = stage.run(["run", "--audit", "--", &node, "-e", &code]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "ECONNREFUSED\n", "{}", stderr(&output));
    assert_eq!(violations(&output)[0]["action"], "audited");

    let stage = Stage::with_policy("version = 1\n");
    let output = stage.run(["run", "--audit", "--", &node, "-e", "1"]);
    assert!(!output.status.success(), "{}", stderr(&output));
    let refused = violations(&output).into_iter().find(|one| one["control"] == "memory").unwrap();
    assert_eq!(refused["action"], "blocked");
    assert!(refused["hint"].as_str().unwrap().starts_with("[memory] executable = "), "{refused}");
}

fn allowing(programs: &[&str]) -> Stage {
    let list: Vec<String> = programs.iter().map(|name| format!("{:?}", real_program(name))).collect();
    Stage::with_policy(&format!("version = 1\n[exec]\nallow = [{}]\n", list.join(", ")))
}

#[test]
fn a_shell_with_pipes() {
    let stage = allowing(&["tr", "sort"]);
    let output = stage.run(["run", "--", "bash", "-c", "printf 'b\\na\\n' | sort | tr a-z A-Z"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output), "A\nB\n");
    assert_eq!(violations(&output).iter().filter(|one| one["control"] == "exec").count(), 0);
}

#[test]
fn only_the_allowed_programs_run() {
    let stage = allowing(&["id"]);
    let output = stage.run(["run", "--", "bash", "-c", "/usr/bin/id -u; /usr/bin/uname; echo $?"]);
    assert_eq!(stdout(&output), format!("{}\n126\n", nix::unistd::getuid()), "{}", stderr(&output));
    let refused: Vec<_> = violations(&output).into_iter().filter(|one| one["control"] == "exec").collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["program"], real_program("uname"));
    assert!(refused[0]["hint"].as_str().unwrap().contains("[exec] allow"), "{refused:?}");
}

/// Landlock must let the loader execute for the allowed program's sake; run by itself on another
/// file it gets nowhere. Nor on the allowed file, whose name would then be another.
#[test]
fn the_loader_runs_no_file() {
    let stage = allowing(&["id"]);
    let loader = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"]
        .into_iter()
        .find(|path| std::path::Path::new(path).exists())
        .unwrap();
    for target in ["id", "uname"] {
        let target = real_program(target);
        let output = stage.run(["run", "--", "bash", "-c", &format!("{loader} {target}; echo status $?")]);
        let text = stdout(&output);
        assert!(text == "status 126\n" || text == "status 137\n", "{text} {}", stderr(&output));
        assert!(violations(&output).iter().any(|one| one["control"] == "exec"), "{}", stderr(&output));
    }
}

#[test]
fn audit_lets_through_and_reports() {
    // The stage may lie below /tmp, which may be written by default.
    let stage = Stage::with_policy("version = 1\n[files]\nwrite = [\"/dev/shm\"]\n");
    let script = "/usr/bin/id -u; echo more > written";
    let output = stage.run(["run", "--audit", "--", "bash", "-c", script]);
    assert_eq!(stdout(&output), format!("{}\n", nix::unistd::getuid()), "{}", stderr(&output));
    assert_eq!(std::fs::read(stage.path.join("written")).unwrap(), b"more\n");
    let seen = violations(&output);
    for control in ["exec", "files"] {
        assert!(
            seen.iter().any(|one| one["control"] == control && one["action"] == "audited"),
            "{control}: {seen:?}"
        );
    }
    std::fs::remove_file(stage.path.join("written")).unwrap();
    let output = stage.run(["run", "--", "bash", "-c", script]);
    assert_eq!(stdout(&output), "");
    assert!(!stage.path.join("written").exists());
}
