//! Under the attribute the function's program is loaded, with whatever it links, before it is armed. What that
//! means for code of somebody else's: a library's constructors come after, symbols in libc's place are gone past
//! and named, what an earlier entry left is found, and nothing is silenced afterwards.
#![allow(clippy::unwrap_used)] // In a test an unwrap is an assertion.
#![allow(unsafe_code)] // A descriptor and a filter for a program that is about to be started.

mod fixture;

use fixture::shown::{posture, records, refusal, said};
use fixture::{Fixture, programs};
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader as _, Sym as _};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const TOKEN: (&str, &str) = ("TOKEN", "s3cr3t-Value-of-the-function-7f1c");

/// A source with `POLICY` for its policy, as a program that does not arm, one that does, and one that is
/// strict about what came before.
struct Programs {
    fixture: Fixture,
    built: Vec<(String, PathBuf)>,
}

impl Programs {
    fn new(source: &str) -> Programs {
        let source = |arm: &str| {
            let policy = format!("version = 1\n[arm]\n{arm}\n[secrets]\nenv = [\"TOKEN\"]\n");
            source.replace("POLICY", &format!("{policy:?}"))
        };
        let fixture = programs(
            "libc = \"0.2\"",
            &[
                ("unguarded", &source("debug = \"off\"")),
                ("guarded", &source("debug = \"enforce\"")),
                ("strict", &source("debug = \"enforce\"\nstrict_init = true")),
            ],
        );
        let built = fixture.executables(&["build", "--bins"]);
        Programs { fixture, built }
    }

    fn get(&self, name: &str) -> &Path {
        &self.built.iter().find(|(built, _)| built == name).unwrap().1
    }
}

/// A place that no rule allows, and whether somebody came.
struct Sink(TcpListener, String);

impl Sink {
    fn new() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Sink(listener, address)
    }

    fn reached(&self) -> bool {
        match self.0.accept() {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                false
            }
        }
    }
}

/// The one violation, which is a connection to the sink.
#[track_caller]
fn one_blocked_connection(output: &Output, sink: &Sink) {
    let violations = records(output, "violation");
    assert_eq!(violations.len(), 1, "{output:?}");
    assert_eq!(
        (&violations[0]["syscall"], &violations[0]["action"], &violations[0]["address"]),
        (&"connect".into(), &"blocked".into(), &sink.1.as_str().into()),
        "{output:?}"
    );
    assert!(!sink.reached(), "nobody came");
}

#[track_caller]
fn refused_as_foreign(output: &Output, named: &[&str]) {
    let refused = refusal(output);
    assert_eq!(refused["code"], "foreign_code", "{refused}");
    let message = refused["message"].as_str().unwrap();
    for name in named {
        assert!(message.contains(name), "{name}: {message}");
    }
    assert!(refused["remedy"].as_str().unwrap().contains("strict_init"), "{refused}");
}

