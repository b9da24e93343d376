//! `fnguard run --tty`: a person at a real terminal, and a program in the pseudo-terminal that it is
//! given. What the person sees, types and gets back is looked at from outside.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.

mod stage;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::{Pid, ttyname};
use stage::{FNGUARD, Stage, real_program, stderr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const PLAIN: &str = "version = 1\n";
/// What python needs: it maps modules when it imports them. It writes nowhere: the tests' directory, with their logs, may lie
/// below /tmp, and a log that the program may write is refused.
const PYTHON: &str = "version = 1\n[memory]\nexecutable = \"files\"\n[files]\nwrite = []\n";
const SECRET: &str = "sk_live_4eC39HqLyjWDarjtT1zdp7dc";
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal, the person before it, and what runs in it as its session's first process.
struct Person {
    keys: File,
    /// The other end, kept so that its settings can be looked at when everybody has left.
    terminal: OwnedFd,
    child: Child,
    seen: String,
    before: Termios,
}

impl Person {
    fn runs(stage: &Stage, program: &[&str]) -> Person {
        Person::arranges(stage, program, |_| {})
    }

    fn arranges(stage: &Stage, program: &[&str], arrange: impl FnOnce(&mut Command)) -> Person {
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        for end in [&pty.master, &pty.slave] {
            nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        }
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        // setsid(1) makes the terminal the controlling one and then becomes the program.
        let mut command = Command::new("setsid");
        command.arg("--ctty").args(program).current_dir(&stage.path).env("TERM", "dumb");
        command.stdin(end()).stdout(end()).stderr(end());
        arrange(&mut command);
        let child = command.spawn().unwrap();
        Person { keys: File::from(pty.master), terminal: pty.slave, child, seen: String::new(), before }
    }

    /// `fnguard run --tty -- PROGRAM`.
    fn guarded(stage: &Stage, program: &[&str]) -> Person {
        Person::runs(stage, &[&[FNGUARD, "run", "--tty", "--"], program].concat())
    }

    fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Reads until `text` is there, and forgets it and what came before; gives that.
    fn sees(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            assert!(self.reads(deadline), "nothing like {text:?} in {:?}", self.seen);
        }
    }

    /// One read; false where nothing came until the deadline.
    fn reads(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut entry = [PollFd::new(self.keys.as_fd(), PollFlags::POLLIN)];
        if poll(&mut entry, PollTimeout::try_from(left).unwrap()).unwrap() == 0 {
            return false;
        }
        let mut bytes = [0; 65536];
        let count = self.keys.read(&mut bytes).unwrap();
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }

    /// Waits for the end, reading all the while; all that was not seen before, and the status.
    fn leaves(&mut self) -> (String, ExitStatus) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait().unwrap();
            // What was written before the end is read when the end is known.
            while self.reads(Instant::now() + Duration::from_millis(if ended.is_some() { 0 } else { 50 })) {}
            if let Some(status) = ended {
                return (std::mem::take(&mut self.seen), status);
            }
            assert!(Instant::now() < deadline, "still running after {:?}", self.seen);
        }
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.terminal).unwrap()
    }

    fn is_raw(&self) -> bool {
        !self.settings().local_flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    }

    fn finds_raw(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_raw() {
            assert!(Instant::now() < deadline, "{:?}", self.settings());
            std::thread::yield_now();
        }
    }

    fn finds_its_terminal_again(&self) {
        assert!(!self.is_raw());
        assert!(self.settings() == self.before, "{:?}\nand before\n{:?}", self.settings(), self.before);
    }

    fn resizes(&self, rows: u16, columns: u16) {
        let terminal = Stdio::from(self.terminal.try_clone().unwrap());
        let size = ["rows", &rows.to_string(), "cols", &columns.to_string()].map(str::to_owned);
        assert!(Command::new("stty").args(size).stdin(terminal).status().unwrap().success());
    }

    /// The process of fnguard's, or the one that it runs: the only child of a process.
    fn child_of(pid: u32) -> Pid {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let children = std::fs::read_to_string(&path).unwrap();
            if let Some(child) = children.split_whitespace().next() {
                return Pid::from_raw(child.parse().unwrap());
            }
            assert!(Instant::now() < deadline, "process {pid} has no child");
            std::thread::yield_now();
        }
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `fnguard run --tty -- python3 -c CODE ARGUMENTS…`; its records elsewhere, or one of them may cut a
/// line on the screen in two.
fn python(stage: &Stage, code: &str, arguments: &[&str]) -> Person {
    let python = real_program("python3");
    let program = [&[FNGUARD, "run", "--tty", "--", &python, "-c", code], arguments].concat();
    Person::arranges(stage, &program, |command| {
        command.env("API_KEY", SECRET).stderr(File::create(stage.path.join("guard.log")).unwrap());
    })
}

