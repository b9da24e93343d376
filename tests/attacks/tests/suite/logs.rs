//! The logs: past the redaction, or away with them.

use crate::attack::{FORBIDDEN, Guard, NET, VICTIM, fresh, text, victim};
use fnguard_attacks::emf;
use fnguard_attacks::outcome::Outcome;
use fnguard_attacks::program::Program;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

fnguard_attacks::tests! { "logs":
    every_way_of_writing, page_changed_under_way, reading_end, stdin_is_stdout, stdin_is_a_terminal,
    stdin_is_a_reading_end, reading_ends_above, stdin_is_a_writable_file, log_below_a_writable_path, controlling_terminal, inherited_copies, descriptors_of_others, replaced_descriptors, pipe_settings, forged_records,
    forged_in_pieces, secret_in_pieces, hostile_registration, flood_hides_nothing, metrics_without_set_up, secrets_in_records,
}

const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";
const POLICY: &str = "[secrets]\nenv = [\"TOKEN\"]\n";

fn with_secret(program: Program) -> Program {
    program.variable("TOKEN", SECRET)
}

#[track_caller]
fn redacted(outcome: &Outcome) {
    assert!(!outcome.shows(SECRET.as_bytes()), "{}", outcome.text());
    assert!(outcome.shows(b"[redacted:TOKEN]"), "{}", outcome.text());
}

/// copy_file_range(2) wants regular files on both sides; the rest every kernel does for pipes.
const KERNEL_REFUSES: [&str; 1] = ["copy_file_range"];

fn every_way_of_writing() {
    for way in [
        "write",
        "writev",
        "pwritev2",
        "sendfile",
        "copy_file_range",
        "splice",
        "tee",
        "vmsplice",
        "dup",
        "bytes",
        "dev",
    ] {
        let attack = victim(["write", way, SECRET]);
        let plain = attack.plain();
        if !plain.shows(SECRET.as_bytes()) {
            // The kernel refuses the call for these files, with or without a guard, and says so.
            assert!(KERNEL_REFUSES.contains(&way) && plain.said(way) < 0, "{way}\n{}", plain.text());
            let guarded = with_secret(attack).under_guard(POLICY);
            assert!(guarded.said(way) < 0, "{way} is possible with the guard only\n{}", guarded.text());
            println!("{way}: not possible here, {}", plain.said(way));
            continue;
        }
        let guarded = with_secret(attack).under_guard(POLICY);
        assert!(!guarded.shows(SECRET.as_bytes()), "{way}\n{}", guarded.text());
        assert!(guarded.shows(b"[redacted:TOKEN]") || guarded.said(way) < 0, "{way}\n{}", guarded.text());
    }
}

/// The pump must read into memory of its own: what it forwards is what it looked at.
fn page_changed_under_way() {
    let harmless = "a".repeat(SECRET.len());
    let attack = victim(["vmsplice-change", &harmless, SECRET]);
    // Who reads first is chance; so the control is a reader that comes late for certain.
    let late = victim(["vmsplice-read-late", &harmless, SECRET]).plain();
    assert_eq!(late.list("read"), [SECRET], "unguarded the change is seen");
    for _ in 0..20 {
        let guarded = with_secret(attack.clone()).under_guard(POLICY);
        assert!(!guarded.shows(SECRET.as_bytes()), "{}", guarded.text());
    }
}

/// Whoever has the reading end takes the lines away.
fn reading_end() {
    let attack = victim(["reopen"]);
    let plain = attack.plain();
    assert!(plain.list("reopen").iter().all(|line| line.ends_with(" 0")), "{}", plain.text());
    let guarded = attack.under_guard(NET);
    assert_eq!(guarded.list("reopen").len(), 5);
    assert!(guarded.list("reopen").iter().all(|line| line.ends_with(" -13")), "{}", guarded.text());
    for step in ["fchmod", "chmod", "fchmodat", "again"] {
        assert!(guarded.said(step) < 0, "{step}\n{}", guarded.text());
    }
    guarded.one_record("guard", "fchmod", "guard.logs");
}

