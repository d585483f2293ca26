#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
struct Store;

impl Store {
    fn fetch(&self, from: &str) -> impl ::core::future::Future<Output = usize> {
        let mut task =
            ::monitor_client::__private::Task::capture(&::monitor_core::private::NOWHERE, || {
                ::monitor_client::__private::How::CrossThread
            });
        async move {
            let _ = &self;
            task.begin();
            let work = async move {
                if false {
                    return ::monitor_client::__private::never::<usize>();
                }
                let from = from;
                from.len()
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
}
