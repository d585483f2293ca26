#[monitor_client::normal_task]
pub async fn fetch(from: &str) -> Result<usize, std::io::Error> {
    Ok(from.len())
}
