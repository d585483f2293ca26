//! What processes say.

use crate::context::Context;
use crate::record::{Level, Logged};
use crate::{clock, inside, sending};

/// The process that runs here and now says something; nobody does if nothing is recorded.
///
/// ```
/// use monitor_client::{Level, log};
///
/// log(Level::Info, "17 rows read");
/// ```
pub fn log(level: Level, message: impl Into<String>) {
    if let Some(context) = Context::current() {
        say(context, level, None, message.into());
    }
}

pub(crate) fn say(context: Context, level: Level, stream: Option<&'static str>, message: String) {
    let _inside = inside::enter();
    let logged = Logged { root: context.root(), id: context.process(), time_us: 0, level, stream, message };
    sending::logged(logged, clock::now());
}
