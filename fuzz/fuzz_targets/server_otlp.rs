//! Arbitrary bytes, parsed as OTLP spans and records, in protobuf and JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_server::fuzz::otlp(bytes));
