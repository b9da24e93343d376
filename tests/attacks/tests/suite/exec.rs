//! Starting programs and processes.

use crate::attack::{
    FORBIDDEN, GUARDED, Guard, NET, VICTIM, c_program, fresh, loses, rounds, scratch, text, until_both,
    until_it_wins, victim,
};
use fnguard_attacks::program::{Policy, Program};
use fnguard_attacks::sink::Tcp;
use std::time::Duration;

fnguard_attacks::tests! { "exec":
    execve, spellings, by_spawn, memory_file, loader, loader_exchanged, path_exchanged, script, preload,
    fork_without_exec, clone_by_structure, clone_by_flags, exec_keeps_the_guard, exec_from_another_thread,
}

const SHELL: &str = "/bin/sh";
/// Programs may be started, this one only.
const TRUE: &str = "[exec]\nallow = [\"/usr/bin/true\"]\n";

fn writing(file: &std::path::Path) -> String {
    format!("echo lived > {}", text(file))
}

/// The victim becomes a shell that leaves a trace.
fn execve() {
    let file = fresh("trace");
    let attack = victim(["execve", SHELL, "-c", &writing(&file)]);
    attack.run();
    assert!(file.exists(), "unguarded the shell runs");
    std::fs::remove_file(&file).expect("it is there");
    let guarded = attack.under_guard(NET);
    assert!(!file.exists());
    guarded.only_record("exec", "execve", "/usr/bin/dash");
    assert_eq!(guarded.said("execve"), -13);
}

/// A program under other names than the one the policy has.
fn spellings() {
    let file = fresh("trace");
    let link = fresh("link");
    std::os::unix::fs::symlink("/usr/bin/dash", &link).expect("a link");
    let own = format!("/proc/self/root{SHELL}");
    for path in ["//bin//sh", "/bin/../bin/sh", "/usr/./bin/dash", &own, text(&link)] {
        let attack = victim(["execve", path, "-c", &writing(&file)]);
        attack.run();
        assert!(file.exists(), "{path}");
        std::fs::remove_file(&file).expect("it is there");
        let guarded = attack.under_guard(TRUE);
        assert!(!file.exists(), "{path}");
        assert_eq!(guarded.violations("exec", "execve", "").len(), 1, "{path}\n{}", guarded.text());
    }
    // A copy under an allowed name's folder is another program, a link to an allowed one is it.
    let link = fresh("true");
    std::os::unix::fs::symlink("/usr/bin/true", &link).expect("a link");
    let outcome = victim(["execve", text(&link)]).guard(TRUE).run();
    assert_eq!(outcome.status, Some(0), "{}", outcome.text());
}

/// posix_spawn: the child is refused before it is made; where programs are allowed, the program is.
fn by_spawn() {
    let file = fresh("trace");
    let attack = victim(["spawn", SHELL, "-c", &writing(&file)]);
    attack.plain();
    assert!(file.exists());
    std::fs::remove_file(&file).expect("it is there");
    let guarded = attack.under_guard(NET);
    assert!(!file.exists());
    guarded.only_record("exec", "*", "exec.fork");
    let guarded = attack.under_guard(TRUE);
    assert!(!file.exists());
    guarded.only_record("exec", "execve", "/usr/bin/dash");
    let allowed = victim(["spawn", "/usr/bin/true"]).under_guard(TRUE);
    assert_eq!((allowed.said("spawn"), allowed.said("status")), (0, 0), "{}", allowed.text());
    allowed.no_record();
}

/// A program that is in memory only.
fn memory_file() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    for (technique, call) in [("exec-memfd", "execveat"), ("exec-memfd-path", "execve")] {
        let attack = victim([technique, VICTIM, "connect", &to]);
        attack.plain();
        assert_eq!(sink.connections(), 1, "{technique}");
        for policy in [NET, TRUE] {
            let guarded = attack.under_guard(policy);
            assert_eq!(sink.connections(), 0, "{technique}");
            assert!(guarded.said(call) < 0, "{}", guarded.text());
            guarded.only_record("exec", call, "");
        }
    }
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The loader would run any file.
fn loader() {
    let file = fresh("trace");
    let attack = victim(["spawn", LOADER, "/usr/bin/dash", "-c", &writing(&file)]);
    attack.plain();
    assert!(file.exists());
    std::fs::remove_file(&file).expect("it is there");
    let guarded = attack.under_guard(TRUE);
    assert!(!file.exists());
    guarded.only_record("exec", "execve", "ld-linux");
    // A policy that names it is refused before anything starts.
    let policy = format!("[exec]\nallow = [\"{LOADER}\"]\n");
    let outcome = attack.guard(&policy).run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(!file.exists());
}

