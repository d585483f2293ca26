//! Tests the records of a program whose buffer is full.

#![cfg(feature = "record")]

mod support;

use monitor_client::{Context, Process, cross_thread, normal_task};
use monitor_core::queue::{Receiver, dropped};

use crate::support::{lock, record_into};

const LIMIT: usize = 16 * 1024;

#[normal_task]
fn child() -> Result<(), String> {
    Err("a word or two".to_owned())
}

/// Fills the buffer until another start is refused. The returned guards keep the reserved space of their ends.
fn fill() -> Vec<Process> {
    let mut guards = Vec::new();
    loop {
        let process = Process::builder("filler").root().begin();
        if process.context().is_none() {
            return guards;
        }
        guards.push(process);
    }
}

/// Returns the number of events of a type that were dropped during `work`, in any tree.
fn dropped_during(event: &str, work: impl FnOnce()) -> u64 {
    let count = || dropped().iter().filter(|(drop, _)| drop.event == event).map(|(_, count)| count).sum::<u64>();
    let before = count();
    work();
    count() - before
}

fn with_queue(work: impl FnOnce(&mut Receiver)) {
    work(lock(LIMIT).as_mut().expect("opened"));
}

#[test]
fn children_of_an_unrecorded_process_attach_to_its_parent() {
    with_queue(|receiver| {
        let mut entered = None;
        let before = record_into(receiver, || {
            let top = Process::builder("top").enter();
            let fillers = fill();
            let refused = Process::builder("refused").enter();
            assert_eq!(refused.context(), top.context());
            entered = Some((refused, fillers, top));
        });
        assert!(before.processes.iter().all(|process| process.name() != "refused"));
        // Released by draining: there is room again.
        let after = record_into(receiver, || assert!(child().is_err()));
        assert_eq!(after.find("child").started.parent, before.find("top").started.id);
        drop(entered);
    });
}

#[test]
fn a_future_that_was_not_recorded_runs_below_its_parent() {
    #[cross_thread]
    async fn refused() -> Option<Context> {
        tokio::task::yield_now().await;
        Context::current()
    }
    with_queue(|receiver| {
        record_into(receiver, || {
            let top = Process::builder("top").enter();
            let parent = top.context();
            let fillers = fill();
            let future = refused();
            let seen = std::thread::spawn(|| support::run(future)).join().expect("no panic");
            assert_eq!(seen, parent);
            drop(fillers);
        });
    });
}

#[test]
fn every_recorded_start_gets_its_end() {
    with_queue(|receiver| {
        let trees = record_into(receiver, || {
            let mut fillers = fill();
            let last = fillers.pop().expect("one had room");
            drop(fillers);
            last.fail("x".repeat(2 * LIMIT));
        });
        assert!(trees.processes.len() > 10);
        assert!(trees.processes.iter().all(|process| process.ended.is_some()));
        let last = trees.processes.last().expect("not empty").failure();
        assert!(last.message.contains("MONITOR_BUFFER_BYTES"), "{}", last.message);
    });
}

#[test]
fn dropped_events_are_counted() {
    with_queue(|receiver| {
        let mut fillers = Vec::new();
        record_into(receiver, || {
            let top = Process::builder("top").enter();
            let tree = top.context().expect("recorded").root();
            fillers = fill();
            assert_eq!(
                dropped_during("process-started", || {
                    for _ in 0..7 {
                        assert!(child().is_err());
                    }
                }),
                7
            );
            assert!(dropped().iter().any(|(drop, count)| drop.root == Some(tree) && *count == 7));
            assert_eq!(dropped_during("process-updated", || top.field("text", "x".repeat(LIMIT))), 1);
        });
        // Released by draining: there is room again.
        drop(fillers);
        let trees = record_into(receiver, || assert!(child().is_err()));
        assert_eq!(trees.to_string(), "child error: a word or two");
    });
}
