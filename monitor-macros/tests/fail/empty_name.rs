use monitor_client::{normal_task, root_task};

#[normal_task("")]
fn positional() {}

#[root_task(name = "  ")]
fn named() {}

fn main() {
    positional();
    named();
}
