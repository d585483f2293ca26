#![deny(warnings)]

use monitor_client::{cross_thread, normal_task};

#[normal_task]
fn unused_parameter(number: u8) {}

#[normal_task]
async fn unused_async(number: u8, (left, _): (u8, u8)) {}

#[cross_thread]
async fn unused_captured(mut number: u8) {
    number;
}

#[normal_task]
#[must_use]
fn important() -> u8 {
    1
}

fn main() {
    unused_parameter(1);
    let _ = unused_async(1, (1, 1));
    let _ = unused_captured(1);
    important();
}
