#[monitor_client::normal_task("load")]
pub fn load(mut rows: Vec<u8>, (low, _): (u8, u8)) -> Result<u8, String> {
    rows.push(low);
    rows.pop().ok_or_else(|| "empty".to_owned())
}
