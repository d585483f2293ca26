pub fn judge(root_id: &str, parent_id: Option<String>) {
    let how = ::monitor_client::__private::how(|| ::monitor_client::__private::Parameters::CrossProcess(
        ::monitor_client::__private::remote(&root_id, &parent_id),
    ));
    ::monitor_client::__private::call_simply(
        ::monitor_client::__private::site!("judge", "cross_process", ::core::line!()),
        how,
        (root_id, parent_id),
        move |(root_id, parent_id)| -> () {
            let root_id = root_id;
            let _ = &root_id;
            let parent_id = parent_id;
            let _ = &parent_id;
        },
    );
}
