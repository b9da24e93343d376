//! A policy of a later version.
use fnguard::guarded;

#[guarded(policy = "policies/future.toml")]
async fn handler() {}

fn main() {}
