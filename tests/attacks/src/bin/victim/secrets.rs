//! Looking for secrets: in the environment, in memory, in other processes.

use crate::call;
use crate::raw::{say, tell};
use std::io::{Read, Seek, SeekFrom};

pub fn run(technique: &str, words: &[&str]) -> bool {
    match (technique, words) {
        ("environment", [mask, secret]) => environment(&unmask(mask, secret)),
        ("scan", [mask, secret]) => scan(&unmask(mask, secret), false),
        ("scan-planted", [mask, secret]) => scan(&unmask(mask, secret), true),
        ("parent-environment", []) => parent_environment(),
        ("parent-memory", []) => parent_memory(),
        ("secret", [name]) => secret(name),
        ("core", []) => {
            let limit = [u64::MAX; 2];
            say("limit", call!(SYS_prlimit64, 0, libc::RLIMIT_CORE, limit.as_ptr(), 0));
            call!(SYS_kill, std::process::id(), libc::SIGABRT);
        }
        _ => return false,
    }
    true
}

/// The secret to look for comes masked, so that looking for it brings no copy of it.
fn unmask(mask: &str, secret: &str) -> Masked {
    let mask: u8 = mask.parse().expect("a mask");
    let bytes = (0..secret.len() / 2)
        .map(|index| u8::from_str_radix(&secret[2 * index..2 * index + 2], 16).expect("hex digits"))
        .collect();
    Masked { mask, bytes }
}

struct Masked {
    mask: u8,
    bytes: Vec<u8>,
}

impl Masked {
    /// How often it stands in the haystack.
    fn count(&self, haystack: &[u8]) -> i64 {
        let first = self.bytes[0] ^ self.mask;
        let mut count = 0;
        for start in 0..haystack.len().saturating_sub(self.bytes.len() - 1) {
            if haystack[start] == first
                && haystack[start..].iter().zip(&self.bytes).all(|(byte, masked)| byte ^ self.mask == *masked)
            {
                count += 1;
            }
        }
        count
    }
}

fn environment(secret: &Masked) {
    let own = std::process::id();
    for path in [
        "/proc/self/environ".to_owned(),
        "/proc/thread-self/environ".to_owned(),
        format!("/proc/{own}/environ"),
        format!("/proc/self/task/{own}/environ"),
    ] {
        let bytes = std::fs::read(&path).unwrap_or_default();
        tell("environ", &format!("{path} {}", secret.count(&bytes)));
    }
    let of_std: i64 = std::env::vars_os()
        .map(|(name, value)| {
            use std::os::unix::ffi::OsStrExt;
            secret.count(&[name.as_bytes(), b"=", value.as_bytes()].concat())
        })
        .sum();
    say("std", of_std);
}

/// Every mapping of this process, compared with the list of them: how many bytes were read, and
/// how often the secret is in it.
fn scan(secret: &Masked, plant: bool) {
    let planted: Option<Vec<u8>> =
        plant.then(|| secret.bytes.iter().map(|byte| byte ^ secret.mask).collect());
    // A buffer of its own mapping, which is left out: it would find itself.
    const BUFFER: usize = 1 << 20;
    let buffer = call!(
        SYS_mmap,
        0,
        BUFFER,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        -1i64,
        0
    );
    // SAFETY: the mapping was just made and is used by nobody else.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer as *mut u8, BUFFER) };
    let maps = std::fs::read_to_string("/proc/self/maps").expect("maps");
    let mut memory = std::fs::File::open("/proc/self/mem").expect("mem");
    let (mut found, mut total, mut listed) = (0, 0u64, 0u64);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').expect("a range");
        let (start, end) = range.split_once('-').expect("a range");
        let start = u64::from_str_radix(start, 16).expect("hex");
        let end = u64::from_str_radix(end, 16).expect("hex");
        let own = (start..end).contains(&(buffer as u64));
        // Pages that can't be read at all, and the kernel's own.
        if !rest.starts_with('r')
            || rest.ends_with("[vvar]")
            || rest.contains("[vvar_")
            || rest.ends_with("[vsyscall]")
        {
            continue;
        }
        // Neighbouring anonymous mappings are one for the kernel; only the buffer is left out.
        let pieces: Vec<(u64, u64)> = if own {
            vec![(start, buffer as u64), (buffer as u64 + BUFFER as u64, end)]
        } else {
            vec![(start, end)]
        };
        for (start, end) in pieces {
            listed += end - start;
            let mut at = start;
            let mut kept = 0;
            let mut in_map = 0;
            while at < end {
                let room = ((end - at) as usize).min(BUFFER - kept);
                memory.seek(SeekFrom::Start(at)).expect("seek");
                memory
                    .read_exact(&mut bytes[kept..kept + room])
                    .unwrap_or_else(|error| panic!("{line}: {error}"));
                total += room as u64;
                in_map += secret.count(&bytes[..kept + room]);
                at += room as u64;
                // What could be the beginning of one goes on into the next piece.
                let tail = (secret.bytes.len() - 1).min(kept + room);
                bytes.copy_within(kept + room - tail..kept + room, 0);
                kept = tail;
            }
            if in_map > 0 {
                tell("where", &format!("{in_map} {line}"));
            }
            found += in_map;
        }
    }
    drop(planted);
    say("found", found);
    say("bytes", total as i64);
    say("listed", listed as i64);
}

