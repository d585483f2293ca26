#[monitor_client::root_task("load", "batch", "third", "fourth")]
fn load(batch: u8) {}

fn main() {
    load(1);
}
