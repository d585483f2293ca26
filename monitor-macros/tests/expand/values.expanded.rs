pub fn load(parameter0: (u8, u8), user: &User) -> u8 {
    let site = ::monitor_client::__private::site!(
        "load {id}", "normal", ::core::line!(), timeout_ms = 30000u32
    );
    let mut process = ::monitor_client::__private::Guard::enter(
        site,
        ::monitor_client::__private::How::Normal,
    );
    ::monitor_client::__private::tell(
        &mut process,
        |told| {
            #[allow(unused_variables)]
            let (id, _) = &parameter0;
            told.debug("args.id", &id);
            told.masked("args.user.name");
            told.debug("rows", &(2 * id));
            told.name(site, ::core::format_args!("load {}", & id));
        },
    );
    let returned = ::monitor_client::__private::call_begun(
        process,
        (parameter0, user),
        move |(parameter0, user)| -> u8 {
            let parameter0 = parameter0;
            let (id, _) = parameter0;
            let _ = &id;
            let user = user;
            let _ = &user;
            id
        },
    );
    {
        use ::monitor_client::__private::probe::*;
        returned
            .finish_telling(
                |returned| (&&&&&&Returned(returned)).failure(),
                |returned, told| told.debug("return", returned),
            )
    }
}
pub struct User {
    name: String,
}
