//! Encoded batches are decoded to equal batches, and other bytes are refused with an error or decoded without a panic.

use monitor_wire::Batch;
use proptest::prelude::*;

use super::{Malformed, read, write};
use crate::packed::Packed;
use crate::support::generate::{delivery, history, unplaced_history};
use crate::support::script::parse;

fn same(packed: &Packed) -> Result<(), TestCaseError> {
    let again = read(&write(packed)).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!((again.worker.id, again.sequence), (packed.worker.id, packed.sequence));
    prop_assert_eq!((&again.roots, &again.sites, &again.threads), (&packed.roots, &packed.sites, &packed.threads));
    prop_assert_eq!((&again.marks, &again.endings, &again.events), (&packed.marks, &packed.endings, &packed.events));
    Ok(())
}

proptest! {
    #[test]
    fn written_batches_are_read_back(batches in unplaced_history().prop_flat_map(|history| delivery(&history))) {
        for batch in batches {
            same(&Packed::from(batch))?;
        }
    }

    #[test]
    fn damaged_bytes_are_refused_or_are_another_batch(
        batches in history().prop_flat_map(|history| delivery(&history)),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for batch in batches {
            let mut bytes = write(&Packed::from(batch));
            prop_assert!(read(&bytes[..cut.index(bytes.len())]).is_err());
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            if let Ok(packed) = read(&bytes) {
                // All indexes of the events are valid.
                for index in 0..packed.len() {
                    let _ = packed.event(index);
                }
            }
        }
    }

    /// Decodes a batch with valid lists and arbitrary bytes as its events: events of all kinds with any indexes.
    #[test]
    fn events_from_any_bytes_refer_only_to_existing_entries(
        batches in history().prop_flat_map(|history| delivery(&history)),
        count in 0..40_u8,
        events in prop::collection::vec(prop_oneof![any::<u8>(), 0..8_u8, Just(3 | 1 << 6)], 0..200),
    ) {
        for batch in batches {
            let mut bytes = write(&Packed { events: Vec::new(), ..Packed::from(batch) });
            prop_assert_eq!(bytes.pop(), Some(0), "the number of its events comes last");
            bytes.push(count);
            bytes.extend_from_slice(&events);
            // The whole sequence is rarely a valid batch, but most of the time a part of it is.
            for end in (0..=events.len()).rev() {
                if let Ok(packed) = read(&bytes[..bytes.len() - end]) {
                    (0..packed.len()).for_each(|index| drop(packed.event(index)));
                }
            }
        }
    }

    #[test]
    fn reading_any_bytes_ends(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes);
    }
}

/// Trees of 199 processes with ascending ids. The limit of 9 bytes per event is below the 14 bytes that an event may take.
#[test]
fn starts_and_ends_of_the_common_kind_take_few_bytes() {
    let mut events = Vec::new();
    for tree in 0..5 {
        events.push(start(tree, 1, None));
        for id in 2..200 {
            events.push(start(tree, id, Some(1)));
            events.push(end(tree, id));
        }
        events.push(end(tree, 1));
    }
    let batch = Batch { events, ..monitor_batch() };
    let packed = Packed::from(batch);
    same(&packed).unwrap();
    let bytes = write(&packed).len();
    assert!(bytes < 9 * packed.len(), "{bytes} bytes for {} events", packed.len());
}

/// Trees with a single process, and with the process id that our clients derive from the root's id. The limit is the 14 bytes that an event
/// may take.
#[test]
fn roots_without_children_take_few_bytes() {
    let events: Vec<_> = (0..100).flat_map(|tree| [first(tree, 0), last(tree, 0)]).collect();
    let packed = Packed::from(Batch { events, ..monitor_batch() });
    same(&packed).unwrap();
    let bytes = write(&packed).len();
    assert!(bytes < 14 * packed.len(), "{bytes} bytes for {} events", packed.len());
}

