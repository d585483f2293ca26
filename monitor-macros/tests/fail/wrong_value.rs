use monitor_client::{normal_task, root_task};

#[normal_task(name = 5)]
fn number() {}

#[normal_task(name =)]
fn nothing() {}

#[root_task(batch = 1 + 1)]
fn sum() {}

#[normal_task(crate = "monitor_client")]
fn text() {}

fn main() {
    number();
    nothing();
    sum();
    text();
}
