//! Compares a store with the pure fold of `monitor_state`: both must show the same for any events.

use std::collections::BTreeMap;

use monitor_state::{Facts, about_worker};
use monitor_wire::{Batch, Event, Process, Root, State};
use proptest::prelude::*;

use super::{Place, Say as _, columns, corpus};
use crate::support::chosen;
use crate::support::generate::{delivery, history};
use crate::support::script::show;
use crate::{Change, Intake as _, RootKey, RootSort, RootsQuery, Store};

/// Clears the fields that are not in the facts, because only the server knows them.
fn root_of_facts(root: Root) -> Root {
    assert!(!root.overdue || root.state == State::RUNNING, "{root:?}");
    Root { overdue: false, expected_ns: None, expected_p95_ns: None, ..root }
}

fn of_facts(processes: Vec<Process>) -> Vec<Process> {
    let of = |process: Process| {
        assert!(!process.overdue || process.state == State::RUNNING, "{process:?}");
        Process { overdue: false, expected_ns: None, expected_p95_ns: None, ..process }
    };
    processes.into_iter().map(of).collect()
}

/// Asserts that the trees, columns, workers and counts of a store are those of the facts.
pub fn assert_same(store: &impl Store, facts: &Facts) {
    let roots = store.roots(&RootsQuery { limit: 100, sort: RootSort::Oldest, ..RootsQuery::default() }).unwrap().roots;
    assert_eq!(roots.len(), facts.roots().count());
    let mut open = BTreeMap::<_, u64>::new();
    for root in roots {
        let (expected, processes) = facts.tree(root.root_id, root.number).unwrap();
        assert_eq!(root_of_facts(root.clone()), expected);
        let page = store.tree(RootKey::Number(root.number), 1_000, None).unwrap().unwrap();
        assert_eq!(page.root, root);
        assert_eq!(show(&page.processes), show(&processes));
        assert_eq!(of_facts(page.processes.clone()), processes);
        let mut rounded = page;
        // Columns contain the id of the root's own process where `parent_id` is not the id of a process in the tree.
        let ids: Vec<_> = rounded.processes.iter().map(|process| process.id).collect();
        let own = ids.first().copied();
        for process in rounded.processes.iter_mut().filter(|process| !process.orphan && process.depth != Some(0)) {
            process.parent_id = process.parent_id.filter(|parent| ids.contains(parent)).or(own);
        }
        for elapsed_ns in rounded.processes.iter_mut().filter_map(|process| process.elapsed_ns.as_mut()) {
            // Columns round durations beyond 2⁵³ ns (104 days).
            *elapsed_ns = *elapsed_ns as f64 as u64;
        }
        assert_eq!(columns::tree(store, RootKey::Number(root.number)), rounded);
    }
    let workers = store.workers(100, None).unwrap().workers;
    assert_eq!(workers.len(), facts.workers().count());
    for worker in workers {
        let (_, expected) = facts.workers().find(|(id, _)| *id == worker.id).unwrap();
        assert_eq!(
            (&*worker.hostname, worker.pid, worker.state.clone()),
            (expected.hostname(), expected.pid(), facts.worker_state(worker.id))
        );
        // Unheard workers count as online, so this is the state without regard to relays.
        *open.entry(expected.state().to_string()).or_default() += 1;
    }
    let status = store.status().unwrap();
    assert_eq!(status.unknown_events, *facts.unknown());
    let counts = [status.workers.online, status.workers.offline, status.workers.lost];
    assert_eq!(counts, ["online", "offline", "lost"].map(|state| open.get(state).copied().unwrap_or(0)));
}

/// Returns true if the server made this event. A loss or find that a worker relays in one of the batches is not the server's.
pub fn is_of_server(event: &Event, batches: &[Batch]) -> bool {
    let relays = |batch: &Batch| about_worker(event, batch.worker.id).0 != batch.worker.id && batch.events.contains(event);
    matches!(event, Event::WorkerLost(_) | Event::WorkerFound(_)) && !batches.iter().any(relays)
}

