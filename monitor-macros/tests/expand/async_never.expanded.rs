#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
pub async fn serve() -> ! {
    let mut task =
        ::monitor_client::__private::Task::start(&::monitor_core::private::NOWHERE, || {
            ::monitor_client::__private::How::Normal
        });
    let work = async move {
        if false {
            return ::monitor_client::__private::never::<::core::convert::Infallible>();
        }
        loop {
            std::future::pending::<()>().await;
        }
    };
    let returned = if task.is_off() {
        work.await
    } else {
        task.run({
            super let mut pinned = work;
            unsafe { ::core::pin::Pin::new_unchecked(&mut pinned) }
        })
        .await
    };
    match returned {}
}
