//! Tests of workers that are lost, found or offline.

use monitor_wire::{Event, WorkerState};

use super::{Place, Say as _, any, joined, tree};
use crate::support::script::parse;
use crate::support::{batch, worker};
use crate::{Intake as _, Queries as _, RootsQuery, Store};

const SECOND: u64 = 1_000_000;

fn append(store: &impl Store, script: &str, now_us: u64) -> usize {
    store.say(&parse(script), now_us).unwrap().len()
}

pub fn a_worker_is_lost_after_two_intervals_with_only_its_open_processes<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "online interval=10000\nstarted 1\nstarted 2 parent=1\nended 2 ok\nB: started 3 parent=1\nqueued 4 parent=1", 0);
    assert_eq!(store.lose_workers(20 * SECOND - 1, 0).unwrap().len(), 0);
    let changes = store.lose_workers(20 * SECOND, 0).unwrap();
    assert_eq!(tree(&store), "1 lost\n  2 succeeded ended=4\n  3 running\n  4 pending\n");
    assert_eq!(changes.len(), 2, "one about the worker, one about its process");
    assert!(matches!(&changes[0].message.event, Event::WorkerLost(event) if event.worker_id == worker('A')));
    assert_eq!(changes[0].message.worker.as_ref().unwrap().state, WorkerState::LOST);
    let process = changes[1].message.process.as_ref().unwrap();
    assert_eq!((process.id.get(), process.state.as_str()), (1, "lost"));
    let root = changes[1].message.root.as_ref().unwrap();
    assert_eq!((root.state.as_str(), root.counts.lost, root.counts.running, root.counts.pending), ("lost", 1, 1, 1));
    assert_eq!(store.roots(&any()).unwrap().roots[0], *root);
    assert_eq!(store.lose_workers(90 * SECOND, 0).unwrap().len(), 0, "only once");
    let status = store.status().unwrap();
    assert_eq!((status.workers.online, status.workers.lost, status.processes.lost, status.roots.lost), (1, 1, 1, 1));
}

pub fn the_time_before_the_server_began_does_not_count<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "online interval=10000\nstarted 1", 0);
    assert_eq!(store.lose_workers(60 * SECOND, 50 * SECOND).unwrap().len(), 0);
    assert_eq!(store.lose_workers(70 * SECOND, 50 * SECOND).unwrap().len(), 2);
}

pub fn a_lost_worker_is_found_by_its_next_batch_even_an_empty_or_repeated_one<P: Place>() {
    let place = P::new();
    let store = place.open();
    let batches = parse("online interval=1000\nstarted 1");
    store.say(&batches, 0).unwrap();
    for (now, found_by) in [(10, batch('A', 3, Vec::new())), (20, joined(&batches))] {
        store.lose_workers(now * SECOND, 0).unwrap();
        assert_eq!(tree(&store), "1 lost\n");
        let changes = store.say(&[found_by], now * SECOND).unwrap();
        assert!(matches!(changes[0].message.event, Event::WorkerFound(_)));
        assert_eq!(tree(&store), "1 running\n");
        assert_eq!(changes[1].message.root.as_ref().unwrap().counts.running, 1);
    }
}

pub fn a_late_end_corrects_a_lost_process<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "online interval=1000\nstarted 1\nstarted 2 parent=1", 0);
    store.lose_workers(10 * SECOND, 0).unwrap();
    drop(store);
    let store = place.open();
    let ended = parse("heartbeat\nheartbeat\nheartbeat\nended 1 ok");
    store.say(&ended[3..], 11 * SECOND).unwrap();
    assert_eq!(tree(&store), "1 succeeded ended=4\n  2 running\n");
    let root = &store.roots(&any()).unwrap().roots[0];
    assert_eq!((root.counts.succeeded, root.counts.running, root.counts.lost), (1, 1, 0));
}

