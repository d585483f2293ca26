//! A program with the client. With the argument `moments` it prints the duration of its first call, its second call, and a call after a
//! pause, in nanoseconds.

use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    if std::env::args().nth(1).as_deref() != Some("moments") {
        black_box(call(black_box(1)));
        return;
    }
    let first = nanoseconds_of_a_call();
    let second = nanoseconds_of_a_call();
    // Long enough for the shipper to have sent everything and to sleep.
    std::thread::sleep(Duration::from_millis(300));
    println!("{first} {second} {}", nanoseconds_of_a_call());
}

fn nanoseconds_of_a_call() -> u128 {
    let begin = Instant::now();
    black_box(call(black_box(1)));
    begin.elapsed().as_nanos()
}

#[inline(never)]
#[monitor_client::root_task]
fn call(n: u64) -> u64 {
    n ^ 0x55
}
