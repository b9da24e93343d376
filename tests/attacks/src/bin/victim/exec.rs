//! Starting programs, and processes.

use crate::call;
use crate::raw::say;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("execve", [path, arguments @ ..]) => exec(path, arguments),
        ("spawn", [path, arguments @ ..]) => spawn(path, arguments),
        ("spawn-with", [variable, path, arguments @ ..]) => spawn_with(variable, path, arguments),
        ("exec-memfd", [file, arguments @ ..]) => exec_memfd(file, arguments, false),
        ("exec-memfd-path", [file, arguments @ ..]) => exec_memfd(file, arguments, true),
        ("exec-flip", [allowed, forbidden, rounds, arguments @ ..]) => {
            flip(allowed, forbidden, rounds, arguments)
        }
        ("fork", [file]) => fork(file),
        ("clone", [file]) => clone_plain(file),
        ("clone3", [file]) => clone3(file),
        ("clone-flags", []) => clone_flags(),
        ("exec-from-thread", [path, arguments @ ..]) => from_thread(path, arguments),
        ("nothing", []) => {}
        _ => return false,
    }
    true
}

fn strings(words: &[&str]) -> (Vec<CString>, Vec<u64>) {
    let strings: Vec<CString> = words.iter().map(|word| CString::new(*word).expect("no NUL")).collect();
    let mut pointers: Vec<u64> = strings.iter().map(|string| string.as_ptr() as u64).collect();
    pointers.push(0);
    (strings, pointers)
}

/// This process becomes the program, or says why not.
fn exec(path: &str, arguments: &[&str]) {
    let words: Vec<&str> = [path].into_iter().chain(arguments.iter().copied()).collect();
    let (strings, pointers) = strings(&words);
    let none = [0u64];
    say("execve", call!(SYS_execve, strings[0].as_ptr(), pointers.as_ptr(), none.as_ptr()));
}

fn wait_for(pid: i64) -> i64 {
    let mut status = 0i32;
    call!(SYS_wait4, pid, &raw mut status, 0, 0);
    i64::from(status)
}

/// posix_spawn(3): a child that shares memory until its exec.
fn spawn(path: &str, arguments: &[&str]) {
    spawn_in(path, arguments, &[]);
}

fn spawn_with(variable: &str, path: &str, arguments: &[&str]) {
    spawn_in(path, arguments, &[variable]);
}

fn spawn_in(path: &str, arguments: &[&str], environment: &[&str]) {
    let words: Vec<&str> = [path].into_iter().chain(arguments.iter().copied()).collect();
    let (strings_of, pointers) = strings(&words);
    let (_kept, environment) = strings(environment);
    let mut pid = 0i32;
    // SAFETY: all pointers are to live, terminated data.
    let result = unsafe {
        libc::posix_spawn(
            &mut pid,
            strings_of[0].as_ptr(),
            std::ptr::null(),
            std::ptr::null(),
            pointers.as_ptr().cast(),
            environment.as_ptr().cast(),
        )
    };
    say("spawn", -i64::from(result));
    if result == 0 {
        say("status", wait_for(i64::from(pid)));
    }
}

/// A program that has no path: copied into memory, started by its descriptor or by /proc.
fn exec_memfd(file: &str, arguments: &[&str], by_path: bool) {
    let program = std::fs::read(file).expect("the program");
    let memory = call!(SYS_memfd_create, c"x".as_ptr(), 0);
    let mut at = 0;
    while at < program.len() {
        let count = call!(SYS_write, memory, program[at..].as_ptr(), program.len() - at);
        assert!(count > 0, "the memory file can be written");
        at += count as usize;
    }
    let (kept, pointers) = strings(&[&["x"], arguments].concat());
    let none = [0u64];
    if by_path {
        let path = CString::new(format!("/proc/self/fd/{memory}")).expect("no NUL");
        say("execve", call!(SYS_execve, path.as_ptr(), pointers.as_ptr(), none.as_ptr()));
    } else {
        let empty = c"";
        say(
            "execveat",
            call!(
                SYS_execveat,
                memory,
                empty.as_ptr(),
                pointers.as_ptr(),
                none.as_ptr(),
                libc::AT_EMPTY_PATH
            ),
        );
    }
    drop(kept);
}

/// A sibling thread exchanges the path while a child of the vfork kind is started by it.
fn flip(allowed: &str, forbidden: &str, rounds: &str, arguments: &[&str]) {
    let rounds: usize = rounds.parse().expect("a number");
    let length = allowed.len().max(forbidden.len()) + 1;
    let padded = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, 0);
        bytes
    };
    let (allowed, forbidden) = (padded(allowed), padded(forbidden));
    let shared: &'static mut [u8] = Box::leak(allowed.clone().into_boxed_slice());
    let at = shared.as_mut_ptr() as usize;
    static STOP: AtomicBool = AtomicBool::new(false);
    static TURNS: AtomicU64 = AtomicU64::new(0);
    let flipper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
            for bytes in [&forbidden, &allowed] {
                // SAFETY: the race is the point; both have this length.
                unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, length) };
                for _ in 0..200 {
                    std::hint::spin_loop();
                }
            }
        }
    });
    let (kept, pointers) = strings(&[&["x"], arguments].concat());
    // Without the other thread there is no race.
    while TURNS.load(Ordering::Relaxed) < 100 {
        std::thread::yield_now();
    }
    let (mut started, mut refused, mut killed) = (0, 0, 0);
    for _ in 0..rounds {
        let mut pid = 0i32;
        // SAFETY: as in `spawn`; the path changes while it is read, which is the point.
        let result = unsafe {
            libc::posix_spawn(
                &mut pid,
                at as *const libc::c_char,
                std::ptr::null(),
                std::ptr::null(),
                pointers.as_ptr().cast(),
                [0u64].as_ptr().cast(),
            )
        };
        if result == 0 {
            started += 1;
            killed += i64::from(wait_for(i64::from(pid)) & 0x7f == i64::from(libc::SIGKILL));
        } else {
            refused += 1;
        }
    }
    STOP.store(true, Ordering::Relaxed);
    let _ = flipper.join();
    drop(kept);
    say("started", started);
    say("refused", refused);
    say("killed", killed);
}

