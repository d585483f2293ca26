//! Tests folds of processes that are started by name.

use std::thread;
use std::time::{Duration, Instant};

use monitor_core::{Context, Process};

use crate::told::Told;
use crate::{AFTER, enter, top, total, with_receiver};

#[test]
fn processes_by_name_are_counted_for_all_threads_together() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            let context = top.context().expect("recorded");
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(move || (0..50).for_each(|_| drop(Process::builder("a").parent(context).begin())));
                }
            });
            told.look(receiver);
            let [singly, counted] = told.of("top/a", "succeeded");
            let slow = singly - AFTER;
            assert!(slow < 10 && counted <= 400 - singly, "{singly} singly, {counted} counted");
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 400);
        assert_eq!((told.folds.len(), told.over.len()), (1, 1));
    });
}

#[test]
fn failures_of_processes_by_name_are_kept_singly_up_to_a_limit() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let _top = top();
            (0..500).for_each(|_| Process::builder("a").begin().fail("no"));
        }
        told.drain(receiver);
        let [singly, counted] = told.of("top/a", "failed");
        assert_eq!(singly + counted, 500);
        assert!((AFTER + 100..AFTER + 110).contains(&singly), "{singly}");
    });
}

#[test]
fn a_process_by_name_is_reported_singly_if_identified_annotated_or_slow() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        {
            let top = top();
            (0..100).for_each(|_| drop(Process::builder("a").begin()));
            told.look(receiver);
            let handed_on = Process::builder("a").begin();
            let by_itself = handed_on.context().expect("recorded");
            let current = Process::builder("a").enter();
            // To be the parent of others is not to be known to them.
            drop(Process::builder("b").begin());
            drop(enter(2));
            let as_current = Context::current().expect("current").process();
            current.succeed();
            drop(handed_on);
            let says = Process::builder("a").begin();
            says.field("key", "value");
            drop(says);
            drop(Process::builder("a").field("key", "value").begin());
            let unknown = Process::builder("a").enter();
            drop(Process::builder("b").begin());
            unknown.succeed();
            let begun = Instant::now();
            let runs = Process::builder("a").parent(top.context().expect("recorded")).begin();
            told.look(receiver);
            assert!(told.starts.contains_key(&by_itself.process()) && told.starts.contains_key(&as_current));
            let [singly, _] = told.of("top/a", "succeeded");
            assert_eq!(told.of("top/a", "running"), [0, 0], "held back");
            while told.of("top/a", "running") == [0, 0] {
                assert!(begun.elapsed() < Duration::from_secs(60), "never told singly");
                told.look(receiver);
            }
            assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
            assert_eq!(told.of("top/a", "running"), [1, 0]);
            runs.succeed();
            told.look(receiver);
            assert_eq!(told.of("top/a", "succeeded")[0], singly + 1);
        }
        told.drain(receiver);
        assert_eq!(total(told.of("top/a", "succeeded")), 106);
        let [singly, counted] = told.of("top/a", "succeeded");
        assert!(counted > 80 && singly >= AFTER + 5, "{singly} {counted}");
        assert_eq!((total(told.of("top/a/b", "succeeded")), total(told.of("top/a/c", "succeeded"))), (2, 1));
    });
}

#[test]
fn a_scan_for_all_running_processes_includes_withheld_processes() {
    with_receiver(|receiver| {
        let mut told = Told::default();
        let _top = top();
        (0..100).for_each(|_| drop(Process::builder("a").begin()));
        let runs = Process::builder("a").begin();
        told.look(receiver);
        assert_eq!(told.of("top/a", "running"), [0, 0]);
        assert_eq!(receiver.taken().held.len(), 1, "and said to be so");
        told.drain(receiver);
        assert_eq!(told.of("top/a", "running"), [1, 0]);
        drop(runs);
    });
}
