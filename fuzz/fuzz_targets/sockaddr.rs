//! See `fnguard::fuzzing::sockaddr`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fnguard::fuzzing::sockaddr(bytes));
