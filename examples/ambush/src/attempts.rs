//! The table of what is tried: for each attempt what it is, who did it before, what it aims at,
//! what the outside shows if it succeeded, and what the guard must say when it did not. The attempts
//! themselves are in the hostile crate, under the same names; a test holds the two together.

/// One attempt.
pub struct Attempt {
    /// Its name, the same as in the hostile crate.
    pub name: &'static str,
    /// What it does, for a reader of `--list`.
    pub what: &'static str,
    /// Who did it, or by what it is known.
    pub known_from: &'static str,
    /// What it aims at.
    pub aim: Aim,
    /// What the outside shows where it succeeded.
    pub proof: Proof,
    /// What the guard must say where it did not.
    pub record: Record,
    /// How the invocation ends in which it is made.
    pub ends: Ends,
}

/// What an attempt aims at. Each is made for one attempt and no other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Nothing that needs an address.
    Nothing,
    /// A TCP port of the attacker's address.
    Tcp,
    /// The same over IPv6.
    TcpV6,
    /// A TCP port of the loopback, reached as 0.0.0.0.
    TcpZero,
    /// A UDP port of the attacker's address.
    Udp,
    /// The metadata service.
    Metadata,
    /// A name server that is asked over HTTP.
    NamesOverHttp,
    /// The resolver of resolv.conf.
    Resolver,
    /// A name server of the attacker's, at port 53.
    OwnNameServer,
    /// An ICMP echo to the attacker's address.
    Echo,
    /// Another process by netlink.
    Netlink,
    /// The container daemon's socket.
    ContainerDaemon,
    /// A socket in the abstract namespace.
    AbstractSocket,
    /// A port that is free, to listen on.
    FreePort,
    /// A `.env` beside the function's code, with a token in it.
    DotEnv,
    /// A new file beside the function's code.
    BesideCode,
    /// A start-up file in the home.
    StartUpFile,
    /// A file outside /tmp that can't be executed.
    PlainFile,
    /// A file in the home, to be made from one in /tmp.
    MovedFile,
    /// A file in the home that is dear to somebody.
    DearFile,
    /// A file in /tmp.
    TemporaryFile,
    /// A free page of the address space.
    Page,
    /// A limit of open files.
    Limit,
}

/// What the outside shows where an attempt succeeded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The sink that it aimed at got something.
    Arrived,
    /// The attacker hands in a secret that it was never given.
    SecretFound,
    /// The program that it started wrote its file.
    ProgramRan,
    /// The file that it aimed at is there, with the nonce in it.
    FileWritten,
    /// The file's mode is another.
    ModeChanged,
    /// The file is gone.
    FileGone,
    /// A new listening socket gives the nonce to whoever connects.
    DoorOpen,
    /// The page is mapped executable, and what ran in it returned the right number.
    CodeRan,
    /// The parent has a tracer.
    ParentTraced,
    /// The parent is stopped.
    ParentStopped,
    /// The parent is dead.
    ParentDead,
    /// The parent may have fewer open files.
    ParentLimited,
    /// The parent runs when nobody else wants to.
    ParentIdle,
    /// The parent runs on one processor.
    ParentPinned,
    /// Unredacted bytes stand in the parent's log.
    ParentLogWritten,
    /// The function holds a descriptor of this kind.
    Holds(Descriptor),
    /// A process of the attacker's is in another user namespace.
    OtherNamespace,
    /// The kernel's keys have one by the nonce's name.
    KeyKept,
    /// A thread has one filter more than another.
    FilterAdded,
    /// The terminal has input that nobody typed.
    TerminalTyped,
    /// The terminal shows the key.
    TerminalShows,
    /// The log shows the key in one of the forms beside the nonce.
    LogShows,
    /// A line that was written to the log is with the attacker, and not in the log.
    LogStolen,
    /// A line of the attacker's reads as a record of the guard's.
    RecordForged,
    /// The answer to the caller shows the key.
    AnswerShows,
}

