//! Text for people: names made harmless, widths in columns, times and durations.

mod json;
mod line;
mod safe;
mod state;
mod time;

pub(crate) use json::{Escaping, escape_controls, print_json};
pub(crate) use line::Line;
pub(crate) use safe::{fit, one_line, visible, width};
pub(crate) use state::{STATES, attempt, ended_by, glyph, style};
pub(crate) use time::{bytes, duration, exact_moment, moment, now_us, thousands};

/// `1,204 trees`, `1 process`: a count with its word.
pub(crate) fn counted(count: u64, word: &str) -> String {
    let plural = if word.ends_with('s') { "es" } else { "s" };
    format!("{} {word}{}", thousands(count), if count == 1 { "" } else { plural })
}

/// The longest duration has so many, but for those of centuries.
pub(crate) const DURATION_COLUMNS: usize = 7;

/// How wide the terminal is; none if the output goes elsewhere and is not to be cut.
pub(crate) fn terminal_width() -> Option<usize> {
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width).max(20))
}

/// How long something took, or runs by now.
pub(crate) fn elapsed(state: &monitor_wire::State, elapsed_ns: Option<u64>, started_us: Option<u64>, now_us: u64) -> String {
    let is_running = [monitor_wire::State::RUNNING, monitor_wire::State::RETRYING].contains(state);
    let running = started_us.filter(|_| is_running).map(|started| now_us.saturating_sub(started).saturating_mul(1_000));
    elapsed_ns.or(running).map(duration).unwrap_or_default()
}
