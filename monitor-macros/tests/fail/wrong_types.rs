use monitor_client::{cross_process, root_task};

struct Silent;

#[root_task("build", "batch")]
fn build(batch: Silent) {
    let _ = batch;
}

#[root_task(batch = "held")]
async fn held(number: u8, held: &Silent) {
    let _ = (number, held);
}

#[cross_process]
fn called(root_id: u64, parent_id: Option<i32>) {}

#[cross_process]
async fn swapped(root_id: monitor_client::ProcessId, parent_id: String) {}

fn main() {
    build(Silent);
    let _ = held(1, &Silent);
    called(1, None);
    let _ = swapped;
}
