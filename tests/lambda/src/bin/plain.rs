//! The function without a guard: what it does where nothing stops it.

use fnguard_lambda_tests::function;
use lambda_runtime::{Error, run_concurrent, service_fn};

#[tokio::main]
async fn main() -> Result<(), Error> {
    function::begin();
    run_concurrent(service_fn(function::handle)).await
}