#[test]
fn every_standard_descriptor_is_a_terminal_of_the_programs_own() {
    let stage = Stage::with_policy(PYTHON);
    let code = "
import os
print([os.isatty(n) for n in range(3)], os.ttyname(0), os.getsid(0) == os.getpid(), os.tcgetpgrp(0) == os.getpid())
for path in ['/dev/tty', '/dev/stdout', '/dev/stderr', '/proc/self/fd/0', os.ttyname(0)]:
    with open(path, 'w') as file: print('by', path, file=file)
with open('/dev/tty') as file: print(file.readline().upper())
";
    let mut person = python(&stage, code, &[]);
    person.sees("[True, True, True] ");
    let rest = person.sees("\r\n");
    assert!(rest.ends_with("True True\r\n"), "{rest}");
    let outer = ttyname(&person.terminal).unwrap();
    assert!(!rest.contains(&*outer.to_string_lossy()), "{rest} is the terminal outside");
    for path in ["/dev/tty", "/dev/stdout", "/dev/stderr", "/proc/self/fd/0", "/dev/pts/"] {
        person.sees(&format!("by {path}"));
    }
    person.types("a line\n");
    person.sees("A LINE\r\n");
    assert!(person.leaves().1.success());
    person.finds_its_terminal_again();
}

#[test]
fn the_size_is_handed_on_and_so_is_a_change() {
    let stage = Stage::with_policy(PYTHON);
    let code = "
import os, signal
def say(*_): print('size', *os.get_terminal_size(), flush=True)
signal.signal(signal.SIGWINCH, say)
say()
while input() != 'end': pass
";
    let mut person = python(&stage, code, &[]);
    person.sees("size 80 24\r\n");
    for (rows, columns) in [(50, 132), (10, 40)] {
        person.resizes(rows, columns);
        person.sees(&format!("size {columns} {rows}\r\n"));
    }
    person.types("end\n");
    assert!(person.leaves().1.success());
}

#[test]
fn an_interrupt_arrives_once() {
    let stage = Stage::with_policy(PYTHON);
    // By a wake-up descriptor: a signal that comes just before a read would wait for the next line.
    let code = "
import os, select, signal
count = 0
def caught(*_):
    global count
    count += 1
    print('caught', flush=True)
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
signal.signal(signal.SIGINT, caught)
print('ready', flush=True)
while True:
    readable = select.select([0, woken], [], [])[0]
    if woken in readable:
        os.read(woken, 64)
        continue
    line = os.read(0, 4096)
    if not line: break
    print('count', line.decode().strip(), count, flush=True)
";
    let mut person = python(&stage, code, &[]);
    person.sees("ready");
    for round in 1..=3 {
        person.types("\x03");
        person.sees("caught");
        // A second one would have been sent together with the first.
        person.types(&format!("{round}\n"));
        person.sees(&format!("count {round} {round}\r\n"));
    }
    person.types("\x04");
    person.leaves();
    person.finds_its_terminal_again();
    // Uncaught it ends the program, and fnguard by the same signal.
    let stage = Stage::with_policy(PLAIN);
    let mut person = Person::guarded(&stage, &["cat"]);
    person.sees("armed");
    person.types("here\n");
    person.sees("here\r\nhere\r\n");
    person.types("\x03");
    assert_eq!(person.leaves().1.signal(), Some(libc::SIGINT));
    person.finds_its_terminal_again();
}

