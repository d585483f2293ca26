pub fn load(rows: Vec<u8>, parameter1: (u8, u8)) -> Result<u8, String> {
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
                    name: "load",
                    kind: "normal",
                    file: "/work/main/monitor-macros/tests/expand/sync_function.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::Normal,
    );
    let returned = ::monitor_client::__private::call(
        &mut guard,
        (rows, parameter1),
        move |(rows, parameter1)| -> Result<u8, String> {
            let mut rows = rows;
            let parameter1 = parameter1;
            let (low, _) = parameter1;
            rows.push(low);
            rows.pop().ok_or_else(|| "empty".to_owned())
        },
    );
    {
        use ::monitor_core::private::probe::*;
        let returned = returned;
        let ending = (&&Returned(&returned)).ending();
        ending.finish(guard, returned, |returned| (&&&&&&Returned(returned)).failure())
    }
}
