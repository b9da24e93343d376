//! `policy` and nothing after it.
use fnguard::guarded;

#[guarded(policy)]
async fn alone() {}

#[guarded(policy =)]
async fn no_value() {}

#[guarded(policy("policies/valid.toml"))]
async fn parentheses() {}

fn main() {}