#[test]
fn a_secret_is_redacted_and_a_prompt_is_not_held_up() {
    let stage = Stage::with_policy(&format!("{PYTHON}[secrets]\nenv = [\"API_KEY\"]\n"));
    let code = "
import sys
key = sys.argv[1]
for stream in (sys.stdout, sys.stderr): print('the key is', key, file=stream, flush=True)
for byte in key: print(byte, end='', flush=True)
print()
print(input('Name? '))
print(input('sk_'))
";
    let mut person = python(&stage, code, &[SECRET]);
    for _ in 0..2 {
        assert!(!person.sees("the key is [redacted:API_KEY]\r\n").contains(SECRET));
    }
    // A prompt is there while the program waits for the answer; what is typed is echoed, redacted.
    let before = person.sees("Name? ");
    assert!(!before.contains(&SECRET[..12]), "{before:?}");
    person.types(&format!("{SECRET}\n"));
    for _ in 0..2 {
        let echo = person.sees("[redacted:API_KEY]\r\n");
        assert!(!echo.contains(SECRET), "{echo:?}");
    }
    // Even one that is the beginning of the secret.
    person.sees("sk_");
    person.types("yes\n");
    person.sees("yes\r\nyes\r\n");
    assert!(person.leaves().1.success());
}

/// Raw bytes both ways, with settings that the program makes itself, as an editor does.
#[test]
fn the_program_may_set_its_terminal() {
    let stage = Stage::with_policy(PYTHON);
    let code = "
import os, termios, tty
before = termios.tcgetattr(0)
tty.setraw(0)
os.write(1, b'raw\\nkey')
print(ord(os.read(0, 1)), end='\\r\\n', flush=True)
for when in (termios.TCSANOW, termios.TCSADRAIN, termios.TCSAFLUSH): termios.tcsetattr(0, when, before)
with open('/dev/tty', 'rb+', buffering=0) as other: termios.tcsetattr(other, termios.TCSADRAIN, before)
termios.tcflush(0, termios.TCIFLUSH); termios.tcdrain(1); termios.tcflow(1, termios.TCOON)
termios.tcsetwinsize(0, (7, 9))
print('set', termios.tcgetattr(0) == before, termios.tcgetwinsize(0), flush=True)
";
    let mut person = python(&stage, code, &[]);
    // Its terminal adds no carriage return, and neither does the one outside.
    person.sees("raw\nkey");
    person.types("\x1a");
    person.sees("26\r\nset True (7, 9)\r\n");
    assert!(person.leaves().1.success());
    person.finds_its_terminal_again();
}

#[test]
fn settings_come_back_whatever_the_end_is() {
    let stage = Stage::with_policy(PLAIN);
    let starts = || {
        let mut person = Person::guarded(&stage, &["cat"]);
        person.sees("armed");
        person.types("here\n");
        person.sees("here\r\nhere\r\n");
        assert!(person.is_raw());
        person
    };
    let mut person = starts();
    person.types("\x04");
    let (text, status) = person.leaves();
    assert!(status.success(), "{status}: {text}");
    person.finds_its_terminal_again();

    let mut person = starts();
    kill(Person::child_of(person.child.id()), Signal::SIGKILL).unwrap();
    let (text, status) = person.leaves();
    assert_eq!(status.signal(), Some(libc::SIGKILL), "{text}");
    // The record of it is on lines of its own, also on a raw terminal.
    assert!(text.contains("\r\n") && !text.replace("\r\n", "").contains('\n'), "{text:?}");
    person.finds_its_terminal_again();

    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT] {
        let mut person = starts();
        kill(Pid::from_raw(person.child.id().cast_signed()), signal).unwrap();
        assert_eq!(person.leaves().1.signal(), Some(signal as i32));
        person.finds_its_terminal_again();
    }

    // Not started at all: a program that is none, a secret that is not set.
    let path = stage.write("data", "\0no program");
    let mut permissions = path.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&path, permissions).unwrap();
    let mut person = Person::guarded(&stage, &["./data"]);
    let (text, status) = person.leaves();
    assert_eq!(status.code(), Some(126), "{text}");
    assert!(text.contains("cannot execute"), "{text}");
    person.finds_its_terminal_again();
    let stage = Stage::with_policy("version = 1\n[secrets]\nenv = [\"ABSENT_KEY\"]\n");
    let mut person = Person::guarded(&stage, &["cat"]);
    assert_eq!(person.leaves().1.code(), Some(125));
    person.finds_its_terminal_again();
}

