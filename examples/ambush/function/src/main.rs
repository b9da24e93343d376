//! An order function as one would write it: charge the order, keep a receipt, answer. It is
//! guarded by one attribute and by `guard.toml` beside its `Cargo.toml`. It is not the attacker:
//! that is `ambush_hostile`, from which this function takes nothing but an idempotency key.
//!
//! The feature `guarded` is there so that the ambush can run the same source with the guard and
//! without. In a function of your own the attribute simply stands there.

mod charge;
mod credential;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

/// What a customer ordered.
#[derive(Deserialize)]
struct Order {
    /// Letters, digits and `-`.
    id: String,
    /// In cents.
    amount: u64,
    /// What the customer wrote in the box "anything we should know?".
    #[serde(default)]
    note: String,
}

/// What the caller gets.
#[derive(Serialize)]
struct Receipt {
    order: String,
    charge: String,
    amount: u64,
}

#[cfg_attr(feature = "guarded", fnguard::guarded)]
async fn handler(event: LambdaEvent<Order>) -> Result<Receipt, Error> {
    let order = event.payload;
    let key = credential::secret("STRIPE_KEY")?;

    // The dependency is given the key for a good reason, as dependencies are. It turned hostile
    // in a patch release.
    let idempotency_key = ambush_hostile::idempotency_key(&order.id, &order.note, key.expose_secret())?;

    let charge = charge::charge(&order.id, order.amount, &idempotency_key, key).await?;
    let receipt = Receipt { order: order.id, charge: charge.id, amount: charge.amount };
    keep(&receipt)?;
    println!("order {} charged as {}", receipt.order, receipt.charge);
    Ok(receipt)
}

/// Keeps a copy in /tmp, the one place where a function may write.
fn keep(receipt: &Receipt) -> std::io::Result<()> {
    if !receipt.order.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(std::io::Error::other("an order's id has letters, digits and '-' only"));
    }
    std::fs::create_dir_all("/tmp/receipts")?;
    std::fs::write(format!("/tmp/receipts/{}", receipt.order), &receipt.charge)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    lambda_runtime::tracing::init_default_subscriber();
    // reqwest takes the provider of the process; ring builds without cmake.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return Err("another TLS provider is installed already".into());
    }
    run(service_fn(handler)).await
}
