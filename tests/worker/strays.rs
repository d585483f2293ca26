//! Calls on threads without a context.

use std::sync::mpsc;

use monitor_client::{Process, cross_thread, normal_task, root_task};

use crate::{read_line, say};

/// A thread that is older than two requests does work during both. Each request also has a separate thread.
pub(crate) fn housekeeping() {
    let (ask, asked) = mpsc::channel::<mpsc::Sender<()>>();
    std::thread::spawn(move || {
        for done in asked {
            keep_house();
            let _ = done.send(());
        }
    });
    for _ in 0..2 {
        request(&ask);
    }
}

#[root_task]
fn request(ask: &mpsc::Sender<mpsc::Sender<()>>) {
    let (done, is_done) = mpsc::channel();
    ask.send(done).expect("the thread listens");
    is_done.recv().expect("it answers");
    std::thread::spawn(part).join().expect("no panic");
}

#[cross_thread]
fn keep_house() {}

#[cross_thread]
fn part() {}

/// Tasks on a worker thread that the first of two trees has started: while only the first runs, while both run, and while only the second
/// runs.
pub(crate) fn tasks() {
    let first = Process::builder("first").root().begin();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let task = || runtime.block_on(runtime.spawn(async { part() })).expect("no panic");
    task();
    let second = Process::builder("second").root().begin();
    task();
    first.succeed();
    task();
    second.succeed();
}

/// This number of calls without a context, each with a call below it.
pub(crate) fn calls(count: u64) {
    for n in 0..count {
        if n % 10 == 0 { rare() } else { frame() }
    }
}

#[normal_task]
fn frame() {
    inner();
}

#[normal_task]
fn rare() {}

#[normal_task]
fn inner() {}

/// This number of trees with a single call, then waits for the end of stdin.
pub(crate) fn lone_roots(count: u64) {
    for _ in 0..count {
        lone();
    }
    say("done");
    read_line();
}

#[root_task]
fn lone() {}
