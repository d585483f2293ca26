//! Macros for log lines of the current process.

/// Logs a line at level error, with fields; see [`info!`](crate::info).
///
/// # Examples
///
/// ```
/// monitor_client::error!("there is no such table", table = "orders");
/// ```
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::__line!(Error, $($line)+) };
}

/// Logs a line at level warn, with fields; see [`info!`](crate::info).
///
/// # Examples
///
/// ```
/// monitor_client::warn!("the table is nearly full", rows = 990_000);
/// ```
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::__line!(Warn, $($line)+) };
}

/// Logs a line at level info in the log of the current process, with fields.
///
/// The first argument is a format string as for [`println!`], with inline arguments only. Fields follow as `name = value`; a value is
/// anything that converts to a [`Value`](crate::Value). If nothing is recorded, nothing is formatted.
///
/// # Examples
///
/// ```
/// let rows = 17;
/// monitor_client::info!("{rows} rows read", table = "orders", odd = true);
/// ```
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::__line!(Info, $($line)+) };
}

/// Logs a line at level debug, with fields; see [`info!`](crate::info).
///
/// # Examples
///
/// ```
/// monitor_client::debug!("a row", number = 17, is_odd = true);
/// ```
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::__line!(Debug, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __line {
    ($level:ident, $message:literal $(, $key:ident = $value:expr)* $(,)?) => {
        $crate::__private::log_line(::core::option::Option::None, || $crate::__private::Line {
            level: $crate::Level::$level,
            stream: ::core::option::Option::None,
            target: ::core::option::Option::Some(::core::convert::Into::into(::core::module_path!())),
            message: ::std::format!($message),
            fields: ::std::vec![$((
                ::core::convert::Into::into(::core::stringify!($key)),
                <$crate::Value as ::core::convert::From<_>>::from($value),
            )),*],
        })
    };
}
