//! Values that are no path.
use fnguard::guarded;

#[guarded(policy = 1)]
async fn number() {}

#[guarded(policy = b"policies/valid.toml")]
async fn bytes() {}

#[guarded(policy = path "policies/valid.toml")]
async fn word() {}

#[guarded(policy = "")]
async fn empty() {}

#[guarded(policy = "/etc/guard.toml")]
async fn absolute() {}

#[guarded(policy = "version = 1\n")]
async fn text() {}

fn main() {}
