//! Calls of one name below one parent, more than are shipped singly.

use std::process::Command;
use std::time::Duration;

use monitor_client::{CommandExt, Process, normal_task, root_task};

use crate::{leaf, read_line, say};

/// More than are shipped singly.
const MANY: u64 = 1_500;

/// Nothing is folded in the first milliseconds of a program: waits for their end.
fn warm_up() {
    assert!(monitor_client::flush(Duration::from_secs(60)));
}

/// So many leaves below the root, one in a thousand of which fails.
#[root_task]
pub(crate) fn burst(count: u64) {
    warm_up();
    bare(count);
}

/// The same below whoever started this program.
pub(crate) fn bare(count: u64) {
    for n in 0..count {
        let _ = leaf(n);
    }
}

/// So many processes by name in each of four threads, one in a thousand of which fails, and each calls a leaf; and one whose
/// ids are handed on.
#[root_task]
pub(crate) fn by_hand(count: u64) {
    let threads = [(); 4].map(|()| {
        monitor_client::spawn(move || {
            for n in 0..count {
                let item = Process::start("item").enter();
                let _ = leaf(0);
                if n % 1_000 == 999 { item.fail("as every thousandth") } else { item.succeed() }
            }
        })
    });
    for thread in threads {
        thread.join().expect("no panic");
    }
    let item = Process::start("item").begin();
    say(&format!("{:016x}", item.context().expect("monitored").process()));
}

/// Two programs that call so many leaves each, below the root of this one.
#[root_task]
pub(crate) fn bursts_elsewhere(count: u64) {
    let own = std::env::current_exe().expect("a path");
    let start = || Command::new(&own).args(["bare", &count.to_string()]).with_current_process().spawn().expect("it starts");
    for mut child in [start(), start()] {
        assert!(child.wait().expect("it ends").success());
    }
}

/// Many steps, one of which waits for a line.
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

/// Many calls, one of which says who it is.
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

/// Grows until stdin is closed, and says how many there were.
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
