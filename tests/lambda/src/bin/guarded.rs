//! The function with the guard as a user would put it: one attribute, and `guard.toml`.

use fnguard_lambda_tests::function;
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::Value;

#[fnguard::guarded]
async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    function::handle(event).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    function::begin();
    run_concurrent(service_fn(handler)).await
}