proptest! {
    /// Trees begin and end in any order. The id of the first process follows from the root's id or is another.
    #[test]
    fn trees_that_begin_in_any_order_are_read_again(steps in prop::collection::vec((0..6_u64, 0..2_u64, any::<bool>()), 0..40)) {
        let event = |(tree, id, is_end)| if is_end { last(tree, id) } else { first(tree, id) };
        same(&Packed::from(Batch { events: steps.into_iter().map(event).collect(), ..monitor_batch() }))?;
    }
}

#[test]
fn a_reference_beyond_the_last_tree_is_refused() {
    let packed = Packed { events: Vec::new(), ..Packed::from(parse("started 1").remove(0)) };
    let mut bytes = write(&packed);
    bytes.pop();
    // Two starts that refer to the next root. The batch has only one root.
    let start = [3 | 1 << 6, 0];
    bytes.extend_from_slice(&[vec![2], start.to_vec(), start.to_vec()].concat());
    assert_eq!(read(&bytes), Err(Malformed("it names what isn't there")));
}

#[test]
fn empty_and_oversized_pieces_are_refused() {
    let batch = parse("started 1").remove(0);
    let bytes = write(&Packed::from(batch));
    assert_eq!(read(&[]), Err(Malformed("it ends early")));
    assert_eq!(read(&[bytes.clone(), vec![0]].concat()), Err(Malformed("it ends late")));
    let mut zero = bytes;
    zero[..16].fill(0);
    assert_eq!(read(&zero), Err(Malformed("an id is zero")));
}

fn monitor_batch() -> Batch {
    crate::support::batch('A', 1, Vec::new())
}

fn start(tree: u64, id: u64, parent: Option<u64>) -> monitor_wire::Event {
    let kind = if parent.is_some() { "normal" } else { "root" };
    let parent = parent.map(|parent| format!("{:016x}", hash(tree) + parent));
    event(serde_json::json!({
        "type": "process-started", "root_id": root(tree), "id": format!("{:016x}", hash(tree) + id), "parent_id": parent, "kind": kind,
        "name": format!("step {}", id % 3), "time_us": time(tree, id), "thread": "main",
        "source": {"file": "src/main.rs", "line": 7 + id % 3},
    }))
}

fn end(tree: u64, id: u64) -> monitor_wire::Event {
    let elapsed_us = if id == 1 { 400_000 } else { 900 };
    event(serde_json::json!({
        "type": "process-ended", "root_id": root(tree), "id": format!("{:016x}", hash(tree) + id), "outcome": "succeeded",
        "time_us": time(tree, id) + elapsed_us, "elapsed_ns": elapsed_us * 1_000 + hash(id) % 1_000,
    }))
}

fn event(json: serde_json::Value) -> monitor_wire::Event {
    serde_json::from_value(json).unwrap()
}

fn root(tree: u64) -> String {
    format!("{:032x}", u128::from(1_767_225_600_000 + tree) << 80 | u128::from(hash(tree)))
}

fn time(tree: u64, id: u64) -> u64 {
    1_767_225_600_000_000 + tree * 500_000 + id * 1_700
}

/// Returns bits that look random. The highest bit is 0.
fn hash(number: u64) -> u64 {
    let z = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)) >> 1
}

/// Returns the start of a process without a parent. If `id` is 0, the process id follows from the root's id.
fn first(tree: u64, id: u64) -> monitor_wire::Event {
    event(serde_json::json!({
        "type": "process-started", "root_id": root(tree), "id": first_id(tree, id), "kind": "root", "name": "job",
        "time_us": time(tree, id), "thread": "main",
    }))
}

fn last(tree: u64, id: u64) -> monitor_wire::Event {
    event(serde_json::json!({
        "type": "process-ended", "root_id": root(tree), "id": first_id(tree, id), "outcome": "succeeded",
        "time_us": time(tree, id) + 900, "elapsed_ns": 900_000 + hash(tree) % 1_000,
    }))
}

fn first_id(tree: u64, id: u64) -> String {
    let own = u64::from_str_radix(&root(tree)[16..], 16).unwrap();
    format!("{:016x}", own + id)
}
