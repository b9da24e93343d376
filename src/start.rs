//! Where arming begins: the registered policies, the constructor of the attribute, and the
//! launcher's entry. What follows is `arm`'s.

use crate::arm::{self, Launch, Way};
use crate::error::ArmError;
use crate::link;
use crate::report::{Options, Refusal, Reporter};
use crate::sys::stack::InitialEnvironment;
use crate::sys::{descriptor, process, signal};
use fnguard_policy::model::{Compiled, DebugArming, ReleaseArming};
use std::ffi::{CString, OsStr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// One policy that `#[guarded]` has registered: an entry of the section `fnguard_policies`.
#[repr(C)]
#[derive(Debug)]
pub struct Registration {
    blob: *const u8,
    length: usize,
    /// The guarded function and where it stands, for messages.
    place: *const u8,
    place_length: usize,
}

#[allow(unsafe_code)]
// SAFETY: an entry refers to static bytes that nobody writes.
unsafe impl Sync for Registration {}

impl Registration {
    /// An entry for an encoded policy, and for the function that it guards.
    pub const fn new(blob: &'static [u8], place: &'static str) -> Self {
        Registration {
            blob: blob.as_ptr(),
            length: blob.len(),
            place: place.as_ptr(),
            place_length: place.len(),
        }
    }

    const fn nothing() -> Self {
        Registration { blob: std::ptr::null(), length: 0, place: std::ptr::null(), place_length: 0 }
    }
}

/// An entry of our own, without a policy: with it the section, and the linker's symbols for its
/// ends, exist in every program.
#[used]
#[allow(unsafe_code)]
// SAFETY: a section of entries of this one type.
#[unsafe(link_section = "fnguard_policies")]
static ANCHOR: Registration = Registration::nothing();

/// Whether the platform named a runtime API when the process began, before any code could unset it.
static RUNTIME_API: AtomicBool = AtomicBool::new(false);
/// Whether libc has to add to RES_OPTIONS, once it can.
static ADD_RESOLVER_OPTIONS: AtomicBool = AtomicBool::new(false);

/// Whether SIGPIPE was ignored when the process began: the Rust runtime ignores it before main, and
/// what a launcher becomes must find it as its own parent left it.
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Whether the process was started with SIGPIPE ignored.
pub(crate) fn initially_ignores_sigpipe() -> bool {
    SIGPIPE_IGNORED.load(Ordering::Relaxed)
}

/// Whether AWS_LAMBDA_RUNTIME_API was in the initial environment.
pub(crate) fn initial_runtime_api() -> bool {
    RUNTIME_API.load(Ordering::Relaxed)
}

/// Asks for RES_OPTIONS to be added to when libc is ready.
pub(crate) fn add_resolver_options_later() {
    ADD_RESOLVER_OPTIONS.store(true, Ordering::Relaxed);
}

/// The policies that are registered in this program.
#[allow(unsafe_code)]
fn registered() -> Vec<(&'static [u8], &'static [u8])> {
    unsafe extern "C" {
        #[link_name = "__start_fnguard_policies"]
        static START: Registration;
        #[link_name = "__stop_fnguard_policies"]
        static STOP: Registration;
    }
    let mut found: Vec<(&'static [u8], &'static [u8])> = Vec::new();
    let mut at = &raw const START;
    let end = &raw const STOP;
    while at < end {
        // SAFETY: the linker places whole entries between the two symbols; each refers to static
        // bytes, or to none.
        let (blob, place) = unsafe {
            let entry = &*at;
            at = at.add(1);
            if entry.blob.is_null() {
                continue;
            }
            (
                std::slice::from_raw_parts(entry.blob, entry.length),
                std::slice::from_raw_parts(entry.place, entry.place_length),
            )
        };
        if !found.iter().any(|(other, _)| *other == blob) {
            found.push((blob, place));
        }
    }
    found
}

/// The one policy of this program, if it has any.
fn registered_policy() -> Result<Option<Compiled>, ArmError> {
    let named = |compiled: &Compiled, place: &[u8]| {
        format!("{} of {}", compiled.origin, String::from_utf8_lossy(place))
    };
    let mut registered = registered().into_iter();
    let Some((blob, first_place)) = registered.next() else { return Ok(None) };
    let first = Compiled::decode(blob)?;
    for (blob, place) in registered {
        let other = Compiled::decode(blob)?;
        // Two crates may give one policy two paths; what it says must be the same.
        if other.hash != first.hash {
            return Err(ArmError::TwoPolicies {
                first: named(&first, first_place),
                second: named(&other, place),
            });
        }
    }
    Ok(Some(first))
}

/// What a build of this kind does, by its compiled policy and nothing else.
fn as_built(mut compiled: Compiled) -> Option<Compiled> {
    let arm = &compiled.policy.arm;
    if compiled.debug_build {
        match arm.debug {
            DebugArming::Off => return None,
            DebugArming::Enforce => {}
            DebugArming::Audit => {
                compiled.policy = compiled.policy.into_audit();
                compiled.function = std::mem::take(&mut compiled.audit);
            }
        }
    } else if arm.release == ReleaseArming::Never {
        return None;
    }
    Some(compiled)
}

/// Goes on as the arbiter, in the copy of this program that it has become. Ends the process.
fn resume(environment: &InitialEnvironment, number: i32) -> ! {
    let compiled = registered_policy().map(|compiled| compiled.and_then(as_built));
    match compiled {
        Ok(Some(compiled)) => refuse(&arm::resume(&compiled, environment, number)),
        Ok(None) => process::exit(125),
        Err(error) => refuse(&error),
    }
}

/// Arms the process, if a policy is registered and this is no test binary.
fn start(environment: &mut InitialEnvironment) -> Result<(), ArmError> {
    SIGPIPE_IGNORED.store(signal::is_ignored(libc::SIGPIPE).unwrap_or(false), Ordering::Relaxed);
    for index in 0..environment.count() {
        if environment.get(index).starts_with(b"AWS_LAMBDA_RUNTIME_API=") {
            RUNTIME_API.store(true, Ordering::Relaxed);
        }
    }
    let Some(compiled) = registered_policy()? else { return Ok(()) };
    let Some(compiled) = as_built(compiled) else { return Ok(()) };
    if crate::harness::is_test_binary() {
        return Ok(());
    }
    // Started by the launcher: only the listener's owner can answer. The launcher's own fallback,
    // where there is no listener, is the link that the parent left.
    if let Ok(socket) = process::ask_listener(link::QUESTION.0, link::QUESTION.1, link::VERSION) {
        link::ask::adopt(socket);
        return Ok(());
    }
    if crate::link::ask::inherited_from_launcher(environment) {
        return Ok(());
    }
    arm::arm(&compiled, environment, &Way::InPlace)
}

/// Says why the function is not started, and ends.
fn refuse(error: &ArmError) -> ! {
    let refusal = Refusal {
        code: error.code().to_owned(),
        message: error.to_string(),
        found: error.found(),
        expected: error.expected(),
        remedy: Some(error.remedy().to_owned()),
    };
    let mut line =
        Reporter::new(Options::default()).record(&refusal.into(), SystemTime::now(), &|text| text.to_owned());
    line.push('\n');
    if let Some(stderr) = descriptor::borrow_number(2) {
        let _ = descriptor::write_all(stderr, line.as_bytes());
    }
    process::exit(125)
}

/// The constructor: the earliest code of this program's own that runs (System V ABI, "Initialization
/// and Termination Functions"): before the constructors of its libraries, LD_PRELOAD's included.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
mod constructor {
    use super::{ADD_RESOLVER_OPTIONS, InitialEnvironment, arm, refuse, resume, start};
    use std::ffi::{CStr, CString, c_char, c_int};
    use std::sync::atomic::Ordering;

    type Constructor = extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char);

    #[used]
    // SAFETY: glibc calls each pointer of this section once, with argc, argv and envp.
    #[unsafe(link_section = ".preinit_array")]
    static EARLY: Constructor = early;

    #[used]
    // SAFETY: as above, after libc's own constructor.
    #[unsafe(link_section = ".init_array.00001")]
    static LATE: Constructor = late;

    /// The number behind the name of the arbiter's copy, where these are its arguments.
    ///
    /// # Safety
    ///
    /// `arguments` has `count` terminated strings.
    unsafe fn handed_over(count: c_int, arguments: *mut *mut c_char) -> Option<i32> {
        if count != 2 {
            return None;
        }
        // SAFETY: there are two, as the caller vouches.
        let (name, number) = unsafe { (CStr::from_ptr(*arguments), CStr::from_ptr(*arguments.add(1))) };
        number.to_str().ok()?.parse().ok().filter(|_| name == arm::COPY_NAME)
    }

    extern "C" fn early(count: c_int, arguments: *mut *mut c_char, environment: *mut *mut c_char) {
        if environment.is_null() {
            return;
        }
        // SAFETY: glibc passes the initial arrays, and how many arguments there are.
        if let Some(number) = unsafe { handed_over(count, arguments) } {
            // SAFETY: as below.
            let environment = unsafe { InitialEnvironment::new(environment) };
            resume(&environment, number);
        }
        // SAFETY: glibc passes the initial array; there is one thread, and no code of the
        // program's has run that could hold a reference into it.
        let mut environment = unsafe { InitialEnvironment::new(environment) };
        if let Err(error) = start(&mut environment) {
            refuse(&error);
        }
    }

    extern "C" fn late(_count: c_int, _arguments: *mut *mut c_char, _environment: *mut *mut c_char) {
        if ADD_RESOLVER_OPTIONS.load(Ordering::Relaxed) {
            // SAFETY: before main, with one thread; libc is ready by now. In the function's own
            // process, after arming: whatever stands behind the symbols gains nothing.
            unsafe {
                let set = libc::getenv(c"RES_OPTIONS".as_ptr());
                let given = if set.is_null() { c"" } else { CStr::from_ptr(set) };
                // Options are words; a later one counts.
                let both = CString::new([given.to_bytes(), b" use-vc"].concat()).unwrap_or_default();
                libc::setenv(c"RES_OPTIONS".as_ptr(), both.as_ptr(), 1);
            }
        }
    }
}

