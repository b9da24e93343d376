//! A hostile program: one technique a command. It says what the kernel answered (`= STEP VALUE`),
//! which proves nothing by itself, and ends with a status of its own.
//!
//! Every system call is made directly, so that no library can be what stops it.

mod exec;
mod kernel;
mod load;
mod logs;
mod memory;
mod network;
mod paths;
mod process;
mod raw;
mod resolver;
mod secrets;
mod sockets;
mod strangers;

use fnguard_attacks::outcome::FINISHED;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (technique, rest) = words.split_first().expect("a technique");
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let known = network::run(technique, &rest)
        || sockets::run(technique, &rest)
        || strangers::run(technique, &rest)
        || resolver::run(technique, &rest)
        || exec::run(technique, &rest)
        || memory::run(technique, &rest)
        || secrets::run(technique, &rest)
        || logs::run(technique, &rest)
        || process::run(technique, &rest)
        || kernel::run(technique, &rest)
        || load::run(technique, &rest)
        || paths::run(technique, &rest);
    assert!(known, "no such technique: {technique}");
    std::process::exit(FINISHED)
}
