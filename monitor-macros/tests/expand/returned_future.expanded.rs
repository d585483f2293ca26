#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
pub fn fetch(from: &str) -> impl Future<Output = Result<usize, String>> + Send {
    let pending = ::monitor_client::__private::Pending::capture(
        {
            #[used]
            #[unsafe(link_section = "linkme_SITES")]
            static SITE: ::monitor_core::private::Site = {
                #[allow(clippy::no_effect_underscore_binding)]
                unsafe fn __typecheck(_: ::monitor_core::private::linkme::__private37::Void) {
                    #[allow(clippy::ref_option_ref)]
                    let __new = || -> fn() -> &'static ::monitor_core::private::Site { || &SITE };
                    unsafe {
                        ::monitor_core::private::linkme::DistributedSlice::private_typecheck(
                            ::monitor_core::private::SITES,
                            __new(),
                        );
                    }
                }
                ::monitor_core::private::Site {
                    name: "fetch",
                    kind: "normal",
                    file: "/work/main/monitor-macros/tests/expand/returned_future.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::Normal,
    );
    let work = ::monitor_client::__private::future::<Result<usize, String>, _, _>(
        (from,),
        move |(from,)| {
            let from = from;
            let length = from.len();
            async move { Ok(length) }
        },
    );
    async move {
        let mut task = pending.start();
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
