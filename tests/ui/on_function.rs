//! Functions that are no handlers.
use fnguard::guarded;

#[guarded(policy = inline "version = 1")]
const fn constant() -> u32 {
    1
}

#[guarded(policy = inline "version = 1")]
unsafe fn not_safe() {}

#[guarded(policy = inline "version = 1")]
extern "C" fn foreign() {}

trait Handle {
    #[guarded(policy = inline "version = 1")]
    async fn handle(&self);
}

#[guarded(policy = inline "version = 1")]
#[guarded(policy = inline "version = 1")]
async fn twice() {}

fn main() {}
