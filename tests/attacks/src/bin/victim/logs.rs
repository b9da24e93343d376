//! Past the pumps, against the logs.

use crate::call;
use crate::raw::{say, tell};
use std::ffi::CString;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("write", [way, text]) => write(way, text),
        ("vmsplice-change", [first, second]) => vmsplice_change(first, second),
        ("vmsplice-read-late", [first, second]) => vmsplice_read_late(first, second),
        ("reopen", []) => reopen(),
        ("write-to", [path, text]) => write_to(path, text),
        ("open-to-write", [path]) => {
            let path = CString::new(*path).expect("no NUL");
            let flags = libc::O_WRONLY | libc::O_NOCTTY | libc::O_NONBLOCK;
            say("open", call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0).min(0));
        }
        ("write-number", [number, text]) => write_number(number, text),
        ("write-create", [path, text @ ..]) => write_create(path, text.first().copied().unwrap_or_default()),
        ("write-terminal", [text, name]) => write_terminal(text, name),
        ("write-parent", [text]) => write_parent(text),
        ("replace-logs", [way]) => replace_logs(way),
        ("pieces", pieces) => write_pieces(pieces, 0),
        // Each after what holds the one before has let go of it.
        ("pieces-at-leisure", pieces) => write_pieces(pieces, 100),
        ("pipe-control", []) => pipe_control(),
        ("print", [text]) => println!("{text}"),
        ("protect", [name, value, then]) => protect(name, value, then),
        ("flood-records", [many, last]) => flood_records(many, last),
        ("flood-lines", [many]) => flood_lines(many),
        _ => return false,
    }
    true
}

/// One text to stdout, by one of the calls that can do it.
fn write(way: &str, text: &str) {
    // For good: what vmsplice(2) hands over is these pages, for whoever reads them later.
    let text: &str = Box::leak(format!("{text}\n").into_boxed_str());
    let (at, length) = (text.as_ptr() as u64, text.len() as u64);
    let iov = [at, length];
    let through_pipe = || {
        let mut pipe = [0i32; 2];
        call!(SYS_pipe2, pipe.as_mut_ptr(), 0);
        call!(SYS_write, pipe[1], at, length);
        pipe
    };
    let file = || {
        let file = call!(SYS_memfd_create, c"x".as_ptr(), 0);
        call!(SYS_write, file, at, length);
        call!(SYS_lseek, file, 0, 0);
        file
    };
    let result = match way {
        "write" => call!(SYS_write, 1, at, length),
        "writev" => call!(SYS_writev, 1, iov.as_ptr(), 1),
        "pwritev2" => call!(SYS_pwritev2, 1, iov.as_ptr(), 1, -1i64, -1i64, 0),
        "sendfile" => call!(SYS_sendfile, 1, file(), 0, length),
        "copy_file_range" => call!(SYS_copy_file_range, file(), 0, 1, 0, length, 0),
        "splice" => call!(SYS_splice, through_pipe()[0], 0, 1, 0, length, 0),
        "tee" => call!(SYS_tee, through_pipe()[0], 1, length, 0),
        "vmsplice" => call!(SYS_vmsplice, 1, iov.as_ptr(), 1, 0),
        "dup" => {
            let copy = call!(SYS_dup, 1);
            call!(SYS_write, copy, at, length)
        }
        "bytes" => {
            for byte in text.as_bytes() {
                call!(SYS_write, 1, std::ptr::from_ref(byte), 1);
            }
            length as i64
        }
        "dev" => {
            let opened = call!(SYS_openat, libc::AT_FDCWD, c"/dev/stdout".as_ptr(), libc::O_WRONLY, 0);
            say("opened", opened.min(0));
            call!(SYS_write, opened, at, length)
        }
        _ => panic!("no such way: {way}"),
    };
    say(way, result);
}

/// Hands pages to the pipe, then changes them: what was looked at is not what is read later.
fn vmsplice_change(first: &str, second: &str) {
    const PAGES: usize = 16;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    assert_eq!(first.len(), second.len());
    for _ in 0..200 {
        let pages = call!(SYS_mmap, 0, PAGES * 4096, protection, flags, -1i64, 0) as usize;
        let put = |text: &str| {
            for page in 0..PAGES {
                // SAFETY: pages of our own.
                unsafe {
                    std::ptr::copy_nonoverlapping(text.as_ptr(), (pages + page * 4096) as *mut u8, text.len())
                }
            }
        };
        put(first);
        let iov: Vec<u64> =
            (0..PAGES).flat_map(|page| [(pages + page * 4096) as u64, first.len() as u64]).collect();
        call!(SYS_vmsplice, 1, iov.as_ptr(), PAGES, 0);
        put(second);
    }
    println!();
}

