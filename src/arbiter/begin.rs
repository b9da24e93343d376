//! The arbiter's half of arming: takes the listener, reads back what is in force, says so in one
//! line, and lets the function go on.

use super::images::Images;
use super::invocations::Invocations;
use super::links::Links;
use super::output::{Outlet, Output, Start, carry};
use super::pending::Pending;
use super::serve::{self, Servers};
use super::vault::Vault;
use super::witness::Witness;
use super::{Arbiter, lifetime};
use crate::confine::{self, DomainState, Programs, StandardPipes};
use crate::error::ArmError;
use crate::inventory::Inventory;
use crate::link::handshake::{Reply, Step, hear, tell};
use crate::posture::{self, Seen};
use crate::report::{Held, Mechanism, Namespace, Options, Posture, Reporter, Stream, Style};
use crate::secrets::Captured;
use crate::sys::process::{self, End};
use crate::sys::stack::InitialEnvironment;
use crate::sys::{Errno, capability, descriptor, limit, path, seccomp, signal};
use fnguard_policy::model::{
    Compiled, Executable, Mechanism as WantedMechanism, Mode, OnUnsupported, OwnCode, Peer, Policy, Transport,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Instant, SystemTime};

/// What the parent brings from the fork.
pub(crate) struct Beginning<'a> {
    pub(crate) began: Instant,
    pub(crate) compiled: &'a Compiled,
    pub(crate) function: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) socket: OwnedFd,
    pub(crate) pipes: StandardPipes,
    pub(crate) captured: Captured,
    pub(crate) inventory: &'a Inventory,
    pub(crate) programs: &'a Programs,
    pub(crate) environment: &'a Environment,
    /// This program's file, where it must not be read again.
    pub(crate) own_code: Option<&'a str>,
    pub(crate) launched: bool,
    /// Whether a filter may be tried: false where the platform killed a process for that.
    pub(crate) may_filter: bool,
}

/// What the environment tells the arbiter, read before the fork.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Where the runtime API is.
    runtime_api: Vec<Peer>,
}

impl Environment {
    /// Reads what the platform named: the runtime API is link-local on Lambda today, loopback in
    /// emulators, so it is taken from AWS_LAMBDA_RUNTIME_API and nowhere else.
    pub(crate) fn read(environment: &InitialEnvironment) -> Self {
        let mut facts = Environment::default();
        for index in 0..environment.count() {
            if let Some(value) = environment.get(index).strip_prefix(b"AWS_LAMBDA_RUNTIME_API=") {
                facts.runtime_api = peers_of(&String::from_utf8_lossy(value));
            }
        }
        facts
    }
}

/// The peers behind `host:port`, with or without a scheme before and a path behind.
fn peers_of(value: &str) -> Vec<Peer> {
    let value = value.strip_prefix("http://").unwrap_or(value);
    let authority = value.split('/').next().unwrap_or_default();
    let addresses: Vec<SocketAddr> = match authority.parse::<SocketAddr>() {
        Ok(address) => vec![address],
        Err(_) => match authority.rsplit_once(':') {
            Some(("localhost", port)) => port
                .parse()
                .map(|port| {
                    vec![
                        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
                        SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port),
                    ]
                })
                .unwrap_or_default(),
            // Without a port HTTP's is meant.
            None => authority.parse::<IpAddr>().map(|ip| vec![SocketAddr::new(ip, 80)]).unwrap_or_default(),
            Some(_) => Vec::new(),
        },
    };
    addresses.into_iter().map(|address| Peer::inet(address.ip(), address.port(), Transport::Tcp)).collect()
}

/// How the beginning ended, where it did not become the arbiter's life.
pub(crate) enum Ended {
    /// The function is not started.
    Refused(ArmError),
    /// The function's process was killed for what it tried.
    Killed {
        /// The secrets, for another attempt.
        captured: Captured,
        /// How it ended.
        end: String,
    },
}

