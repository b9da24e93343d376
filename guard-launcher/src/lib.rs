//! What the launcher and the command `fnguard` share: the places of a packaged function's files,
//! and the reader of the notes that fnguard leaves in ELF files. No TOML, no compiler of filters:
//! a launched function's policy is compiled already.
#![forbid(unsafe_code)]

pub mod layout;
pub mod note;
