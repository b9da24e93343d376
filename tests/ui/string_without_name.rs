//! The path without `policy =`.
use fnguard::guarded;

#[guarded("policies/valid.toml")]
async fn handler() {}

fn main() {}
