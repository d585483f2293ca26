pub async fn serve() -> ! {
    match ::monitor_client::__private::run_simply(
            ::monitor_client::__private::site!("serve", "normal", ::core::line!()),
            ::monitor_client::__private::How::Normal,
            async move {
                if false {
                    return ::monitor_client::__private::never::<
                        ::core::convert::Infallible,
                    >();
                }
                loop {
                    std::future::pending::<()>().await;
                }
            },
        )
        .await
    {}
}
