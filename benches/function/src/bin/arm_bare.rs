//! The same program, armed by baselines/arm.c: prints what the least took.

include!("../stamp.rs");

fn main() {
    print_time_since();
}
