//! Information that a running function adds to its process: fields, another name, a failure.

use std::borrow::Cow;
use std::error::Error;

use crate::context::Context;
use crate::record::{Updated, Value};
use crate::{clock, current, inside, outcome, sending, verdict};

/// Sets a field of the current process, or replaces its value. Does nothing if nothing is recorded.
///
/// A call that sets a field is reported individually, even if there are many similar calls.
///
/// # Examples
///
/// ```
/// use monitor_client::{field, normal_task};
///
/// #[normal_task]
/// fn fetch(url: &str) -> u16 {
///     let status = 502;
///     field("url", url);
///     field("status", status);
///     status
/// }
/// # fetch("http://127.0.0.1/");
/// ```
pub fn field(key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
    update(|| (None, Some((key.into(), value.into()))));
}

/// Renames the current process. The last name is used.
///
/// # Examples
///
/// ```
/// use monitor_client::{normal_task, rename};
///
/// #[normal_task]
/// fn import(table: &str) {
///     rename(format!("import {table}"));
/// }
/// # import("orders");
/// ```
pub fn rename(name: impl Into<String>) {
    update(|| (Some(name.into()), None));
}

/// Marks the current process as failed, even if its function continues and returns a value that is not a failure. The process ends when its
/// function does. A later `Err` or panic replaces the reason.
///
/// # Examples
///
/// ```
/// use monitor_client::{fail, field, normal_task};
///
/// struct Response {
///     status: u16,
/// }
///
/// #[normal_task]
/// fn handle() -> Response {
///     let response = Response { status: 502 };
///     field("status", response.status);
///     if response.status >= 500 {
///         fail("upstream refused");
///     }
///     response
/// }
/// # handle();
/// ```
pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(error: E) {
    // A call that is reported only if it fails has no row yet.
    let said_by = if let Some(key) = current::quiet() { Some(key.get()) } else { current::of_program().map(Context::process) };
    if let Some(id) = said_by {
        verdict::say(id, outcome::of_error::<E>(&*error.into()));
    }
}

fn update(change: impl FnOnce() -> (Option<String>, Option<(Cow<'static, str>, Value)>)) {
    if current::quiet().is_none()
        && let Some(context) = current::of_program()
    {
        let (name, field) = change();
        let _inside = inside::enter();
        let fields = field.into_iter().collect();
        sending::updated(
            Updated { root: context.root(), id: context.process(), time_us: 0, name, fields, links: Vec::new() },
            clock::now(),
        );
    }
}
