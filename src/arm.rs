//! Arming: the order of things, readable top to bottom, and nothing else.
//!
//! Each step takes a proof that only the step before can make, so a forgotten or misplaced step
//! does not compile (`STEPS` below holds the signatures to that, `tests/edges.rs` the proofs):
//!
//! 1. `SingleThreaded`: the inventory;
//! 2. `Captured`: the secrets leave the environment;
//! 3. `InChild`: the fork; the parent becomes the arbiter;
//! 4. `Redirected`: the pipes, or a pseudo-terminal, stand in for the standard descriptors;
//! 5. `Unprivileged`: capabilities, limits, no_new_privs; then `Entered`: the domain;
//! 6. `Confined`: the filter; the arbiter takes the listener. Or `Sealed`: no descriptor is made any more;
//! 7. the arbiter reads back what is in force, says so in one line, and lets the function go on.

use crate::arbiter::begin::{self, Beginning};
use crate::arbiter::handover;
pub(crate) use crate::arbiter::handover::NAME as COPY_NAME;
use crate::confine::{
    self, Confined, Entered, InChild, Inherited, Redirected, Sealed, Side, Streams, Unprivileged,
};
use crate::error::ArmError;
use crate::inventory::{self, Inventory};
use crate::link::handshake::{By, Reply, Step, hear, tell};
use crate::link::{self, ask};
use crate::secrets::{self, Captured};
use crate::sys::process::{self, SingleThreaded};
use crate::sys::stack::InitialEnvironment;
use crate::sys::{Errno, descriptor, network, path, signal};
use crate::trial::{self, Allowed, Outcomes, Trial};
use fnguard_policy::model::{Compiled, Mechanism, Mode, OnUnsupported, OwnCode, Policy, Program};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// How the process is armed.
#[derive(Debug)]
pub(crate) enum Way {
    /// By the attribute: the process forks in place and the child goes on.
    InPlace,
    /// By the launcher: the child becomes the program.
    Launch(Launch),
}

/// What the launcher starts.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The program's path.
    pub(crate) program: CString,
    /// Its arguments, the first being its name.
    pub(crate) arguments: Vec<CString>,
    /// Whether it gets a pseudo-terminal in place of pipes.
    pub(crate) terminal: bool,
}

/// What is tried, and what is left out where the first attempt's process was killed for trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Everything.
    Whole,
    /// No filter and no domain.
    WithoutKernel,
}

