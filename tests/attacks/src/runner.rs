//! Runs a suite: in namespaces of its own, one test after another, as root or as an ordinary
//! user. A test that can't be done here says why; whether it may is a list in a file.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::Instant;

/// A test.
pub struct Test {
    /// Its name: room and subject.
    pub name: &'static str,
    /// What it does; a failed assertion fails it.
    pub run: fn() -> Verdict,
}

/// What came of a test that did not fail.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It can't be done here.
    NotPossible(String),
}

/// A table of tests, named by room.
#[macro_export]
macro_rules! tests {
    ($room:literal: $($name:ident),+ $(,)?) => {
        /// The tests of this room.
        pub const TESTS: &[$crate::runner::Test] = &[$($crate::runner::Test {
            name: concat!($room, "::", stringify!($name)),
            run: || $crate::runner::IntoVerdict::into_verdict($name()),
        }),+];
    };
}

/// What a test may return.
pub trait IntoVerdict {
    /// As a verdict.
    fn into_verdict(self) -> Verdict;
}

impl IntoVerdict for () {
    fn into_verdict(self) -> Verdict {
        Verdict::Holds
    }
}

impl IntoVerdict for Verdict {
    fn into_verdict(self) -> Verdict {
        self
    }
}

/// Set inside the namespaces.
const INSIDE: &str = "FNGUARD_ATTACKS_INSIDE";
/// Set to run as an ordinary user where the caller is root.
const AS_USER: &str = "FNGUARD_ATTACKS_AS_USER";
/// The user and group of an ordinary user: nobody.
const NOBODY: &str = "65534";

/// Addresses that the suite's network namespace has, on its loopback interface: those that
/// policies name, those that they don't, and translated and private forms of the latter.
pub const ADDRESSES: [&str; 11] = [
    "198.51.100.7/32",
    // The payment host, the resolver and the runtime API of `ambush_platform`.
    "198.51.100.10/32",
    "198.51.100.53/32",
    "169.254.100.1/32",
    "203.0.113.9/32",
    "169.254.169.254/32",
    "10.11.12.13/32",
    "2001:db8::7/128",
    "2001:db8:bad::9/128",
    "64:ff9b::cb00:7109/128",
    "2002:cb00:7109::1/128",
];

/// Whether this process is in the suite's namespaces already. Before, it has the machine's network.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Whether the command line chooses one of these tests to be run.
pub fn wants(tests: &[Test]) -> bool {
    let list = std::env::args().any(|word| word == "--list");
    !list && !chosen(&[tests]).is_empty()
}

/// The tests whose names hold one of the words on the command line, or all.
fn chosen<'a>(tests: &[&'a [Test]]) -> Vec<&'a Test> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    tests
        .iter()
        .flat_map(|room| room.iter())
        .filter(|test| words.is_empty() || words.iter().any(|word| test.name.contains(word.as_str())))
        .collect()
}

/// Goes on in namespaces of its own (pid, mount, network; a user namespace where the caller may
/// not make those), with a loopback interface that is up, once `script` has run there. Returns inside.
fn isolate(script: &str) {
    if is_inside() {
        return;
    }
    // SAFETY: getuid(2) always succeeds.
    let is_root = unsafe { libc::getuid() } == 0;
    let as_user = std::env::var_os(AS_USER).is_some_and(|value| value != "0");
    let program = std::env::current_exe().expect("our own path");
    let mut words: Vec<OsString> = Vec::new();
    let mut add = |list: &[&str]| words.extend(list.iter().map(OsString::from));
    if is_root && as_user {
        let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
        add(&["setpriv", &user, &group, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    }
    add(&["unshare"]);
    let privileged = is_root && !as_user;
    if !privileged {
        add(&["-U", "--map-current-user", "--keep-caps"]);
    }
    add(&["-n", "-m", "-p", "-f", "--mount-proc", "--kill-child=KILL", "sh", "-ec"]);
    let addresses: String = ADDRESSES
        .iter()
        .map(|address| {
            let (bare, _) = address.split_once('/').unwrap_or((address, ""));
            if bare.contains(':') {
                // The kernel adds the route to it later, by a worker of its own.
                format!("ip addr add {address} dev lo nodad\nuntil ip route get {bare} > /dev/null 2>&1; do :; done\n")
            } else {
                format!("ip addr add {address} dev lo\n")
            }
        })
        .collect();
    let drop = if privileged { "" } else { "setpriv --ambient-caps=-all --inh-caps=-all" };
    let script = format!(
        "ip link set lo up\n{addresses}\
         g=$(id -g); echo \"$g $g\" > /proc/sys/net/ipv4/ping_group_range; echo 53 > /proc/sys/net/ipv4/ip_unprivileged_port_start || true\n\
         {script}\n\
         exec {drop} \"$@\""
    );
    words.extend([OsString::from(script), "sh".into(), program.into()]);
    words.extend(std::env::args_os().skip(1));
    let error = Command::new(&words[0]).args(&words[1..]).env(INSIDE, "1").exec();
    eprintln!("{:?} can't be started: {error}", words[0]);
    std::process::exit(3);
}

/// The list of tests that may be impossible, for one kind of user or on some kernels.
struct Excuses<'a> {
    /// The tests, each with whether it was needed.
    entries: Vec<(&'a str, bool)>,
}

impl<'a> Excuses<'a> {
    /// Reads the list: a name and `root`, `user`, `any` or `kernel` in each line, `#` before a remark.
    /// What holds for somebody else is read over; what says nothing is an error, and so is the name of
    /// no test. A `kernel` may lack what the test needs, and need not: such an entry is never too much.
    fn read(text: &'a str, who: &str, known: &[&str]) -> Result<Self, String> {
        let mut entries = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
            match words.as_slice() {
                [] => {}
                [name, whom @ ("root" | "user" | "any" | "kernel")] => {
                    if !known.contains(name) {
                        return Err(format!("excused.txt:{number}: no test is named {name}"));
                    }
                    if *whom == who || matches!(*whom, "any" | "kernel") {
                        entries.push((*name, *whom == "kernel"));
                    }
                }
                _ => {
                    return Err(format!(
                        "excused.txt:{number}: expected `TEST root|user|any|kernel # reason`, found: {line}"
                    ));
                }
            }
        }
        Ok(Excuses { entries })
    }

    /// Whether a test may be impossible; if so, the entry was needed.
    fn need(&mut self, test: &str) -> bool {
        let mut found = false;
        for entry in self.entries.iter_mut().filter(|(name, _)| *name == test) {
            (entry.1, found) = (true, true);
        }
        found
    }

    /// Entries that nothing needed. Only a run of every test shows it.
    fn not_needed(&self) -> impl Iterator<Item = &'a str> {
        self.entries.iter().filter(|(_, needed)| !needed).map(|(name, _)| *name)
    }
}