/// A child writes a file: it lived.
fn in_child(pid: i64, step: &str, file: &str) {
    if pid == 0 {
        let path = CString::new(file).expect("no NUL");
        let file = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_CREAT | libc::O_WRONLY, 0o600);
        call!(SYS_write, file, b"lived".as_ptr(), 5);
        call!(SYS_exit_group, 0);
    }
    say(step, pid);
    if pid > 0 {
        wait_for(pid);
    }
}

fn fork(file: &str) {
    in_child(call!(SYS_fork), "fork", file);
}

/// clone(2) as fork, with flags no library passes.
fn clone_plain(file: &str) {
    in_child(call!(SYS_clone, libc::SIGCHLD | libc::CLONE_UNTRACED, 0, 0, 0, 0), "clone", file);
}

/// clone3(2): its flags are behind a pointer.
fn clone3(file: &str) {
    let mut arguments = [0u64; 11];
    arguments[4] = libc::SIGCHLD as u64;
    in_child(call!(SYS_clone3, arguments.as_ptr(), 88), "clone3", file);
    let namespaces = [
        ("NEWUSER", libc::CLONE_NEWUSER),
        ("NEWNET", libc::CLONE_NEWNET),
        ("NEWNS", libc::CLONE_NEWNS),
        ("NEWPID", libc::CLONE_NEWPID),
    ];
    for (name, flag) in namespaces {
        let mut arguments = [0u64; 11];
        arguments[0] = (flag | if name == "NEWUSER" { 0 } else { libc::CLONE_NEWUSER }) as u64;
        arguments[4] = libc::SIGCHLD as u64;
        let pid = call!(SYS_clone3, arguments.as_ptr(), 88);
        if pid == 0 {
            call!(SYS_exit_group, 0);
        }
        say(&format!("clone3-{name}"), pid);
        if pid > 0 {
            wait_for(pid);
        }
    }
}

/// Threads and children with one bit that libraries never pass.
fn clone_flags() {
    const THREAD: i32 = libc::CLONE_VM
        | libc::CLONE_FS
        | libc::CLONE_FILES
        | libc::CLONE_SIGHAND
        | libc::CLONE_THREAD
        | libc::CLONE_SYSVSEM;
    let list = [
        ("thread-without-files", THREAD & !libc::CLONE_FILES),
        ("thread-without-fs", THREAD & !libc::CLONE_FS),
        ("child-files", libc::CLONE_FILES | libc::SIGCHLD),
        ("child-parent", libc::CLONE_PARENT | libc::SIGCHLD),
        ("child-newuser", libc::CLONE_NEWUSER | libc::SIGCHLD),
        ("child-newuser-newnet", libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD),
    ];
    for (name, flags) in list {
        say(name, clone_and_end(flags));
    }
    say("unshare-files", call!(SYS_unshare, libc::CLONE_FILES));
    say("unshare-user", call!(SYS_unshare, libc::CLONE_NEWUSER));
    say("unshare-user-dirty", call!(SYS_unshare, libc::CLONE_NEWUSER as u64 | 1 << 40));
    say("close-range-unshare", call!(SYS_close_range, 900, 901, 2));
    let own = call!(SYS_openat, libc::AT_FDCWD, c"/proc/self/ns/net".as_ptr(), 0, 0);
    say("setns", call!(SYS_setns, own, 0));
}

/// clone(2) by hand: the new one ends at once, on a stack of its own.
#[cfg(target_arch = "x86_64")]
fn clone_and_end(flags: i32) -> i64 {
    let stack: &'static mut [u64] = Box::leak(vec![0u64; 8192].into_boxed_slice());
    let top = stack.as_mut_ptr() as u64 + 8192 * 8 - 64;
    let mut value: i64 = libc::SYS_clone;
    // SAFETY: the new thread or process runs nothing but exit(2).
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, 60",
            "xor edi, edi",
            "syscall",
            "2:",
            inout("rax") value,
            in("rdi") flags as i64,
            in("rsi") top,
            in("rdx") 0,
            in("r10") 0,
            in("r8") 0,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    if value > 0 && flags & libc::CLONE_THREAD == 0 {
        wait_for(value);
    }
    value
}

#[cfg(not(target_arch = "x86_64"))]
fn clone_and_end(flags: i32) -> i64 {
    let pid = call!(SYS_clone, flags, 0, 0, 0, 0);
    if pid == 0 {
        call!(SYS_exit, 0);
    }
    pid
}

/// exec from a thread that is not the first, while siblings wait in notified calls.
fn from_thread(path: &str, arguments: &[&str]) {
    for _ in 0..3 {
        std::thread::spawn(|| {
            let bytes = crate::raw::address("203.0.113.9:9");
            loop {
                let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
                call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
                call!(SYS_close, socket);
            }
        });
    }
    let path = path.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
    let _ = std::thread::spawn(move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        exec(&path, &arguments);
    })
    .join();
}
