//! What is probably not meant is a warning, which this file makes an error.
#![deny(deprecated)]
use fnguard::guarded;

#[guarded(policy = inline "version = 1\n[network]\nallow = [\"api.stripe.com:443\", \"api.stripe.com:443\"]\n")]
async fn handler() {}

fn main() {}