/// Becomes the arbiter. Returns only where the function is not started.
pub(crate) fn run(beginning: Beginning<'_>) -> Ended {
    // First of all out of the function's reach; where prctl is refused, the read-back says so.
    let _ = process::set_not_dumpable();
    let step = match hear::<Step>(beginning.socket.as_fd()) {
        Ok(step) => step,
        Err(_) => {
            let end = match process::wait(beginning.function, true) {
                Ok(Some((_, End::Killed(number)))) => format!("killed by signal {number}"),
                Ok(Some((_, End::Exited(status)))) => format!("exit status {status}"),
                _ => "gone".to_owned(),
            };
            let _ = process::set_dumpable();
            return Ended::Killed { captured: beginning.captured, end };
        }
    };
    let Step::Confined { listener, domain, no_new_privileges, dies_with_parent, arbiter_entries_open } = step
    else {
        let message = match step {
            Step::Failed { message, .. } => message,
            _ => "an unexpected step".to_owned(),
        };
        let _ = process::wait(beginning.function, true);
        return Ended::Refused(ArmError::ReadBack { what: message });
    };
    let told = Told { no_new_privileges, dies_with_parent, arbiter_entries_open };
    let function = beginning.function;
    match become_arbiter(beginning, listener, domain, &told) {
        Ok((arbiter, pidfd, signals)) => lifetime::run(&arbiter, &pidfd, &signals),
        Err(error) => {
            let _ = signal::send(function, libc::SIGKILL);
            let _ = process::wait(function, true);
            Ended::Refused(error)
        }
    }
}

/// What the function's process said of itself.
struct Told {
    no_new_privileges: Result<(), i32>,
    dies_with_parent: bool,
    arbiter_entries_open: Vec<String>,
}

