//! Arbitrary events in any order, folded and compared with a simple model.
#![no_main]

#[path = "../../crates/monitor-state/tests/support/mod.rs"]
mod support;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| support::model::check(&support::chosen::delivered(bytes)));
