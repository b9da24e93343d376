//! Charging a card: one HTTPS request to the payment host. Not retrying, which the idempotency
//! key would make safe.

use lambda_runtime::Error;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use std::time::Duration;

/// Where orders are charged. `guard.toml` names the same host.
const CHARGES: &str = "https://api.stripe.test/v1/charges";

/// What the payment host is asked.
#[derive(Serialize)]
struct Request<'a> {
    order: &'a str,
    amount: u64,
}

/// What it answers.
#[derive(Deserialize)]
pub struct Charge {
    /// The charge's id.
    pub id: String,
    /// What was charged, in cents.
    pub amount: u64,
}

/// Charges `amount` cents for `order`.
///
/// # Errors
/// Where the host can't be reached, does not answer within five seconds, or refuses.
pub async fn charge(
    order: &str,
    amount: u64,
    idempotency_key: &str,
    key: &SecretString,
) -> Result<Charge, Error> {
    let response = client()?
        .post(CHARGES)
        .bearer_auth(key.expose_secret())
        .header("idempotency-key", idempotency_key)
        .json(&Request { order, amount })
        .send()
        .await?
        .error_for_status()?;
    Ok(response.json().await?)
}

/// One client for the life of the process: its connection outlives the invocation, as in any
/// function that cares about latency.
fn client() -> Result<&'static reqwest::Client, Error> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    Ok(CLIENT.get_or_init(|| client))
}
