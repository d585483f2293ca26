#[monitor_client::root_task("nightly build", "batch")]
pub fn build(batch: &str) -> usize {
    batch.len()
}
