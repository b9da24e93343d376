//! `inline` and no string after it.
use fnguard::guarded;

#[guarded(policy = inline)]
async fn nothing() {}

#[guarded(policy = inline include_str!("guard.toml"))]
async fn macro_call() {}

#[guarded(policy = inline 1)]
async fn number() {}

#[guarded(policy = inline "version = 1" "mode = \"audit\"")]
async fn two_strings() {}

fn main() {}
