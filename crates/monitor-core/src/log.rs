//! Log lines of processes.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::context::Context;
use crate::record::{Fields, Level, Logged};
use crate::{clock, inside, sending, switch};

/// Adds a line to the log of the current process. Does nothing if nothing is recorded.
///
/// # Examples
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

/// Number of levels whose lines are recorded, starting with the most severe level.
static SENT: AtomicU8 = AtomicU8::new(Level::Trace as u8 + 1);

/// Sets the least severe level of recorded lines. `None` disables log lines.
pub fn set_level(least: Option<Level>) {
    SENT.store(least.map_or(0, |least| least as u8 + 1), Ordering::Relaxed);
}

/// A log line, for the loggers of other crates.
#[derive(Debug)]
pub struct Line {
    /// Severity of the line.
    pub level: Level,
    /// Output stream of a command that contained the line.
    pub stream: Option<&'static str>,
    /// Part of the program that logged the line.
    pub target: Option<Cow<'static, str>>,
    /// Text of the line.
    pub message: String,
    /// Fields of the line.
    pub fields: Fields,
}

impl Default for Line {
    fn default() -> Self {
        Line { level: Level::Info, stream: None, target: None, message: String::new(), fields: Fields::new() }
    }
}

/// Adds a line to the log of `below`, or else of the current process. The line is only created if it is recorded.
pub fn log_line(below: Option<Context>, line: impl FnOnce() -> Line) {
    if switch::is_recorded()
        && let Some(context) = below.or_else(Context::current)
    {
        say(context, line());
    }
}

pub(crate) fn say(context: Context, line: Line) {
    // A line counts as a new process for the levels.
    if !switch::is_starting() || line.level as u8 >= SENT.load(Ordering::Relaxed) {
        return;
    }
    let _inside = inside::enter();
    let Line { level, stream, target, message, fields } = line;
    let logged = Logged { root: context.root(), id: context.process(), time_us: 0, level, stream, message, target, fields };
    sending::logged(logged, clock::now());
}