fn become_arbiter(
    beginning: Beginning<'_>,
    listener: Result<(i32, bool), i32>,
    domain: Result<DomainState, i32>,
    told: &Told,
) -> Result<(Arc<Arbiter>, OwnedFd, OwnedFd), ArmError> {
    let Beginning { compiled, function, pidfd, socket, pipes, captured, .. } = beginning;
    let policy = &compiled.policy;
    let StandardPipes { stdin, stdout, stderr } = pipes;
    // The writing ends are the function's alone, or its end would never be seen.
    let (stdout, stderr) = (stdout.0, stderr.0);

    let confined_alone = confine_self(compiled, beginning.may_filter);
    let signals = take_signals()?;
    let (out, err) = outlets()?;
    let terminal = descriptor::borrow_number(2).is_some_and(descriptor::is_terminal);

    let (waits_killable, listener_error, listener) = match listener {
        Ok((number, killable)) => {
            let taken = process::take_descriptor(pidfd.as_fd(), number)
                .map_err(ArmError::call("taking the listener from the function's process"))?;
            seccomp::set_synchronous_wake_up(taken.as_fd());
            (killable, None, Some(taken))
        }
        Err(error) => (false, Some(Errno(error)), None),
    };
    let domain_error = domain.as_ref().err().map(|&error| Errno(error));

    let looks_like_secret = captured.looks_like_secret;
    let (vault, matcher) = Vault::new(captured.store)?;
    let weak: Vec<(String, String)> =
        matcher.weak().iter().map(|weak| (weak.name.clone(), weak.reason.to_string())).collect();
    let options = Options {
        style: if terminal { Style::Terminal } else { Style::Json },
        emf: policy.report.emf.as_deref().and_then(|namespace| Namespace::new(namespace).ok()),
        ..Options::default()
    };
    let allowed_images =
        (!policy.exec.any && policy.exec.mode == Mode::Enforce).then(|| beginning.programs.images.clone());
    let launch = (beginning.launched && listener.is_some()).then_some(function);
    let arbiter = Arc::new(Arbiter {
        policy: Arc::new(policy.clone()),
        function,
        launched: beginning.launched,
        listener,
        waits_killable,
        domain: domain.unwrap_or_default(),
        own_code: beginning.own_code.filter(|_| policy.files.own_code == OwnCode::Deny).map(str::to_owned),
        implicit: beginning.environment.runtime_api.clone(),
        secrets: vault,
        witness: Arc::new(Witness::new(options, matcher)),
        invocations: Arc::new(Mutex::new(Invocations::default())),
        images: Images::new(allowed_images, launch),
        links: Links::new().map_err(ArmError::call("making the links' wake-up"))?,
        pending: Pending::default(),
        servers: Servers::new(),
        output: OnceLock::new(),
        names: OnceLock::new(),
        posture_line: OnceLock::new(),
    });
    let talking = || ArmError::call("talking to the function's process");
    tell(socket.as_fd(), &Reply::Go).map_err(talking())?;
    let trapped = if arbiter.listener.is_some() {
        // The function's question is answered here: threads come when it is on its way.
        serve::serve_until(&arbiter, socket.as_fd()).map_err(ArmError::call("answering the function"))?;
        match hear::<Step>(socket.as_fd()).map_err(talking())? {
            Step::Tried { trapped } => trapped,
            _ => false,
        }
    } else {
        arbiter
            .links
            .adopt(
                socket.try_clone().map_err(|_| ArmError::Call {
                    failing: "keeping the link",
                    source: Errno(libc::EMFILE),
                })?,
                function,
            )
            .map_err(ArmError::call("keeping the link"))?;
        false
    };

    let seen = posture::see(function).map_err(ArmError::call("reading the function's entries in /proc"))?;
    let found = Found { seen, trapped, listener_error, domain_error, confined_alone };
    let mut record = posture_record(&arbiter, compiled, &found, told);
    record.weak = weak;
    record.looks_like_secret = looks_like_secret;
    record.interposed = beginning.inventory.interposed.clone();
    record.warnings.extend(beginning.inventory.foreign.iter().cloned());
    record.warnings.extend(beginning.inventory.inherited.named.iter().cloned());
    record.warnings.extend(beginning.programs.warnings.iter().cloned());
    record.arming_us = u64::try_from(beginning.began.elapsed().as_micros()).ok();
    refuse_what_is_not_held(&arbiter, policy, &record, &found, &err)?;
    let _ = arbiter.posture_line.set(describe(&record));
    arbiter.witness.record(record);
    tell(socket.as_fd(), &Reply::Go).map_err(talking())?;
    // What it writes and asks from now on waits in its pipes, its link and the listener; if no
    // thread can be started, it is killed.
    start_threads(&arbiter, out, err, stdout, stderr)?;
    if let Some((_, writer)) = stdin {
        carry_input(writer)?;
    }
    // Until here a refusal is said on the platform's own stderr.
    close_standard_descriptors();
    Ok((arbiter, pidfd, signals))
}

/// Gives up what the arbiter does not need. Whether its own filter is in force.
fn confine_self(compiled: &Compiled, may_filter: bool) -> bool {
    // No exec could give any back: the filter below ends an arbiter that tries one.
    let _ = capability::drop_held();
    if let Ok((soft, hard)) = limit::get(libc::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = limit::set(libc::RLIMIT_NOFILE, hard, hard);
    }
    let _ = limit::set(libc::RLIMIT_CORE, 1, 1);
    one_heap();
    // A panic in any thread ends the arbiter, and with it the function: fail closed.
    std::panic::set_hook(Box::new(|_| process::exit(125)));
    may_filter
        && process::set_no_new_privileges().is_ok()
        && confine::patch_program(&compiled.arbiter, process::own_pid())
            .is_ok_and(|program| seccomp::install_on_all_threads(&program).is_ok())
}

/// Keeps glibc from giving each of the arbiter's threads a heap of its own (mallopt(3)): they
/// allocate little, and each heap costs a mapping at the start and pages for good.
#[allow(unsafe_code)]
fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number; a program with another allocator has a mallopt that nothing reads.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

