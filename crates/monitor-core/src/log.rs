//! What processes say.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::context::Context;
use crate::record::{Fields, Level, Logged};
use crate::{clock, inside, sending, switch};

/// The process that runs here and now says something; nobody does if nothing is recorded.
///
/// ```
/// use monitor_client::{Level, log};
///
/// log(Level::Info, "17 rows read");
/// ```
pub fn log(level: Level, message: impl Into<String>) {
    if let Some(context) = Context::current() {
        say(context, Line { level, message: message.into(), ..Line::default() });
    }
}

/// Lines of so many levels are recorded, from the most severe one on.
static SENT: AtomicU8 = AtomicU8::new(Level::Trace as u8 + 1);

/// Records only lines of this level and more severe ones from now on; none if there is no level.
pub fn set_level(least: Option<Level>) {
    SENT.store(least.map_or(0, |least| least as u8 + 1), Ordering::Relaxed);
}

/// A line of a log, for the loggers of other crates.
#[derive(Debug)]
pub struct Line {
    /// How severe.
    pub level: Level,
    /// Which output of a command it stood in.
    pub stream: Option<&'static str>,
    /// Part of the program that says it.
    pub target: Option<Cow<'static, str>>,
    /// What is said.
    pub message: String,
    /// Its own fields.
    pub fields: Fields,
}

impl Default for Line {
    fn default() -> Self {
        Line { level: Level::Info, stream: None, target: None, message: String::new(), fields: Fields::new() }
    }
}

/// The process of `below`, or else the one that runs here and now, says a line. It is made only if somebody takes it.
pub fn log_line(below: Option<Context>, line: impl FnOnce() -> Line) {
    if switch::is_recorded()
        && let Some(context) = below.or_else(Context::current)
    {
        say(context, line());
    }
}

pub(crate) fn say(context: Context, line: Line) {
    // A line is new, whoever says it.
    if !switch::is_starting() || line.level as u8 >= SENT.load(Ordering::Relaxed) {
        return;
    }
    let _inside = inside::enter();
    let Line { level, stream, target, message, fields } = line;
    let logged = Logged { root: context.root(), id: context.process(), time_us: 0, level, stream, message, target, fields };
    sending::logged(logged, clock::now());
}
