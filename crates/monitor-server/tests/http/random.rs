//! Tests that arbitrary and damaged requests are parsed without a panic. `fuzz/` does the same for longer.

use monitor_server::fuzz;
use proptest::prelude::*;

use crate::corpus;

proptest! {
    #![proptest_config(corpus::cases(4, 1))]

    #[test]
    fn both_parsers_return_the_same_for_any_damaged_batch(bytes in corpus::damaged("server_batch")) {
        fuzz::batch(&bytes);
    }

    #[test]
    fn any_damaged_spans_are_read(bytes in corpus::damaged("server_otlp")) {
        fuzz::otlp(&bytes);
    }

    #[test]
    fn any_damaged_query_is_read(bytes in corpus::damaged("server_query")) {
        fuzz::query(&bytes);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        fuzz::batch(&bytes);
        fuzz::otlp(&bytes);
        fuzz::query(&bytes);
    }
}

#[test]
fn inputs_found_by_fuzzing_are_read_without_a_panic() {
    for (target, read) in [("server_batch", fuzz::batch as fn(&[u8])), ("server_otlp", fuzz::otlp), ("server_query", fuzz::query)] {
        for bytes in corpus::files(target) {
            read(&bytes);
        }
    }
}