fn take_signals() -> Result<OwnedFd, ArmError> {
    signal::block_all().map_err(ArmError::call("blocking signals"))?;
    signal::descriptor().map_err(ArmError::call("making a signal descriptor"))
}

/// The platform's stdout and stderr; one outlet where they are one file.
fn outlets() -> Result<(Arc<Outlet>, Arc<Outlet>), ArmError> {
    let copy = |number| {
        let fd = descriptor::borrow_number(number)
            .map_or_else(|| path::open(c"/dev/null", libc::O_WRONLY), |fd| descriptor::duplicate_from(fd, 3));
        fd.map_err(ArmError::call("keeping the platform's stdout and stderr"))
    };
    let (out, err) = (copy(1)?, copy(2)?);
    let same = descriptor::identify(out.as_fd()).ok() == descriptor::identify(err.as_fd()).ok();
    let err = Arc::new(Outlet::new(err));
    let out = if same { Arc::clone(&err) } else { Arc::new(Outlet::new(out)) };
    Ok((out, err))
}

/// The arbiter reads nothing, and writes by its outlets only.
fn close_standard_descriptors() {
    if let Ok(nothing) = path::open(c"/dev/null", libc::O_RDWR) {
        for number in 0..=2 {
            let _ = descriptor::duplicate_onto(nothing.as_fd(), number);
        }
    }
}

fn start_threads(
    arbiter: &Arc<Arbiter>,
    out: Arc<Outlet>,
    err: Arc<Outlet>,
    stdout: OwnedFd,
    stderr: OwnedFd,
) -> Result<(), ArmError> {
    let starting = || ArmError::call("starting a thread");
    let spawn = |run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(run)
            .map(drop)
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)))
    };
    let (witness, record_outlet) = (Arc::clone(&arbiter.witness), Arc::clone(&err));
    spawn(Box::new(move || witness.write_on(&record_outlet))).map_err(starting())?;
    let pumps = [
        Start { stream: Stream::Stdout, reader: stdout, outlet: out },
        Start { stream: Stream::Stderr, reader: stderr, outlet: err },
    ];
    let output = Output::start(pumps, Arc::<Arbiter>::clone(arbiter)).map_err(starting())?;
    let _ = arbiter.output.set(output);
    let answering = Arc::clone(arbiter);
    spawn(Box::new(move || answering.links.serve(&answering))).map_err(starting())?;
    if arbiter.listener.is_some() {
        arbiter.servers.start(arbiter).map_err(starting())?;
    }
    Ok(())
}

/// Carries the platform's input to the function's pipe.
fn carry_input(writer: OwnedFd) -> Result<(), ArmError> {
    let Some(input) = descriptor::borrow_number(0) else { return Ok(()) };
    let input =
        descriptor::duplicate_from(input, 3).map_err(ArmError::call("keeping the platform's stdin"))?;
    std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(move || carry(&input, &writer))
        .map(drop)
        .map_err(|error| ArmError::Call {
            failing: "starting a thread",
            source: Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)),
        })
}

/// What the arbiter found out by itself.
struct Found {
    seen: Seen,
    trapped: bool,
    listener_error: Option<Errno>,
    domain_error: Option<Errno>,
    confined_alone: bool,
}

