//! Arbitrary events, sent to a store with failing statements and to the fold in memory.
#![no_main]

#[path = "../../crates/monitor-store-sqlite/tests/store/broken.rs"]
mod broken;
#[path = "../../crates/monitor-state/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    broken::check(bytes);
});
