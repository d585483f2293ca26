//! Arbitrary rings, frames, slots and folds with valid checksums and some damage, read as the memory of a spool.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_spool::fuzz::rings(bytes));
