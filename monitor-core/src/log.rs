//! What processes say.

use crate::context::Context;
use crate::record::Logged;
use crate::{clock, inside, queue};

/// How severe a line of a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something may go wrong.
    Warn,
    /// Something worth knowing.
    Info,
    /// For those who look for a mistake.
    Debug,
    /// Everything else.
    Trace,
}

impl Level {
    /// Its word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

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
    queue::logged(logged, clock::now());
}