/// A program, with nothing that whoever runs this test has left open.
fn command(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    // SAFETY: close_range(2) only, which marks descriptors to be closed.
    unsafe {
        command.pre_exec(|| {
            match libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    command
}

fn run(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(program, arguments, environment).output().unwrap()
}

// A library that is preloaded.

const NOTHING: &str = r#"
#[fnguard::guarded(policy = inline POLICY)]
fn main() {
    println!("armed: {}", fnguard::is_armed());
}
"#;

/// Its constructor looks for the secret in both places, and takes it away.
const PRELOADED: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
static char held[65536];
__attribute__((constructor)) static void run(void) {
    int file = open("/proc/self/environ", O_RDONLY);
    ssize_t size = read(file, held, sizeof held);
    close(file);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(atoi(getenv("SINK")))};
    inet_aton("127.0.0.1", &place.sin_addr);
    int out = socket(AF_INET, SOCK_STREAM, 0);
    int connected = connect(out, (void *)&place, sizeof place) == 0;
    close(out);
    dprintf(1, "getenv: %d\nenviron: %d\nconnected: %d\n", getenv("TOKEN") != NULL,
            size > 0 && memmem(held, size, "s3cr3t", 6) != NULL, connected);
}
"#;

#[test]
fn constructors_of_libraries_come_after() {
    let programs = Programs::new(NOTHING);
    let sink = Sink::new();
    programs.fixture.write("preloaded.c", PRELOADED);
    let library = programs.fixture.directory.join("preloaded.so");
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(programs.fixture.directory.join("preloaded.c"))
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{compiled:?}");
    let port = sink.0.local_addr().unwrap().port().to_string();
    let environment = [TOKEN, ("SINK", port.as_str()), ("LD_PRELOAD", library.to_str().unwrap())];

    let output = run(programs.get("unguarded"), &[], &environment);
    assert!(output.status.success(), "{output:?}");
    for step in ["getenv", "environ", "connected"] {
        assert_eq!(said(&output, step), "1", "{step}: {output:?}");
    }
    assert!(sink.reached());

    // A preloaded library is nothing to refuse: it has done nothing yet.
    for name in ["guarded", "strict"] {
        let output = run(programs.get(name), &[], &environment);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(posture(&output)["controls"]["environment"], "held");
        for step in ["getenv", "environ", "connected"] {
            assert_eq!(said(&output, step), "0", "{name} {step}: {output:?}");
        }
        one_blocked_connection(&output, &sink);
    }
}

// Symbols in the place of libc's, in the program itself.

/// prctl(2) and syscall(2) say that all went well; read(2) reads, by another of libc's.
const INTERPOSES: &str = r#"
use std::ffi::{c_int, c_long, c_void};

#[unsafe(no_mangle)]
extern "C" fn prctl(_: c_int, _: usize, _: usize, _: usize, _: usize) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn syscall(_: c_long, _: usize, _: usize, _: usize, _: usize, _: usize, _: usize) -> c_long {
    0
}

#[unsafe(no_mangle)]
extern "C" fn read(fd: c_int, bytes: *mut c_void, length: usize) -> isize {
    let piece = libc::iovec { iov_base: bytes, iov_len: length };
    // SAFETY: the caller's buffer, as it was given.
    unsafe { libc::readv(fd, &piece, 1) }
}

#[fnguard::guarded(policy = inline POLICY)]
fn main() {
    // SAFETY: numbers only.
    let asked = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    println!("asked: {asked}");
    println!("no_new_privs: {}", line("NoNewPrivs:"));
    println!("seccomp: {}", line("Seccomp:"));
    println!("secret: {}", std::env::var("TOKEN").is_ok());
    println!("connected: {}", std::net::TcpStream::connect(std::env::args().nth(1).unwrap()).is_ok());
}
"#;

#[test]
fn symbols_in_place_of_libcs_are_gone_past_and_named() {
    let programs = Programs::new(INTERPOSES);
    let sink = Sink::new();
    // What arming by libc would have believed: the call went well, and nothing is in force.
    let output = run(programs.get("unguarded"), &[&sink.1], &[TOKEN]);
    for (step, expected) in
        [("asked", "0"), ("no_new_privs", "0"), ("seccomp", "0"), ("secret", "true"), ("connected", "true")]
    {
        assert_eq!(said(&output, step), expected, "{step}: {output:?}");
    }
    assert!(sink.reached());

    let output = run(programs.get("guarded"), &[&sink.1], &[TOKEN]);
    for (step, expected) in
        [("asked", "0"), ("no_new_privs", "1"), ("seccomp", "2"), ("secret", "false"), ("connected", "false")]
    {
        assert_eq!(said(&output, step), expected, "{step}: {output:?}");
    }
    one_blocked_connection(&output, &sink);
    let posture = posture(&output);
    let named: Vec<&str> =
        posture["interposed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let path = programs.get("guarded").display();
    assert_eq!(named, [format!("read from {path}"), format!("syscall from {path}")], "{posture}");

    refused_as_foreign(
        &run(programs.get("strict"), &[&sink.1], &[TOKEN]),
        &["read from ", "syscall from ", "/strict"],
    );
    assert!(!sink.reached());
}

/// What a guarded program links of libc's that the arbiter never calls, with the reason.
const NOT_LOOKED_AT: [(&str, &str); 6] = [
    ("_ITM_", "of transactional memory, which nothing here uses"),
    ("__gmon_start__", "of profiling, which nothing here uses"),
    ("__libc_start_main", "is called before everything"),
    ("__cxa_finalize", "is called by exit(3), and the arbiter ends without it"),
    ("__tls_get_addr", "is the dynamic linker's own"),
    ("environ", "is data"),
];

/// Every function that a guarded program takes from libc is looked at: what the arbiter calls of them
/// would otherwise be somebody else's code, run in the arbiter, and nobody would say so.
#[test]
fn every_symbol_of_libcs_is_looked_at() {
    let programs = Programs::new("#[fnguard::guarded(policy = inline POLICY)]\nfn main() {}\n");
    let program = std::fs::read(programs.get("guarded")).unwrap();
    let linked = imported(&program);
    assert!(linked.len() > 60 && linked.contains(&"malloc".to_owned()), "{linked:?}");
    let looked_at = fnguard::__private::libc_function_names();
    let other_names = [("__xpg_strerror_r", "strerror_r")];
    for name in linked {
        let name = other_names.iter().find(|(other, _)| *other == name).map_or(&*name, |(_, name)| name);
        let excused = NOT_LOOKED_AT.iter().any(|(start, _)| name.starts_with(start));
        assert!(excused || looked_at.contains(&name), "{name} is linked and not looked at");
    }
}

/// The functions that a program takes from libraries, but for the unwinder's, which the arbiter ends before.
fn imported(program: &[u8]) -> Vec<String> {
    let header = FileHeader64::<Endianness>::parse(program).unwrap();
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, program).unwrap();
    let symbols = sections.symbols(endian, program, object::elf::SHT_DYNSYM).unwrap();
    let undefined = symbols.iter().filter(|symbol| symbol.is_undefined(endian));
    undefined
        .map(|symbol| String::from_utf8(symbols.symbol_name(endian, symbol).unwrap().to_vec()).unwrap())
        .filter(|name| !name.is_empty() && !name.starts_with("_Unwind_"))
        .collect()
}

/// A function that only the arbiter calls, and none of libc's own program does.
const OF_THE_ARBITER: &str = r#"
use std::ffi::c_int;

#[unsafe(no_mangle)]
extern "C" fn mallopt(_: c_int, _: c_int) -> c_int {
    1
}

#[fnguard::guarded(policy = inline POLICY)]
fn main() {}
"#;

#[test]
fn what_only_the_arbiter_calls_is_named() {
    let programs = Programs::new(OF_THE_ARBITER);
    let posture = posture(&run(programs.get("guarded"), &[], &[TOKEN]));
    let path = programs.get("guarded").display();
    assert_eq!(posture["interposed"], serde_json::json!([format!("mallopt from {path}")]), "{posture}");
    refused_as_foreign(&run(programs.get("strict"), &[], &[TOKEN]), &["mallopt from ", "/strict"]);
}

// A process that is there before, memory shared with it, a socket, objects of the kernel's, and what runs by
// itself.

/// An earlier entry than the guard's, which only the program itself can have.
const EARLIER: &str = r#"
#[used]
#[unsafe(link_section = ".preinit_array")]
static FIRST: extern "C" fn() = first;
static PAGE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

extern "C" fn first() {
    // SAFETY: before main, with one thread: new mappings, descriptors and timers, and a fork.
    unsafe {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let page = libc::mmap(std::ptr::null_mut(), 4096, access, libc::MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0);
        PAGE.store(page as usize, std::sync::atomic::Ordering::SeqCst);
        let onto = |fd: libc::c_long, number: i32| {
            if fd >= 0 {
                libc::dup2(fd as i32, number);
                libc::close(fd as i32);
            }
        };
        // A software event of this process, without the kernel's part (perf_event_open(2)).
        let event: [u32; 16] = [1, 64, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 5, 0, 0, 0, 0, 0];
        onto(libc::syscall(libc::SYS_perf_event_open, event.as_ptr(), 0, -1, -1, 0), 20);
        onto(libc::syscall(libc::SYS_userfaultfd, 1), 21);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut());
        let mut event: libc::sigevent = std::mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGUSR2;
        let mut timer = 0i32;
        libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, &raw const event, &raw mut timer);
        let later = [0i64, 0, 1000, 0];
        libc::syscall(libc::SYS_timer_settime, timer, 0, later.as_ptr(), 0);
        libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, later.as_ptr(), 0);
        let parent = libc::getpid();
        if libc::fork() == 0 {
            // It answers what it is asked over the page, and ends with whoever started it.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if libc::getppid() != parent {
                libc::_exit(0);
            }
            let page = page.cast::<u32>();
            while page.read_volatile() != 6 {
                libc::sched_yield();
            }
            page.write_volatile(42);
            libc::_exit(0);
        }
    }
}

