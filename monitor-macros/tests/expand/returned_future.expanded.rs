#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
pub fn fetch(from: &str) -> impl Future<Output = Result<usize, String>> + Send {
    let mut task =
        ::monitor_client::__private::Task::capture(&::monitor_core::private::NOWHERE, || {
            ::monitor_client::__private::How::Normal
        });
    let work = ::monitor_client::__private::future::<Result<usize, String>, _, _>(
        (from,),
        move |(from,)| {
            let from = from;
            let length = from.len();
            async move { Ok(length) }
        },
    );
    async move {
        task.begin();
        let returned = if task.is_off() {
            work.await
        } else {
            task.run({
                super let mut pinned = work;
                unsafe { ::core::pin::Pin::new_unchecked(&mut pinned) }
            })
            .await
        };
        {
            use ::monitor_core::private::probe::*;
            let returned = returned;
            let ending = (&&Returned(&returned)).ending();
            ending.finish(task, returned, |returned| {
                (&&&&&&Returned(returned)).failure()
            })
        }
    }
}
