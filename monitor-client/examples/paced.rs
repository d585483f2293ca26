//! Calls marked functions, one every 100 ms, and prints when: what the page's bench compares with when their rows are drawn.
//!
//! ```text
//! MONITOR_ENABLED=1 cargo run --release -p monitor-client --example paced -- 100
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use monitor_client::{normal_task, root_task};

const PACE: Duration = Duration::from_millis(100);

fn main() {
    paced(std::env::args().nth(1).and_then(|calls| calls.parse().ok()).unwrap_or(100));
}

#[root_task("paced calls")]
fn paced(calls: u32) {
    // Whoever watches has found the root by then.
    std::thread::sleep(Duration::from_secs(5));
    for _ in 0..calls {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        step();
        println!("{}", now.as_micros());
        std::thread::sleep(PACE);
    }
}

#[normal_task("step")]
fn step() {}
