#[monitor_client::normal_task]
pub unsafe extern "C" fn sum(count: usize, mut numbers: ...) -> usize {
    let _ = &mut numbers;
    count
}

fn main() {}