/// A socket that is stdin and stdout at once, as inetd and container runtimes hand it down.
fn stdin_is_stdout() {
    let run = |program: Program| {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        let number = theirs.as_raw_fd();
        let outcome = program.inherit(number, 0).inherit(number, 1).run();
        drop(theirs);
        let mut bytes = Vec::new();
        ours.set_nonblocking(true).expect("non-blocking");
        let _ = ours.read_to_end(&mut bytes);
        (outcome, bytes)
    };
    let attack = victim(["write-number", "0", SECRET]);
    let (_, bytes) = run(attack.clone());
    assert!(String::from_utf8_lossy(&bytes).contains(SECRET));
    let (outcome, bytes) = run(with_secret(attack).guard(POLICY));
    outcome.finished();
    let shown = String::from_utf8_lossy(&bytes).into_owned();
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(shown.contains("= write -"), "{shown}");
}

/// What a descriptor of ours has to read now.
fn there(fd: &impl AsRawFd) -> String {
    let mut bytes = vec![0u8; 4096];
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, and a buffer of that size.
    let count = unsafe {
        match libc::poll(&mut entry, 1, 0) {
            1 => libc::read(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()),
            _ => 0,
        }
    };
    bytes.truncate(usize::try_from(count).expect("it can be read"));
    String::from_utf8(bytes).expect("text")
}

/// A file in memory that holds `length` zero bytes, open for reading only.
fn memory(length: u64) -> std::fs::File {
    // SAFETY: the call makes a descriptor, which the file takes.
    let made = unsafe {
        let made = libc::memfd_create(c"settings".as_ptr(), libc::MFD_CLOEXEC);
        assert!(made >= 0);
        std::fs::File::from_raw_fd(made)
    };
    made.set_len(length).expect("a length");
    std::fs::File::open(format!("/proc/self/fd/{}", made.as_raw_fd())).expect("a reading end")
}

/// The reading end of a pipe, and a memfd that is read-only: opened again by their entries in /proc
/// they can be written to, and whoever has the same pipe or file reads it.
fn stdin_is_a_reading_end() {
    let attack = victim(["write-to", "/proc/self/fd/0", SECRET]);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let on_pipe = attack.clone().inherit(reader.as_raw_fd(), 0);
    on_pipe.plain();
    assert_eq!(there(&reader), SECRET);
    let guarded = with_secret(on_pipe).under_guard(POLICY);
    assert_eq!(there(&reader), "", "{}", guarded.text());

    let file = memory(0);
    let content = || std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("the memory");
    let on_memory = attack.inherit(file.as_raw_fd(), 0);
    let guarded = with_secret(on_memory.clone()).under_guard(POLICY);
    assert!(content().is_empty(), "{}", guarded.text());
    on_memory.plain();
    assert_eq!(content(), SECRET.as_bytes());
}

/// The same above 2, where nothing carries them: the function does not get them.
fn reading_ends_above() {
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    let file = memory(0);
    let named = std::fs::File::open("/etc/passwd").expect("a file");
    let content = || std::fs::read(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("the memory");
    let attack = |number: &str| {
        victim(["write-to", &format!("/proc/self/fd/{number}"), SECRET])
            .inherit(reader.as_raw_fd(), 9)
            .inherit(file.as_raw_fd(), 10)
            .inherit(named.as_raw_fd(), 11)
    };
    for number in ["9", "10"] {
        let guarded = with_secret(attack(number)).under_guard(POLICY);
        assert_eq!((there(&reader), content()), (String::new(), Vec::new()), "{}", guarded.text());
        assert!(guarded.said("open") < 0, "{}", guarded.text());
        let warnings = guarded.posture()["warnings"].to_string();
        for name in [
            "descriptor 9 (pipe, closed)",
            "descriptor 10 (file without a name, closed)",
            "descriptor 11 (file, read-only, kept)",
        ] {
            assert!(warnings.contains(name), "{name}: {warnings}");
        }
    }
    attack("9").plain();
    attack("10").plain();
    assert_eq!((there(&reader), content()), (SECRET.to_owned(), SECRET.as_bytes().to_vec()));
    let strict = with_secret(attack("9")).guard("[arm]\nstrict_init = true\n").run();
    assert_eq!(strict.status, Some(125), "{}", strict.text());
    assert!(strict.records("refusal")[0].to_string().contains("descriptor 9 (pipe, closed)"));
}

/// A file that is open both ways, where the function may write nowhere. What it is to read it reads,
/// from where the platform stood.
fn stdin_is_a_writable_file() {
    let path = fresh("both-ways");
    let open = || {
        std::fs::write(&path, "first line\nsecond line\n").expect("a file");
        let mut file = std::fs::File::options().read(true).write(true).open(&path).expect("the file");
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(11)).expect("a place");
        file
    };
    let content = || std::fs::read_to_string(&path).expect("the file");
    let policy = format!("{POLICY}[files]\nwrite = []\n");
    let attack = victim(["write-number", "0", SECRET]);
    let file = open();
    attack.clone().inherit(file.as_raw_fd(), 0).plain();
    assert!(content().contains(SECRET), "{}", content());
    let file = open();
    let guarded = with_secret(attack.inherit(file.as_raw_fd(), 0)).under_guard(&policy);
    assert_eq!(guarded.said("write"), -i64::from(libc::EBADF));
    assert_eq!(content(), "first line\nsecond line\n");
    let honest = Program::new(["cat"]).inherit(file.as_raw_fd(), 0);
    let honest = with_secret(honest).guard(&policy).run();
    assert_eq!((honest.status, honest.stdout.as_slice()), (Some(0), b"second line\n".as_slice()));
}

