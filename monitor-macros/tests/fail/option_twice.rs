use monitor_client::{normal_task, root_task};

#[normal_task(name = "load", name = "read")]
fn named() {}

#[normal_task("load", name = "read")]
fn both() {}

#[root_task("load", "batch", batch = "batch")]
fn batch(batch: u8) {}

#[normal_task(crate = ::monitor_client, crate = monitor_client)]
fn path() {}

fn main() {
    named();
    both();
    batch(1);
    path();
}
