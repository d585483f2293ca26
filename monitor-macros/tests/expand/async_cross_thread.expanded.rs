#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
struct Store;

impl Store {
    fn fetch(&self, from: &str) -> impl ::core::future::Future<Output = usize> {
        let pending = ::monitor_client::__private::Pending::capture(
            {
                #[used]
                #[unsafe(link_section = "linkme_SITES")]
                static SITE: ::monitor_core::private::Site = {
                    #[allow(clippy::no_effect_underscore_binding)]
                    unsafe fn __typecheck(_: ::monitor_core::private::linkme::__private37::Void) {
                        #[allow(clippy::ref_option_ref)]
                        let __new =
                            || -> fn() -> &'static ::monitor_core::private::Site { || &SITE };
                        unsafe {
                            ::monitor_core::private::linkme::DistributedSlice::private_typecheck(
                                ::monitor_core::private::SITES,
                                __new(),
                            );
                        }
                    }
                    ::monitor_core::private::Site {
                        name: "fetch",
                        kind: "cross_thread",
                        file: "/work/main/monitor-macros/tests/expand/async_cross_thread.rs",
                        line: 5u32,
                    }
                };
                &SITE
            },
            || ::monitor_client::__private::How::CrossThread,
        );
        async move {
            let _ = &self;
            let mut task = pending.start();
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
