//! Tests of trees that have the maximum number of processes.

use foldhash::HashSet;
use monitor_state::{Facts, ProcessEvent};
use monitor_store::suite::model::is_of_server;
use monitor_store::{LogsQuery, Queries, RootKey};
use monitor_wire::{Batch, Dropped, Event, ProcessId, RootId};
use proptest::prelude::*;

use super::super::SqliteStore;
use super::model::{assert_same, config};
use super::support::generate::{delivery, history};
use super::support::root;
use super::support::script::parse;
use super::{any, joined, open, page, tree};

const PAGE: usize = 1_000;

#[test]
fn a_full_tree_accepts_no_more_processes_and_counts_their_events() {
    let (folder, store) = open();
    let store = store.keep_processes(3);
    let said = parse(
        "started 1\nstarted 2 parent=1\nstarted 3 parent=1\nstarted 4 parent=3\nlogged 4 message=lost\n\
         started 1 root=2\nended 2 ok\nended 4 failed error=boom\nlogged 4 message=lost\nended 5 ok\nended 3 ok\nended 1 ok",
    );
    let mut first = joined(&said);
    let last = Batch { sequence: 7, events: first.events.split_off(6), ..first.clone() };
    let shown = "1 running\n  2 running\n  3 running\n";
    store.append(std::slice::from_ref(&first), 0).unwrap();
    assert_eq!(tree(&store), shown);
    assert_eq!(store.roots(&any()).unwrap().roots.len(), 2, "the rest of the batch is kept");

    drop(store);
    let store = SqliteStore::open(folder.path()).unwrap().keep_processes(3);
    // Events that arrive again count once.
    store.append(&[first, last.clone()], 0).unwrap();
    store.append(&[last], 0).unwrap();
    assert_eq!(tree(&store), "1 succeeded ended=12\n  2 succeeded ended=7\n  3 succeeded ended=11\n");
    let dropped =
        |event_type: &str, count| Dropped { event_type: event_type.to_owned(), reason: "full".to_owned(), root_id: Some(root(1)), count };
    let expected = [dropped("process-ended", 2), dropped("process-logged", 2), dropped("process-started", 1)];
    assert_eq!(page(&store).dropped, expected);
    let logs = store.logs(RootKey::Id(root(1)), &LogsQuery { limit: 9, ..LogsQuery::default() }).unwrap().unwrap();
    assert_eq!((logs.logs.len(), logs.missing), (0, 0));
    assert_eq!(store.problems(), Vec::<String>::new());
}

/// Replaces each fact by a heartbeat if its process was not stored.
fn kept(batch: &Batch, is_there: &HashSet<(RootId, ProcessId)>) -> Batch {
    let mut batch = batch.clone();
    for event in &mut batch.events {
        if let Some(about) = ProcessEvent::of(event).filter(|about| about.is_fact() && !is_there.contains(&(about.root_id, about.id))) {
            // Time 0, so that the heartbeat is not a return of the worker.
            *event =
                Event::WorkerHeartbeat(monitor_wire::WorkerHeartbeat { time_us: 0, worker: about.worker.cloned(), ..Default::default() });
        }
    }
    batch
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_full_tree_shows_its_processes_like_the_fold(
        batches in history().prop_flat_map(|history| delivery(&history)),
        most in 1..5_u64,
        together in 1..4_usize,
    ) {
        let (folder, mut store) = open();
        let mut by_server = Vec::new();
        for some in batches.chunks(together) {
            drop(store);
            store = SqliteStore::open(folder.path()).unwrap().keep_processes(most);
            by_server.extend(store.append(some, 1_000).unwrap().iter().map(|change| change.message.event.clone()));
        }
        let mut is_there = HashSet::default();
        for shown in store.roots(&any()).unwrap().roots {
            let processes = store.tree(RootKey::Number(shown.number), PAGE, None).unwrap().unwrap().processes;
            prop_assert!(processes.len() as u64 <= most);
            is_there.extend(processes.iter().map(|process| (shown.root_id, process.id)));
        }
        let kept: Vec<_> = batches.iter().map(|batch| kept(batch, &is_there)).collect();
        // Only facts are counted. For other events, such as log lines, it is not known if the tree was full when they arrived.
        let mut refused = HashSet::default();
        for batch in &batches {
            for (number, event) in (batch.sequence..).zip(&batch.events) {
                let about = ProcessEvent::of(event).filter(|about| about.is_fact() && !is_there.contains(&(about.root_id, about.id)));
                refused.extend(about.map(|_| (batch.worker.id, number)));
            }
        }
        let dropped = store.status().unwrap().dropped.into_iter().filter(|of| of.event_type != "process-logged");
        prop_assert_eq!(dropped.map(|of| of.count as usize).sum::<usize>(), refused.len());
        let mut facts = Facts::of(&kept);
        for event in &by_server {
            if let Event::WorkerLost(about) | Event::WorkerFound(about) = event
                && is_of_server(event, &batches)
            {
                facts.apply(0, about.worker_id, event);
            }
        }
        assert_same(&store, &facts);
        prop_assert_eq!(store.problems(), Vec::<String>::new());
    }
}