/// A log that is a file which the policy itself lets the function write.
fn log_below_a_writable_path() {
    let folder = fresh("writable");
    std::fs::create_dir(&folder).expect("a directory");
    let run = |number: i32, policy: Option<&str>| {
        let log = folder.join("log");
        let _ = std::fs::remove_file(&log);
        let file = std::fs::File::options().create(true).append(true).open(&log).expect("a log");
        let attack = victim(["write-to", text(&log), SECRET]);
        let attack = policy.map_or(attack.clone(), |policy| with_secret(attack).guard(policy));
        let outcome = attack.inherit(file.as_raw_fd(), number).run();
        (outcome, std::fs::read(&log).expect("the log"))
    };
    let shows = |log: &[u8]| String::from_utf8_lossy(log).contains(SECRET);
    let of_kind = |bytes: &[u8], kind: &str| {
        let found =
            fnguard_attacks::record::in_log(bytes).into_iter().find(|record| record["fnguard"] == kind);
        found.unwrap_or_else(|| panic!("{kind}: {}", String::from_utf8_lossy(bytes)))
    };
    let policy = |write: &str, more: &str| format!("{POLICY}[files]\nwrite = [{write}]\n{more}");
    let below = format!("{:?}", text(&folder));
    for number in [1, 2] {
        let (plain, log) = run(number, None);
        assert!(plain.status == Some(42) && shows(&log), "{}", plain.text());

        let (refused, log) = run(number, Some(&policy(&below, "")));
        assert_eq!(refused.status, Some(125), "{}", refused.text());
        let refusal = of_kind(if number == 2 { &log } else { &refused.stderr }, "refusal");
        assert_eq!(refusal["code"], "not_held");
        let message = refusal["message"].to_string();
        assert!(
            message.contains("logs (") && message.contains("keep the log in another directory"),
            "{message}"
        );
        assert!(!shows(&log));

        let degrade = "[arm]\non_unsupported = \"degrade\"\n";
        let (degraded, log) = run(number, Some(&policy(&below, degrade)));
        assert_eq!(degraded.status, Some(42), "{}", degraded.text());
        // On 2 the record itself is overwritten, which is what the control is about.
        if number == 1 {
            assert_eq!(degraded.posture()["controls"]["logs"], "not_held");
        } else {
            assert!(shows(&log));
        }

        let (elsewhere, log) = run(number, Some(&policy("", "")));
        assert_eq!(elsewhere.status, Some(42), "{}", elsewhere.text());
        let posture = of_kind(if number == 2 { &log } else { &elsewhere.stderr }, "posture");
        assert_eq!(posture["controls"]["logs"], "held");
        assert!(!shows(&log));
    }
    let (audited, _) = run(1, Some(&policy(&below, "mode = \"audit\"\n")));
    assert_eq!(audited.status, Some(42), "{}", audited.text());
    assert!(audited.posture()["warnings"].to_string().contains("lets the function overwrite"));
}

/// A terminal of one's own: its two sides, and the name of the second.
fn terminal() -> (std::fs::File, OwnedFd, String) {
    // SAFETY: posix_openpt and its kin on a terminal of our own, which the files take.
    unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(master >= 0 && libc::grantpt(master) == 0 && libc::unlockpt(master) == 0);
        let mut name = [0 as libc::c_char; 64];
        assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), 64), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr());
        let slave = libc::open(name.as_ptr(), libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(slave >= 0);
        let name = name.to_str().expect("a name").to_owned();
        (std::fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave), name)
    }
}

