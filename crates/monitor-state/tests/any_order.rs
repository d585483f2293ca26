//! Any shuffle, repetition and split of the events gives the same state.

mod support;

use monitor_state::Facts;
use proptest::prelude::*;
use support::generate::{delivery, history, unplaced_history};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases * 2))]

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
    fn the_tree_of_a_process_may_become_known_at_any_time(
        (one, other) in unplaced_history().prop_flat_map(|history| (delivery(&history), delivery(&history)))
    ) {
        prop_assert_eq!(Facts::of(&one), Facts::of(&other));
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
    fn facts_are_the_same_after_writing_and_reading(batches in history().prop_flat_map(|history| delivery(&history))) {
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

/// Sends more fields and links than a process may have, in different orders, and compares those that are kept.
#[test]
fn the_same_fields_and_links_above_the_limit_are_kept_in_any_order() {
    use monitor_state::{MAX_FIELDS, ProcessEvent, ProcessFacts};
    let count = MAX_FIELDS as u64 + 300;
    let event = |n: u64, value: u64| {
        let event = serde_json::json!({
            "type": "process-updated", "root_id": support::root(1).to_string(), "id": support::process(1).to_string(), "time_us": value,
            "fields": {format!("key {:05}", n * 7_919 % count): value},
            "links": [{"root_id": support::root(1).to_string(), "id": support::process(1 + n * 104_729 % count).to_string(), "relation": "of"}],
        });
        serde_json::from_value::<monitor_wire::Event>(event).unwrap()
    };
    // Each field twice, the later value last, first, or far away.
    let events: Vec<_> = (0..count).flat_map(|n| [event(n, n + 1), event(n, n + count)]).collect();
    let fold = |order: &mut dyn Iterator<Item = usize>| {
        let mut facts = ProcessFacts::default();
        for index in order {
            facts.apply(index as u64 + 1, support::worker('A'), &ProcessEvent::of(&events[index]).unwrap());
        }
        facts
    };
    let forwards = fold(&mut (0..events.len()));
    assert_eq!((forwards.fields.len(), forwards.links.len()), (MAX_FIELDS, MAX_FIELDS));
    assert_eq!(fold(&mut (0..events.len()).rev()), forwards);
    assert_eq!(fold(&mut (0..events.len()).map(|index| index * 1_009 % events.len())), forwards);
    let mut halves = fold(&mut (0..events.len()).step_by(2));
    halves.merge(fold(&mut (1..events.len()).step_by(2)));
    assert_eq!(halves, forwards);
    let shown = forwards.view(support::root(1), support::process(1), &mut |_| monitor_state::WorkerStatus::Online);
    assert_eq!((shown.fields.len(), &shown.fields[monitor_wire::CUT_FIELDS]), (MAX_FIELDS + 1, &true.into()));
}

/// Sends more attempts than are kept, in different orders: the first and the last attempts are kept.
#[test]
fn the_same_attempts_above_the_limit_are_kept_in_any_order() {
    use monitor_state::{MAX_ATTEMPTS, ProcessEvent, ProcessFacts};
    let count = 3 * MAX_ATTEMPTS as u64;
    let event = |index: u64| {
        let (attempt, is_end) = (1 + index / 2, index % 2 == 1);
        let mut event = serde_json::json!({
            "type": if is_end { "process-ended" } else { "process-started" }, "root_id": support::root(1).to_string(),
            "id": support::process(1).to_string(), "time_us": 10 + index, "attempt": attempt, "kind": "script", "name": "import",
        });
        if is_end {
            event["outcome"] = "failed".into();
            event["error"] = serde_json::json!({"kind": "exit", "message": format!("no {attempt}"), "tail": "long"});
            event["retry"] = serde_json::json!({"next_us": 20 + index});
        }
        serde_json::from_value::<monitor_wire::Event>(event).unwrap()
    };
    let events: Vec<_> = (0..2 * count).map(event).collect();
    let fold = |order: &mut dyn Iterator<Item = usize>| {
        let mut facts = ProcessFacts::default();
        for index in order {
            facts.apply(index as u64 + 1, support::worker('A'), &ProcessEvent::of(&events[index]).unwrap());
        }
        facts
    };
    let forwards = fold(&mut (0..events.len()));
    assert_eq!(fold(&mut (0..events.len()).rev()), forwards);
    assert_eq!(fold(&mut (0..events.len()).map(|index| index * 97 % events.len())), forwards);
    let mut halves = fold(&mut (0..events.len()).step_by(2));
    halves.merge(fold(&mut (1..events.len()).step_by(2)));
    assert_eq!(halves, forwards);
    let shown = forwards.view(support::root(1), support::process(1), &mut |_| monitor_state::WorkerStatus::Online);
    let numbers: Vec<_> = shown.attempts.iter().map(|attempt| u64::from(attempt.attempt)).collect();
    let most = MAX_ATTEMPTS as u64;
    assert_eq!(numbers, (1..=most).chain(count - most..=count).collect::<Vec<_>>());
    assert_eq!((shown.state.as_str(), shown.started_us), ("retrying", Some(10)));
    assert!(shown.attempts.iter().all(|attempt| attempt.error.as_ref().is_some_and(|error| error.tail.is_none())));
}