/// What a descriptor leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Descriptor {
    /// An anonymous inode of this name.
    Anonymous(&'static str),
    /// A socket of this family.
    Socket(i32),
}

/// What the guard must say of a stopped attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// A violation of this control, for one of these system calls, with the attempt's own nonce in it.
    /// A name that is asked for stands in a record as `lookup`, by whichever call it came.
    Violation(&'static str, &'static [&'static str]),
    /// The secret's name where the secret stood.
    Redaction,
    /// The attacker's line is there and no longer reads as the guard's.
    Marked,
    /// Nothing, for this reason, which the outside shows.
    Outside(Unrecorded),
}

/// Why the guard need not say anything of a stopped attempt.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unrecorded {
    /// There was nothing left to find, and the attempt found what is no secret in the same place.
    NothingLeft,
    /// The kernel refuses by itself: the parent is not dumpable, so that nobody of the function's user
    /// reads its /proc entries (proc(5)).
    ParentClosed,
    /// The kernel refuses by itself: the log's pipe has no permission to read (0200).
    LogClosed,
}

/// How the invocation ends in which the attempt is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// With a receipt, whatever becomes of the attempt.
    Receipt,
    /// With an error, whatever becomes of the attempt: the error is the attempt.
    Error,
    /// Never, where it succeeds: the process has become another program, or has gone down with its
    /// session's leader (SIGHUP: setsid(2)).
    NotIfItSucceeds,
}

/// The calls that make a process or start a program.
const STARTS: Record = Record::Violation("exec", &["clone", "fork", "vfork", "execve", "execveat"]);
/// The calls that open a file.
const OPENS: Record = Record::Violation("files", &["open", "openat", "openat2", "creat"]);

const fn attempt(
    name: &'static str,
    aim: Aim,
    proof: Proof,
    record: Record,
    what: &'static str,
    known_from: &'static str,
) -> Attempt {
    Attempt { name, what, known_from, aim, proof, record, ends: Ends::Receipt }
}

const fn ending(ends: Ends, attempt: Attempt) -> Attempt {
    Attempt { ends, ..attempt }
}

use Aim as A;
use Proof as P;
use Record::{Marked, Outside, Redaction, Violation};
use Unrecorded::{LogClosed, NothingLeft, ParentClosed};