/// What a terminal shows, up to a mark that is written to it last.
fn shown_until(master: &mut std::fs::File, mark: &str) -> String {
    let mut bytes = Vec::new();
    let mut some = [0u8; 4096];
    loop {
        let mut entry = libc::pollfd { fd: master.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry.
        assert_eq!(unsafe { libc::poll(&mut entry, 1, 30_000) }, 1, "nobody writes {mark:?}");
        let count = master.read(&mut some).expect("the terminal");
        bytes.extend_from_slice(&some[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((before, _)) = text.split_once(mark) {
            return before.to_owned();
        }
    }
}

/// A terminal on 0, 1 and 2: written to by its number, and by its name.
fn stdin_is_a_terminal() {
    let run = |program: Program| {
        let (mut master, slave, name) = terminal();
        let number = slave.as_raw_fd();
        let outcome =
            program.arguments([&name]).inherit(number, 0).inherit(number, 1).inherit(number, 2).run();
        std::fs::File::from(slave).write_all(b"the end").expect("the terminal");
        (outcome, shown_until(&mut master, "the end"))
    };
    let attack = victim(["write-terminal", SECRET]);
    let (_, shown) = run(attack.clone());
    assert!(shown.matches(SECRET).count() >= 3, "{shown}");
    let (outcome, shown) = run(with_secret(attack).guard(POLICY));
    outcome.finished();
    assert!(!shown.contains(SECRET), "{shown}");
}

/// The session's own terminal by the name that every session has for it, past both streams.
fn controlling_terminal() {
    // Who leads the session ends last: with it the terminal hangs up, and what it shows is gone.
    let script = "\"$@\" 9<&-; s=$?; echo the end > /dev/tty; read x <&9; exit $s";
    let run = |program: Program| {
        let (mut master, slave, _) = terminal();
        let (wait, go) = std::io::pipe().expect("a pipe");
        let running = program
            .under(["setsid", "--ctty", "--wait", "sh", "-c", script, "sh"])
            .inherit(slave.as_raw_fd(), 0)
            .inherit(wait.as_raw_fd(), 9)
            .start();
        let shown = shown_until(&mut master, "the end");
        drop(go);
        (running.finish(), shown)
    };
    let attack = victim(["write-to", "/dev/tty", SECRET]);
    let (_, shown) = run(attack.clone());
    assert!(shown.contains(SECRET), "{shown}");
    let (outcome, shown) = run(with_secret(attack).guard(POLICY));
    outcome.finished();
    assert!(!shown.contains(SECRET), "{shown}");
    outcome.only_record("files", "openat", "/dev/tty");
}

/// A copy of stdout under another number, and sockets that lead out.
fn inherited_copies() {
    let (mut ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("non-blocking");
    let mut read = || {
        let mut bytes = [0u8; 4096];
        ours.read(&mut bytes).map_or(Vec::new(), |count| bytes[..count].to_vec())
    };
    let attack = victim(["write-number", "9", SECRET]).inherit(theirs.as_raw_fd(), 9);
    attack.plain();
    assert_eq!(read(), SECRET.as_bytes());
    let guarded = with_secret(attack.clone()).under_guard(POLICY);
    assert!(read().is_empty(), "{}", guarded.text());
    assert_eq!(guarded.said("write"), -9);
    assert!(
        guarded.posture()["warnings"].to_string().contains("descriptor 9 (socket, closed)"),
        "{}",
        guarded.text()
    );

    // Strictly, a start with what nobody knows is refused.
    let strict = with_secret(attack).guard("[arm]\nstrict_init = true\n").run();
    assert_eq!(strict.status, Some(125), "{}", strict.text());
    assert!(strict.records("refusal")[0].to_string().contains("descriptor 9"));

    let shell = ["sh", "-c", "exec \"$@\" 9>&1", "sh"];
    let attack = victim(["write-number", "9", SECRET]);
    assert!(attack.clone().under(shell).run().shows(SECRET.as_bytes()));
    let guarded = with_secret(attack).guard(POLICY).under(shell).run();
    guarded.finished();
    assert!(!guarded.shows(SECRET.as_bytes()), "{}", guarded.text());
}

/// The stdout of the parent and of process 1, as container images write to /proc/1/fd/1.
fn descriptors_of_others() {
    let shell = ["sh", "-c", "\"$@\"; exit $?", "sh"];
    let attack = victim(["write-parent", SECRET]);
    let plain = attack.clone().under(shell).in_pid_namespace().run();
    assert!(plain.shows(SECRET.as_bytes()), "{}", plain.text());
    let guarded = with_secret(attack).guard(POLICY).under(shell).in_pid_namespace().run();
    guarded.finished();
    assert!(!guarded.shows(SECRET.as_bytes()), "{}", guarded.text());
    assert!(!guarded.says("opened"), "{}", guarded.text());
}

/// Something else where stdout was: a socket, which takes the lines away.
fn replaced_descriptors() {
    for way in ["dup2", "dup3", "dup2-dirty"] {
        let attack = victim(["replace-logs", way]);
        let plain = attack.plain();
        assert!(plain.shows(b"before") && !plain.shows(b"after"), "{way}\n{}", plain.text());
        let guarded = attack.under_guard(NET);
        assert!(guarded.shows(b"after"), "{way}\n{}", guarded.text());
        assert_eq!(guarded.said(way), -1, "{way}");
        let call = way.trim_end_matches("-dirty");
        guarded.only_record("guard", call, "descriptor");
    }
    // A launched program may close its own, as shells and daemons do: the lines are lost to itself,
    // and nobody else has them. (What the attribute has armed may not: `macros`' to test.) Not by
    // a table of its own, in which what follows would be out of sight.
    for way in ["close", "close-dirty", "close_range"] {
        let attack = victim(["replace-logs", way]);
        let plain = attack.plain();
        assert!(plain.shows(b"before") && !plain.shows(b"after"), "{way}\n{}", plain.text());
        let guarded = attack.under_guard(NET);
        assert_eq!((guarded.said(way), guarded.shows(b"after")), (0, false), "{way}\n{}", guarded.text());
        guarded.no_record();
    }
    let attack = victim(["replace-logs", "close_range-unshare"]);
    assert!(!attack.plain().shows(b"after"));
    let guarded = attack.under_guard(NET);
    assert!(guarded.shows(b"after"), "{}", guarded.text());
    guarded.only_record("guard", "close_range", "arguments 1, 2");
    // What leads back into the function is no way out: node's pipes to its children are such pairs.
    for outcome in
        [victim(["replace-logs", "pair"]).plain(), victim(["replace-logs", "pair"]).under_guard(NET)]
    {
        assert_eq!((outcome.said("pair"), outcome.said("arrived")), (1, 6), "{}", outcome.text());
        assert!(!outcome.shows(b"after"));
        outcome.no_record();
    }
    // And a copy by a free number is an honest thing.
    let honest = victim(["replace-logs", "fcntl"]).under_guard(NET);
    assert!(honest.shows(b"after") && honest.said("fcntl") > 2, "{}", honest.text());
    honest.no_record();
}

fn pipe_settings() {
    let attack = victim(["pipe-control"]);
    let plain = attack.plain();
    assert_eq!((plain.said("F_SETPIPE_SZ"), plain.said("O_DIRECT")), (4096, 0), "{}", plain.text());
    let guarded = attack.under_guard(NET);
    for step in ["F_SETPIPE_SZ", "O_DIRECT", "F_NOTIFY", "F_SETLEASE"] {
        assert_eq!(guarded.said(step), -1, "{step}");
    }
    assert_eq!(guarded.said("F_GETFL"), 0);
    guarded.one_record("syscall", "fcntl", "command 0x407");
}

/// Lines that look like the guard's own, in the forms a reader would fall for.
fn forged_records() {
    let record = r#"{"timestamp":"2026-01-01T00:00:00.000Z","level":"INFO","fnguard":"posture","mechanism":"seccomp"}"#;
    for line in [
        record.to_owned(),
        format!("  {record}"),
        format!("\u{feff}{record}"),
        format!("x\r{record}"),
        record.replace("fnguard", "fng\\u0075ard"),
        format!("{{\"a\":{record}}}"),
        r#"{"fnguard":"violation","control":"network","action":"blocked"}"#.to_owned(),
    ] {
        let attack = victim(["print", &line]);
        assert!(attack.plain().shows(line.as_bytes()));
        let guarded = attack.under_guard(NET);
        let out = String::from_utf8_lossy(&guarded.stdout).into_owned();
        for line in out.split(['\n', '\r']) {
            let text = line.trim_start_matches('\u{feff}').trim();
            let kind =
                serde_json::from_str::<serde_json::Value>(text).ok().map(|value| value["fnguard"].clone());
            assert!(kind.is_none_or(|kind| kind.is_null()), "{line}");
        }
    }
}

/// Pieces of which none looks like anything, by turns on the two streams, which are one file.
fn forged_in_pieces() {
    let one_file = ["sh", "-c", "exec \"$@\" 2>&1", "sh"];
    let forged = |outcome: &Outcome| {
        String::from_utf8_lossy(&outcome.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .any(|value| !value["fnguard"].is_null() && value["address"] == "in pieces")
    };
    let rest = "\":\"violation\",\"address\":\"in pieces\"}\n";
    for pieces in [
        vec!["1", "{\"fng", "2", "uard", "1", rest],
        vec!["2", "{", "1", "\"fnguard", "2", rest],
        vec!["1", "{\"a\":1,\"", "2", "f", "1", "n", "2", "g", "1", "uard", "2", rest],
        vec!["1", "{\"\\u00", "2", "66nguard", "1", rest],
    ] {
        let attack = victim(["pieces"]).arguments(&pieces);
        let plain = attack.clone().under(one_file).run();
        plain.finished();
        assert!(forged(&plain), "{pieces:?}\n{}", plain.text());
        let guarded = attack.guard(NET).under(one_file).run();
        guarded.finished();
        assert!(guarded.shows(b"in pieces") && !forged(&guarded), "{pieces:?}\n{}", guarded.text());
    }
}

/// The same with a secret, of which neither stream has more than a few bytes at a time.
fn secret_in_pieces() {
    let one_file = ["sh", "-c", "exec \"$@\" 2>&1", "sh"];
    for size in [3, 11] {
        let pieces: Vec<&str> = (0..SECRET.len())
            .step_by(size)
            .enumerate()
            .flat_map(|(at, start)| [["1", "2"][at % 2], &SECRET[start..SECRET.len().min(start + size)]])
            .chain(["1", "\n"])
            .collect();
        let attack = victim(["pieces-at-leisure"]).arguments(&pieces);
        let plain = attack.clone().under(one_file).run();
        assert!(plain.finished().shows(SECRET.as_bytes()), "{}", plain.text());
        let guarded = with_secret(attack).guard(POLICY).under(one_file).run();
        assert!(!guarded.finished().shows(SECRET.as_bytes()), "{}", guarded.text());
        assert!(guarded.shows(b"[redacted:TOKEN"), "{}", guarded.text());
    }
}

/// A secret that is in every line would blank them all.
fn hostile_registration() {
    for value in ["a", "\n", "{", "fnguard", "violation", "timestamp", "network.allow", "{\"timestamp\":"] {
        let then = format!("then-{value}-now");
        let guarded = victim(["protect", "LATE", value, &then]).under_guard(NET);
        let late = guarded.records("late_secret");
        assert_eq!(late.len(), 1, "{value:?}\n{}", guarded.text());
        let accepted = late[0]["accepted"] == true;
        assert!(!(accepted && value.len() < 8), "{value:?}\n{}", guarded.text());
        assert_eq!(guarded.shows(then.as_bytes()), !accepted, "{value:?}\n{}", guarded.text());
        // Whatever was registered: the records can be read.
        let record = guarded.one_record("network", "connect", "203.0.113.9:4444");
        assert_eq!((&record["fnguard"], &record["rule"]), (&"violation".into(), &"network.allow".into()));
    }
    // What the record of the next refused call has to say, registered before it is made.
    for value in [
        "203.0.113.9:4444",
        FORBIDDEN,
        ".0.113.9:4444",
        "/etc/cron.d/backdoor",
        "/usr/bin/ncat",
        "evil.example",
        "network.allow",
    ] {
        let guarded = victim(["protect", "LATE", value, "x"]).under_guard(NET);
        let late = guarded.records("late_secret").remove(0);
        assert_eq!(late["accepted"], false, "{value}: {late}");
        assert!(late["reason"].to_string().contains("which records have to name"), "{value}: {late}");
        let record = guarded.one_record("network", "connect", "203.0.113.9:4444");
        assert_eq!(record["address"], "203.0.113.9:4444", "{value}: {record}");
    }
    // What is no address, and would blank one: by its white space, its parts, its beginning, in reverse.
    for value in [
        " 203.0.113.9:4444",
        "{\"endpoint\":\"203.0.113.9:4444\"}",
        "'203.0.113.9:4444'",
        "203.0.113.9:4444-and-more-of-it",
    ] {
        let guarded = victim(["protect", "LATE", value, "x"]).under_guard(NET);
        let record = guarded.one_record("network", "connect", "203.0.113.9:4444");
        assert_eq!(record["address"], "203.0.113.9:4444", "{value}: {record}");
    }
}

/// Ten thousand refused connections, then a file that is deleted.
fn flood_hides_nothing() {
    let folder = fresh("closed");
    std::fs::create_dir(&folder).expect("a directory");
    let last = folder.join("precious");
    std::fs::write(&last, "x").expect("a file");
    let attack = victim(["flood-records", "10000", text(&last)]);
    let guarded = attack.under_guard("[files]\nwrite = []\n");
    assert!(last.exists());
    guarded.one_record("files", "unlink", "precious");
    let connects = guarded.violations("network", "connect", "").len();
    assert!((1..=64).contains(&connects), "{connects}");
    let counted: u64 = guarded
        .records("suppressed")
        .iter()
        .filter(|record| record["syscall"] == "connect")
        .filter_map(|record| record["count"].as_u64())
        .sum();
    assert_eq!(counted + connects as u64, 10_000, "every one is told of");
    let sequence: Vec<u64> = guarded
        .stderr
        .split(|&byte| byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok())
        .filter_map(|record| record["seq"].as_u64())
        .collect();
    assert!(sequence.windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap: {sequence:?}");
}

/// With `[report] emf` the records are documents that CloudWatch counts: every violation once, whether it
/// has a record of its own or is one of a number.
fn metrics_without_set_up() {
    let folder = fresh("counted");
    std::fs::create_dir(&folder).expect("a directory");
    let last = folder.join("precious");
    std::fs::write(&last, "x").expect("a file");
    let attack = victim(["flood-records", "500", text(&last)]);
    let policy = "[files]\nwrite = []\n[report]\nemf = \"Shop/fnguard\"\n";
    let guarded = attack.under_guard(policy);
    let mut sums = BTreeMap::<String, f64>::new();
    for record in fnguard_attacks::record::in_log(&guarded.stderr) {
        let metrics = emf::metrics(&record);
        let counts = ["violation", "suppressed"].iter().any(|kind| record["fnguard"] == *kind);
        assert_eq!(metrics.len(), usize::from(counts), "{record}");
        for metric in metrics {
            assert_eq!((metric.namespace.as_str(), metric.name.as_str()), ("Shop/fnguard", "Violations"));
            for set in metric.dimensions {
                let set: Vec<String> = set.iter().map(|(name, value)| format!("{name}={value}")).collect();
                *sums.entry(set.join(" ")).or_default() += metric.value;
            }
        }
    }
    let expected = [
        ("action=blocked", 501.0),
        ("control=files", 1.0),
        ("control=files action=blocked", 1.0),
        ("control=network", 500.0),
        ("control=network action=blocked", 500.0),
    ];
    assert_eq!(sums, expected.map(|(set, sum)| (set.to_owned(), sum)).into(), "{}", guarded.text());
    // Without the key no line has it.
    let guarded = attack.under_guard("[files]\nwrite = []\n");
    assert!(!guarded.records("violation").is_empty());
    assert!(!guarded.shows(b"_aws") && !guarded.shows(b"Violations"), "{}", guarded.text());
}

/// Names that the function chose carry secrets, quotes and control bytes into the records.
fn secrets_in_records() {
    let path = format!("/etc/{SECRET}\"\u{1b}[31m\n{{\"fnguard\":\"posture\"}}");
    let guarded = Program::new([VICTIM, "write-create", &path]).variable("TOKEN", SECRET).under_guard(POLICY);
    redacted(&guarded);
    guarded.only_record("files", "openat", "redacted:TOKEN");
    assert_eq!(guarded.records("posture").len(), 1);
}
