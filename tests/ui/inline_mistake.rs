//! Mistakes in a raw string have the line and column of this file.
use fnguard::guarded;

#[guarded(policy = inline r#"
    version = 1

    [network]
    alow = ["api.stripe.com:443"]
"#)]
async fn key() {}

#[guarded(policy = inline r"versoin = 1")]
async fn first_line() {}

fn main() {}
