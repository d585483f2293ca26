#[monitor_client::cross_process]
pub fn judge(root_id: &str, parent_id: Option<String>) {}
