//! See `fuzz/properties/imitation.rs`.
#![no_main]

#[path = "../properties/imitation.rs"]
mod imitation;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| imitation::check(bytes));
