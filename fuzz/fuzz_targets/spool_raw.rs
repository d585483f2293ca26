//! Arbitrary bytes, read as each file of a spool: program, journal, lane, and the memory of rings.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_spool::fuzz::raw(bytes));
