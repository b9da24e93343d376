//! `lambda-sandbox PROGRAM [ARGUMENT …]`: runs a program as public reports say that standard AWS
//! Lambda runs one: an ordinary user, the environment of a `provided.al2023` function, few
//! descriptors and processes, and a seccomp filter under which
//!
//! - prctl, seccomp, ptrace, set*id, unshare, setns, mount and its kin, bpf, perf_event_open,
//!   keyctl, io_uring and fallocate answer EPERM, and clone with a namespace too;
//! - calls that came after Linux 5.10, Landlock's among them, answer ENOSYS;
//! - 32-bit calls kill.
//!
//! First form: what it can't impose is the kernel's age as such (a call's own behaviour is that of
//! the kernel it runs on), the file systems, and the absence of no_new_privs, which a filter of an
//! ordinary user's needs. Whatever has been learned on the platform itself belongs here.

mod filter;
pub mod sealed;

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

/// The user and the group of a function (`sbx_user1051`).
const USER: u32 = 993;
const GROUP: u32 = 990;
/// Descriptors, and processes with threads, of an execution environment.
const QUOTA: u64 = 1024;

/// What the platform sets for a function of an OS-only runtime. What is set already stays.
const ENVIRONMENT: [(&str, &str); 16] = [
    ("_HANDLER", "bootstrap"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
    ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef"),
    ("AWS_LAMBDA_RUNTIME_API", "169.254.100.1:9001"),
    ("AWS_REGION", "eu-west-1"),
    ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
    ("LAMBDA_TASK_ROOT", "/var/task"),
    ("LANG", "en_US.UTF-8"),
    ("TZ", ":UTC"),
    ("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin"),
];

/// Becomes the program that the command line names, in the sandbox. Ends the process where that fails.
pub fn main() -> ! {
    let words: Vec<CString> =
        std::env::args_os().skip(1).filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
    let Some(program) = words.first() else {
        eprintln!("usage: lambda-sandbox PROGRAM [ARGUMENT …]");
        std::process::exit(125)
    };
    let mut variables: Vec<CString> = std::env::vars_os()
        .filter_map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok())
        .collect();
    for (name, value) in ENVIRONMENT {
        if std::env::var_os(name).is_none() {
            variables.extend(CString::new(format!("{name}={value}")));
        }
    }
    let terminated = |list: &[CString]| {
        let mut pointers: Vec<*const libc::c_char> = list.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (arguments, environment) = (terminated(&words), terminated(&variables));
    if let Err(problem) = confine() {
        eprintln!("lambda-sandbox: {problem}");
        std::process::exit(125)
    }
    // SAFETY: terminated arrays of terminated strings, which live until the call returns.
    unsafe { libc::execvpe(program.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let error = std::io::Error::last_os_error();
    eprintln!("lambda-sandbox: {}: {error}", program.to_string_lossy());
    std::process::exit(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Becomes an ordinary user with an ordinary user's limits, and is filtered.
fn confine() -> Result<(), String> {
    let failed = |what: &str| format!("{what}: {}", std::io::Error::last_os_error());
    // SAFETY: calls on values, and on structures that live until they return.
    unsafe {
        for resource in [libc::RLIMIT_NOFILE, libc::RLIMIT_NPROC] {
            let limit = libc::rlimit { rlim_cur: QUOTA, rlim_max: QUOTA };
            if libc::setrlimit(resource, &limit) != 0 {
                return Err(failed("setrlimit"));
            }
        }
        if libc::geteuid() == 0 {
            if libc::setgroups(0, std::ptr::null()) != 0 || libc::setresgid(GROUP, GROUP, GROUP) != 0 {
                return Err(failed("giving up the groups"));
            }
            if libc::setresuid(USER, USER, USER) != 0 {
                return Err(failed("giving up the user"));
            }
        }
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
            return Err(failed("no_new_privs"));
        }
        let program = filter::program();
        let head = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
        if libc::syscall(libc::SYS_seccomp, 1u64, 0u64, &raw const head) != 0 {
            return Err(failed("seccomp"));
        }
    }
    Ok(())
}
