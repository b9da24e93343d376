//! Keys that there are not, and one that is there twice.
use fnguard::guarded;

#[guarded(policy = "policies/keys.toml")]
async fn handler() {}

#[guarded(policy = "policies/twice.toml")]
async fn twice() {}

fn main() {}
