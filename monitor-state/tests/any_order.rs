//! Any shuffle, repetition and split of the events gives the same state.

mod support;

use monitor_state::Facts;
use proptest::prelude::*;
use support::generate::{delivery, history};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn order_repetition_and_cuts_do_not_matter(
        (one, other) in history().prop_flat_map(|history| (delivery(&history), delivery(&history)))
    ) {
        let (one, other) = (Facts::of(&one), Facts::of(&other));
        prop_assert_eq!(&one, &other);
        for root in one.roots() {
            let (shown, processes) = one.tree(root, 7).unwrap();
            let (other_shown, other_processes) = other.tree(root, 7).unwrap();
            prop_assert_eq!(&shown, &other_shown);
            prop_assert_eq!(&processes, &other_processes);
            prop_assert_eq!(shown.counts.total(), processes.len() as u64);
            prop_assert!(processes.windows(2).all(|pair| pair[1].depth <= pair[0].depth.map(|depth| depth + 1)));
        }
    }

    #[test]
    fn facts_of_two_parts_merge_into_those_of_the_whole(
        batches in history().prop_flat_map(|history| delivery(&history)), cut in any::<prop::sample::Index>()
    ) {
        type All = std::collections::BTreeMap<(monitor_wire::RootId, monitor_wire::ProcessId), monitor_state::ProcessFacts>;
        let fold = |batches: &[monitor_wire::Batch]| {
            let mut all = All::new();
            for batch in batches {
                for (number, event) in (batch.sequence..).zip(&batch.events) {
                    if let Some(about) = monitor_state::ProcessEvent::of(event) {
                        all.entry((about.root_id, about.id)).or_default().apply(number, batch.worker.id, &about);
                    }
                }
            }
            all
        };
        let (one, other) = batches.split_at(cut.index(batches.len() + 1));
        let mut merged = fold(one);
        for (id, facts) in fold(other) {
            merged.entry(id).or_default().merge(facts);
        }
        prop_assert_eq!(merged, fold(&batches));
    }

    #[test]
    fn facts_survive_being_written_down(batches in history().prop_flat_map(|history| delivery(&history))) {
        let mut facts = std::collections::BTreeMap::<_, monitor_state::ProcessFacts>::new();
        for batch in &batches {
            for (number, event) in (batch.sequence..).zip(&batch.events) {
                if let Some(about) = monitor_state::ProcessEvent::of(event) {
                    facts.entry((about.root_id, about.id)).or_default().apply(number, batch.worker.id, &about);
                }
            }
        }
        for facts in facts.values() {
            let json = serde_json::to_string(facts).unwrap();
            prop_assert_eq!(facts, &serde_json::from_str::<monitor_state::ProcessFacts>(&json).unwrap());
        }
    }
}
