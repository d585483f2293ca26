#![feature(prelude_import)]
extern crate std;
#[prelude_import]
use std::prelude::rust_2024::*;
pub async fn serve() -> ! {
    let mut task = ::monitor_client::__private::Task::start(
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
                    name: "serve",
                    kind: "normal",
                    file: "/work/main/monitor-macros/tests/expand/async_never.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::Normal,
    );
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
