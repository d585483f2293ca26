pub fn build(batch: &str) -> usize {
    let mut guard = ::monitor_client::__private::Guard::enter(
        {
            #[used]
            #[unsafe(link_section = "linkme_SITES")]
            static SITE: ::monitor_core::private::Site = {
                #[allow(clippy::no_effect_underscore_binding)]
                unsafe fn __typecheck(
                    _: ::monitor_core::private::linkme::__private37::Void,
                ) {
                    #[allow(clippy::ref_option_ref)]
                    let __new = || -> fn() -> &'static ::monitor_core::private::Site {
                        || &SITE
                    };
                    unsafe {
                        ::monitor_core::private::linkme::DistributedSlice::private_typecheck(
                            ::monitor_core::private::SITES,
                            __new(),
                        );
                    }
                }
                ::monitor_core::private::Site {
                    name: "nightly build",
                    kind: "root",
                    file: "/work/main/monitor-macros/tests/expand/root_with_batch.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::Batch({
            use ::monitor_core::private::probe::*;
            (&&Returned(&batch)).mark()
        }),
    );
    let returned = ::monitor_client::__private::call(
        &mut guard,
        (batch,),
        move |(batch,)| -> usize {
            let batch = batch;
            let _ = &batch;
            batch.len()
        },
    );
    {
        use ::monitor_core::private::probe::*;
        let returned = returned;
        let ending = (&&Returned(&returned)).ending();
        ending.finish(guard, returned, |returned| (&&&&&&Returned(returned)).failure())
    }
}