#[test]
fn what_is_written_last_is_not_lost() {
    let stage = Stage::with_policy(PYTHON);
    let code = "
import sys
for number in range(int(sys.argv[1])): print(number)
sys.stdout.flush()
print('the end', end='', file=sys.stderr)
";
    let mut person = python(&stage, code, &["30000"]);
    let (text, status) = person.leaves();
    assert!(status.success());
    let numbers: Vec<&str> = text
        .split("\r\n")
        .filter(|line| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    assert_eq!(numbers.len(), 30000);
    assert!(numbers.iter().enumerate().all(|(index, number)| *number == index.to_string()));
    assert!(text.ends_with("the end"), "{:?}", &text[text.len().saturating_sub(200)..]);
}

/// The records go where stderr goes; what the program writes there comes by its terminal.
#[test]
fn records_can_be_kept_off_the_screen() {
    let stage = Stage::with_policy("version = 1\n[exec]\nfork = true\n[files]\nwrite = []\n");
    let program = [FNGUARD, "run", "--tty", "--", "/bin/sh", "-c", "echo out; echo err >&2; /bin/true"];
    let log = stage.path.join("guard.log");
    let mut person = Person::arranges(&stage, &program, |command| {
        command.stderr(File::create(&log).unwrap());
    });
    let (text, _) = person.leaves();
    assert!(text.contains("out\r\nerr\r\n") && !text.contains("fnguard"), "{text:?}");
    let log = std::fs::read_to_string(log).unwrap();
    let records: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = records.iter().map(|record| record["fnguard"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["posture", "violation", "ended"], "{log}");
    assert_eq!(records[0]["controls"]["logs"], "held", "{log}");
}

#[test]
fn hanging_up_reaches_the_program() {
    let stage = Stage::with_policy(PLAIN);
    // Its own trap writes where the test can see it.
    let script = "trap 'echo hung up > /tmp/$1; exit 3' HUP; echo ready; while :; do read line || wait; done";
    let name = format!("fnguard-hang-up-{}", std::process::id());
    let mut person = Person::guarded(&stage, &["/bin/sh", "-c", script, "sh", &name]);
    person.sees("ready");
    // The last reference to the master: the terminal's window is closed.
    let keys = File::open("/dev/null").unwrap();
    drop(std::mem::replace(&mut person.keys, keys));
    assert_eq!(person.child.wait().unwrap().code(), Some(3));
    let path = std::path::Path::new("/tmp").join(name);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "hung up\n");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let stage = Stage::with_policy(PLAIN);
    let output = stage.run(["run", "--tty", "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("leave --tty out"), "{}", stderr(&output));
    let mut person = Person::arranges(&stage, &[FNGUARD, "run", "--tty", "--", "true"], |command| {
        command.stdout(Stdio::null());
    });
    assert_eq!(person.leaves().1.code(), Some(125));
}

/// A shell in it has job control of its own: ^Z stops its jobs, and not fnguard.
#[test]
fn an_interactive_shell() {
    let bash = real_program("bash");
    let cat = real_program("cat");
    let stage = Stage::with_policy(&format!("version = 1\n[exec]\nfork = true\nallow = [{cat:?}]\n"));
    let mut person = Person::guarded(&stage, &[&bash, "--norc", "--noprofile", "-i"]);
    person.types("PS1='$(echo prompt)> '; set +o history\n");
    let beginning = person.sees("\nprompt> ");
    assert!(!beginning.contains("job control") && !beginning.contains("violation"), "{beginning}");
    person.types(&format!("echo re''ady; {cat}\n"));
    person.sees("ready\r\n");
    person.types("one\n");
    person.sees("one\r\none\r\n");
    person.types("\x1a");
    person.sees("Stopped");
    person.types("jobs -r | { read -r x || echo none; }\n");
    person.sees("\r\nnone\r\n");
    person.types("fg\n");
    person.sees("cat\r\n");
    // The shell has given the terminal to its job when this comes back.
    person.types("two\n");
    person.sees("two\r\ntwo\r\n");
    person.types("\x03");
    person.sees("prompt> ");
    person.types("echo status=$?\n");
    person.sees("\r\nstatus=130\r\n");
    // A job whose first process has ended is still a group of this session.
    person.types(&format!("true | {cat} &\n"));
    person.sees("prompt> ");
    person.types("kill %1; wait; echo kill=$?\n");
    person.sees("\r\nkill=0\r\n");
    person.types("exit 7\n");
    let (text, status) = person.leaves();
    assert_eq!(status.code(), Some(7), "{text}");
    person.finds_its_terminal_again();
}

/// ^Z is the program's. Stopped from elsewhere, fnguard gives the terminal back to the shell that
/// started it, and takes it again by `fg`.
#[test]
fn stopped_from_outside_and_brought_back() {
    let stage = Stage::with_policy(PLAIN);
    let bash = real_program("bash");
    let mut person = Person::runs(&stage, &[&bash, "--norc", "--noprofile", "-i"]);
    person.types("PS1='$(echo prompt)> '; set +o history\n");
    person.sees("\nprompt> ");
    for signal in [Signal::SIGTSTP, Signal::SIGSTOP] {
        person.types(&format!("{FNGUARD} run --tty -- cat\n"));
        person.sees("armed");
        person.types("one\n");
        person.sees("one\r\none\r\n");
        // An orphaned group is not stopped from its terminal, so it is nothing to cat.
        person.types("\x1atwo\n");
        person.sees("two\r\ntwo\r\n");
        kill(Person::child_of(person.child.id()), signal).unwrap();
        person.sees("Stopped");
        person.types("echo given back\n");
        person.sees("given back\r\n");
        person.types("fg\n");
        person.sees("cat\r\n");
        person.finds_raw();
        person.types("three\n");
        person.sees("three\r\nthree\r\n");
        person.types("\x04");
        person.sees("prompt> ");
        person.types("echo status=$?\n");
        person.sees("\r\nstatus=0\r\n");
    }
    // In the background it stops before it has touched the terminal, and what that is set to meanwhile is not what
    // its own takes after.
    person.types(&format!(
        "stty -echo; {FNGUARD} run --tty -- cat & until [[ $(jobs -s) ]]; do :; done; stty echo; jobs\n"
    ));
    person.sees("Stopped");
    person.types("fg\n");
    person.sees("armed");
    person.types("four\n");
    person.sees("four\r\nfour\r\n");
    person.types("\x04");
    person.sees("prompt> ");
    person.types("exit\n");
    person.leaves();
}

/// Typing into a terminal, its own and the one outside; setting the one outside through a
/// descriptor that only reads.
#[test]
fn a_terminal_is_not_typed_into_nor_taken() {
    let code = "
import fcntl, os, sys, termios
results = []
def attempt(name, act):
    try: act(); results.append(name + '=done')
    except (OSError, termios.error) as error: results.append(name + '=' + str(error.args[0]))
attempt('type', lambda: [fcntl.ioctl(0, termios.TIOCSTI, bytes([byte])) for byte in b'typed\\n'])
def settings():
    fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NOCTTY)
    now = termios.tcgetattr(fd)
    now[6][termios.VEOF] = b'!'
    termios.tcsetattr(fd, termios.TCSANOW, now)
attempt('set', settings)
def write():
    with open(sys.argv[1], 'w') as file: file.write('written')
attempt('write', write)
attempt('take', lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 1))
attempt('group', lambda: os.kill(-int(sys.argv[2]), 18))
print('results', *results, flush=True)
print('read', input())
";
    let legacy = std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or("1".to_owned(), |v| v);
    let may_type = legacy.trim() == "1";
    let python = real_program("python3");
    let outside = openpty(None, None).unwrap();
    let name = ttyname(&outside.slave).unwrap().to_string_lossy().into_owned();
    let before = tcgetattr(&outside.slave).unwrap();
    let group = nix::unistd::getpgrp().to_string();
    let stage = Stage::with_policy(PYTHON);

    let mut person = Person::runs(&stage, &[&python, "-c", code, &name, &group]);
    person.sees("results ");
    let results = person.sees("\r\n");
    assert!(
        results.starts_with(if may_type { "type=done set=done write=done" } else { "type=" }),
        "{results}"
    );
    assert!(results.contains("set=done write=done") && results.contains("group=done"), "{results}");
    assert!(tcgetattr(&outside.slave).unwrap() != before);
    if may_type {
        person.sees("read typed\r\n");
    }
    drop(person);
    nix::sys::termios::tcsetattr(&outside.slave, nix::sys::termios::SetArg::TCSANOW, &before).unwrap();

    let mut person = self::python(&stage, code, &[&name, &group]);
    person.sees("results ");
    let results = person.sees("\r\n");
    assert_eq!(results, "type=1 set=1 write=13 take=1 group=1\r\n");
    person.types("by hand\n");
    person.sees("read by hand\r\n");
    assert!(person.leaves().1.success());
    assert!(tcgetattr(&outside.slave).unwrap() == before);
}