extern "C" fn handle(_: i32) {}

#[fnguard::guarded(policy = inline POLICY)]
fn main() {
    let page = PAGE.load(std::sync::atomic::Ordering::SeqCst) as *mut u32;
    // SAFETY: the page that `first` has mapped, which stays.
    unsafe {
        page.write_volatile(6);
        while page.read_volatile() != 42 {
            std::thread::yield_now();
        }
    }
    println!("answered: 42");
    // SAFETY: no pointers.
    let flags = |number| unsafe { libc::fcntl(number, libc::F_GETFD) };
    println!("socket: {}", flags(19));
    for number in [20, 21] {
        println!("object {number}: {}", flags(number));
    }
    // Of whoever armed: the parent, or, unguarded, this process itself.
    let pid = if fnguard::is_armed() { std::os::unix::process::parent_id() } else { std::process::id() };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim().to_owned();
    println!("handles: {}", u64::from_str_radix(&caught, 16).unwrap() & 1 << (libc::SIGUSR2 - 1));
    // The arbiter's may be closed to this process.
    let timers = std::fs::read_to_string(format!("/proc/{pid}/timers")).unwrap_or_default();
    println!("timers: {}", timers.lines().filter(|line| line.starts_with("ID: ")).count());
    let mut left = [0i64; 4];
    unsafe { libc::syscall(libc::SYS_getitimer, libc::ITIMER_REAL, left.as_mut_ptr()) };
    println!("interval: {}", left[2] != 0);
}
"#;

