//! Arbitrary blocks with valid checksums and some damage, read as the files of a spool.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| monitor_spool::fuzz::framed(bytes));
