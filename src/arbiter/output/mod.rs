//! Everything that leaves by stdout and stderr: the pumps that carry the function's bytes, and
//! the outlets that they share with the guard's own records.

mod input;
mod outlet;
mod pump;

pub(crate) use input::carry;

pub(crate) use outlet::Outlet;
pub(crate) use pump::{Output, PumpEvents, Source, Start};
