struct Store;

impl Store {
    #[monitor_client::cross_thread]
    async fn fetch(&self, from: &str) -> usize {
        from.len()
    }
}