/// The path is exchanged for the loader's, which Landlock has to let execute: the kernel takes it, and the
/// arbiter ends the process before the program that it loads has run. Against a naive guard this wins.
fn loader_exchanged() {
    let file = fresh("trace");
    let write = format!("echo lived >> {}", text(&file));
    let exchanged = |rounds: &str| {
        victim(["exec-flip", "/usr/bin/true", LOADER, rounds, "/usr/bin/dash", "-c", &write])
            .limit(Duration::from_secs(1800))
    };
    let attack = exchanged(&rounds().to_string());
    assert!(until_it_wins(&attack, |_| file.exists()));
    std::fs::remove_file(&file).expect("it is there");
    // The race is won as far as the exec, again and again: who is killed ran the loader.
    let guarded = until_both(
        || attack.under_guard(TRUE),
        |guarded| assert!(!file.exists(), "{}", guarded.text()),
        |guarded| (1..guarded.said("started")).contains(&guarded.said("killed")),
    );
    let killed = guarded.said("killed");
    let record = guarded.one_record("exec", "mmap", "killed before it ran");
    assert!(record["program"].to_string().contains("ld-linux"), "{record}");
    let others = guarded.records("suppressed").into_iter().filter(|record| record["syscall"] == "mmap");
    let others: i64 = others.filter_map(|record| record["count"].as_i64()).sum();
    assert_eq!(1 + others, killed, "each is told of\n{}", guarded.text());

    loses(&exchanged(&rounds().to_string()), "exec", "/usr/bin/true", |_| file.exists());
}

/// The path is exchanged between the look and the exec; against a naive guard this wins.
fn path_exchanged() {
    let file = fresh("trace");
    let write = format!("echo lived >> {}", text(&file));
    let count = rounds().to_string();
    let attack = victim(["exec-flip", "/usr/bin/true", "/usr/bin/dash", &count, "-c", &write])
        .limit(Duration::from_secs(1800));
    assert!(until_it_wins(&attack, |_| file.exists()));
    std::fs::remove_file(&file).expect("it is there");
    until_both(
        || attack.under_guard(TRUE),
        |guarded| assert!(!file.exists(), "{}", guarded.text()),
        |guarded| guarded.said("started") > 0 && guarded.said("refused") > 0,
    );

    loses(&attack, "exec", "/usr/bin/true", |_| file.exists());
}

/// A script starts its interpreter, which is a program to be named.
fn script() {
    use std::os::unix::fs::PermissionsExt;
    let (script, folder) = (fresh("script"), fresh("traces"));
    std::fs::create_dir(&folder).expect("a directory");
    let file = folder.join("trace");
    let write = format!("[files]\nwrite = [\"{}\"]\n", text(&folder));
    std::fs::write(&script, format!("#!/bin/sh\n{}\n", writing(&file))).expect("a script");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let attack = victim(["spawn", text(&script)]);
    attack.plain();
    assert!(file.exists());
    std::fs::remove_file(&file).expect("it is there");
    let guarded = attack.under_guard(&format!("[exec]\nallow = [\"{}\"]\n{write}", text(&script)));
    assert!(!file.exists(), "{}", guarded.text());
    let named = format!("[exec]\nallow = [\"{}\", \"/usr/bin/dash\"]\n{write}", text(&script));
    let allowed = attack.under_guard(&named);
    assert!(file.exists(), "{}", allowed.text());
}

/// A library of the attacker's in an allowed program: one that lies where the function may write is not
/// mapped; another is, as the function's own would be, and does what the policy lets the function do.
fn preload() {
    let sink = Tcp::on(FORBIDDEN);
    let (written, installed) = (fresh("written"), fresh("installed"));
    for folder in [&written, &installed] {
        std::fs::create_dir(folder).expect("a directory");
    }
    let file = written.join("trace");
    let source = format!(
        "#include <arpa/inet.h>\n#include <fcntl.h>\n#include <sys/socket.h>\n#include <unistd.h>\n\
         __attribute__((constructor)) static void run(void) {{\n\
         struct sockaddr_in a = {{.sin_family = AF_INET, .sin_port = htons({})}};\n\
         inet_aton(\"{FORBIDDEN}\", &a.sin_addr);\n\
         connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof a);\n\
         close(open(\"{}\", O_CREAT | O_WRONLY, 0600)); }}\n",
        sink.address.port(),
        text(&file)
    );
    let library = c_program(&source, &["-shared", "-fPIC"]);
    let policy = format!("{TRUE}[files]\nwrite = [\"{}\"]\n", text(&written));
    for (folder, is_loaded) in [(&written, false), (&installed, true)] {
        let place = folder.join("library.so");
        std::fs::copy(&library, &place).expect("a copy");
        let attack = victim(["spawn-with", &format!("LD_PRELOAD={}", text(&place)), "/usr/bin/true"]);
        attack.plain();
        assert!(file.exists());
        std::fs::remove_file(&file).expect("it is there");
        assert_eq!(sink.connections(), 1, "unguarded it reaches whom it wants");
        let guarded = attack.under_guard(&policy);
        assert_eq!(sink.connections(), 0, "{}", guarded.text());
        assert_eq!(file.exists(), is_loaded, "{}", guarded.text());
        if is_loaded {
            guarded.only_record("network", "connect", &sink.address.to_string());
            std::fs::remove_file(&file).expect("it is there");
        } else {
            guarded.only_record("memory", "mmap", "protection 0x5");
        }
    }
}

