//! The function with a guard that starts with less where the platform refuses the rest.

use fnguard_lambda_tests::function;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[fnguard::guarded(policy = inline r#"
version = 1

[arm]
debug = "enforce"
on_unsupported = "degrade"

[secrets]
env = ["STRIPE_KEY"]
"#)]
async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    function::handle(event).await
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    function::begin();
    run(service_fn(handler)).await
}
