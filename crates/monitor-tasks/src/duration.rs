//! Durations as people write them: `500ms`, `90s`, `10m`, `2h`, `1d`.

use std::fmt::Write as _;
use std::time::Duration;

/// Longest duration that is taken: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Units from the largest to the smallest, with their length in nanoseconds.
const UNITS: [(&str, u128); 5] =
    [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];

/// Reads a duration such as `90s`, `1.5h` or `1h30m`.
///
/// # Errors
/// What was expected, if it is none.
pub fn read(text: &str) -> Result<Duration, String> {
    match parts(text.trim()) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err(format!("expected a duration of at most {}, which is a hundred years", write(LONGEST))),
        None => Err("expected a duration such as 500ms, 30s, 10m, 2h or 1d".to_owned()),
    }
}

fn parts(mut text: &str) -> Option<Duration> {
    if text.is_empty() || text.len() > 40 {
        return None;
    }
    let mut sum = Duration::ZERO;
    while !text.is_empty() {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(unit_at);
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(end);
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let number: f64 = number.parse().ok()?;
        sum = sum.checked_add(Duration::try_from_secs_f64(number * (*nanos as f64 / 1e9)).ok()?)?;
        text = rest;
    }
    Some(sum)
}

/// Writes a duration as [`read`] reads it.
pub fn write(duration: Duration) -> String {
    let mut left = duration.as_nanos() / 1_000_000 * 1_000_000;
    let mut text = String::new();
    for (unit, nanos) in UNITS {
        if left >= nanos {
            let _ = write!(text, "{}{unit}", left / nanos);
            left %= nanos;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in
            [("500ms", 500), ("90s", 90_000), ("1.5h", 5_400_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("0s", 0), (" 10m ", 600_000)]
        {
            assert_eq!(read(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(read(&write(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-1s",
            "1s2",
            "1 s",
            "5 minutes",
            "1..5s",
            "NaNs",
            "infs",
            "1e9s",
            "99999999999999999999d",
            "101d1000000h",
            "五分",
        ] {
            assert!(read(text).unwrap_err().contains("expected a duration"), "{text}");
        }
    }
}