/// The same without the race: whoever reads late reads the change.
fn vmsplice_read_late(first: &str, second: &str) {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let page =
        call!(SYS_mmap, 0, 4096, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1i64, 0) as *mut u8;
    let put = |text: &str| {
        assert!(text.len() <= 4096);
        // SAFETY: a page of our own.
        unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), page, text.len()) }
    };
    let mut pipe = [0i32; 2];
    call!(SYS_pipe2, pipe.as_mut_ptr(), 0);
    put(first);
    let iov = [page as u64, first.len() as u64];
    call!(SYS_vmsplice, pipe[1], iov.as_ptr(), 1, 0);
    put(second);
    let mut read = vec![0u8; first.len()];
    call!(SYS_read, pipe[0], read.as_mut_ptr(), read.len());
    tell("read", &String::from_utf8_lossy(&read));
}

/// The reading end of one's own stdout: whoever has it takes the lines away.
fn reopen() {
    for path in ["/proc/self/fd/1", "/proc/self/fd/2", "/dev/stdout", "/dev/fd/1", "/proc/thread-self/fd/1"] {
        let path_c = CString::new(path).expect("no NUL");
        let opened = call!(SYS_openat, libc::AT_FDCWD, path_c.as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK, 0);
        tell("reopen", &format!("{path} {}", opened.min(0)));
    }
    say("fchmod", call!(SYS_fchmod, 1, 0o600));
    say("chmod", call!(SYS_chmod, c"/proc/self/fd/1".as_ptr(), 0o600));
    say("fchmodat", call!(SYS_fchmodat, libc::AT_FDCWD, c"/proc/self/fd/1".as_ptr(), 0o600));
    say(
        "again",
        call!(SYS_openat, libc::AT_FDCWD, c"/proc/self/fd/1".as_ptr(), libc::O_RDONLY | libc::O_NONBLOCK, 0)
            .min(0),
    );
}

fn write_to(path: &str, text: &str) {
    let path = CString::new(path).expect("no NUL");
    let opened = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY, 0);
    say("open", opened.min(0));
    say("write", call!(SYS_write, opened, text.as_ptr(), text.len()));
}

fn write_number(number: &str, text: &str) {
    let number: i32 = number.parse().expect("a number");
    say("write", call!(SYS_write, number, text.as_ptr(), text.len()));
}

fn write_create(path: &str, text: &str) {
    let path = CString::new(path).expect("no NUL");
    let opened = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY | libc::O_CREAT, 0o600);
    say("open", opened.min(0));
    call!(SYS_write, opened, text.as_ptr(), text.len());
}

/// A terminal by every number and name it has here.
fn write_terminal(text: &str, name: &str) {
    call!(SYS_write, 0, text.as_ptr(), text.len());
    call!(SYS_write, 1, text.as_ptr(), text.len());
    let name = CString::new(name).expect("no NUL");
    for path in [name.as_c_str(), c"/dev/tty", c"/proc/self/fd/0", c"/dev/stdin"] {
        let opened = call!(
            SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::O_WRONLY | libc::O_NOCTTY | libc::O_NONBLOCK,
            0
        );
        call!(SYS_write, opened, text.as_ptr(), text.len());
    }
    // Typed into the terminal, it would come back as input and echo.
    for byte in text.as_bytes() {
        call!(SYS_ioctl, 0, 0x5412, std::ptr::from_ref(byte));
    }
}

/// The descriptors of the parent, by their entries in /proc.
fn write_parent(text: &str) {
    let parent = call!(SYS_getppid);
    for pid in [parent, 1] {
        for number in 0..20 {
            let path = CString::new(format!("/proc/{pid}/fd/{number}")).expect("no NUL");
            let opened =
                call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_WRONLY | libc::O_NONBLOCK, 0);
            if opened >= 0 {
                call!(SYS_write, opened, text.as_ptr(), text.len());
                say("opened", i64::from(number));
            }
        }
    }
}

