#[monitor_client::normal_task]
pub fn fetch(from: &str) -> impl Future<Output = Result<usize, String>> + Send {
    let length = from.len();
    async move { Ok(length) }
}
