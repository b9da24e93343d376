//! Arming: the order of things, readable top to bottom, and nothing else.
//!
//! Each step takes a proof that only the step before can make, so a forgotten or misplaced step
//! does not compile:
//!
//! 1. `SingleThreaded`: the inventory;
//! 2. `Captured`: the secrets leave the environment;
//! 3. the fork; the parent becomes the arbiter;
//! 4. `Redirected`: the pipes stand in for stdout and stderr;
//! 5. `Unprivileged`: capabilities, limits, no_new_privs; then the domain;
//! 6. `Confined`: the filter; the arbiter takes the listener;
//! 7. the arbiter reads back what is in force, says so in one line, and lets the function go on.

use crate::arbiter::begin::{self, Beginning};
use crate::confine;
use crate::error::ArmError;
use crate::inventory;
use crate::link::handshake::{Reply, Step, hear, tell};
use crate::link::{self, ask};
use crate::secrets;
use crate::sys::process::{self, Forked};
use crate::sys::stack::InitialEnvironment;
use crate::sys::{Errno, descriptor, network, path, signal};
use fnguard_policy::model::{Compiled, Mechanism, Mode, OnUnsupported, OwnCode};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

/// Proof that the process has one thread.
#[derive(Debug)]
pub(crate) struct SingleThreaded(());

impl SingleThreaded {
    /// Counts the threads of this process.
    pub(crate) fn check() -> Result<Self, ArmError> {
        let found = path::list(c"/proc/self/task").map_err(ArmError::call("listing /proc/self/task"))?.len();
        if found == 1 { Ok(SingleThreaded(())) } else { Err(ArmError::Threads { found }) }
    }
}

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
    let wants_seccomp = policy.arm.mechanism != Mechanism::Sealed;
    let parent = process::own_pid();

    let mut captured = captured;
    // In place everything is loaded already; a launched program must still read itself.
    let own_code = match way {
        Way::InPlace => path::read_link(c"/proc/self/exe").ok().and_then(|text| String::from_utf8(text).ok()),
        Way::Launch(_) => None,
    };
    for attempt in [Attempt::Whole, Attempt::WithoutKernel] {
        let domain = confine::prepare_domain(policy, &programs.executable, own_code.as_deref());
        let pipes = confine::StandardPipes::open()?;
        let (arbiter_end, function_end) =
            network::packet_pair().map_err(ArmError::call("making the handshake's sockets"))?;
        match process::fork().map_err(ArmError::call("forking"))? {
            Forked::Child => {
                drop(arbiter_end);
                captured.store.forget();
                let result = become_function(FunctionSide {
                    compiled,
                    parent,
                    pipes,
                    inherited: &inventory.inherited,
                    domain,
                    wants_seccomp: wants_seccomp && attempt == Attempt::Whole,
                    wants_domain: attempt == Attempt::Whole,
                    socket: &function_end,
                    keeps_link: matches!(way, Way::InPlace),
                });
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
                            &Step::Failed { code: error.code().to_owned(), message: error.to_string() },
                        );
                        process::exit(125)
                    }
                };
            }
            Forked::Parent { child, pidfd } => {
                drop(function_end);
                let beginning = Beginning {
                    began,
                    compiled,
                    function: child,
                    pidfd,
                    socket: arbiter_end,
                    pipes,
                    captured,
                    inventory: &inventory,
                    programs: &programs,
                    environment: &environment_facts,
                    own_code: own_code.as_deref(),
                    launched: launched.is_some(),
                    may_filter: attempt == Attempt::Whole,
                };
                match begin::run(beginning) {
                    begin::Ended::Refused(error) => return Err(error),
                    begin::Ended::Killed { captured: kept, end } => {
                        // Some refusals kill. Once more, without what may have been the cause,
                        // where the policy lets the function start with less.
                        if attempt == Attempt::WithoutKernel
                            || policy.arm.on_unsupported == OnUnsupported::Refuse
                        {
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

/// What the policy asks and this version or this machine can't do, whatever the platform allows.
fn check_platform(compiled: &Compiled, way: &Way) -> Result<(), ArmError> {
    if compiled.arch != std::env::consts::ARCH {
        return Err(ArmError::Architecture {
            found: compiled.arch.clone(),
            expected: std::env::consts::ARCH,
        });
    }
    let policy = &compiled.policy;
    if policy.arm.on_unsupported == OnUnsupported::Refuse {
        if policy.arm.mechanism == Mechanism::Sealed {
            return Err(ArmError::NotBuilt { what: "[arm] mechanism = \"sealed\"" });
        }
        // A launched program reads itself to load, so only one that arms in place can be held.
        if policy.files.own_code == OwnCode::Deny
            && policy.files.mode == Mode::Enforce
            && matches!(way, Way::Launch(_))
        {
            return Err(ArmError::NotBuilt { what: "[files] own_code = \"deny\" under a launcher" });
        }
    }
    Ok(())
}

/// What the function's side of arming works with.
struct FunctionSide<'a> {
    compiled: &'a Compiled,
    parent: i32,
    pipes: confine::StandardPipes,
    inherited: &'a confine::Inherited,
    domain: Result<confine::Domain, Errno>,
    wants_seccomp: bool,
    wants_domain: bool,
    socket: &'a OwnedFd,
    keeps_link: bool,
}

/// Steps 4 to 6, in the child. Whether a listener holds it.
fn become_function(side: FunctionSide<'_>) -> Result<bool, ArmError> {
    let redirected = confine::redirect(side.pipes, side.inherited)?;
    let unprivileged = confine::drop_privileges(redirected, side.parent)?;
    let domain = match side.domain {
        Ok(domain) if side.wants_domain => domain.enter(&unprivileged),
        Ok(_) => Err(Errno(libc::ENOSYS)),
        Err(error) => Err(error),
    };
    let arbiter_entries_open = try_arbiter(side.parent);
    let confined = confine::confine(&side.compiled.function, side.wants_seccomp, &unprivileged, domain)?;

    let step = Step::Confined {
        listener: confined
            .listener
            .as_ref()
            .map(|(fd, wait)| (fd.as_raw_fd(), *wait == crate::sys::seccomp::Wait::Killable))
            .map_err(|error| error.0),
        domain: confined.domain.map_err(|error| error.0),
        no_new_privileges: unprivileged.no_new_privileges.map_err(|error| error.0),
        dies_with_parent: unprivileged.dies_with_parent,
        arbiter_entries_open,
    };
    let talking = ArmError::call("talking to the arbiter");
    tell(side.socket.as_fd(), &step).map_err(talking)?;
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
        tell(side.socket.as_fd(), &Step::Tried { trapped })
            .map_err(ArmError::call("talking to the arbiter"))?;
    }
    // With a listener or without: nothing of the function's runs before the arbiter has decided
    // whether what is held is enough.
    await_go(side.socket)?;
    Ok(held)
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
    if !environment.append(c"RES_OPTIONS=use-vc", free_slots) {
        crate::start::set_resolver_options_later();
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
    let message = format!("fnguard: cannot execute {}: {error}\n", launch.program.to_string_lossy());
    if let Some(stderr) = descriptor::borrow_number(2) {
        let _ = descriptor::write_all(stderr, message.as_bytes());
    }
    // As env(1): 127 where there is no such program, 126 where it can't be run.
    process::exit(if error == Errno(libc::ENOENT) { 127 } else { 126 })
}
