pub fn judge(root_id: &str, parent_id: Option<String>) {
    let mut guard = ::monitor_client::__private::Guard::enter(
        &::monitor_core::private::NOWHERE,
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
    };
}
