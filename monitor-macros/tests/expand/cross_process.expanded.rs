pub fn judge(root_id: &str, parent_id: Option<String>) {
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
                    name: "judge",
                    kind: "cross_process",
                    file: "/work/main/monitor-macros/tests/expand/cross_process.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::CrossProcess(
            ::monitor_client::__private::remote(&root_id, &parent_id),
        ),
    );
    let returned = ::monitor_client::__private::call(
        &mut guard,
        (root_id, parent_id),
        move |(root_id, parent_id)| -> () {
            let root_id = root_id;
            let _ = &root_id;
            let parent_id = parent_id;
            let _ = &parent_id;
        },
    );
    {
        use ::monitor_core::private::probe::*;
        let returned = returned;
        let ending = (&&Returned(&returned)).ending();
        ending.finish(guard, returned, |returned| (&&&&&&Returned(returned)).failure())
    }
}
