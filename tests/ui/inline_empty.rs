//! A policy that says nothing, not even its version.
use fnguard::guarded;

#[guarded(policy = inline "")]
async fn handler() {}

fn main() {}
