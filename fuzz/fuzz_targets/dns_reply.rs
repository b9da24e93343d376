//! See `fnguard::fuzzing::dns_reply`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fnguard::fuzzing::dns_reply(bytes));
