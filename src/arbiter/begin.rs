//! The arbiter's half of arming: takes the listener, reads back what is in force, says so in one
//! line, and lets the function go on.

mod streams;

use super::assess::{self, DomainFound, Found, SealFound, Told};
use super::images::Images;
use super::invocations::Invocations;
use super::links::Links;
use super::names::Upstream;
use super::output::{Outlet, Output, Start};
use super::pending::Pending;
use super::serve::{self, Servers};
use super::started::Started;
use super::vault::Vault;
use super::witness::Witness;
use super::{Arbiter, handover, lifetime};
use crate::confine::{self, DomainState, Kept, Programs};
use crate::error::ArmError;
use crate::inventory::Inventory;
use crate::link::handshake::{By, Reply, Step, hear, tell};
use crate::posture;
use crate::report::{Namespace, Options, Posture, Style};
use crate::secrets::Captured;
use crate::sys::process::{self, End};
use crate::sys::stack::InitialEnvironment;
use crate::sys::{Errno, capability, descriptor, limit, memory, path, seccomp, signal};
use fnguard_policy::model::{Compiled, Mode, OnWeak, OwnCode, Peer, Policy, Transport};
use std::ffi::CString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use streams::{ends, log_file, make_raw, outlets, start_input};

/// What the parent brings from the fork.
pub(crate) struct Beginning<'a> {
    pub(crate) began: Instant,
    pub(crate) compiled: &'a Compiled,
    pub(crate) function: i32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) socket: OwnedFd,
    /// The inode of that socket's other end, which the function keeps where nothing holds it by a filter.
    pub(crate) link: u64,
    pub(crate) streams: Kept,
    pub(crate) captured: Captured,
    pub(crate) inventory: Inventory,
    pub(crate) programs: &'a Programs,
    pub(crate) environment: &'a Environment,
    /// This program's file, where it must not be read again.
    pub(crate) own_code: Option<String>,
    pub(crate) launched: bool,
    /// Whether a filter may be tried: false where the platform killed a process for that.
    pub(crate) may_filter: bool,
    /// Whether the arbiter may become a copy of its program.
    pub(crate) may_copy: bool,
}

/// What the environment tells the arbiter, read before the fork.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Where the runtime API is.
    runtime_api: Vec<Peer>,
    /// What a copy of the arbiter's program is to have.
    kept: Vec<CString>,
}

impl Environment {
    /// Reads what the platform named: the runtime API is link-local on Lambda today, loopback in
    /// emulators, so it is taken from AWS_LAMBDA_RUNTIME_API and nowhere else.
    pub(crate) fn read(environment: &InitialEnvironment) -> Self {
        let mut facts = Environment::default();
        for index in 0..environment.count() {
            if handover::is_kept(environment.get(index)) {
                facts.kept.extend(CString::new(environment.get(index)));
            }
            if let Some(value) = environment.get(index).strip_prefix(b"AWS_LAMBDA_RUNTIME_API=") {
                facts.runtime_api = peers_of(&String::from_utf8_lossy(value));
            }
        }
        facts
    }

