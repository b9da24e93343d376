//! What stands around a function: the runtime API that gives it events, the payment host that it
//! calls, the resolver that it asks. All of it local, so that it can stand in a network namespace
//! without a way out. Not the function, and nothing that judges it.

pub mod charges;
pub mod http;
pub mod resolver;
pub mod runtime_api;
