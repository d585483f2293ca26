pub fn build(batch: &str) -> usize {
    let how = ::monitor_client::__private::how(|| ::monitor_client::__private::Parameters::Batch({
        use ::monitor_client::__private::probe::*;
        (&&&&&&Returned(&batch)).mark()
    }));
    ::monitor_client::__private::call_simply(
        ::monitor_client::__private::site!("nightly build", "root", ::core::line!()),
        how,
        (batch,),
        move |(batch,)| -> usize {
            let batch = batch;
            let _ = &batch;
            batch.len()
        },
    )
}
