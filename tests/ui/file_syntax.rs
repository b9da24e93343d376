//! The file is no TOML.
use fnguard::guarded;

#[guarded(policy = "policies/syntax.toml")]
async fn handler() {}

fn main() {}
