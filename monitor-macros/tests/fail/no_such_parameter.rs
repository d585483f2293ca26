use monitor_client::root_task;

#[root_task("nightly build", "batch_id")]
fn positional(batch: &str, day: u8) {}

#[root_task(batch = batch_id)]
fn named() {}

#[root_task(batch = "self")]
fn receiver(#[allow(unused)] with_an_attribute: u8, (left, right): (u8, u8)) {}

fn main() {
    positional("1", 2);
    named();
    receiver(1, (2, 3));
}
