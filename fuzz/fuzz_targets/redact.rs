//! See `fuzz/properties/redact.rs`.
#![no_main]

#[path = "../properties/redact.rs"]
mod redact;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| redact::check(bytes));