/// Runs the tests whose names hold one of the words on the command line, or all. `excused` is the
/// list of those that may be impossible: a name, and `root`, `user`, `any` or `kernel`. An entry that a
/// run of all of them does not need fails it, unless it is for a kernel.
pub fn run(tests: &[&[Test]], excused: &str) -> ! {
    run_after("", tests, excused)
}

/// The same, with commands for a shell that has every capability in the namespaces, such as mounts.
pub fn run_after(script: &str, tests: &[&[Test]], excused: &str) -> ! {
    isolate(script);
    // SAFETY: getuid(2) always succeeds.
    let who = if unsafe { libc::getuid() } == 0 { "root" } else { "user" };
    let known: Vec<&str> = tests.iter().flat_map(|room| room.iter()).map(|test| test.name).collect();
    let mut excuses = Excuses::read(excused, who, &known).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(2)
    });
    let chosen = chosen(tests);
    if std::env::args().any(|word| word == "--list") {
        for test in chosen {
            println!("{}: test", test.name);
        }
        std::process::exit(0);
    }
    let (mut held, mut impossible, mut failed) = (0, 0, Vec::new());
    for test in &chosen {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(test.run));
        let took = began.elapsed();
        match result {
            Ok(Verdict::Holds) => {
                held += 1;
                println!("holds  {} ({took:.1?})", test.name);
            }
            Ok(Verdict::NotPossible(reason)) => {
                let is_excused = excuses.need(test.name);
                println!(
                    "not possible here: {}: {reason}{}",
                    test.name,
                    if is_excused { "" } else { " (not excused)" }
                );
                impossible += 1;
                if !is_excused {
                    failed.push(test.name);
                }
            }
            Err(_) => {
                println!("FAILED {} ({took:.1?})", test.name);
                failed.push(test.name);
            }
        }
    }
    if chosen.len() == known.len() {
        for name in excuses.not_needed() {
            println!("FAILED {name}: excused for {who}, and it can be done: take it off the list");
            failed.push(name);
        }
    }
    println!(
        "attacks as {who}: {held} held, {impossible} not possible here, {} failed, of {}{}",
        failed.len(),
        chosen.len(),
        if failed.is_empty() { String::new() } else { format!(": {}", failed.join(", ")) }
    );
    std::process::exit(i32::from(!failed.is_empty() || chosen.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::Excuses;

    #[test]
    fn an_excuse_is_for_one_kind_of_user_and_has_to_be_needed() {
        let list = "# a remark\n\na::b user # why\nc::d root # why\ne::f any # why\ng::h kernel # why\n";
        let mut excuses = Excuses::read(list, "user", &["a::b", "c::d", "e::f", "g::h"]).unwrap();
        assert!(excuses.need("g::h"), "it may be needed, and need not");
        assert!(!excuses.need("c::d"), "that is root's");
        assert_eq!(excuses.not_needed().collect::<Vec<_>>(), ["a::b", "e::f"]);
        assert!(excuses.need("a::b"));
        assert_eq!(excuses.not_needed().collect::<Vec<_>>(), ["e::f"]);
    }

    #[test]
    fn a_list_that_says_nothing_is_refused() {
        for list in ["a::b\n", "a::b everybody\n", "a::c user\n", "a::b user because\n"] {
            assert!(Excuses::read(list, "user", &["a::b"]).is_err(), "{list}");
        }
    }
}
