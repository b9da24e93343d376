//! The policy of fnguard: what a function may do, as plain data and pure decisions.
//!
//! | room | what it holds | in the shipped function |
//! |---|---|---|
//! | [`model`] | plain data, `decide`, the compiled form and its encoding | yes |
//! | `syscalls` | system call numbers and names, the allow table with its reasons | names only |
//! | `source` | `guard.toml` to model, diagnostics, the JSON Schema (feature `source`) | no |
//! | `filter` | model to BPF, and an interpreter for tests (feature `filter`) | no |
//!
//! `model` and `source` are for whoever works with policies. `syscalls` and `filter` are how fnguard's own
//! crates hold them: they are public to those crates alone, and change without notice.
#![forbid(unsafe_code)]

#[cfg(feature = "filter")]
#[doc(hidden)]
pub mod filter;
pub mod model;
#[cfg(feature = "source")]
pub mod source;
#[doc(hidden)]
pub mod syscalls;