/// Asserts that the processes and roots in changes, which are shown as of the end of their transaction, equal those that queries return.
pub fn assert_told(store: &impl Store, changes: &[Change]) {
    for change in changes {
        let (Some(root), Some(process)) = (&change.message.root, &change.message.process) else { continue };
        let read = store.process(RootKey::Id(root.root_id), process.id).unwrap().unwrap();
        // The expected duration is not compared: it may have become known after the change.
        assert_eq!(of_facts(vec![read]), of_facts(vec![process.clone()]));
        let roots = store.roots(&RootsQuery { name: Some(root.name.clone()), limit: 9, ..RootsQuery::default() }).unwrap().roots;
        let read = roots.into_iter().find(|read| read.number == root.number);
        assert_eq!(read.map(root_of_facts), Some(root_of_facts(root.clone())));
    }
}

/// Delivers batches with restarts, losses and checks for silent workers, and compares the store with the fold after each step.
fn same_as_the_fold<P: Place>(batches: &[Batch], together: usize, (restarts, looks, losses): (u8, u8, u16)) {
    let place = P::new();
    let mut store = place.open();
    let mut facts = Facts::default();
    let lost = |(place, batch): (usize, &Batch)| Batch { lost: losses & (1 << (place % 16)) != 0, ..batch.clone() };
    let batches: Vec<_> = batches.iter().enumerate().map(lost).collect();
    let judge = |facts: &mut Facts, changes: &[Change]| {
        for change in changes {
            if let event @ (Event::WorkerLost(about) | Event::WorkerFound(about)) = &change.message.event
                && is_of_server(event, &batches)
            {
                facts.apply(0, about.worker_id, event);
            }
        }
    };
    for (step, some) in batches.chunks(together).enumerate() {
        let is_due = |steps: u8| steps & (1 << (step % 8)) != 0;
        if is_due(restarts) {
            drop(store);
            store = place.open();
        }
        // Later than all relayed events.
        let now_us = (step as u64 + 1) * 2_000;
        if is_due(looks) {
            let lost = store.lose_workers(now_us, 0).unwrap();
            judge(&mut facts, &lost);
            assert_told(&store, &lost);
        }
        let changes = store.say(some, now_us).unwrap();
        for batch in some {
            facts.apply_batch(batch);
        }
        judge(&mut facts, &changes);
        assert_told(&store, &changes);
        assert_same(&store, &facts);
    }
    place.check(&store);
}

/// Delivers the events encoded in the bytes of a fuzzer. `tests/store/broken.rs` does this for a SQLite store whose statements fail.
fn same_as_a_fuzzer_said<P: Place>(bytes: &[u8]) {
    let Some((plan, events)) = bytes.split_first_chunk::<8>() else { return };
    let mut batches = chosen::delivered(events);
    // The server decides about losses itself.
    batches.retain(|batch| !batch.events.iter().any(|event| matches!(event, Event::WorkerLost(_) | Event::WorkerFound(_))));
    same_as_the_fold::<P>(&batches, 1 + usize::from(plan[0] % 8), (plan[1], plan[2], u16::from_le_bytes([plan[3], plan[4]])));
}

pub fn what_a_fuzzer_found_is_what_the_fold_shows<P: Place>() {
    for bytes in corpus::files("server_store") {
        same_as_a_fuzzer_said::<P>(&bytes);
    }
}

pub fn a_store_shows_what_the_fold_shows<P: Place>() {
    // Fewer cases than usual, because each may write a database.
    let config = ProptestConfig { cases: ProptestConfig::default().cases / 32, ..ProptestConfig::default() };
    let batches = history().prop_flat_map(|history| delivery(&history));
    // Bit masks: steps before which the store is reopened, steps before which lost workers are detected, and batches marked `lost`.
    let steps = (any::<u8>(), any::<u8>(), any::<u16>());
    proptest!(config, |(batches in batches, together in 1..4_usize, steps in steps)| {
        same_as_the_fold::<P>(&batches, together, steps);
    });
}
