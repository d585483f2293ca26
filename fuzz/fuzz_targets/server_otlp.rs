//! Any bytes, read as spans and records of OTLP, as protobuf and as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_server::fuzz::otlp(bytes));
