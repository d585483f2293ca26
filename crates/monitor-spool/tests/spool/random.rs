//! Random and slightly structured bytes are read without failure. `fuzz/` does the same for longer.

use monitor_spool::fuzz;
use proptest::prelude::*;

use crate::corpus;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 3] = [("spool_raw", fuzz::raw), ("spool_framed", fuzz::framed), ("spool_rings", fuzz::rings)];

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        for (_, read) in TARGETS {
            read(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(corpus::cases(2, 1))]

    #[test]
    fn any_damaged_files_are_read(bytes in corpus::damaged("spool_raw")) {
        fuzz::raw(&bytes);
    }

    #[test]
    fn any_damaged_blocks_are_read(bytes in corpus::damaged("spool_framed")) {
        fuzz::framed(&bytes);
    }

    #[test]
    fn any_damaged_rings_are_read(bytes in corpus::damaged("spool_rings")) {
        fuzz::rings(&bytes);
    }
}

#[test]
fn inputs_found_by_a_fuzzer_are_read() {
    for (target, read) in TARGETS {
        for bytes in corpus::files(target) {
            read(&bytes);
        }
    }
}
