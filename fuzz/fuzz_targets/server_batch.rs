//! Arbitrary bytes, parsed as a batch of events by both parsers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_server::fuzz::batch(bytes));
