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
    #![proptest_config(corpus::cases(1, 8))]

    #[test]
    fn what_fails_in_a_transaction_was_never_there(bytes in prop::collection::vec(any::<u8>(), 8..400)) {
        broken::check(&bytes);
    }

    #[test]
    fn so_it_is_with_the_like_of_what_a_fuzzer_found(bytes in corpus::damaged("server_store")) {
        broken::check(&bytes);
    }
}

/// Replays the inputs that a fuzzer found. `fuzz/` searches for more with the same check.
#[test]
fn what_a_fuzzer_found_fails_as_it_should() {
    let failed: u32 = corpus::files("server_store").iter().map(|bytes| broken::check(bytes)).sum();
    assert!(failed > 50, "only {failed} transactions failed");
}
