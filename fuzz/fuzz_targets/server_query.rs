//! Arbitrary text, parsed as the parameters of requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_server::fuzz::query(bytes));