/// Arms this process. Returns in the function's process only: in place, or, launched, not at all.
/// The parent becomes the arbiter and never comes back.
///
/// # Errors
///
/// Why the function is not started; the caller says so and ends with status 125.
pub(crate) fn arm(
    compiled: &Compiled,
    environment: &mut InitialEnvironment,
    way: &Way,
) -> Result<(), ArmError> {
    let began = Instant::now();
    let policy = &compiled.policy;
    check_platform(compiled, way)?;

    let (inventory, single) = inventory::take(policy.arm.strict_init)?;
    let captured = secrets::capture(environment, policy, &single)?;
    let free_slots = captured.free_slots;
    let environment_facts = begin::Environment::read(environment);

    let launched = match way {
        Way::InPlace => None,
        Way::Launch(launch) => Some(launch.program.to_string_lossy().into_owned()),
    };
    let programs = confine::Programs::gather(&policy.exec.allow, launched.as_deref());
    let parent = process::own_pid();

    let mut captured = captured;
    // In place everything is loaded already; a launched program must still read itself.
    let own_code = match way {
        Way::InPlace => path::read_link(c"/proc/self/exe").ok().and_then(|text| String::from_utf8(text).ok()),
        Way::Launch(_) => None,
    };
    for attempt in [Attempt::Whole, Attempt::WithoutKernel] {
        let streams = match way {
            Way::Launch(Launch { terminal: true, .. }) => {
                Streams::Terminal(Box::new(confine::PseudoTerminal::open()?))
            }
            _ => Streams::Pipes(confine::StandardPipes::open()?),
        };
        let domain =
            confine::prepare_domain(policy, &programs.executable, own_code.as_deref(), streams.terminal());
        let (arbiter_end, function_end) =
            network::packet_pair().map_err(ArmError::call("making the handshake's sockets"))?;
        let link = descriptor::identify(function_end.as_fd())
            .map_err(ArmError::call("looking at the handshake's sockets"))?;
        match confine::fork(&single, captured)? {
            Side::Child(child) => {
                drop(arbiter_end);
                let result = become_function(
                    child,
                    FunctionSide {
                        compiled,
                        parent,
                        streams,
                        inherited: &inventory.inherited,
                        allowed: allowed(policy, own_code.as_deref()),
                        domain,
                        attempt,
                        socket: &function_end,
                        keeps_link: matches!(way, Way::InPlace),
                    },
                );
                return match (result, way) {
                    (Ok(confined), Way::InPlace) => {
                        use_tcp_resolver(environment, free_slots);
                        if !confined {
                            ask::adopt(function_end);
                        }
                        Ok(())
                    }
                    (Ok(confined), Way::Launch(launch)) => {
                        become_program(launch, environment, (!confined).then_some(&function_end))
                    }
                    (Err(error), _) => {
                        let _ = tell(
                            function_end.as_fd(),
                            &Step::Failed {
                                code: error.code().to_owned(),
                                message: error.to_string(),
                                found: error.found(),
                                expected: error.expected(),
                                remedy: error.remedy().to_owned(),
                            },
                        );
                        process::exit(125)
                    }
                };
            }
            Side::Parent { child, pidfd, captured: kept } => {
                drop(function_end);
                let beginning = Beginning {
                    began,
                    compiled,
                    function: child,
                    pidfd,
                    socket: arbiter_end,
                    link: link.inode,
                    streams: streams.kept(),
                    captured: kept,
                    inventory: inventory.clone(),
                    programs: &programs,
                    environment: &environment_facts,
                    own_code: own_code.clone(),
                    launched: launched.is_some(),
                    may_filter: attempt == Attempt::Whole,
                    may_copy: policy.arm.mechanism == Mechanism::Sealed && matches!(way, Way::InPlace),
                };
                match begin::run(beginning) {
                    begin::Ended::Refused(error) => return Err(error),
                    begin::Ended::Killed { captured: kept, end } => {
                        // Some refusals kill. Once more, without what may have been the cause,
                        // where the policy lets the function start with less.
                        if attempt == Attempt::WithoutKernel || !may_degrade(policy) {
                            return Err(ArmError::ChildEnded { end });
                        }
                        captured = kept;
                    }
                }
            }
        }
    }
    Err(ArmError::ChildEnded { end: "it was killed twice".to_owned() })
}

/// Goes on as the arbiter in a copy of its program that nobody can read: see `arbiter::handover`. `number`
/// is the descriptor that the first image left. Returns only where the function is not started.
pub(crate) fn resume(compiled: &Compiled, environment: &InitialEnvironment, number: i32) -> ArmError {
    let handed = match handover::receive(compiled, number) {
        Ok(handed) => handed,
        Err(error) => return error,
    };
    let programs = confine::Programs::gather(&compiled.policy.exec.allow, None);
    let environment_facts = begin::Environment::read(environment);
    match begin::run(handed.beginning(compiled, &programs, &environment_facts)) {
        begin::Ended::Refused(error) => error,
        // The image that could have tried once more is gone.
        begin::Ended::Killed { end, .. } => ArmError::ChildEnded { end },
    }
}

/// What the policy asks and this version or this machine can't do, whatever the platform allows.
fn check_platform(compiled: &Compiled, way: &Way) -> Result<(), ArmError> {
    if compiled.arch != std::env::consts::ARCH {
        return Err(ArmError::Architecture {
            found: compiled.arch.clone(),
            expected: std::env::consts::ARCH,
        });
    }
    let policy = &compiled.policy;
    // Sealed, a launched program could not load its libraries.
    if policy.arm.mechanism == Mechanism::Sealed && matches!(way, Way::Launch(_)) {
        return Err(ArmError::SealedByLauncher);
    }
    // A launched program reads itself to load, so only one that arms in place can be held.
    if policy.arm.on_unsupported == OnUnsupported::Refuse
        && policy.files.own_code == OwnCode::Deny
        && policy.files.mode == Mode::Enforce
        && matches!(way, Way::Launch(_))
    {
        return Err(ArmError::NotBuilt { what: "[files] own_code = \"deny\" under a launcher" });
    }
    Ok(())
}

/// Whether the function may start with less than the policy asks. `mechanism = "seccomp"` is seccomp or
/// nothing, whatever else may be missing; under a seal the second attempt leaves out the domain only.
fn may_degrade(policy: &Policy) -> bool {
    policy.arm.on_unsupported == OnUnsupported::Degrade && policy.arm.mechanism != Mechanism::Seccomp
}

