//! Durations as text. Definitions, settings, command-line options and attributes all accept the same grammar:
//!
//! ```text
//! duration = part { part }
//! part     = number unit
//! number   = digits with an optional decimal point
//! unit     = ns | us | ms | s | m | h | d | w
//! ```
//!
//! A duration is the sum of its parts: `500ms`, `90s`, `1.5h`, `1h30m`. White space may surround numbers and units, so `1h 30m` and the
//! form of [`rounded`] are accepted, too. The page accepts the same grammar in `crates/monitor-web/app/src/model/duration.ts`. The tests of
//! both read `cases.txt`.
//!
//! No library fits. humantime refuses `1.5h`, and its months and years have fractions of days. The friendly format of jiff accepts days
//! only relative to a date. Both also accept forms that the page would have to accept, such as `2 hours, 5 minutes`.
#![forbid(unsafe_code)]

use std::fmt::{self, Write as _};
use std::time::Duration;

/// Longest duration that is accepted: a hundred years. A time plus a duration is then still a valid time.
pub const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

const MICROSECOND: u128 = 1_000;
const MILLISECOND: u128 = 1_000_000;
const SECOND: u128 = 1_000_000_000;
const MINUTE: u128 = 60 * SECOND;
const HOUR: u128 = 60 * MINUTE;
const DAY: u128 = 24 * HOUR;

/// Units from the largest to the smallest, with their lengths in nanoseconds.
const UNITS: [(&str, u128); 8] =
    [("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE), ("s", SECOND), ("ms", MILLISECOND), ("us", MICROSECOND), ("ns", 1)];

/// Other spellings of units. U+00B5 and U+03BC look alike, and the page shows U+03BC.
const SPELLINGS: [(&str, &str); 2] = [("\u{b5}s", "us"), ("\u{3bc}s", "us")];

/// Decimal places that are read. Any further place is less than a nanosecond, also of a week.
const MOST_PLACES: usize = 15;

/// A text that is not a duration. The message names the expected form; the caller adds the text and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A number or a unit is missing or malformed.
    Malformed,
    /// A number has no unit.
    NoUnit {
        /// The number.
        number: String,
    },
    /// There is no such unit.
    UnknownUnit {
        /// The beginning of what follows the number.
        unit: String,
    },
    /// The duration is zero where it must be longer.
    Zero,
    /// The duration is longer than [`LONGEST`].
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXPECTED: &str = "expected a duration such as 500ms, 90s, 1h30m or 7d";

        match self {
            Self::Malformed => f.write_str(EXPECTED),
            Self::NoUnit { number } => write!(f, "{EXPECTED}: {number} has no unit"),
            Self::UnknownUnit { unit } => write!(f, "{EXPECTED}: {unit:?} is none of the units us, ms, s, m, h, d and w"),
            Self::Zero => write!(f, "{EXPECTED}, and not 0s"),
            Self::TooLong => write!(f, "expected a duration of at most {}, which is a hundred years", write(LONGEST)),
        }
    }
}

impl std::error::Error for Error {}

/// Reads a duration such as `500ms`, `1.5h` or `1h30m`. It may be `0s`.
///
/// # Errors
/// The text is not a duration, or longer than [`LONGEST`].
///
/// ```
/// # use std::time::Duration;
/// assert_eq!(monitor_duration::read("1h30m"), Ok(Duration::from_secs(5_400)));
/// let error = monitor_duration::read("2 hours").unwrap_err();
/// assert!(error.to_string().starts_with("expected a duration such as 500ms, 90s, 1h30m or 7d"));
/// ```
pub fn read(text: &str) -> Result<Duration, Error> {
    let mut rest = text.trim();
    let mut sum = 0;
    loop {
        let (number, after) = split(rest, |c| !c.is_ascii_digit() && c != '.');
        let (unit, after) = split(after.trim_start(), |c| c.is_ascii_digit() || c == '.' || c.is_whitespace());
        let nanos = nanoseconds(number, unit)?;
        sum = nanos.and_then(|nanos| nanos.checked_add(sum)).filter(|sum| *sum <= LONGEST.as_nanos()).ok_or(Error::TooLong)?;
        rest = after.trim_start();
        if rest.is_empty() {
            // LONGEST has fewer nanoseconds than fit into 64 bits.
            return Ok(Duration::from_nanos(sum as u64));
        }
    }
}