    /// The variables that a copy of the arbiter's program is to have.
    pub(super) fn kept(&self) -> &[CString] {
        &self.kept
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
    // First of all out of the function's reach; where neither way leads there, the read-back says so.
    if process::set_not_dumpable().is_err() && beginning.may_copy {
        let _ = handover::become_unreadable(&beginning);
    }
    // Code of somebody else's that was to run here when a signal comes.
    for number in beginning.inventory.handled() {
        let _ = signal::set_default(number);
    }
    // While the function's process is still busy with confining itself: none of its code has run.
    let nameservers = Upstream::from_resolv_conf(Path::new("/etc/resolv.conf"));
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
    let Step::Confined { by, domain, outcomes, no_new_privileges, dies_with_parent, arbiter_entries_open } =
        step
    else {
        let _ = process::wait(beginning.function, true);
        return Ended::Refused(match step {
            Step::Failed { code, message, found, expected, remedy } => {
                ArmError::InChild { code, message, found, expected, remedy }
            }
            _ => ArmError::ReadBack { what: "an unexpected step".to_owned() },
        });
    };
    let domain = assess::judge_domain(domain.map_err(Errno), outcomes);
    let told = Told { no_new_privileges, dies_with_parent, arbiter_entries_open };
    let function = beginning.function;
    match become_arbiter(beginning, by, domain, &told, nameservers) {
        Ok((arbiter, pidfd, signals)) => lifetime::run(&arbiter, &pidfd, &signals),
        Err(error) => {
            let _ = signal::send(function, libc::SIGKILL);
            let _ = process::wait(function, true);
            Ended::Refused(error)
        }
    }
}

fn become_arbiter(
    beginning: Beginning<'_>,
    by: By,
    (domain, domain_found): (DomainState, DomainFound),
    told: &Told,
    nameservers: std::io::Result<Upstream>,
) -> Result<(Arc<Arbiter>, OwnedFd, OwnedFd), ArmError> {
    let Beginning { compiled, function, pidfd, socket, streams, captured, .. } = beginning;
    let policy = &compiled.policy;
    let has_terminal = matches!(streams, Kept::Terminal(_));

    give_up_privileges();
    let signals = take_signals()?;
    let (out, err) = outlets(has_terminal)?;
    let for_a_person = descriptor::borrow_number(2).is_some_and(descriptor::is_terminal);
    // The writing ends are the function's alone, or its end would never be seen.
    let (sources, input) = ends(streams, out, &err)?;

    let (waits_killable, listener_error, listener) = match by {
        By::Filter(Ok((number, killable))) => {
            let taken = process::take_descriptor(pidfd.as_fd(), number)
                .map_err(ArmError::call("taking the listener from the function's process"))?;
            seccomp::set_synchronous_wake_up(taken.as_fd());
            (killable, None, Some(taken))
        }
        By::Filter(Err(error)) => (false, Some(Errno(error)), None),
        By::Seal(_) => (false, None, None),
    };
    let (upstream, no_nameservers) = match nameservers {
        Ok(upstream) => (upstream, None),
        Err(error) => (Upstream::at([]), Some(error)),
    };
    let looks_like_secret = captured.looks_like_secret;
    let (vault, matcher) = Vault::new(captured.store)?;
    let weak: Vec<(String, String)> =
        matcher.weak().iter().map(|weak| (weak.name.clone(), weak.reason.to_string())).collect();
    if policy.secrets.on_weak == OnWeak::Refuse
        && let Some((name, reason)) = weak.first()
    {
        return Err(ArmError::SecretWeak { name: name.clone(), reason: reason.clone() });
    }
    let options = Options {
        style: if for_a_person { Style::Terminal } else { Style::Json },
        emf: policy.report.emf.as_deref().and_then(|namespace| Namespace::new(namespace).ok()),
        ..Options::default()
    };
    let allowed_images =
        (!policy.exec.any && policy.exec.mode == Mode::Enforce).then(|| beginning.programs.images.clone());
    let launch = (beginning.launched && listener.is_some()).then_some(function);
    let arbiter = Arc::new(Arbiter {
        policy: Arc::new(with_resolved_rules(policy)),
        function,
        launched: beginning.launched,
        listener,
        waits_killable,
        domain,
        own_code: beginning.own_code.filter(|_| policy.files.own_code == OwnCode::Deny),
        implicit: beginning.environment.runtime_api.clone(),
        secrets: vault,
        refused: AtomicUsize::new(0),
        witness: Arc::new(Witness::new(options, matcher)),
        invocations: Arc::new(Mutex::new(Invocations::default())),
        images: Images::new(allowed_images, launch),
        links: Links::new().map_err(ArmError::call("making the links' wake-up"))?,
        pending: Pending::default(),
        servers: Servers::new(),
        output: OnceLock::new(),
        upstream,
        names: Started::new(),
        posture_line: OnceLock::new(),
        terminal: input.terminal(),
    });
    let talking = || ArmError::call("talking to the function's process");
    tell(socket.as_fd(), &Reply::Go).map_err(talking())?;
    let trapped = if arbiter.listener.is_some() {
        // The function's question is answered here: threads come when it is on its way.
        serve::serve_until(&arbiter, socket.as_fd()).map_err(ArmError::call("answering the function"))?;
        match hear::<Step>(socket.as_fd()).map_err(talking())? {
            Step::Tried { trapped } => {
                try_to_read(function)?;
                trapped
            }
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
    let seal = match by {
        By::Filter(_) => None,
        By::Seal(outcome) => match hear::<Step>(socket.as_fd()).map_err(talking())? {
            Step::TriedSeal { worked, reaches_arbiter } => {
                let link = beginning.link;
                Some(SealFound { outcome: outcome.map_err(Errno), worked, reaches_arbiter, link })
            }
            _ => return Err(ArmError::ReadBack { what: "an unexpected step".to_owned() }),
        },
    };

    let seen = posture::see(function).map_err(ArmError::call("reading the function's entries in /proc"))?;
    let expected = match (&arbiter.terminal, sources.as_slice()) {
        (None, [stdout, stderr]) => {
            let identity = |source: &Start| {
                descriptor::identify(source.reader.as_fd())
                    .map_err(ArmError::call("looking at the function's pipes"))
            };
            assess::Streams::Pipes([identity(stdout)?, identity(stderr)?])
        }
        (terminal, _) => assess::Streams::Terminal(
            terminal.as_ref().map(|terminal| terminal.name().to_owned()).unwrap_or_default(),
        ),
    };
    let found = Found {
        seen,
        trapped,
        listener_error,
        seal,
        domain: domain_found,
        streams: expected,
        originals: [1, 2].into_iter().filter_map(posture::own_target).collect(),
        log_files: [1, 2].into_iter().filter_map(log_file).collect(),
    };
    let mut record = assess::posture_record(&arbiter, compiled, &found, told);
    record.weak = weak;
    record.looks_like_secret = looks_like_secret;
    record.warnings.extend(
        no_nameservers
            .map(|error| format!("/etc/resolv.conf can't be read, so no name has an address: {error}")),
    );
    record.arming_us = u64::try_from(beginning.began.elapsed().as_micros()).ok();
    assess::refuse_what_is_not_held(&arbiter, policy, &record, &found, &err)?;
    if let Some(terminal) = &arbiter.terminal {
        make_raw(terminal);
    }
    let started = tell(socket.as_fd(), &Reply::Go)
        .map_err(talking())
        .map(|()| {
            // Where the two share one CPU, the function's turn comes first.
            process::give_way();
            // What the function writes and asks from now on waits in its pipes, its link and the
            // listener: nothing of it is read before the arbiter is under its own filter and the
            // posture is the first line of the log.
            let confined = confine_self(compiled, beginning.may_filter);
            complete(&mut record, &beginning.inventory, beginning.programs, confined);
            let _ = arbiter.posture_line.set(assess::describe(&record));
            arbiter.witness.record(record);
        })
        // If no thread can be started, the function is killed.
        .and_then(|()| start_threads(&arbiter, err, sources))
        .and_then(|()| start_input(&arbiter, input));
    if let (Err(_), Some(terminal)) = (&started, &arbiter.terminal) {
        terminal.restore();
    }
    started?;
    // Until here a refusal is said on the platform's own stderr.
    close_standard_descriptors();
    Ok((arbiter, pidfd, signals))
}

/// Reads the function's memory, as deciding its calls needs it. A platform may refuse that and allow all
/// else (Yama, another's seccomp filter, a debugger): then every call would be refused, and arming is.
fn try_to_read(function: i32) -> Result<(), ArmError> {
    static WORD: [u8; 16] = *b"fnguard reads it";
    let mut copy = [0; WORD.len()];
    // The function's process is a fork of this one: the same stands there at the same address.
    let count = memory::read_process(function, WORD.as_ptr() as u64, &mut copy)
        .map_err(ArmError::call("reading the function's memory by process_vm_readv"))?;
    if count == copy.len() && copy == WORD {
        return Ok(());
    }
    Err(ArmError::ReadBack { what: "what process_vm_readv reads is not the function's memory".to_owned() })
}

/// The policy with what its paths lead to now, before code of the function's could change that.
fn with_resolved_rules(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    policy.resolve_rules(|path| {
        // The longest part that exists is resolved.
        let mut end = path.len();
        loop {
            let (there, missing) = path.split_at_checked(end)?;
            let there = CString::new(if there.is_empty() { "/" } else { there }).ok()?;
            if let Ok(found) = path::open(&there, libc::O_PATH) {
                let found = String::from_utf8(path::path_of(found.as_fd()).ok()?).ok()?;
                let missing = missing.trim_start_matches('/');
                // `self` would be the arbiter here.
                let is_process = found.split('/').nth(1) == Some("proc");
                return (found.starts_with('/') && !is_process).then(|| match missing {
                    "" => found,
                    missing => format!("{}/{missing}", found.trim_end_matches('/')),
                });
            }
            end = path.get(..end)?.rfind('/').filter(|_| end > 0)?;
        }
    });
    policy
}

/// What the posture says besides, and nothing is decided by.
fn complete(record: &mut Posture, inventory: &Inventory, programs: &Programs, confined: bool) {
    if !confined {
        record.warnings.push("the arbiter runs without a filter of its own".to_owned());
    }
    match inventory.mapped() {
        Ok(mapped) => {
            record.interposed = mapped.interposed;
            record.warnings.extend(mapped.shared);
            record.warnings.extend(mapped.handlers);
        }
        Err(error) => record.warnings.push(format!("interposed symbols were not looked for: {error}")),
    }
    record.warnings.extend(inventory.children.iter().cloned());
    record.warnings.extend(inventory.timers.iter().cloned());
    record.warnings.extend(inventory.inherited.named.iter().cloned());
    record.warnings.extend(programs.warnings.iter().cloned());
    record.kernel = posture::kernel_release();
}

/// Gives up what the arbiter does not need.
fn give_up_privileges() {
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
}

/// Puts the arbiter under a filter of its own, while it has one thread. Whether it is in force.
fn confine_self(compiled: &Compiled, may_filter: bool) -> bool {
    let before = posture::filters();
    may_filter
        && process::set_no_new_privileges().is_ok()
        && confine::patch_program(&compiled.arbiter, process::own_pid())
            .is_ok_and(|program| seccomp::install_on_all_threads(&program).is_ok())
        && posture::filters() > before
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

/// The arbiter reads nothing, and writes by its outlets only.
fn close_standard_descriptors() {
    if let Ok(nothing) = path::open(c"/dev/null", libc::O_RDWR) {
        for number in 0..=2 {
            let _ = descriptor::duplicate_onto(nothing.as_fd(), number);
        }
    }
}

fn start_threads(arbiter: &Arc<Arbiter>, err: Arc<Outlet>, sources: Vec<Start>) -> Result<(), ArmError> {
    let starting = || ArmError::call("starting a thread");
    let spawn = |run: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .stack_size(256 * 1024)
            .spawn(run)
            .map(drop)
            .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EAGAIN)))
    };
    let witness = Arc::clone(&arbiter.witness);
    spawn(Box::new(move || witness.write_on(&err))).map_err(starting())?;
    let output = Output::start(sources, Arc::<Arbiter>::clone(arbiter)).map_err(starting())?;
    let _ = arbiter.output.set(output);
    let answering = Arc::clone(arbiter);
    spawn(Box::new(move || answering.links.serve(&answering))).map_err(starting())?;
    if arbiter.listener.is_some() {
        arbiter.servers.start(arbiter).map_err(starting())?;
    }
    Ok(())
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