pub fn a_worker_with_heartbeats_or_a_goodbye_is_not_lost<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "online interval=1000\nstarted 1\nB: online interval=1000\nB: offline", 0);
    let beat = parse("heartbeat\nheartbeat\nheartbeat");
    store.say(&beat[2..], 2 * SECOND).unwrap();
    assert_eq!(store.lose_workers(3 * SECOND, 0).unwrap().len(), 0);
    assert_eq!(store.lose_workers(4 * SECOND, 0).unwrap().len(), 2);
    let states: Vec<_> = store.workers(9, None).unwrap().workers.into_iter().map(|worker| worker.state.to_string()).collect();
    assert_eq!(states, ["offline", "lost"]);
}

pub fn a_worker_that_promised_no_heartbeat_is_not_missed<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "started 1", 0);
    assert_eq!(store.lose_workers(1_000_000 * SECOND, 0).unwrap().len(), 0);
    assert_eq!(tree(&store), "1 running\n");
}

pub fn an_unannounced_worker_is_offline_15_minutes_after_its_last_event<P: Place>() {
    let place = P::new();
    let store = place.open();
    let state = |store: &P::Store| store.worker(worker('A')).unwrap().unwrap().state;
    append(&store, "started 1\nended 1 ok", 0);
    assert_eq!(store.lose_workers(900 * SECOND - 1, 0).unwrap().len(), 0);
    assert_eq!(store.lose_workers(900 * SECOND, 100 * SECOND).unwrap().len(), 0, "the time before the server began does not count");
    let changes = store.lose_workers(900 * SECOND, 0).unwrap();
    assert_eq!(changes.len(), 1);
    assert!(matches!(&changes[0].message.event, Event::WorkerOffline(event) if event.time_us == 900 * SECOND));
    assert_eq!((state(&store), tree(&store).as_str()), (WorkerState::OFFLINE, "1 succeeded ended=2\n"));
    drop(store);
    let store = place.open();
    assert_eq!((state(&store), store.status().unwrap().workers.offline), (WorkerState::OFFLINE, 1));
    // A later event brings an idle worker back, and an open process keeps it online.
    let more = parse("heartbeat\nheartbeat\nstarted 2\nended 2 ok");
    let changes = store.say(&more[2..3], 1_000 * SECOND).unwrap();
    assert!(matches!(changes[0].message.event, Event::WorkerFound(_)));
    assert_eq!(state(&store), WorkerState::ONLINE);
    assert_eq!(store.lose_workers(9_000 * SECOND, 0).unwrap().len(), 0);
    store.say(&more[3..], 9_000 * SECOND).unwrap();
    assert_eq!(store.lose_workers(9_900 * SECOND, 0).unwrap().len(), 1);
    assert_eq!((state(&store), store.status().unwrap().workers.offline), (WorkerState::OFFLINE, 1));
}

pub fn a_worker_that_goes_offline_closes_its_processes_in_the_stream<P: Place>() {
    let place = P::new();
    let store = place.open();
    append(&store, "started 1\nstarted 2 parent=1", 0);
    let changes = store.say(&parse("heartbeat\nheartbeat\noffline at=9")[2..], 1).unwrap();
    assert_eq!(tree(&store), "1 cancelled reason=exited ended=9\n  2 cancelled reason=exited ended=9\n");
    assert_eq!(changes.len(), 3);
    let query = RootsQuery { states: vec!["cancelled".into()], ..any() };
    assert_eq!(store.roots(&query).unwrap().roots.len(), 1);
    assert_eq!(store.worker(worker('A')).unwrap().unwrap().running, 0);
}

pub fn the_stream_names_only_the_trees_of_very_many_lost_processes<P: Place>() {
    let place = P::new();
    let store = place.open();
    let starts = (2..1_500).map(|id| format!("started {id} parent=1 root={}", 1 + id % 2));
    let lines: Vec<_> = std::iter::once("online interval=1000".to_owned()).chain(starts).collect();
    store.say(&[joined(&parse(&lines.join("\n")))], 0).unwrap();
    let changes = store.lose_workers(10 * SECOND, 0).unwrap();
    let (told, trees): (Vec<_>, Vec<_>) = changes[1..].iter().partition(|change| change.message.process.is_some());
    assert_eq!((told.len(), trees.len()), (1_000, 1), "the tree of those left out is named once");
    assert!(trees.iter().all(|change| change.message.root.is_some() && change.message.worker.is_some()));
    assert!(changes.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
}