/// Reads a duration like [`read`], but refuses zero.
///
/// # Errors
/// The text is not a duration, is zero, or is longer than [`LONGEST`].
pub fn read_positive(text: &str) -> Result<Duration, Error> {
    read(text).and_then(|duration| if duration.is_zero() { Err(Error::Zero) } else { Ok(duration) })
}

/// Whole milliseconds of a duration, rounded up: a duration that isn't zero has one at least.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(MILLISECOND)).unwrap_or(u64::MAX)
}

/// Splits a text before the first character that ends its first word.
fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Length of a part in whole nanoseconds. `None` if it is too long for 128 bits.
fn nanoseconds(number: &str, unit: &str) -> Result<Option<u128>, Error> {
    let (whole, places) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && places.is_empty()) || places.contains('.') {
        return Err(Error::Malformed);
    }
    if unit.is_empty() {
        return Err(Error::NoUnit { number: shortened(number) });
    }
    let name = SPELLINGS.iter().find(|(spelling, _)| *spelling == unit).map_or(unit, |(_, name)| name);
    let known = UNITS.iter().find(|(known, _)| *known == name);
    let (_, length) = known.ok_or_else(|| Error::UnknownUnit { unit: shortened(unit) })?;
    // Only digits are left, so that a number that can't be parsed is too large or empty.
    let parse = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let places = &places[..places.len().min(MOST_PLACES)];
    let part = parse(places).map(|tail| tail * length / 10u128.pow(places.len() as u32));
    Ok(parse(whole).and_then(|whole| whole.checked_mul(*length)?.checked_add(part?)))
}

fn shortened(text: &str) -> String {
    const MOST: usize = 20;

    if text.chars().count() <= MOST { text.to_owned() } else { text.chars().take(MOST).chain(['…']).collect() }
}

/// Writes a duration exactly, as settings and definitions have it: `1h30m`, `1s500ms`. [`read`] returns the same duration.
///
/// ```
/// assert_eq!(monitor_duration::write(std::time::Duration::from_secs(5_400)), "1h30m");
/// ```
pub fn write(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    let mut text = String::new();
    // Days are easier to compare than weeks and days.
    for (unit, length) in UNITS.into_iter().filter(|(unit, _)| *unit != "w") {
        if left >= length {
            let _ = write!(text, "{}{unit}", left / length);
            left %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a measured duration for people, with two or three significant digits or two units: `840 ns`, `12.3 ms`, `41.2 s`, `12 m 40 s`,
/// `3 h 05 m`, `2 d 03 h`. The page shows the same (`crates/monitor-web/app/src/model/time.ts`).
///
/// ```
/// assert_eq!(monitor_duration::rounded(std::time::Duration::from_secs(760)), "12 m 40 s");
/// ```
pub fn rounded(duration: Duration) -> String {
    let ns = duration.as_nanos();
    let divided = |unit: u128| (ns + unit / 2) / unit;
    let tenths = |unit: u128, name: &str| {
        let tenths = divided(unit / 10);
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    };
    let scaled = |unit: u128, name: &str| if ns < unit * 9_995 / 100 { tenths(unit, name) } else { format!("{} {name}", divided(unit)) };
    let pair = |unit: u128, base: u128, [large, small]: [&str; 2]| {
        let total = divided(unit);
        format!("{} {large} {:02} {small}", total / base, total % base)
    };
    // Each form ends where rounding would reach the next one.
    if ns < MICROSECOND {
        format!("{ns} ns")
    } else if ns < MILLISECOND - MICROSECOND / 2 {
        scaled(MICROSECOND, "µs")
    } else if ns < SECOND - MILLISECOND / 2 {
        scaled(MILLISECOND, "ms")
    } else if ns < MINUTE - SECOND / 20 {
        tenths(SECOND, "s")
    } else if ns < HOUR - SECOND / 2 {
        pair(SECOND, 60, ["m", "s"])
    } else if ns < DAY - MINUTE / 2 {
        pair(MINUTE, 60, ["h", "m"])
    } else {
        pair(HOUR, 24, ["d", "h"])
    }
}
