//! Secrets on their way from the environment to the arbiter: capture and scrub before the fork,
//! and the store that the arbiter keeps. How the function asks for one is `link`'s.

mod capture;
mod store;

pub(crate) use capture::{Captured, capture};
pub(crate) use store::Store;