fn parent() -> i64 {
    call!(SYS_getppid)
}

/// The environment of the parent and of process 1, which may hold what was scrubbed here.
fn parent_environment() {
    for pid in [parent(), 1] {
        let environ = std::fs::read(format!("/proc/{pid}/environ"));
        say("environ", environ.as_ref().map_or(-1, |bytes| bytes.len() as i64));
        if let Ok(bytes) = environ {
            // Raw, so that the outside sees what was had.
            call!(SYS_write, 1, bytes.as_ptr(), bytes.len());
            println!();
        }
    }
}

/// Every road to another process's memory and descriptors.
fn parent_memory() {
    let parent = parent();
    let mut bytes = [0u8; 64];
    let local = [bytes.as_mut_ptr() as u64, 64];
    let maps = std::fs::read_to_string(format!("/proc/{parent}/maps")).unwrap_or_default();
    let start = maps.lines().next().and_then(|line| u64::from_str_radix(line.split('-').next()?, 16).ok());
    // Where the program is not told, our own is as good a guess for the same program.
    let remote = [start.unwrap_or(0x40_0000), 64];
    say("process_vm_readv", call!(SYS_process_vm_readv, parent, local.as_ptr(), 1, remote.as_ptr(), 1, 0));
    say("process_vm_writev", call!(SYS_process_vm_writev, parent, local.as_ptr(), 0, remote.as_ptr(), 0, 0));
    const ATTACH: i32 = 16;
    let attached = call!(SYS_ptrace, ATTACH, parent, 0, 0);
    say("ptrace", attached);
    if attached == 0 {
        call!(SYS_ptrace, 17, parent, 0, 0);
    }
    let pidfd = call!(SYS_pidfd_open, parent, 0);
    say("pidfd_getfd", call!(SYS_pidfd_getfd, pidfd, 1, 0).min(0));
    say("kcmp", call!(SYS_kcmp, std::process::id(), parent, 0, 1, 1).min(0));
    for entry in ["mem", "environ", "maps", "fd/1", "fd/2", "syscall", "stack", "root", "cwd"] {
        let path = std::ffi::CString::new(format!("/proc/{parent}/{entry}")).expect("no NUL");
        let opened = call!(SYS_openat, libc::AT_FDCWD, path.as_ptr(), libc::O_RDONLY, 0);
        // Some say no only when they are read.
        let read_late = matches!(entry, "environ" | "syscall" | "stack") && opened >= 0;
        say(
            entry,
            if read_late { call!(SYS_read, opened, bytes.as_mut_ptr(), 64).min(0) } else { opened.min(0) },
        );
    }
    let link = std::ffi::CString::new(format!("/proc/{parent}/fd/1")).expect("no NUL");
    say("readlink", call!(SYS_readlink, link.as_ptr(), bytes.as_mut_ptr(), 64).min(0));
}

/// The library's own way, which is open to any code: what is had is printed, and redacted.
fn secret(name: &str) {
    match fnguard::secret(name) {
        Ok(_) => say("secret", 0),
        Err(error) => tell("secret", &format!("-1 {error}")),
    }
}