/// What a launched program's standard descriptors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// stdin is the launcher's own; stdout and stderr are pipes to the arbiter.
    Inherited,
    /// One pseudo-terminal for all three, in a session of the program's own. The launcher's own
    /// stdin and stdout must be a terminal.
    Terminal,
}

/// Arms this process by a compiled policy and becomes `program`: what a launcher does. Returns
/// only where that is refused; the exit status by convention is 125, 126 where the program can't
/// be run, 127 where there is none.
///
/// The calling process must have one thread. Its parent sees the program's exit status or signal.
///
/// ```no_run
/// use fnguard::{LaunchError, Streams, launch};
/// use fnguard_policy::model::Compiled;
/// use std::process::ExitCode;
///
/// /// A launcher: `launcher POLICY PROGRAM`, with a compiled policy in a file.
/// fn main() -> ExitCode {
///     let words: Vec<_> = std::env::args_os().skip(1).collect();
///     let [policy, program] = words.as_slice() else { return ExitCode::from(125) };
///     let compiled = std::fs::read(policy).ok().and_then(|blob| Compiled::decode(&blob).ok());
///     let Some(compiled) = compiled else { return ExitCode::from(125) };
///     // Returns only where the program could not be started.
///     let LaunchError { status, message, .. } = launch(&compiled, program, &[program], Streams::Inherited);
///     eprintln!("{message}");
///     ExitCode::from(status as u8)
/// }
/// ```
#[allow(unsafe_code)]
pub fn launch(compiled: &Compiled, program: &OsStr, arguments: &[&OsStr], streams: Streams) -> LaunchError {
    use std::os::unix::ffi::OsStrExt;
    unsafe extern "C" {
        static mut environ: *mut *mut std::ffi::c_char;
    }
    let c_string = |text: &OsStr| CString::new(text.as_bytes());
    if process::ask_listener(link::QUESTION.0, link::QUESTION.1, link::VERSION).is_ok() {
        refuse(&ArmError::ArmedAlready);
    }
    let path = match find_program(program) {
        Ok(path) => path,
        Err(error) => return error,
    };
    let (Ok(program_path), Ok(name)) = (c_string(path.as_os_str()), c_string(program)) else {
        return LaunchError { status: 126, message: format!("{}: a NUL in its name", program.display()) };
    };
    let mut list = vec![name];
    for argument in arguments {
        match c_string(argument) {
            Ok(argument) => list.push(argument),
            Err(_) => {
                return LaunchError { status: 125, message: "an argument holds a NUL".to_owned() };
            }
        }
    }
    // SAFETY: the launcher has changed nothing in its environment, so this is the initial array;
    // arming proves that there is one thread.
    let mut environment = unsafe { InitialEnvironment::new(environ) };
    let terminal = streams == Streams::Terminal;
    let way = Way::Launch(Launch { program: program_path, arguments: list, terminal });
    match arm::arm(compiled, &mut environment, &way) {
        Err(error) => refuse(&error),
        Ok(()) => LaunchError { status: 125, message: "arming came back".to_owned() },
    }
}

