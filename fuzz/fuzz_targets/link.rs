//! See `fnguard::fuzzing::link`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fnguard::fuzzing::link(bytes));
