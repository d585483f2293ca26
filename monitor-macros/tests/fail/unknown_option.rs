#[monitor_client::normal_task(nmae = "load")]
fn load() {}

fn main() {
    load();
}
