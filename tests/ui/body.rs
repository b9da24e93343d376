//! A mistake in the handler's body is reported where it is, as without the attribute.
use fnguard::guarded;
use lambda_runtime::{Error, LambdaEvent};

#[guarded(policy = "policies/valid.toml")]
async fn wrong_type(event: LambdaEvent<u32>) -> Result<String, Error> {
    Ok(event.payload)
}

#[guarded(policy = "policies/valid.toml")]
async fn no_value(_: LambdaEvent<u32>) -> Result<(), Error> {
    let _ = 1;
}

#[guarded(policy = "policies/valid.toml")]
fn plain(event: LambdaEvent<u32>) -> u64 {
    event.payload
}

#[guarded(policy = "policies/valid.toml")]
async fn no_name(event: LambdaEvent<u32>) -> Result<u32, Error> {
    Ok(evnt.payload)
}

fn main() {}
