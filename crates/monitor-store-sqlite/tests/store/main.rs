//! Tests of the store through its public interface, on real files.

mod broken;
#[path = "../../../../fuzz/corpus.rs"]
mod corpus;
mod damaged;
mod largest;
#[path = "../../../monitor-state/tests/support/mod.rs"]
mod support;

use proptest::prelude::*;

proptest! {
    // Fewer cases than usual, because each writes a database.
    #![proptest_config(corpus::cases(1, 32))]

    #[test]
    fn a_failed_transaction_leaves_no_trace(bytes in prop::collection::vec(any::<u8>(), 8..400)) {
        broken::check(&bytes);
    }

    #[test]
    fn variations_of_fuzzer_findings_leave_no_trace(bytes in corpus::damaged("server_store")) {
        broken::check(&bytes);
    }
}

/// Replays the inputs that a fuzzer found. `fuzz/` searches for more with the same check.
#[test]
fn transactions_found_by_a_fuzzer_fail_cleanly() {
    let failed: u32 = corpus::files("server_store").iter().map(|bytes| broken::check(bytes)).sum();
    assert!(failed > 50, "only {failed} transactions failed");
}
