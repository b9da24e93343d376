//! See `fuzz/properties/compiled.rs`.
#![no_main]

#[path = "../properties/compiled.rs"]
mod compiled;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| compiled::check(bytes));
