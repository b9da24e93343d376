//! The handler that both binaries have: an order comes in, a receipt goes out. `upstream` in the
//! event names a local service to ask first, as a function asks a database; without it the handler
//! does next to nothing, and what is left is the runtime and the guard.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// What a customer ordered.
#[derive(Debug, Deserialize)]
pub struct Order {
    /// Names the order.
    pub id: String,
    /// What is in it.
    pub items: Vec<Item>,
    /// The port on 127.0.0.1 of a service that answers a byte with a byte.
    #[serde(default)]
    pub upstream: Option<u16>,
    /// Whether a line is logged, as most handlers do.
    #[serde(default)]
    pub log: bool,
}

/// One line of an order.
#[derive(Debug, Deserialize)]
pub struct Item {
    /// In cents.
    pub price: u64,
    /// How many.
    pub count: u64,
}

/// What the customer gets.
#[derive(Debug, Serialize)]
pub struct Receipt {
    /// The order's id.
    pub order: String,
    /// In cents.
    pub total: u64,
}

/// The connection to the service stays open between invocations, as a connection pool keeps it.
static UPSTREAM: OnceLock<Mutex<Option<TcpStream>>> = OnceLock::new();

/// Handles an order.
///
/// # Errors
///
/// What the service's socket says.
pub async fn handle(order: Order) -> Result<Receipt, std::io::Error> {
    let total = order.items.iter().map(|item| item.price.saturating_mul(item.count)).sum();
    if let Some(port) = order.upstream {
        let mut kept = UPSTREAM.get_or_init(Mutex::default).lock().await;
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => TcpStream::connect(("127.0.0.1", port)).await?,
        };
        stream.write_all(&[1]).await?;
        stream.read_exact(&mut [0]).await?;
        *kept = Some(stream);
    }
    if order.log {
        println!("order {} comes to {total}", order.id);
    }
    Ok(Receipt { order: order.id, total })
}