/// Why a launcher could not start a program.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct LaunchError {
    /// The exit status by convention.
    pub status: i32,
    /// What went wrong.
    pub message: String,
}

/// Finds a program as execvp(3) does: a name without a slash in the directories of PATH. The path
/// that is returned is absolute.
///
/// # Errors
///
/// Status 127 where there is none, 126 where what is there can't be executed.
///
/// ```
/// let path = fnguard::find_program("sh".as_ref())?;
/// assert!(path.is_absolute());
/// assert_eq!(fnguard::find_program("no-such-program".as_ref()).unwrap_err().status, 127);
/// # Ok::<(), fnguard::LaunchError>(())
/// ```
pub fn find_program(program: &OsStr) -> Result<PathBuf, LaunchError> {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::PermissionsExt;
    let is_executable = |path: &Path| {
        path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let not_found =
        |what: &str| LaunchError { status: 127, message: format!("{}: {what}", program.display()) };
    let no_permission = |path: &Path| LaunchError {
        status: 126,
        message: format!("{} is no executable file; expected a program with its x bit set", path.display()),
    };
    if program.as_bytes().contains(&b'/') {
        let path = std::path::absolute(program).map_err(|error| not_found(&error.to_string()))?;
        return match path.metadata() {
            Err(error) => Err(not_found(&error.to_string())),
            Ok(_) if is_executable(&path) => Ok(path),
            Ok(_) => Err(no_permission(&path)),
        };
    }
    // As execvp(3) of glibc where PATH is not set.
    let list = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut there = None;
    for directory in std::env::split_paths(&list) {
        let Ok(candidate) = std::path::absolute(directory.join(program)) else { continue };
        if is_executable(&candidate) {
            return Ok(candidate);
        }
        if there.is_none() && candidate.is_file() {
            there = Some(candidate);
        }
    }
    Err(there.map_or_else(|| not_found("no such program in PATH"), |path| no_permission(&path)))
}
