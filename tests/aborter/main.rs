//! A monitored program that aborts on a panic.

#[path = "../worker/killed.rs"]
#[expect(dead_code, reason = "the worker has more ways to end")]
mod killed;

use std::io::{BufRead, Write};
use std::time::Duration;

use monitor_client::{normal_task, root_task};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["counts", file, calls, end] => killed::counts(file, calls.parse().expect("a number"), end),
        ["flushed-panic"] => flushed_panic(),
        _ => panic!("unknown arguments {arguments:?}"),
    }
}

/// Panics below a process that has not ended, after a flush.
#[root_task]
fn flushed_panic() {
    leaf();
    assert_eq!(monitor_client::flush(Duration::from_secs(60)), Ok(()));
    panics();
}

#[normal_task]
fn leaf() {}

#[normal_task]
fn panics() {
    panic!("the end of the tape");
}

fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().expect("stdout is open");
}

fn read_line() {
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}
