//! Values of the wrong type.
use fnguard::guarded;

#[guarded(policy = "policies/types.toml")]
async fn handler() {}

fn main() {}
