//! Any bytes, read as a batch of events by both of its readers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_server::fuzz::batch(bytes));
