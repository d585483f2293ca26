use monitor_client::{cross_process, root_task};

struct Silent;

#[cross_process("judge")]
fn judge(root_id: u64, parent_id: Silent) {}

#[root_task("nightly", "mark")]
fn nightly(mark: Silent) {}

fn main() {
    judge(1, Silent);
    nightly(Silent);
}
