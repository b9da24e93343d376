//! The attribute on what is no function.
use fnguard::guarded;

#[guarded]
struct Handler;

#[guarded]
pub enum Event {}

#[guarded]
pub(crate) const LIMIT: u32 = 1;

#[guarded]
static NAME: &str = "orders";

#[guarded]
trait Handle {}

#[guarded]
impl Handler {
    async fn handle(&self) {}
}

#[guarded]
mod orders {}

#[guarded]
type Orders = Vec<Handler>;

#[guarded]
use std::fmt;

fn main() {
    let _ = fmt::Error;
}