/// The posture: every control, and whether it is held, from what was seen and not from what was
/// said, wherever the kernel shows it.
fn posture_record(arbiter: &Arbiter, compiled: &Compiled, found: &Found, told: &Told) -> Posture {
    let policy = &compiled.policy;
    let seen = &found.seen;
    let filtered = seen.filtered && seen.no_new_privileges && found.trapped && arbiter.listener.is_some();
    let not_filtered = || -> String {
        match found.listener_error {
            Some(Errno(libc::EBUSY)) => "another seccomp listener is in the chain".to_owned(),
            Some(error) => format!("the platform refuses seccomp: {error}"),
            None if !seen.filtered => "no filter is in force on every thread".to_owned(),
            None if !seen.no_new_privileges => "no_new_privs is not set".to_owned(),
            None => "a trapped call did not reach the arbiter".to_owned(),
        }
    };
    let by_filter = |mode: Option<Mode>| -> Held {
        if !filtered {
            return Held::NotHeld { reason: not_filtered() };
        }
        match mode {
            Some(Mode::Audit) => Held::Audit,
            _ => Held::Held,
        }
    };
    let no_landlock = || match found.domain_error {
        Some(error) => format!("the platform refuses Landlock: {error}"),
        None => "the kernel has no Landlock (5.13), or one below ABI 3 (6.2)".to_owned(),
    };
    let network = if policy.network.allow.iter().any(|rule| rule.is_unlimited()) {
        Held::Open
    } else {
        by_filter(Some(policy.network.mode))
    };
    let exec = if policy.exec.any {
        Held::Open
    } else if filtered
        && policy.exec.mode == Mode::Enforce
        && !policy.exec.allow.is_empty()
        && !arbiter.domain.execute
    {
        Held::NotHeld { reason: format!("allowed programs need Landlock: {}", no_landlock()) }
    } else {
        by_filter(Some(policy.exec.mode))
    };
    let files = if policy.files.mode == Mode::Audit {
        by_filter(Some(Mode::Audit))
    } else if policy.files.write.iter().any(|path| path == "/") {
        Held::Open
    } else if arbiter.domain.write {
        Held::Held
    } else {
        Held::NotHeld { reason: no_landlock() }
    };
    let memory = match policy.memory.executable {
        // Which file is mapped is decided by a number that another thread may exchange: so a policy
        // that lets files be mapped later stops accidents, and holds nothing.
        Executable::Any | Executable::Files => Held::Open,
        Executable::LoadPhase => by_filter(None),
    };
    let other_processes = if told.arbiter_entries_open.is_empty() {
        Held::Held
    } else {
        Held::NotHeld {
            reason: format!("the arbiter's /proc entries open: {}", told.arbiter_entries_open.join(", ")),
        }
    };
    let environment = match arbiter.secrets.found_in(&seen.environment) {
        None => Held::Held,
        Some(name) => Held::NotHeld { reason: format!("the bytes of {name} are still there") },
    };
    let capabilities = if seen.capabilities == 0 {
        Held::Held
    } else {
        Held::NotHeld { reason: format!("effective capabilities {:#x}", seen.capabilities) }
    };
    let mut controls = vec![
        ("environment".to_owned(), environment),
        ("network".to_owned(), network),
        ("exec".to_owned(), exec),
        ("files".to_owned(), files),
        ("exec_memory".to_owned(), memory),
        ("syscalls".to_owned(), by_filter(None)),
        ("processes".to_owned(), other_processes),
        ("capabilities".to_owned(), capabilities),
        ("logs".to_owned(), Held::Held),
    ];
    if policy.files.read.is_some() {
        let read = match (policy.files.mode, arbiter.domain.read) {
            (Mode::Audit, _) => by_filter(Some(Mode::Audit)),
            (Mode::Enforce, true) => Held::Held,
            (Mode::Enforce, false) => Held::NotHeld { reason: no_landlock() },
        };
        controls.push(("files_read".to_owned(), read));
    }
    if policy.files.own_code == OwnCode::Deny {
        let held = match (policy.files.mode, arbiter.domain.own_code) {
            (Mode::Audit, _) => by_filter(Some(Mode::Audit)),
            (Mode::Enforce, true) => Held::Held,
            (Mode::Enforce, false) if arbiter.launched => Held::NotHeld {
                reason: "a launched program reads itself to load; arm it by the attribute".to_owned(),
            },
            (Mode::Enforce, false) if arbiter.domain.abi == 0 => Held::NotHeld { reason: no_landlock() },
            (Mode::Enforce, false) => Held::NotHeld {
                reason: "the program lies below a path in [files] write, or is readable by [files] read"
                    .to_owned(),
            },
        };
        controls.push(("own_code".to_owned(), held));
    }
    let mut warnings = Vec::new();
    if let Err(error) = told.no_new_privileges {
        warnings.push(format!("no_new_privs is refused: {}", Errno(error)));
    }
    if !told.dies_with_parent {
        warnings.push("the function does not end with the arbiter by itself".to_owned());
    }
    if !found.confined_alone {
        warnings.push("the arbiter runs without a filter of its own".to_owned());
    }
    if process::is_dumpable().unwrap_or(true) {
        warnings.push("the arbiter's memory is open to processes of the same user".to_owned());
    }
    if seen.listeners != 0 {
        warnings.push(format!("{} seccomp listeners are open in the function", seen.listeners));
    }
    if policy.arm.mechanism == WantedMechanism::Sealed {
        warnings.push("[arm] mechanism = \"sealed\" is not enforced by this version".to_owned());
    }
    warnings
        .extend(arbiter.domain.missing.iter().map(|path| format!("{path} does not exist: no rule for it")));
    warnings.extend(policy.unlimited());
    Posture {
        mechanism: if filtered { Mechanism::Seccomp } else { Mechanism::None },
        armed_by: Some(if arbiter.launched { "launcher" } else { "attribute" }.to_owned()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        policy_hash: compiled.hash_hex(),
        policy_origin: compiled.origin.clone(),
        mode: match policy.mode {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
        }
        .to_owned(),
        controls,
        secrets: arbiter.secrets.names(),
        warnings,
        landlock_abi: (arbiter.domain.abi > 0).then_some(arbiter.domain.abi),
        kernel: posture::kernel_release(),
        pid: u32::try_from(arbiter.function).ok(),
        arbiter_pid: u32::try_from(process::own_pid()).ok(),
        ..Posture::default()
    }
}

/// Refuses to start with less than the policy asks, where it says so.
fn refuse_what_is_not_held(
    arbiter: &Arbiter,
    policy: &Policy,
    record: &Posture,
    found: &Found,
    outlet: &Outlet,
) -> Result<(), ArmError> {
    let missing: Vec<String> = record
        .controls
        .iter()
        .filter_map(|(name, held)| match held {
            Held::NotHeld { reason } => Some(format!("{name} ({reason})")),
            _ => None,
        })
        .collect();
    if missing.is_empty() || policy.arm.on_unsupported == OnUnsupported::Degrade {
        return Ok(());
    }
    arbiter.witness.write_waiting(outlet);
    if found.listener_error == Some(Errno(libc::EBUSY)) {
        return Err(ArmError::OtherListener);
    }
    match found.listener_error.or(found.domain_error) {
        Some(source) => Err(ArmError::Unsupported { what: missing.join("; "), source }),
        None => Err(ArmError::NotHeld { what: missing.join("; ") }),
    }
}

/// The posture as its line in the log, for the function's own use.
fn describe(record: &Posture) -> String {
    let record = record.clone().into();
    Reporter::new(Options::default()).record(&record, SystemTime::now(), &|text| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_api_is_understood_in_every_form() {
        let peer = |text: &str| {
            let address: SocketAddr = text.parse().unwrap();
            Peer::inet(address.ip(), address.port(), Transport::Tcp)
        };
        assert_eq!(peers_of("169.254.100.1:9001"), [peer("169.254.100.1:9001")]);
        assert_eq!(peers_of("http://127.0.0.1:9000/name"), [peer("127.0.0.1:9000")]);
        assert_eq!(peers_of("localhost:9001"), [peer("127.0.0.1:9001"), peer("[::1]:9001")]);
        assert_eq!(peers_of("[::1]:9001"), [peer("[::1]:9001")]);
        assert_eq!(peers_of("evil.example:9001"), []);
    }
}
