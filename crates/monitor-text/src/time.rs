//! Compact formats of times, durations and sizes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Returns the current time in Unix microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Formats Unix microseconds in local time.
pub fn moment(time_us: u64) -> String {
    moment_as("%Y-%m-%d %H:%M:%S", time_us)
}

/// Like [`moment`], with milliseconds.
pub fn exact_moment(time_us: u64) -> String {
    moment_as("%Y-%m-%d %H:%M:%S%.3f", time_us)
}

fn moment_as(format: &str, time_us: u64) -> String {
    let time = i64::try_from(time_us).ok().and_then(|time| Timestamp::from_microsecond(time).ok());
    match time {
        Some(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        // Out of the calendar's range; the value was received from outside.
        None => format!("{time_us} µs"),
    }
}

/// Formats a duration: `12.3 ms`, `12 m 40 s`.
pub fn duration(ns: u64) -> String {
    monitor_duration::rounded(Duration::from_nanos(ns))
}

/// Formats a number with thousands separators: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats a count with its word: `1,204 trees`, `1 process`.
pub fn counted(count: u64, word: &str) -> String {
    let plural = if word.ends_with('s') { "es" } else { "s" };
    format!("{} {word}{}", thousands(count), if count == 1 { "" } else { plural })
}

/// Formats a size.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.95 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fit_their_columns() {
        let most = (0..63).map(|bit| 1 << bit).chain([59_900_000_000, 3_599_000_000_000, 86_340_000_000_000, 8_636_400_000_000_000]);
        let below = most.filter(|ns| *ns <= 8_636_400_000_000_000);
        assert_eq!(below.map(|ns| crate::width(&duration(ns))).max(), Some(crate::DURATION_COLUMNS));
    }

    #[test]
    fn any_number_is_formatted() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert!(!moment(u64::MAX).is_empty() && !moment(0).is_empty());
    }
}
