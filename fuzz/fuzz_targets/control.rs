//! See `fnguard::fuzzing::control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fnguard::fuzzing::control(bytes));
