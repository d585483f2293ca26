//! Times, durations and sizes, short enough to compare at a glance.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The time of day.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// A time of Unix microseconds on the clock on the wall.
pub fn moment(time_us: u64) -> String {
    moment_as("%Y-%m-%d %H:%M:%S", time_us)
}

/// Like [`moment`], to the millisecond.
pub fn exact_moment(time_us: u64) -> String {
    moment_as("%Y-%m-%d %H:%M:%S%.3f", time_us)
}

fn moment_as(format: &str, time_us: u64) -> String {
    let time = i64::try_from(time_us).ok().and_then(|time| Timestamp::from_microsecond(time).ok());
    match time {
        Some(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        // Further off than any calendar; it came from somewhere.
        None => format!("{time_us} µs"),
    }
}

/// Two or three digits that count, and their unit.
pub fn duration(ns: u64) -> String {
    let fraction = |unit: u64, name: &str| {
        let value = ns as f64 / unit as f64;
        let digits = usize::from(value < 99.95) + usize::from(value < 9.995);
        format!("{value:.digits$} {name}")
    };
    // Each step begins where the step before would round to its end.
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..999_500 => fraction(1_000, "µs"),
        999_500..999_500_000 => fraction(1_000_000, "ms"),
        999_500_000..59_950_000_000 => fraction(1_000_000_000, "s"),
        _ => {
            let seconds = (ns / 1_000_000_000).max(60);
            let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
            match (days, hours) {
                (0, 0) => format!("{minutes}m {:02}s", seconds % 60),
                (0, _) => format!("{hours}h {minutes:02}m"),
                _ => format!("{days}d {hours:02}h"),
            }
        }
    }
}

/// `1234567` as `1,234,567`.
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

/// `1,204 trees`, `1 process`: a count with its word.
pub fn counted(count: u64, word: &str) -> String {
    let plural = if word.ends_with('s') { "es" } else { "s" };
    format!("{} {word}{}", thousands(count), if count == 1 { "" } else { plural })
}

/// A size.
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
    fn durations_are_short() {
        for (ns, expected) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (12_340_000, "12.3 ms"),
            (999_499_999, "999 ms"),
            (3_000_543_210, "3.00 s"),
            (59_949_999_999, "59.9 s"),
            (59_999_999_999, "1m 00s"),
            (185_000_000_000, "3m 05s"),
            (7_380_000_000_000, "2h 03m"),
            (273_600_000_000_000, "3d 04h"),
            (u64::MAX, "213503d 23h"),
        ] {
            assert_eq!(duration(ns), expected, "{ns}");
        }
    }

    #[test]
    fn any_number_has_a_form() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(bytes(1_023), "1023 B");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert!(!moment(u64::MAX).is_empty() && !moment(0).is_empty());
    }
}
