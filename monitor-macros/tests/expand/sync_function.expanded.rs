pub fn load(rows: Vec<u8>, parameter1: (u8, u8)) -> Result<u8, String> {
    let returned = ::monitor_client::__private::call(
        ::monitor_client::__private::site!("load", "normal", ::core::line!()),
        ::monitor_client::__private::How::Normal,
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
        use ::monitor_client::__private::probe::*;
        returned.finish(|returned| (&&&&&&Returned(returned)).failure())
    }
}
