//! The raw kernel interface behind safe functions: where `unsafe` lives, and nothing is decided.
//!
//! Every call is made by an instruction of our own, never through libc: a dependency can define
//! `prctl`, `read` or `syscall` for the whole binary, and arming must not believe it. The crate
//! libc lends constants and structure layouts only.
//!
//! Off this list on purpose: policy, retries with a meaning, logging.
#![allow(unsafe_code)]

pub mod capability;
pub mod descriptor;
pub mod landlock;
pub mod limit;
pub mod memory;
pub mod network;
pub mod path;
pub mod process;
pub mod raw;
pub mod seccomp;
pub mod signal;
pub mod stack;
pub mod terminal;

pub use raw::Errno;
