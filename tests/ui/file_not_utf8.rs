//! The file is no text.
use fnguard::guarded;

#[guarded(policy = "policies/not_utf8.toml")]
async fn handler() {}

fn main() {}
