//! A guarded `main`: prints what arming by the attribute took.

include!("../stamp.rs");

#[fnguard::guarded]
fn main() {
    print_time_since();
}
