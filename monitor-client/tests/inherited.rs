//! Tests the records of a program that was started by a monitored program.

#![cfg(feature = "record")]

mod support;

use std::thread;

use monitor_client::{Context, Process, cross_thread, normal_task, root_task};

use crate::support::{lock, record, record_into};

#[cross_thread]
fn part() {}

#[normal_task]
fn leaf() {}

#[root_task]
fn top() {
    leaf();
    thread::spawn(part).join().expect("no panic");
}

#[test]
fn threads_without_a_context_are_below_the_process_that_started_the_program() {
    let inherited = Context::new(0x0199_0000_0000, 0xabc).expect("not zero");
    let trees = {
        let mut receiver = lock(support::PLENTY);
        let receiver = receiver.as_mut().expect("opened");
        // Set late here; before, there was nothing to inherit.
        let before = record_into(receiver, leaf);
        assert_eq!(before.to_string(), "leaf");
        monitor_core::set_inherited(inherited);
        monitor_core::set_inherited(Context::new(1, 1).expect("not zero"));
        assert_eq!(Context::current(), Some(inherited));
        record_into(receiver, || {
            top();
            leaf();
            thread::spawn(part).join().expect("no panic");
        })
    };
    assert_eq!(trees.to_string(), "(abc) top root\n  leaf\n  part cross_thread inferred\n(abc) leaf\n(abc) part cross_thread");
    assert!(trees.processes.iter().all(|process| process.started.root == inherited.root()));

    let apart = record(|| drop(Process::builder("apart").root().begin()));
    assert_ne!(apart.find("apart").started.root, inherited.root());
}
