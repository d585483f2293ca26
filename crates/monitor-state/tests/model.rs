//! The fold against a simple model of the same rules.

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
mod support;

use proptest::prelude::*;
use support::generate::{delivery, history};
use support::{chosen, model};

proptest! {
    #![proptest_config(corpus::cases(2, 1))]

    #[test]
    fn any_history_is_shown_as_the_rules_say(batches in history().prop_flat_map(|history| delivery(&history))) {
        model::check(&batches);
    }

    #[test]
    fn any_bytes_are_a_history_that_is_shown_as_the_rules_say(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        model::check(&chosen::delivered(&bytes));
    }

    #[test]
    fn what_a_fuzzer_found_and_the_like_is_shown_as_the_rules_say(bytes in corpus::damaged("state_fold")) {
        model::check(&chosen::delivered(&bytes));
    }
}

#[test]
fn what_a_fuzzer_found_is_shown_as_the_rules_say() {
    for bytes in corpus::files("state_fold") {
        model::check(&chosen::delivered(&bytes));
    }
}
