//! Rules that mean nothing, or too much.
use fnguard::guarded;

#[guarded(policy = "policies/rules.toml")]
async fn handler() {}

fn main() {}
