//! What runs in the sandbox: says what the platform answers, and does what functions and their
//! attackers do there.

use fnguard_attacks::outcome::FINISHED;
use secrecy::ExposeSecret;
use std::io::Write;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["platform"] => platform(),
        ["int80"] => int80(),
        ["environment", name] => {
            say("getenv", i64::from(std::env::var_os(name).is_some()));
            for path in [
                "/proc/self/environ".to_owned(),
                format!("/proc/{}/environ", std::os::unix::process::parent_id()),
            ] {
                let bytes = std::fs::read(&path).unwrap_or_default();
                let start = format!("{name}=").into_bytes();
                say("environ", i64::from(bytes.windows(start.len()).any(|part| part == start)));
            }
        }
        ["ask", name] => match fnguard::secret(name) {
            Ok(secret) => {
                println!("raw {}", secret.expose_secret());
                eprintln!("raw {}", secret.expose_secret());
                let hex: String = secret.expose_secret().bytes().map(|byte| format!("{byte:02x}")).collect();
                println!("hex {hex}");
                say("length", secret.expose_secret().len() as i64);
            }
            Err(error) => println!("= error {error}"),
        },
        ["panic", text] => panic!("{text}"),
        ["abort"] => std::process::abort(),
        ["connect", to] => say("connect", i64::from(std::net::TcpStream::connect(to).is_ok()) - 1),
        ["write-file", path] => say("write", i64::from(std::fs::write(path, "x").is_ok()) - 1),
        ["posture"] => println!("{}", fnguard::posture().unwrap_or_default()),
        ["write-after", gate, result] => {
            let _ = std::fs::read(gate);
            let written = std::io::stdout().write_all(b"after\n").and_then(|()| std::io::stdout().flush());
            let _ = std::fs::write(result, if written.is_ok() { "written" } else { "broken" });
        }
        _ => panic!("no such technique: {words:?}"),
    }
    std::process::exit(FINISHED)
}

fn say(step: &str, value: i64) {
    println!("= {step} {value}");
}

/// What the platform answers to the calls that it is known for.
fn platform() {
    let answer = |value: i64| {
        if value < 0 {
            -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
        } else {
            value.min(0)
        }
    };
    // SAFETY: calls on values; those that would change something are refused, or the test fails.
    unsafe {
        say("uid", i64::from(libc::getuid()));
        say("prctl-name", answer(i64::from(libc::prctl(libc::PR_SET_NAME, c"x".as_ptr()))));
        say("prctl-nnp", answer(i64::from(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))));
        say("seccomp", answer(libc::syscall(libc::SYS_seccomp, 1, 0, 0)));
        say("ptrace", answer(libc::syscall(libc::SYS_ptrace, 0, 0, 0, 0)));
        say("setuid", answer(libc::syscall(libc::SYS_setuid, libc::getuid())));
        say("unshare", answer(libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER)));
        say("clone", answer(libc::syscall(libc::SYS_clone, libc::CLONE_NEWUSER | libc::SIGCHLD, 0, 0, 0, 0)));
        let file = libc::syscall(libc::SYS_memfd_create, c"x".as_ptr(), 0);
        say("fallocate", answer(libc::syscall(libc::SYS_fallocate, file, 0, 0, 4096)));
        say("landlock", answer(libc::syscall(444, 0, 0, 1)));
        say("openat2", answer(libc::syscall(libc::SYS_openat2, -1, c"x".as_ptr(), 0, 0)));
    }
    say("threads", std::thread::spawn(|| 7).join().unwrap_or(0));
    for name in ["AWS_LAMBDA_RUNTIME_API", "AWS_EXECUTION_ENV", "_HANDLER", "LAMBDA_TASK_ROOT"] {
        println!("= variable {name}={}", std::env::var(name).unwrap_or_default());
    }
}

#[cfg(target_arch = "x86_64")]
fn int80() {
    let mut value: i64 = 20;
    // SAFETY: getpid of the 32-bit table has no arguments; the entry clobbers r8 to r11.
    unsafe {
        std::arch::asm!(
            "int 0x80",
            inout("rax") value,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    say("int80", value.min(1));
}

#[cfg(not(target_arch = "x86_64"))]
fn int80() {}
