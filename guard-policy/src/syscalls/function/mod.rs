//! The function's allow-list. What it does not name is notified to the arbiter, which denies it
//! unless it performs that call itself; so a call that a future kernel adds is denied and
//! reported, never forgotten.
//!
//! Not in these files on purpose, and so notified: every call that starts a program, reaches a
//! peer, changes a path, takes a filter, touches another process, or exists for administration
//! (ptrace, process_vm_*, bpf, keyctl, mount, setns, SysV IPC, AIO, open_by_handle_at, …). A
//! test holds a list of them against the table.

mod descriptors;
mod files;
mod memory;
mod process;
mod signals;
mod sockets;
mod time;

use super::{Answer, Table};

/// The table of the function process.
pub const FUNCTION: Table = Table {
    name: "function",
    sets: &[
        files::READING,
        files::OPENING,
        files::WRITING,
        files::PLACES,
        descriptors::DESCRIPTORS,
        descriptors::WAITING,
        descriptors::MAKING,
        memory::MEMORY,
        process::THREADS,
        process::IDENTITY,
        process::SCHEDULING,
        process::LIFE,
        signals::HANDLING,
        signals::SENDING,
        time::TIME,
        sockets::SOCKETS,
        sockets::OPTIONS,
        sockets::TRAFFIC,
        process::ANSWERED_AT_ONCE,
    ],
    default: Answer::Notify,
};