/// What the domain is to leave open; the rest is tried.
fn allowed<'a>(policy: &'a Policy, own_code: Option<&'a str>) -> Allowed<'a> {
    let enforced = policy.files.mode == Mode::Enforce;
    let writes = !policy.files.write.iter().any(|path| path == "/");
    Allowed {
        write: (enforced && writes).then_some(policy.files.write.as_slice()),
        read: policy.files.read.as_deref().filter(|_| enforced),
        own_code: own_code.filter(|_| enforced && policy.files.own_code == OwnCode::Deny),
    }
}

/// What the function's side of arming works with.
struct FunctionSide<'a> {
    compiled: &'a Compiled,
    parent: i32,
    streams: Streams,
    inherited: &'a Inherited,
    allowed: Allowed<'a>,
    domain: Result<confine::Domain, Errno>,
    attempt: Attempt,
    socket: &'a OwnedFd,
    keeps_link: bool,
}

/// Steps 4 to 6, in the child. Whether a listener holds it.
fn become_function(child: InChild, side: FunctionSide<'_>) -> Result<bool, ArmError> {
    let redirected = confine::redirect(child, side.streams, side.inherited)?;
    let unprivileged = confine::drop_privileges(redirected, side.parent)?;
    let whole = side.attempt == Attempt::Whole;
    let trial = Trial::before(side.allowed, side.parent);
    let entered = confine::enter(side.domain, whole, &unprivileged);
    let outcomes = trial.after();
    if side.compiled.policy.arm.mechanism == Mechanism::Sealed {
        let sealed = confine::seal(unprivileged, entered);
        return go_on_sealed(&sealed, outcomes, side.socket, side.parent).map(|()| false);
    }
    let arbiter_entries_open = try_arbiter(side.parent);
    let confined = confine::confine(&side.compiled.function, whole, unprivileged, entered)?;

    let step = Step::Confined {
        by: By::Filter(
            confined
                .listener
                .as_ref()
                .map(|(fd, wait)| (fd.as_raw_fd(), *wait == crate::sys::seccomp::Wait::Killable))
                .map_err(|error| error.0),
        ),
        domain: confined.domain.map_err(|error| error.0),
        outcomes,
        no_new_privileges: confined.no_new_privileges.map_err(|error| error.0),
        dies_with_parent: confined.dies_with_parent,
        arbiter_entries_open,
    };
    tell(side.socket.as_fd(), &step).map_err(talking())?;
    await_go(side.socket)?;
    let held = confined.listener.is_ok();
    // The arbiter has its copy; ours is closed here, so that one process holds the listener.
    drop(confined.listener);
    if held {
        let asked = process::ask_listener(link::QUESTION.0, link::QUESTION.1, link::VERSION);
        let trapped = asked.is_ok();
        if let (Ok(socket), true) = (asked, side.keeps_link) {
            ask::adopt(socket);
        }
        tell(side.socket.as_fd(), &Step::Tried { trapped }).map_err(talking())?;
    }
    // With a listener or without: nothing of the function's runs before the arbiter has decided
    // whether what is held is enough.
    await_go(side.socket)?;
    Ok(held)
}

/// The rest of arming in a process that is sealed: it tries what it must not be able to do any more. The
/// arbiter is out of reach, if it can be, when the first answer comes.
fn go_on_sealed(sealed: &Sealed, outcomes: Outcomes, socket: &OwnedFd, arbiter: i32) -> Result<(), ArmError> {
    let step = Step::Confined {
        by: By::Seal(sealed.outcome.map_err(|error| error.0)),
        domain: sealed.domain.clone().map_err(|error| error.0),
        outcomes,
        no_new_privileges: sealed.no_new_privileges.map_err(|error| error.0),
        dies_with_parent: sealed.dies_with_parent,
        // It can open none, whosever.
        arbiter_entries_open: Vec::new(),
    };
    tell(socket.as_fd(), &step).map_err(talking())?;
    await_go(socket)?;
    let worked = trial::under_seal();
    let reaches_arbiter = trial::reaches_memory_of(arbiter);
    tell(socket.as_fd(), &Step::TriedSeal { worked, reaches_arbiter }).map_err(talking())?;
    await_go(socket)
}

fn talking() -> impl FnOnce(Errno) -> ArmError {
    ArmError::call("talking to the arbiter")
}