/// Every attempt, in the order of the report.
#[rustfmt::skip]
pub const ALL: &[Attempt] = &[
    // Secrets where they lie.
    attempt("env-std", A::Nothing, P::SecretFound, Outside(NothingLeft), "reads all of std::env", "ctx, 2022"),
    attempt("env-getenv", A::Nothing, P::SecretFound, Outside(NothingLeft), "asks libc's getenv", "litellm, 2026"),
    attempt("env-proc-self", A::Nothing, P::SecretFound, Outside(NothingLeft), "reads /proc/self/environ and each thread's", "Shai-Hulud, 2025"),
    attempt("env-stack", A::Nothing, P::SecretFound, Outside(NothingLeft), "looks at the stack pages where the kernel put the environment", "no system call tells"),
    attempt("env-memory-scan", A::Nothing, P::SecretFound, Outside(NothingLeft), "scans all memory for the password that the function never asks for", "tj-actions, 2025"),
    attempt("env-parent", A::Nothing, P::SecretFound, Outside(ParentClosed), "reads the parent's environ", "the parent got the same environment"),
    attempt("dotenv", A::DotEnv, P::SecretFound, OPENS, "reads the .env beside the code", "time_calibrator, 2026"),
    // Programs.
    attempt("sh-c", A::Nothing, P::ProgramRan, STARTS, "starts sh -c", "ultralytics, 2024"),
    ending(Ends::NotIfItSucceeds, attempt("raw-execve", A::Nothing, P::ProgramRan, STARTS, "becomes sh by a raw system call", "walks past patched libc entries")),
    ending(Ends::NotIfItSucceeds, attempt("memfd-exec", A::Nothing, P::ProgramRan, STARTS, "becomes a program that was never a file", "Denonia, 2022")),
    ending(Ends::NotIfItSucceeds, attempt("dropped-binary", A::TemporaryFile, P::ProgramRan, Violation("exec", &["execve"]), "writes a binary to /tmp and becomes it", "rustdecimal, 2022")),
    attempt("loader-exec", A::Nothing, P::ProgramRan, STARTS, "starts the dynamic loader with a program of its own", "one allowed path runs any file"),
    attempt("fork-daemon", A::Nothing, P::ProgramRan, STARTS, "forks twice and stays behind", "outlives the invocation"),
    // The network.
    attempt("tcp", A::Tcp, P::Arrived, Violation("network", &["connect"]), "connects to an unlisted address", "faster_log, 2025"),
    attempt("tcp-v6", A::TcpV6, P::Arrived, Violation("network", &["connect"]), "the same over IPv6", "rules for IPv4 only"),
    attempt("tcp-v4-mapped", A::Tcp, P::Arrived, Violation("network", &["connect"]), "the same, IPv4 mapped into IPv6", "syd's advisories"),
    attempt("tcp-fastopen", A::Tcp, P::Arrived, Violation("network", &["sendto"]), "connects by sendto with MSG_FASTOPEN", "no connect call"),
    attempt("tcp-zero-address", A::TcpZero, P::Arrived, Violation("network", &["connect"]), "reaches a local service as 0.0.0.0", "0.0.0.0 is loopback"),
    attempt("mptcp", A::Tcp, P::Arrived, Violation("network", &["socket"]), "a stream socket of protocol MPTCP", "socket checks without the protocol"),
    attempt("udp-sendto", A::Udp, P::Arrived, Violation("network", &["sendto"]), "one datagram", "StatsD look-alikes"),
    attempt("udp-connected", A::Udp, P::Arrived, Violation("network", &["connect"]), "a connected datagram socket", "what is sent has no address"),
    attempt("udp-sendmsg", A::Udp, P::Arrived, Violation("network", &["sendmsg"]), "sendmsg", "address behind two pointers"),
    attempt("udp-sendmmsg", A::Udp, P::Arrived, Violation("network", &["sendmmsg"]), "sendmmsg", "many in one call"),
    attempt("udp-af-unspec", A::Udp, P::Arrived, Violation("network", &["sendto"]), "a datagram to family AF_UNSPEC", "syd fixed it twice"),
    attempt("udp-v4-on-v6", A::Udp, P::Arrived, Violation("network", &["sendto"]), "an IPv4 address on an IPv6 socket", "family of socket and address differ"),
    attempt("metadata-service", A::Metadata, P::Arrived, Violation("network", &["connect"]), "asks 169.254.169.254 for the role's credentials", "Shai-Hulud, 2025"),
    attempt("doh", A::NamesOverHttp, P::Arrived, Violation("network", &["connect"]), "asks a name server over HTTP", "Denonia, 2022"),
    attempt("bind-backdoor", A::FreePort, P::DoorOpen, Violation("network", &["bind"]), "listens on a port", "remote-access trojans"),
    attempt("listen-unbound", A::Nothing, P::DoorOpen, Violation("network", &["listen"]), "listens without bind", "the kernel picks a port"),
    attempt("unix-docker-sock", A::ContainerDaemon, P::Arrived, Violation("network", &["connect"]), "asks the container daemon to start something", "somebody else execs"),
    attempt("unix-abstract", A::AbstractSocket, P::Arrived, Violation("network", &["connect"]), "an abstract unix socket", "on no file system"),
    attempt("ping-socket", A::Echo, P::Arrived, Violation("network", &["socket"]), "an echo request with the key in it", "ICMP tunnels"),
    attempt("netlink", A::Netlink, P::Arrived, Violation("network", &["socket"]), "netlink's user protocol to another process", "not only routes"),
    attempt("vsock", A::Nothing, P::Holds(Descriptor::Socket(libc::AF_VSOCK)), Violation("network", &["socket"]), "a socket to the micro VM's host", "Firecracker, Nitro"),
    attempt("io-uring", A::Tcp, P::Arrived, Violation("syscall", &["io_uring_setup"]), "socket, connect and send through a ring", "curing, 2025"),
    // Names.
    attempt("dns-getaddrinfo", A::Resolver, P::Arrived, Violation("network", &["lookup"]), "the key as a label, by getaddrinfo", "dependency confusion, OAST"),
    attempt("dns-raw-udp", A::Resolver, P::Arrived, Violation("network", &["lookup"]), "the same as a datagram of its own", "connects are denied, names are not"),
    attempt("dns-raw-tcp", A::Resolver, P::Arrived, Violation("network", &["lookup"]), "the same over TCP", "port 53 has two transports"),
    attempt("dns-own-server", A::OwnNameServer, P::Arrived, Violation("network", &["lookup"]), "the same to a server of its own", "who is asked matters"),
    // Files.
    attempt("own-code", A::BesideCode, P::FileWritten, OPENS, "writes beside the function's code", "the next cold start loads it"),
    attempt("bashrc", A::StartUpFile, P::FileWritten, OPENS, "appends to ~/.bashrc", "persistence"),
    attempt("chmod", A::PlainFile, P::ModeChanged, Violation("files", &["chmod", "fchmod", "fchmodat", "fchmodat2"]), "makes a file executable for everybody", "Landlock does not hold it"),
    attempt("rename-out", A::MovedFile, P::FileWritten, Violation("files", &["rename", "renameat", "renameat2", "open", "openat"]), "moves a file from /tmp to the home", "made where it is allowed"),
    attempt("wipe", A::DearFile, P::FileGone, Violation("files", &["unlink", "unlinkat"]), "deletes what it could not steal", "Shai-Hulud 2, 2025"),
    // Executable memory.
    attempt("mmap-rwx", A::Page, P::CodeRan, Violation("memory", &["mmap"]), "runs code in writable memory", "shellcode loaders"),
    attempt("mprotect-exec", A::Page, P::CodeRan, Violation("memory", &["mprotect"]), "writes first, makes executable then", "packers"),
    attempt("memfd-map-exec", A::Page, P::CodeRan, Violation("memory", &["mmap"]), "maps a memfd to run it", "never both at once"),
    attempt("personality", A::Page, P::CodeRan, Violation("syscall", &["personality"]), "READ_IMPLIES_EXEC, then plain memory", "no call names PROT_EXEC"),
    // The parent.
    attempt("ptrace-parent", A::Nothing, P::ParentTraced, Violation("process", &["ptrace"]), "becomes the parent's tracer", "the guard is the parent"),
    attempt("vm-readv-parent", A::Nothing, P::SecretFound, Violation("process", &["process_vm_readv"]), "reads the parent's memory", "tj-actions, 2025"),
    attempt("mem-parent", A::Nothing, P::SecretFound, Outside(ParentClosed), "reads /proc/PPID/mem", "tj-actions, 2025"),
    attempt("pidfd-getfd", A::Nothing, P::ParentLogWritten, Violation("process", &["pidfd_open", "pidfd_getfd"]), "takes the parent's log descriptor", "past the redaction"),
    attempt("stderr-parent", A::Nothing, P::ParentLogWritten, Outside(ParentClosed), "opens /proc/PPID/fd/2", "the container habit /proc/1/fd/1"),
    attempt("sigstop-parent", A::Nothing, P::ParentStopped, Violation("process", &["kill"]), "stops the parent", "a stopped guard fails nothing"),
    ending(Ends::NotIfItSucceeds, attempt("sigkill-parent", A::Nothing, P::ParentDead, Violation("process", &["kill"]), "kills the parent", "no guard, no rules")),
    ending(Ends::NotIfItSucceeds, attempt("sigio-courier", A::Nothing, P::ParentDead, Violation("syscall", &["fcntl"]), "has the kernel send SIGKILL by F_SETOWN and F_SETSIG", "no call that signals")),
    attempt("prlimit-parent", A::Limit, P::ParentLimited, Violation("process", &["prlimit64"]), "takes the parent's descriptors away", "EMFILE in the guard"),
    attempt("sched-parent", A::Nothing, P::ParentIdle, Violation("process", &["sched_setscheduler"]), "gives the parent the idle policy", "starves the guard"),
    attempt("affinity-parent", A::Nothing, P::ParentPinned, Violation("process", &["sched_setaffinity"]), "puts the parent on one processor", "starves the guard"),
    // The kernel's surface.
    attempt("userns", A::Nothing, P::OtherNamespace, Violation("exec", &["clone"]), "a user namespace of its own", "every capability inside"),
    attempt("perf-event", A::Nothing, P::Holds(Descriptor::Anonymous("[perf_event]")), Violation("syscall", &["perf_event_open"]), "opens a counter", "side channels"),
    attempt("userfaultfd", A::Nothing, P::Holds(Descriptor::Anonymous("[userfaultfd]")), Violation("syscall", &["userfaultfd"]), "handles its own page faults", "stalls whoever reads its memory"),
    attempt("keyctl", A::Nothing, P::KeyKept, Violation("syscall", &["add_key", "keyctl"]), "leaves the key in the kernel", "a mailbox for other processes"),
    attempt("own-seccomp", A::Nothing, P::FilterAdded, Violation("syscall", &["seccomp"]), "a filter of its own on top", "answers before the guard is asked"),
    attempt("tiocsti", A::Nothing, P::TerminalTyped, Violation("syscall", &["ioctl"]), "types into the terminal", "snapd, flatpak"),
    // Logs and answers.
    attempt("print-raw", A::Nothing, P::LogShows, Redaction, "prints the key", "debug output"),
    attempt("print-stderr", A::Nothing, P::LogShows, Redaction, "prints the key to stderr", "debug output"),
    attempt("print-base64", A::Nothing, P::LogShows, Redaction, "prints the key in base64", "tj-actions, 2025"),
    attempt("print-hex", A::Nothing, P::LogShows, Redaction, "prints the key in hex", "hex dumps"),
    attempt("print-split", A::Nothing, P::LogShows, Redaction, "prints the key a byte a write", "line filters"),
    attempt("print-tty", A::Nothing, P::TerminalShows, OPENS, "writes the key to /dev/tty", "past both streams"),
    attempt("log-reopen", A::Nothing, P::LogStolen, Outside(LogClosed), "opens the log's pipe at its other end", "reads what others log"),
    attempt("forged-record", A::Nothing, P::RecordForged, Marked, "prints violations in the guard's name", "log forging"),
    ending(Ends::Error, attempt("panic-key", A::Nothing, P::AnswerShows, Redaction, "panics with the key", "lambda_runtime tells the caller")),
    ending(Ends::Error, attempt("error-key", A::Nothing, P::AnswerShows, Redaction, "returns the key in an error", "lambda_runtime tells the caller")),
];

#[cfg(test)]
mod tests {
    use super::ALL;
    use std::collections::BTreeSet;

    #[test]
    fn every_attempt_of_the_hostile_crate_has_its_judge_and_the_other_way_round() {
        let judged: BTreeSet<&str> = ALL.iter().map(|attempt| attempt.name).collect();
        let made: BTreeSet<&str> = ambush_hostile::attempts().collect();
        assert_eq!(judged.symmetric_difference(&made).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(judged.len(), ALL.len(), "two attempts have one name");
    }
}
