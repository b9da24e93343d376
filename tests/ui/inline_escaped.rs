//! Mistakes in a string with escapes have the line and column of its text.
use fnguard::guarded;

#[guarded(policy = inline "version = 1\nmode = \"audti\"\n\n[exec]\nallow = [\"sh\"]\n")]
async fn handler() {}

fn main() {}
