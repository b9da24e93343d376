//! Executable memory.

use crate::call;
use crate::raw::say;
use std::ffi::CString;

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("memory", [file]) => memory(file),
        ("map-flip", [library, rounds]) => map_flip(library, rounds),
        ("personality", []) => personality(),
        ("map-after-failed-exec", [program, library]) => map_after_failed_exec(program, library),
        _ => return false,
    }
    true
}

const READ: i32 = libc::PROT_READ;
const WRITE: i32 = libc::PROT_WRITE;
const EXECUTE: i32 = libc::PROT_EXEC;

/// `mov eax, 42; ret`
const CODE: [u8; 6] = [0xb8, 42, 0, 0, 0, 0xc3];

/// Runs code that was written at run time: 42 says that it ran.
fn runs(at: i64) -> i64 {
    // SAFETY: the caller has seen to it that the mapping is there and executable.
    let function: extern "C" fn() -> i32 = unsafe { std::mem::transmute(at as usize as *const ()) };
    i64::from(function())
}

fn attempt(step: &str, at: i64) {
    say(step, at.min(1));
    if at > 0 {
        say(&format!("{step}-ran"), runs(at));
    }
}

/// All roads to code that was not there when the program was loaded; `file` may be written.
fn memory(file: &str) {
    let private = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let write = |at: i64| {
        // SAFETY: a page that was just mapped writable.
        unsafe { std::ptr::copy_nonoverlapping(CODE.as_ptr(), at as *mut u8, CODE.len()) }
    };
    let at = call!(SYS_mmap, 0, 4096, READ | WRITE | EXECUTE, private, -1i64, 0);
    if at > 0 {
        write(at);
    }
    attempt("anonymous", at);

    let page = call!(SYS_mmap, 0, 4096, READ | WRITE, private, -1i64, 0);
    write(page);
    let changed = call!(SYS_mprotect, page, 4096, READ | EXECUTE);
    attempt("mprotect", if changed == 0 { page } else { changed });

    let page = call!(SYS_mmap, 0, 4096, READ | WRITE, private, -1i64, 0);
    write(page);
    let changed = call!(SYS_pkey_mprotect, page, 4096, READ | EXECUTE, -1i64);
    attempt("pkey-mprotect", if changed == 0 { page } else { changed });

    // The same memory twice: once to write, once to run.
    let memory = call!(SYS_memfd_create, c"x".as_ptr(), 0);
    call!(SYS_write, memory, CODE.as_ptr(), CODE.len());
    call!(SYS_ftruncate, memory, 4096);
    attempt("memfd", call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_SHARED, memory, 0));
    attempt("memfd-private", call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_PRIVATE, memory, 0));

    // Memory that a device shares, mapped to run, and a second time by mremap(2) to write.
    let zero = call!(SYS_openat, libc::AT_FDCWD, c"/dev/zero".as_ptr(), libc::O_RDWR, 0);
    let at = call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_SHARED, zero, 0);
    if at > 0 {
        let second = call!(SYS_mremap, at, 0, 4096, libc::MREMAP_MAYMOVE, 0);
        call!(SYS_mprotect, second, 4096, READ | WRITE);
        write(second);
    }
    attempt("device", at);

    // A file that the function has written.
    let mut page = CODE.to_vec();
    page.resize(4096, 0);
    let _ = std::fs::write(file, &page);
    let path = CString::new(file).expect("no NUL");
    let opened = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0);
    attempt("file", call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_PRIVATE, opened, 0));
    attempt("file-deleted", {
        call!(SYS_unlink, path.as_ptr());
        call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_PRIVATE, opened, 0)
    });
}

/// An exec of an allowed program that can't succeed, since its arguments are nowhere; then a map.
fn map_after_failed_exec(program: &str, library: &str) {
    let (program, library) = (CString::new(program).expect("no NUL"), CString::new(library).expect("no NUL"));
    // What asks the arbiter for a link has been loaded.
    let link = call!(SYS_kcmp, 0x666e_6775, 0x6172_6421, 1, 0, 0);
    say("link", link.min(0));
    say("execve", call!(SYS_execve, program.as_ptr(), 8, 0));
    let opened = call!(SYS_openat, libc::AT_FDCWD, library.as_ptr(), libc::O_RDONLY, 0);
    say("map", call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_PRIVATE, opened, 0).min(1));
}

/// READ_IMPLIES_EXEC makes every page executable without a word.
fn personality() {
    const READ_IMPLIES_EXEC: u64 = 0x0040_0000;
    say("query", call!(SYS_personality, 0xffff_ffffu64).min(0));
    say("personality", call!(SYS_personality, READ_IMPLIES_EXEC).min(0));
    let page = call!(SYS_mmap, 0, 4096, READ | WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1i64, 0);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let executable = maps.lines().any(|line| line.starts_with(&format!("{page:x}-")) && line.contains("rwx"));
    say("executable", i64::from(executable));
}

/// A sibling thread exchanges what a number means, an installed library or a file of memory, while
/// it is mapped.
fn map_flip(library: &str, rounds: &str) {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    static STOP: AtomicBool = AtomicBool::new(false);
    static TURNS: AtomicU64 = AtomicU64::new(0);
    const NUMBER: i32 = 200;
    let rounds: usize = rounds.parse().expect("a number");
    let library = CString::new(library).expect("no NUL");
    let installed = call!(SYS_openat, libc::AT_FDCWD, library.as_ptr(), libc::O_RDONLY, 0);
    let memory = call!(SYS_memfd_create, c"x".as_ptr(), 0);
    call!(SYS_write, memory, CODE.as_ptr(), CODE.len());
    call!(SYS_ftruncate, memory, 4096);
    call!(SYS_dup2, installed, NUMBER);
    let flipper = std::thread::spawn(move || {
        while !STOP.load(Ordering::Relaxed) {
            TURNS.fetch_add(1, Ordering::Relaxed);
            for from in [memory, installed] {
                call!(SYS_dup2, from, NUMBER);
                for _ in 0..200 {
                    std::hint::spin_loop();
                }
            }
        }
    });
    // Without the other thread there is no race.
    while TURNS.load(Ordering::Relaxed) < 100 {
        std::thread::yield_now();
    }
    let (mut mapped, mut ran, mut refused) = (0, 0, 0);
    for _ in 0..rounds {
        let at = call!(SYS_mmap, 0, 4096, READ | EXECUTE, libc::MAP_PRIVATE, NUMBER, 0);
        if at > 0 {
            mapped += 1;
            // SAFETY: a page that was just mapped readable.
            if unsafe { std::slice::from_raw_parts(at as *const u8, CODE.len()) } == CODE {
                ran += i64::from(runs(at) == 42);
            }
            call!(SYS_munmap, at, 4096);
        } else {
            refused += 1;
        }
    }
    STOP.store(true, Ordering::Relaxed);
    let _ = flipper.join();
    say("mapped", mapped);
    say("refused", refused);
    say("ran", ran);
}
