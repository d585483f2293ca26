//! Rendering of received text as HTML: markup is escaped, and invisible or disruptive characters are made visible.

use std::time::Duration;

use axum::response::Html;
use jiff::Timestamp;
use monitor_wire::{Counts, State};

use super::words::Words;
use crate::html::Text;

/// Returns a whole document. `title` and `body` are HTML.
pub(super) fn document(words: &Words, title: &str, body: &str) -> Html<String> {
    const STYLE: &str = "body{font:14px/1.5 sans-serif;color-scheme:light dark;color:light-dark(#18191b,#e8e9eb);background:light-dark(#fff,#111214);max-width:1100px;margin:1em auto;padding:0 1em}table{border-collapse:collapse}\
                         th,td{text-align:left;vertical-align:top;padding:.1em .6em;border-bottom:1px solid #8884}.n{text-align:right;\
                         font-family:monospace;white-space:nowrap}td{overflow-wrap:break-word}td:nth-child(2){min-width:12em}main{overflow-x:auto}\
                         pre{white-space:pre-wrap;overflow-wrap:anywhere}\
                         a{color:light-dark(#2855c0,#8ab0ff)}";
    Html(format!(
        "<!doctype html><html lang={}><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><meta name=color-scheme \
         content=\"light dark\"><link rel=icon href=data:,><title>{title} · Process Monitor</title><style>{STYLE}</style><main><h1>{title}</h1>{body}</main>\n",
        words.language
    ))
}

/// Returns a link to an address of this server. `text` is HTML.
pub(super) fn link(address: &str, text: &str) -> String {
    format!("<a href=\"{}\">{text}</a>", Text(address))
}

/// Returns the symbol and the name of a state.
pub(super) fn state(words: &Words, state: &State) -> String {
    let (sign, word) = match state.as_str() {
        "pending" => ("○", words.pending),
        "running" => ("◐", words.running),
        "succeeded" => ("✓", words.succeeded),
        "failed" => ("✕", words.failed),
        "cancelled" => ("⊘", words.cancelled),
        "lost" => ("?", words.lost),
        "retrying" => ("↻", words.retrying),
        other => return format!("• {}", Text(other)),
    };
    format!("{sign} {word}")
}

/// Returns the number of processes per state, without states that no process is in.
pub(super) fn counts(words: &Words, counts: &Counts) -> String {
    let mut counts = *counts;
    let mut shown = Vec::new();
    for state in State::KNOWN {
        let count = *counts.of(state);
        if count > 0 {
            shown.push(format!("{count} {}", self::state(words, state)));
        }
    }
    shown.join(", ")
}

/// Formats a time in Unix microseconds in UTC, because the reader's time zone is unknown.
pub(super) fn moment(time_us: Option<u64>) -> String {
    let Some(time_us) = time_us else { return "–".to_owned() };
    match i64::try_from(time_us).ok().and_then(|time| Timestamp::from_microsecond(time).ok()) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        None => format!("{time_us} µs"),
    }
}

/// Formats a measured duration.
pub(super) fn duration(ns: Option<u64>) -> String {
    ns.map_or_else(|| "–".to_owned(), |ns| monitor_duration::rounded(Duration::from_nanos(ns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_text_is_escaped_in_html() {
        assert_eq!(Text("<img src=x onerror='a(\"1\")'>&").to_string(), "&lt;img src=x onerror=&#39;a(&quot;1&quot;)&#39;&gt;&amp;");
        assert_eq!(Text("a\u{202e}b\0c\u{7f}\n导入").to_string(), "a‹U+202E›b␀c‹U+007F›\n导入");
    }

    #[test]
    fn durations_and_times_are_short() {
        assert_eq!(duration(Some(41_200_000_000)), "41.2 s");
        assert_eq!(duration(None), "–");
        assert_eq!(moment(Some(0)), "1970-01-01 00:00:00 UTC");
        assert_eq!(moment(Some(u64::MAX)), "18446744073709551615 µs");
    }
}
