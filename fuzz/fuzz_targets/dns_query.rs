//! See `fnguard::fuzzing::dns_query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fnguard::fuzzing::dns_query(bytes));
