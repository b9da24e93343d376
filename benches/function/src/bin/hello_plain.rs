//! The function without the guard.

use fnguard_benches_function::{Order, Receipt, handle};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

async fn handler(event: LambdaEvent<Order>) -> Result<Receipt, Error> {
    Ok(handle(event.payload).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(handler)).await
}