#[test]
fn what_an_earlier_entry_left_is_named_or_refused() {
    let programs = Programs::new(EARLIER);
    let (inherited, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let number = inherited.as_raw_fd();
    let run = |name: &str| {
        let mut command = command(programs.get(name), &[], &[TOKEN]);
        // SAFETY: dup2(2) only, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                if libc::dup2(number, 19) == 19 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        command.output().unwrap()
    };
    let output = run("unguarded");
    assert_eq!((said(&output, "answered"), said(&output, "socket")), ("42".into(), "0".into()));
    for (what, expected) in [("handles", "2048"), ("timers", "1"), ("interval", "true")] {
        assert_eq!(said(&output, what), expected, "{what}: {output:?}");
    }
    // Perf events and userfaultfd may be switched off.
    let objects: Vec<&str> =
        ["20", "21"].into_iter().filter(|number| said(&output, &format!("object {number}")) == "0").collect();

    // The page stays a way out of the process that no call shows; the socket does not.
    let output = run("guarded");
    assert_eq!((said(&output, "answered"), said(&output, "socket")), ("42".into(), "-1".into()));
    for (what, expected) in
        [("object 20", "-1"), ("object 21", "-1"), ("handles", "0"), ("timers", "0"), ("interval", "false")]
    {
        assert_eq!(said(&output, what), expected, "{what}: {output:?}");
    }
    let warnings = posture(&output)["warnings"].to_string();
    let objects: Vec<String> =
        objects.iter().map(|number| format!("descriptor {number} (kernel object, closed)")).collect();
    let left = [
        "child processes ",
        "shared writable map ",
        "descriptor 19 (socket, closed)",
        "interval timer 0",
        "timer 0",
        "handler of signal 12 from /",
    ];
    let left: Vec<&str> = left.into_iter().chain(objects.iter().map(String::as_str)).collect();
    for what in &left {
        assert!(warnings.contains(what), "{what}: {warnings}");
    }
    refused_as_foreign(&run("strict"), &left);
}

// The function's own log.

const SILENCES: &str = r#"
#[fnguard::guarded(policy = inline POLICY)]
fn main() {
    println!("before");
    eprintln!("before");
    let words: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = words[1..].iter().map(|word| word.parse().unwrap()).collect();
    let result = unsafe {
        match (words[0].as_str(), numbers.as_slice()) {
            ("close", [fd]) => libc::close(*fd as i32),
            ("close_range", [first, last]) => libc::syscall(libc::SYS_close_range, *first, *last, 0) as i32,
            ("dup2", [from, onto]) => libc::dup2(*from as i32, *onto as i32),
            other => panic!("{other:?}"),
        }
    };
    let error = std::io::Error::last_os_error().raw_os_error().unwrap();
    println!("after");
    eprintln!("after");
    std::process::exit(if result >= 0 { 0 } else { error });
}
"#;

#[test]
fn nobody_silences_the_log() {
    let programs = Programs::new(SILENCES);
    let both = |output: &Output, line: &str| {
        [&output.stdout, &output.stderr]
            .map(|stream| String::from_utf8_lossy(stream).lines().any(|found| found == line))
    };
    let highest = u32::MAX.to_string();
    // What is done, and which of stdout and stderr can no longer be written then.
    let ways: [(&[&str], [bool; 2]); 6] = [
        (&["close", "1"], [true, false]),
        (&["close", "2"], [false, true]),
        (&["close_range", "1", "2"], [true, true]),
        (&["close_range", "2", "2"], [false, true]),
        (&["close_range", "0", &highest], [true, true]),
        // Onto what was handed down as standard input: /dev/null.
        (&["dup2", "0", "1"], [true, false]),
    ];
    for (way, silent) in ways {
        let output = run(programs.get("unguarded"), way, &[]);
        assert_eq!(
            (output.status.code(), both(&output, "before")),
            (Some(0), [true; 2]),
            "{way:?}: {output:?}"
        );
        assert_eq!(both(&output, "after"), silent.map(|silent| !silent), "{way:?}: {output:?}");

        let output = run(programs.get("guarded"), way, &[TOKEN]);
        assert_eq!(output.status.code(), Some(libc::EPERM), "{way:?}: {output:?}");
        assert_eq!((both(&output, "before"), both(&output, "after")), ([true; 2], [true; 2]), "{way:?}");
        let violations = records(&output, "violation");
        assert_eq!(violations.len(), 1, "{way:?}: {output:?}");
        let violation = &violations[0];
        assert_eq!(
            (&violation["control"], &violation["syscall"], &violation["rule"]),
            (&"guard".into(), &way[0].into(), &"guard.logs".into()),
            "{violation}"
        );
        assert!(violation["detail"].as_str().unwrap().contains(way[1]), "{way:?}: {violation}");
    }
}

// What the child could not do.

/// A filter that refuses dup3(2), by which arming puts its pipes in place.
fn refuse_dup3() -> std::io::Result<()> {
    let instruction = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_dup3 as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENFILE as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: prctl(2) only; the program is alive until it returns.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if installed { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn what_the_child_could_not_do_is_said_in_its_own_words() {
    let programs = Programs::new(NOTHING);
    let mut command = command(programs.get("guarded"), &[], &[TOKEN]);
    // SAFETY: what runs between fork and exec allocates nothing.
    unsafe { command.pre_exec(refuse_dup3) };
    let refused = refusal(&command.output().unwrap());
    assert_eq!(refused["code"], "call_failed", "{refused}");
    let message = refused["message"].as_str().unwrap();
    assert!(message.starts_with("replacing stdout failed: ") && message.contains("ENFILE"), "{refused}");
    // All of it is the child's, carried over to the arbiter that writes it.
    assert_eq!(refused["found"], "ENFILE", "{refused}");
    assert!(refused["remedy"].as_str().unwrap().contains("fs.file-max"), "{refused}");
}
