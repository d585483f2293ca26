//! States as glyph, word and colour.

use anstyle::{AnsiColor, Style};
use monitor_wire::{Error, ErrorKind, State};

use super::duration;

/// In the order in which they are told, the most urgent first.
pub(crate) const STATES: [State; 6] = [State::FAILED, State::LOST, State::RUNNING, State::PENDING, State::CANCELLED, State::SUCCEEDED];

pub(crate) fn glyph(state: &State) -> &'static str {
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

/// Which attempt something is at: `attempt 2 of 4, next in 8.00 s`.
pub(crate) fn attempt(number: u32, of: Option<u32>, next_us: Option<u64>, now_us: u64) -> String {
    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
    let next = next_us.map(|next| format!(", next in {}", duration(next.saturating_sub(now_us).saturating_mul(1_000)))).unwrap_or_default();
    format!("attempt {number}{of}{next}")
}

/// What stands quietly behind an error's message: the exit code or the signal that it doesn't say itself.
pub(crate) fn ended_by(error: &Error) -> String {
    let what = if error.kind == ErrorKind::SIGNAL { "signal" } else { "exit code" };
    error.code.map(|code| format!("  {what} {code}")).unwrap_or_default()
}

pub(crate) fn style(state: &State) -> Style {
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
