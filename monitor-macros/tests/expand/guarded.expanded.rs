pub fn rows() -> impl Iterator<Item = u8> {
    let _guard = ::monitor_client::__private::Guard::enter(
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
                    name: "rows",
                    kind: "normal",
                    file: "/work/main/monitor-macros/tests/expand/guarded.rs",
                    line: 2u32,
                }
            };
            &SITE
        },
        || ::monitor_client::__private::How::Normal,
    );
    std::iter::once(1)
}
