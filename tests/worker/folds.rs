//! Calls with the same name below one parent, more than are shipped singly.

use std::process::Command;
use std::time::Duration;

use monitor_client::{CommandExt, InCurrent, Process, normal_task, root_task};

use crate::{leaf, read_line, say};

/// More calls than are shipped singly.
const MANY: u64 = 1_500;

/// Waits until the first milliseconds of the program are over, in which nothing is folded.
fn warm_up() {
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
}

/// This number of leaves below the root. One in a thousand fails.
#[root_task]
pub(crate) fn burst(count: u64) {
    warm_up();
    bare(count);
}

/// The same leaves below the process that started this program.
pub(crate) fn bare(count: u64) {
    for n in 0..count {
        let _ = leaf(n);
    }
}

/// This number of failing lookups below the root. All except a late one fail in the same way.
#[root_task]
pub(crate) fn lookups(count: u64) {
    warm_up();
    for n in 0..count {
        let _ = lookup(n, n == count - 100);
    }
}

#[normal_task]
fn lookup(n: u64, is_odd: bool) -> Result<(), String> {
    Err(if is_odd { "the index is gone".to_owned() } else { format!("order {n} not found") })
}

/// This number of processes by name in each of four threads. One in a thousand fails, and each calls a leaf. One further process passes its
/// ids on.
#[root_task]
pub(crate) fn by_hand(count: u64) {
    let threads = [(); 4].map(|()| {
        monitor_client::spawn_thread(move || {
            for n in 0..count {
                let item = Process::builder("item").enter();
                let _ = leaf(0);
                if n % 1_000 == 999 { item.fail("as every thousandth") } else { item.succeed() }
            }
        })
    });
    for thread in threads {
        thread.join().expect("no panic");
    }
    let item = Process::builder("item").begin();
    say(&format!("{:016x}", item.context().expect("monitored").process()));
}

/// Two programs that call this number of leaves each, below the root of this program.
#[root_task]
pub(crate) fn bursts_elsewhere(count: u64) {
    let own = std::env::current_exe().expect("a path");
    let start = || Command::new(&own).args(["bare", &count.to_string()]).with_current_process().spawn().expect("it starts");
    for mut child in [start(), start()] {
        assert!(child.wait().expect("it ends").success());
    }
}

/// Calls of each loop of [`turns`].
const LOOP: u64 = 30_000;

/// This number of alternating loops on this number of workers, and as many threads that call below one parent.
#[root_task]
pub(crate) fn turns(workers: u64, loops: u64) {
    warm_up();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers as usize).build().expect("a runtime");
    let tasks: Vec<_> = (0..loops).map(|_| runtime.spawn(takes_turns().in_current())).collect();
    for task in tasks {
        runtime.block_on(task).expect("no panic");
    }
    shared(workers);
}

#[normal_task]
async fn takes_turns() {
    for n in 0..LOOP {
        outer(n);
        if n % 100 == 99 {
            tokio::task::yield_now().await;
        }
    }
}

#[normal_task]
fn shared(threads: u64) {
    let calls = move || (0..LOOP / threads).for_each(outer);
    let threads: Vec<_> = (0..threads).map(|_| monitor_client::spawn_thread(calls)).collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
}

#[normal_task]
fn outer(n: u64) {
    let _ = leaf(n);
}

/// Many steps. One of them waits for a line.
#[root_task]
pub(crate) fn one_waits() {
    warm_up();
    for n in 0..MANY {
        step(n == MANY - 1);
    }
}

#[normal_task]
fn step(waits: bool) {
    if waits {
        say("waits");
        inner();
        read_line();
    }
}

#[normal_task]
fn inner() {}

/// Many calls. One of them prints its ids.
#[root_task]
pub(crate) fn one_says_who_it_is() {
    warm_up();
    for n in 0..MANY {
        known(n == MANY - 100);
    }
}

#[normal_task]
fn known(says: bool) {
    if says {
        say(&monitor_client::current_id().map(|id| id.to_string()).unwrap_or_default());
    }
    inner();
}

/// Makes calls until stdin is closed, and prints their number.
#[root_task]
pub(crate) fn grows() {
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        read_line();
        drop(stop);
    });
    let mut count = 0_u64;
    while stopped.recv_timeout(Duration::from_micros(50)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        step(false);
        count += 1;
    }
    say(&count.to_string());
}
