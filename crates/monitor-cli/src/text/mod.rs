//! Text for people: lines of columns, and JSON that is safe in a terminal.

mod json;
mod line;

pub(crate) use json::{Escaping, escape_controls, print_json};
pub(crate) use line::Line;
pub(crate) use monitor_text::{
    DURATION_COLUMNS, STATES, attempt, bytes, counted, duration, elapsed, ended_by, error_line, exact_moment, fit, glyph, moment, now_us,
    one_line, style, thousands, visible, width,
};

/// Width of the terminal. `None` if the output is no terminal and must not be cut.
pub(crate) fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width).max(20))
}
