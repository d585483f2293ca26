use monitor_client::{cross_thread, normal_task};

#[normal_task("load", "batch")]
fn positional(batch: &str) {}

#[cross_thread(batch = batch)]
fn named(batch: &str) {}

fn main() {
    positional("1");
    named("1");
}
