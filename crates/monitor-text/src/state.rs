//! States as glyph, word and colour.

use anstyle::{AnsiColor, Style};
use monitor_wire::{Error, ErrorKind, State};

use crate::duration;

/// In the order in which they are told, the most urgent first.
pub const STATES: [State; 6] = [State::FAILED, State::LOST, State::RUNNING, State::PENDING, State::CANCELLED, State::SUCCEEDED];

/// A state as one character.
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

/// The attempt that something is at: `attempt 2 of 4, next in 8.0 s`.
pub fn attempt(number: u32, of: Option<u32>, next_us: Option<u64>, now_us: u64) -> String {
    let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
    let next = next_us.map(|next| format!(", next in {}", duration(next.saturating_sub(now_us).saturating_mul(1_000)))).unwrap_or_default();
    format!("attempt {number}{of}{next}")
}

/// The exit code or the signal that an error's message doesn't say itself.
pub fn ended_by(error: &Error) -> String {
    let what = if error.kind == ErrorKind::SIGNAL { "signal" } else { "exit code" };
    error.code.map(|code| format!("  {what} {code}")).unwrap_or_default()
}

/// The colour of a state.
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

/// How long something took, or runs by now.
pub fn elapsed(state: &State, elapsed_ns: Option<u64>, started_us: Option<u64>, now_us: u64) -> String {
    let is_running = [State::RUNNING, State::RETRYING].contains(state);
    let running = started_us.filter(|_| is_running).map(|started| now_us.saturating_sub(started).saturating_mul(1_000));
    elapsed_ns.or(running).map(duration).unwrap_or_default()
}
