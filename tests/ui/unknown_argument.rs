//! Arguments that there are not.
use fnguard::guarded;

#[guarded(polcy = "guard.toml")]
async fn misspelt() {}

#[guarded(policy = "policies/valid.toml", mode = "audit")]
async fn second() {}

#[guarded(audit)]
async fn word() {}

#[guarded(=)]
async fn sign() {}

fn main() {}