fn fork_without_exec() {
    let file = fresh("trace");
    for (technique, call) in [("fork", "fork"), ("clone", "clone")] {
        let attack = victim([technique, text(&file)]);
        attack.plain();
        assert!(file.exists());
        std::fs::remove_file(&file).expect("it is there");
        let guarded = attack.under_guard(NET);
        assert!(!file.exists());
        guarded.only_record("exec", call, "exec.fork");
    }
    let allowed = victim(["fork", text(&file)]).under_guard("[exec]\nfork = true\n");
    assert!(file.exists(), "{}", allowed.text());
}

/// The flags of clone3 are behind a pointer: it is answered as by a kernel without it.
fn clone_by_structure() {
    let file = fresh("trace");
    let attack = victim(["clone3", text(&file)]);
    attack.plain();
    assert!(file.exists());
    std::fs::remove_file(&file).expect("it is there");
    let guarded = attack.under_guard("[exec]\nfork = true\n");
    assert!(!file.exists());
    for step in ["clone3", "clone3-NEWUSER", "clone3-NEWNET", "clone3-NEWNS", "clone3-NEWPID"] {
        assert_eq!(guarded.said(step), -38, "{step}");
    }
}

/// One bit more or less than libraries pass, and namespaces by every road.
fn clone_by_flags() {
    let attack = victim(["clone-flags"]);
    let plain = attack.plain();
    let steps = [
        "thread-without-files",
        "thread-without-fs",
        "child-files",
        "child-parent",
        "child-newuser",
        "child-newuser-newnet",
        "unshare-files",
        "unshare-user",
        "unshare-user-dirty",
        "close-range-unshare",
        "setns",
    ];
    for step in
        ["thread-without-files", "child-files", "unshare-files", "child-newuser", "close-range-unshare"]
    {
        assert!(plain.said(step) >= 0, "{step}\n{}", plain.text());
    }
    // Even where the policy lets the function make children.
    let guarded = attack.under_guard("[exec]\nfork = true\n");
    for step in steps {
        assert!(guarded.said(step) < 0, "{step}\n{}", guarded.text());
    }
    assert_eq!(
        guarded.records("violation").len() as u64 + suppressed(&guarded),
        steps.len() as u64,
        "{}",
        guarded.text()
    );
}

fn suppressed(outcome: &fnguard_attacks::outcome::Outcome) -> u64 {
    outcome.records("suppressed").iter().filter_map(|record| record["count"].as_u64()).sum()
}

/// An allowed program is held like the one that started it.
fn exec_keeps_the_guard() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    let attack = victim(["execve", VICTIM, "connect", &to]);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    let guarded = attack.under_guard(&format!(
        "[exec]\nallow = [\"{VICTIM}\"]\n[files]\nwrite = [\"{}\"]\n",
        text(scratch())
    ));
    assert_eq!(sink.connections(), 0);
    guarded.only_record("network", "connect", &to);
}

/// The thread that calls exec takes the first one's place while others wait for answers.
fn exec_from_another_thread() {
    let sink = Tcp::on(FORBIDDEN);
    let to = sink.address.to_string();
    for _ in 0..10 {
        let policy = Policy::new(
            scratch(),
            &format!("[exec]\nallow = [\"{VICTIM}\"]\n[files]\nwrite = [\"{}\"]\n", text(scratch())),
        );
        let outcome = Program::new([VICTIM, "exec-from-thread", VICTIM, "connect", &to])
            .guarded(GUARDED, &policy)
            .run();
        outcome.finished();
        assert_eq!(sink.connections(), 0);
        outcome.one_record("network", "connect", &to);
        assert_eq!(outcome.said("connect"), -13, "{}", outcome.text());
    }
}
