//! Tests that the event log returns the events that the stream has sent.

use monitor_wire::{Event, StreamMessage};
use proptest::prelude::*;

use super::{Place, Say as _, joined};
use crate::support::generate::{delivery, history};
use crate::support::script::parse;
use crate::{Change, Intake as _, Queries as _, RootKey, Store, Subject};

/// Returns all logged events after a sequence number, each with its number and subject.
pub fn told(store: &impl Store, mut after: u64) -> Vec<(u64, StreamMessage, Subject)> {
    let mut told = Vec::new();
    while let Some(piece) = store.logged(after).unwrap() {
        assert!((piece.first_seq()..=piece.last_seq()).contains(&(after + 1)));
        for place in (after + 1 - piece.first_seq()) as usize..piece.count() {
            let event = piece.event(place);
            assert_eq!((piece.type_name(place), piece.root_id(place)), (event.type_name(), event.root_id()));
            let message = StreamMessage { event, root: None, process: None, worker: None, log: piece.log(place), as_of: 0 };
            told.push((piece.first_seq() + place as u64, message, piece.about(place)));
        }
        after = piece.last_seq();
    }
    told
}

/// Asserts that the log contains the events of `changes`, with the same subjects.
pub fn assert_told(store: &impl Store, changes: &[Change]) {
    let told = told(store, changes.first().map_or(0, |change| change.seq - 1));
    assert_eq!(told.len(), changes.len());
    for ((seq, again, about), change) in told.iter().zip(changes) {
        let first = &*change.message;
        assert_eq!((*seq, &again.event, &again.log), (change.seq, &first.event, &first.log));
        if let Some(root) = &first.root {
            assert_eq!(about.root_id, Some(root.root_id));
        }
        if let Some(process) = &first.process {
            assert_eq!(about.process_id, Some(process.id));
        }
        assert_eq!(about.worker_id, first.worker.as_ref().map(|worker| worker.id));
    }
}

pub fn logged_events_are_repeated_unchanged<P: Place>() {
    let config = ProptestConfig::with_cases(ProptestConfig::default().cases / 8);
    proptest!(config, |(batches in history().prop_flat_map(|history| delivery(&history)), at in 0..8_usize)| {
        told_again::<P>(&batches, at);
    });
}

fn told_again<P: Place>(batches: &[monitor_wire::Batch], at: usize) {
    let place = P::new();
    let mut store = place.open();
    let mut changes = Vec::new();
    for (step, batch) in batches.iter().enumerate() {
        changes.extend(store.say(std::slice::from_ref(batch), step as u64).unwrap().to_vec());
        if step == at {
            changes.extend(store.lose_workers(u64::MAX / 4, 0).unwrap().to_vec());
            drop(store);
            store = place.open();
        }
    }
    assert_told(&store, &changes);
    assert_eq!(store.status().unwrap().stream_log_from, changes.first().map(|change| change.seq));
}

pub fn events_made_by_the_server_are_numbered_and_repeatable<P: Place>() {
    let place = P::new();
    let store = place.open();
    let mut sent = parse("online interval=1000\nstarted 1\nstarted 2 parent=1");
    let Event::ProcessStarted(started) = &mut sent[1].events[0] else { unreachable!("it is one") };
    started.timeout_ms = Some(1);
    let mut changes = store.say(&sent, 1_000_000).unwrap().to_vec();
    changes.extend(store.find_overdue(u64::MAX / 8).unwrap().to_vec());
    changes.extend(store.lose_workers(u64::MAX / 4, 0).unwrap().to_vec());
    changes.extend(store.say(&parse("A: heartbeat")[..1], u64::MAX / 4).unwrap().to_vec());
    changes.extend(store.pin(RootKey::Number(1), true, 7).unwrap().unwrap().to_vec());
    changes.extend(store.pin(RootKey::Number(1), false, 8).unwrap().unwrap().to_vec());
    changes.extend(store.drop_root(RootKey::Number(1), true, 9).unwrap().unwrap().to_vec());
    assert_eq!(changes.iter().map(|change| change.seq).collect::<Vec<_>>(), (1..=changes.len() as u64).collect::<Vec<_>>());
    assert_told(&store, &changes);
    drop(store);
    let store = place.open();
    assert_told(&store, &changes);
    let types: Vec<_> = told(&store, 0).iter().map(|(_, message, _)| message.event.type_name().to_owned()).collect();
    for expected in ["process-overdue", "worker-lost", "root-pinned", "root-unpinned", "roots-dropped"] {
        assert!(types.iter().any(|name| name == expected), "{expected}: {types:?}");
    }
    let (models, as_of) = store.models(&[told(&store, 0)[1].2]).unwrap();
    assert_eq!((models[0].root.as_ref(), as_of), (None, changes.len() as u64), "the tree is gone, the fact is told");
}

pub fn models_next_to_repeated_events_are_current<P: Place>() {
    let place = P::new();
    let store = place.open();
    store.say(&[joined(&parse("started 1 name=build\nstarted 2 parent=1\nstarted 3 parent=9"))], 0).unwrap();
    store.say(&parse("started 1\nstarted 2\nstarted 3\nended 1 ok")[3..], 1).unwrap();
    let abouts: Vec<_> = told(&store, 0).iter().map(|(_, _, about)| *about).collect();
    let (models, as_of) = store.models(&abouts).unwrap();
    assert_eq!(as_of, 4);
    let root = models[0].root.as_ref().unwrap();
    assert_eq!((root.state.as_str(), root.name.as_str()), ("succeeded", "build"), "it had begun then, and has ended now");
    assert_eq!(models[0].process.as_ref().unwrap().state.as_str(), "succeeded");
    assert_eq!([1, 2].map(|at: usize| models[at].process.as_ref().unwrap().orphan), [false, true]);
    assert!(models[0].worker.is_some() && models[3].worker.is_none(), "the worker was new");
}