/// Puts a socket where stdout was, or nothing.
fn replace_logs(way: &str) {
    let mut pair = [0i32; 2];
    call!(SYS_socketpair, libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr());
    println!("before");
    let own = call!(SYS_dup, 1);
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_DGRAM, 0);
    let result = match way {
        "dup2" => call!(SYS_dup2, socket, 1),
        "dup3" => call!(SYS_dup3, socket, 1, 0),
        "dup2-dirty" => call!(SYS_dup2, socket, 1u64 | 1 << 32),
        // Both ends are this process's own.
        "pair" => call!(SYS_dup2, pair[0], 1),
        "close" => call!(SYS_close, 1),
        "close-dirty" => call!(SYS_close, 1u64 | 1 << 32),
        "close_range" => call!(SYS_close_range, 1, 2, 0),
        "close_range-unshare" => call!(SYS_close_range, 1, 2, 2),
        // A copy of the socket by the lowest free number: never 1 while that is there.
        "fcntl" => call!(SYS_fcntl, pair[0], libc::F_DUPFD, 1),
        _ => panic!("no such way: {way}"),
    };
    let after = "after\n";
    call!(SYS_write, 1, after.as_ptr(), after.len());
    // Whatever came of it is said where the outside can see it.
    let mut arrived = [0u8; 16];
    let count = call!(SYS_recvfrom, pair[1], arrived.as_mut_ptr(), arrived.len(), libc::MSG_DONTWAIT, 0, 0);
    let line = format!("= {way} {result}\n= arrived {count}\n");
    call!(SYS_write, own, line.as_ptr(), line.len());
}

/// Bytes by turns to several descriptors, each piece (a number, a text) once the one before has
/// been taken out of its pipe.
fn write_pieces(pieces: &[&str], leisure: u64) {
    for piece in pieces.chunks_exact(2) {
        let (number, text): (i32, &str) = (piece[0].parse().expect("a number"), piece[1]);
        call!(SYS_write, number, text.as_ptr(), text.len());
        let mut left = 1i32;
        while left != 0 && call!(SYS_ioctl, number, libc::FIONREAD, &raw mut left) == 0 {
            std::thread::yield_now();
        }
        std::thread::park_timeout(std::time::Duration::from_millis(leisure));
    }
}

fn pipe_control() {
    say("F_SETPIPE_SZ", call!(SYS_fcntl, 1, libc::F_SETPIPE_SZ, 4096));
    let flags = call!(SYS_fcntl, 1, libc::F_GETFL);
    say("O_DIRECT", call!(SYS_fcntl, 1, libc::F_SETFL, flags as i32 | libc::O_DIRECT));
    say("F_NOTIFY", call!(SYS_fcntl, 1, libc::F_NOTIFY, 1));
    say("F_SETLEASE", call!(SYS_fcntl, 0, libc::F_SETLEASE, 0));
    say("F_GETFL", call!(SYS_fcntl, 1, libc::F_GETFL).min(0));
}

/// A secret of the attacker's choice, so that it is blanked everywhere.
fn protect(name: &str, value: &str, then: &str) {
    match fnguard::protect(name, &value.to_owned().into()) {
        Ok(()) => say("protect", 0),
        Err(error) => tell("protect", &format!("-1 {error}")),
    }
    println!("{then}");
    let bytes = crate::raw::address("203.0.113.9:4444");
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
}

/// Refused calls without number, then the one that counts.
fn flood_records(many: &str, last: &str) {
    let many: u16 = many.parse().expect("a number");
    let socket = call!(SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0);
    for index in 0..many {
        let bytes =
            crate::raw::v4_address([203, 0, 113, (index % 251) as u8], 1000 + index % 5000, libc::AF_INET);
        call!(SYS_connect, socket, bytes.as_ptr(), bytes.len());
    }
    let path = CString::new(last).expect("no NUL");
    say("last", call!(SYS_unlink, path.as_ptr()));
}

fn flood_lines(many: &str) {
    let many: usize = many.parse().expect("a number");
    let line = "x".repeat(4095);
    for _ in 0..many {
        call!(SYS_write, 1, line.as_ptr(), line.len());
    }
}
