//! The fold against a simple model of the same rules.

#[path = "../../../fuzz/corpus.rs"]
mod corpus;
mod support;

use proptest::prelude::*;
use support::generate::{delivery, history};
use support::{chosen, model};

proptest! {
    #![proptest_config(corpus::cases(1, 2))]

    #[test]
    fn any_history_is_shown_according_to_the_rules(batches in history().prop_flat_map(|history| delivery(&history))) {
        model::check(&batches);
    }

    #[test]
    fn any_bytes_are_a_history_that_is_shown_according_to_the_rules(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        model::check(&chosen::delivered(&bytes));
    }

    #[test]
    fn variations_of_fuzzer_findings_are_shown_according_to_the_rules(bytes in corpus::damaged("state_fold")) {
        model::check(&chosen::delivered(&bytes));
    }
}

#[test]
fn fuzzer_findings_are_shown_according_to_the_rules() {
    for bytes in corpus::files("state_fold") {
        model::check(&chosen::delivered(&bytes));
    }
}
