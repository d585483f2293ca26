//! Display of states: glyph, word and color.

use anstyle::{AnsiColor, Style};
use monitor_wire::{Error, ErrorKind, State};

use crate::{duration, one_line};

/// All states in display order, most urgent first.
pub const STATES: [State; 6] = [State::FAILED, State::LOST, State::RUNNING, State::PENDING, State::CANCELLED, State::SUCCEEDED];

/// Returns the glyph of a state.
pub fn glyph(state: &State) -> &'static str {
    match state.as_str() {
        "pending" => "○",
        "running" => "▶",
        "succeeded" => "✓",
        "failed" => "✗",
        "cancelled" => "⊘",
        "lost" => "?",
        "retrying" => "↻",
        _ => "•",
    }
}

/// Formats the current attempt: `attempt 2 of 4, next in 8.0 s`.
pub fn attempt(number: u32, of: Option<u32>, next_us: Option<u64>, now_us: u64) -> String {
    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
    let next = next_us.map(|next| format!(", next in {}", duration(next.saturating_sub(now_us).saturating_mul(1_000)))).unwrap_or_default();
    format!("attempt {number}{of}{next}")
}

/// Formats an error on one line: `context: cause`. Sanitized.
pub fn error_line(error: &Error) -> String {
    error.line(|link| one_line(link).into_owned())
}

/// Formats the exit code or signal, which the error's message does not contain.
pub fn ended_by(error: &Error) -> String {
    let what = if error.kind == ErrorKind::SIGNAL { "signal" } else { "exit code" };
    error.code.map(|code| format!("  {what} {code}")).unwrap_or_default()
}

/// Returns the color of a state.
pub fn style(state: &State) -> Style {
    let colour = match state.as_str() {
        "running" => AnsiColor::Cyan,
        "succeeded" => AnsiColor::Green,
        "failed" => AnsiColor::Red,
        "cancelled" | "lost" | "retrying" => AnsiColor::Yellow,
        "pending" => return Style::new().dimmed(),
        _ => return Style::new(),
    };
    colour.on_default()
}

/// Formats the duration of a process, up to now if it is running.
pub fn elapsed(state: &State, elapsed_ns: Option<u64>, started_us: Option<u64>, now_us: u64) -> String {
    let is_running = [State::RUNNING, State::RETRYING].contains(state);
    let running = started_us.filter(|_| is_running).map(|started| now_us.saturating_sub(started).saturating_mul(1_000));
    elapsed_ns.or(running).map(duration).unwrap_or_default()
}
