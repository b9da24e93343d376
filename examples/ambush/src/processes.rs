//! Other processes as /proc shows them: who is whose child, in what state, under what limits. Only
//! reading; see proc_pid_stat(5) and its kin.

use std::collections::BTreeSet;
use std::fs;
use std::io;

/// The processes of this pid namespace.
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The state letter and the parent of a process.
pub fn state_and_parent(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything, brackets too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Whether a process is gone, or dead and not yet waited for.
pub fn is_dead(pid: u32) -> bool {
    state_and_parent(pid).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'))
}

/// The last of the line: the child's child and so on, as far as each has one. The first child
/// where one has several.
pub fn youngest_below(pid: u32) -> u32 {
    let mut last = pid;
    loop {
        let child = all()
            .into_iter()
            .filter(|&other| {
                state_and_parent(other).is_some_and(|(state, parent)| parent == last && state != 'Z')
            })
            .min();
        match child {
            Some(child) => last = child,
            None => return last,
        }
    }
}

/// The soft limit of open files.
pub fn open_files_limit(pid: u32) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A field of /proc/PID/status, or of a thread's.
pub fn status_field(path: &str, name: &str) -> Option<String> {
    let status = fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// A field of every thread's status.
pub fn status_of_threads(pid: u32, name: &str) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    threads
        .flatten()
        .filter_map(|thread| status_field(thread.path().join("status").to_str()?, name))
        .collect()
}

/// The process's descriptors: their numbers and what they lead to.
pub fn descriptors(pid: u32) -> Vec<(i32, String)> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            Some((number, fs::read_link(entry.path()).ok()?.display().to_string()))
        })
        .collect()
}

/// The line of the process's maps for the mapping that begins at an address.
pub fn mapping_at(pid: u32, address: u64) -> io::Result<Option<String>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let start = format!("{address:08x}-");
    Ok(maps.lines().find(|line| line.starts_with(&start)).map(str::to_owned))
}

/// Ports on which TCP sockets of this network namespace listen.
pub fn listening_ports() -> BTreeSet<u16> {
    const LISTEN: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| {
            table
                .lines()
                .skip(1)
                .filter_map(|line| {
                    let mut fields = line.split_whitespace().skip(1);
                    let (local, state) = (fields.next()?, fields.nth(1)?);
                    let port = local.rsplit_once(':')?.1;
                    (state == LISTEN).then(|| u16::from_str_radix(port, 16).ok())?
                })
                .collect::<Vec<u16>>()
        })
        .collect()
}
