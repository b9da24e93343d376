//! What the function process does to itself while it is armed: its descriptors, its privileges,
//! its Landlock domain, its filter or its seal. What is then really in force is `posture`'s to say.

mod descriptors;
mod domain;
mod filter;
mod fork;
mod privileges;
mod programs;
mod seal;
mod terminal;

pub(crate) use descriptors::{Inherited, Kept, Redirected, StandardPipes, Streams, redirect, survey};
pub(crate) use domain::{Domain, DomainState, Entered, enter, prepare as prepare_domain};
pub(crate) use filter::{Confined, confine, patch as patch_program};
pub(crate) use fork::{InChild, Side, fork};
pub(crate) use privileges::{Unprivileged, drop_privileges};
pub(crate) use programs::Programs;
pub(crate) use seal::{Sealed, seal};
pub(crate) use terminal::{CONTROLLING, PseudoTerminal};
