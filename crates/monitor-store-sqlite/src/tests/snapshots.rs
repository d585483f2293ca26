//! Tests of reading during writes.

use std::sync::atomic::{AtomicBool, Ordering};

use monitor_store::Queries;

use super::super::pool::MAX_READERS;
use super::support::script::parse;
use super::{any, open, page};

#[test]
fn each_reader_sees_one_snapshot() {
    let (_folder, store) = open();
    let lines: Vec<_> = (1..100).map(|id| format!("started {id} parent={}", id / 2)).collect();
    let parts = parse(&lines.join("\n").replace(" parent=0", ""));
    store.append(&parts[..1], 0).unwrap();
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..MAX_READERS + 4 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    // Each change adds one process, so the number of changes is the number of processes.
                    let tree = page(&store);
                    assert_eq!(tree.as_of, tree.processes.len() as u64);
                    assert_eq!(tree.as_of, tree.root.counts.total());
                    let list = store.roots(&any()).unwrap();
                    assert_eq!(list.as_of, list.roots[0].counts.total());
                    let status = store.status().unwrap();
                    assert_eq!((status.as_of, status.events), (status.processes.total(), status.processes.total()));
                }
            });
        }
        for part in &parts[1..] {
            store.append(std::slice::from_ref(part), 0).unwrap();
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert_eq!(page(&store).processes.len(), 99);
}

#[test]
fn a_check_of_readability_waits_for_no_reader() {
    let (_folder, store) = open();
    let (begun, all_begun) = std::sync::mpsc::channel();
    let gate = std::sync::Mutex::new(());
    let closed = gate.lock().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..MAX_READERS {
            let (begun, store, gate) = (begun.clone(), &store, &gate);
            scope.spawn(move || {
                store.pool.read(|_| {
                    begun.send(()).unwrap();
                    drop(gate.lock());
                })
            });
        }
        for _ in 0..MAX_READERS {
            all_begun.recv().unwrap();
        }
        for _ in 0..3 {
            store.probe().unwrap();
        }
        drop(closed);
    });
}
