use monitor_client::{cross_process, normal_task};

#[normal_task(begin)]
fn load() {}

#[cross_process(begin, begin)]
fn judge(traceparent: &str) {}

#[cross_process(begin = true)]
fn weigh(traceparent: &str) {}

fn main() {
    load();
    judge("");
    weigh("");
}
