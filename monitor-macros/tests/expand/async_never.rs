#[monitor_client::normal_task]
pub async fn serve() -> ! {
    loop {
        std::future::pending::<()>().await;
    }
}
