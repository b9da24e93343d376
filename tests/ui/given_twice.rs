//! Two policies for one function.
use fnguard::guarded;

#[guarded(policy = "policies/valid.toml", policy = inline "version = 1")]
async fn handler() {}

fn main() {}
