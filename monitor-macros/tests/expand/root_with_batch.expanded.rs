pub fn build(batch: &str) -> usize {
    let mut guard = ::monitor_client::__private::Guard::enter(
        &::monitor_core::private::NOWHERE,
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
