//! Formats recorded data as text that is safe in a terminal: sanitized names, column widths, times, durations, states.
#![forbid(unsafe_code)]

mod safe;
mod state;
mod time;

pub use safe::{fit, one_line, visible, width};
pub use state::{STATES, attempt, elapsed, ended_by, error_line, glyph, style};
pub use time::{bytes, counted, duration, exact_moment, moment, now_us, thousands};

/// Width of the longest duration below a hundred days, in columns.
pub const DURATION_COLUMNS: usize = 9;