fn await_go(socket: &OwnedFd) -> Result<(), ArmError> {
    match hear::<Reply>(socket.as_fd()) {
        Ok(Reply::Go) => Ok(()),
        // The arbiter has said why, or is gone: there is nobody to tell.
        Ok(Reply::End) | Err(_) => process::exit(125),
    }
}

/// Tries the arbiter's entries in /proc, all of which must refuse.
fn try_arbiter(arbiter: i32) -> Vec<String> {
    ["mem", "environ", "maps", "fd/1"]
        .into_iter()
        .filter(|entry| {
            path::open(&path::proc_path(&format!("/proc/{arbiter}/{entry}")), libc::O_RDONLY).is_ok()
        })
        .map(str::to_owned)
        .collect()
}

/// Makes glibc ask its nameserver over TCP, which the arbiter sends to its own proxy: over UDP
/// glibc compares the answer's sender with the server it asked.
fn use_tcp_resolver(environment: &mut InitialEnvironment, free_slots: usize) {
    // Of two variables of one name getenv(3) answers the first.
    let is_set = (0..environment.count()).any(|index| environment.get(index).starts_with(b"RES_OPTIONS="));
    if is_set || !environment.append(c"RES_OPTIONS=use-vc", free_slots) {
        crate::start::add_resolver_options_later();
    }
}

/// Becomes the program. Returns only where that fails.
fn become_program(
    launch: &Launch,
    environment: &InitialEnvironment,
    link: Option<&OwnedFd>,
) -> Result<(), ArmError> {
    let mut variables: Vec<CString> = Vec::new();
    let mut resolver = c"RES_OPTIONS=use-vc".to_owned();
    for index in 0..environment.count() {
        let entry = environment.get(index);
        if let Some(options) = entry.strip_prefix(b"RES_OPTIONS=") {
            let text = [b"RES_OPTIONS=".as_slice(), options, b" use-vc"].concat();
            resolver = CString::new(text).unwrap_or(resolver);
        } else if !entry.starts_with(link::LINK_VARIABLE.as_bytes()) {
            variables.extend(CString::new(entry));
        }
    }
    variables.push(resolver);
    if let Some(link) = link {
        let _ = descriptor::set_close_on_exec(link.as_fd(), false);
        variables.extend(CString::new(format!("{}={}", link::LINK_VARIABLE, link.as_raw_fd())));
    }
    if !crate::start::initially_ignores_sigpipe() {
        let _ = signal::set_default(libc::SIGPIPE);
    }
    let variables: Vec<&CStr> = variables.iter().map(CString::as_c_str).collect();
    let arguments: Vec<&CStr> = launch.arguments.iter().map(CString::as_c_str).collect();
    let error = process::execute(&launch.program, &arguments, &variables);
    let why = match error {
        // The launcher has found the file.
        Errno(libc::ENOENT) => "; the interpreter that its first line or its ELF header names is not there",
        Errno(libc::ENOEXEC) => "; it is neither an ELF program nor does it begin with #!",
        _ => "",
    };
    // Not in the guard's name: this process is the function's, and the log marks what imitates a record.
    let message = format!("{}: cannot execute: {error}{why}\n", launch.program.to_string_lossy());
    if let Some(stderr) = descriptor::borrow_number(2) {
        let _ = descriptor::write_all(stderr, message.as_bytes());
    }
    // As env(1): 127 where there is no such program, 126 where it can't be run.
    process::exit(if error == Errno(libc::ENOENT) { 127 } else { 126 })
}

/// What each step takes and gives: a change that lets one go without the proof of the one before does
/// not compile.
#[allow(clippy::type_complexity, reason = "each signature stands here as it is")]
const STEPS: (
    fn(bool) -> Result<(Inventory, SingleThreaded), ArmError>,
    fn(&mut InitialEnvironment, &Policy, &SingleThreaded) -> Result<Captured, ArmError>,
    fn(&SingleThreaded, Captured) -> Result<Side, ArmError>,
    fn(InChild, Streams, &Inherited) -> Result<Redirected, ArmError>,
    fn(Redirected, i32) -> Result<Unprivileged, ArmError>,
    fn(Result<confine::Domain, Errno>, bool, &Unprivileged) -> Entered,
    fn(&Program, bool, Unprivileged, Entered) -> Result<Confined, ArmError>,
    fn(Unprivileged, Entered) -> Sealed,
) = (
    inventory::take,
    secrets::capture,
    confine::fork,
    confine::redirect,
    confine::drop_privileges,
    confine::enter,
    confine::confine,
    confine::seal,
);
const _: usize = std::mem::size_of_val(&STEPS);
