use monitor_client::cross_process;

#[cross_process("judge")]
fn neither() {}

#[cross_process]
async fn no_parent(root_id: &str) {}

#[cross_process]
fn in_a_pattern((root_id, parent_id): (u8, u8)) {}

fn main() {
    neither();
    let _ = no_parent("");
    in_a_pattern((1, 1));
}
