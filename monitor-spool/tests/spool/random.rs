//! Bytes that mean nothing, or little, are read to their end. `fuzz/` does the same for longer.

use monitor_spool::fuzz;
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        fuzz::raw(&bytes);
    }

    #[test]
    fn any_blocks_are_read(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        fuzz::framed(&bytes);
    }

    #[test]
    fn any_rings_are_read(bytes in prop::collection::vec(any::<u8>(), 0..9_000)) {
        fuzz::rings(&bytes);
    }
}
