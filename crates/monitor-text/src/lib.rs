//! What came in, as text that is safe in a terminal: names made harmless, widths in columns, times, durations, states.
#![forbid(unsafe_code)]

mod safe;
mod state;
mod time;

pub use safe::{fit, one_line, visible, width};
pub use state::{STATES, attempt, elapsed, ended_by, glyph, style};
pub use time::{bytes, counted, duration, exact_moment, moment, now_us, thousands};

/// Columns of the longest duration below a hundred days.
pub const DURATION_COLUMNS: usize = 9;
