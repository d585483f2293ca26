//! Number of signs that fire an alert: in a row, within a time, or as a share of failed calls.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Maximum length of a window. Signs are kept for 90 days.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);
/// Resolution of the call counts.
const MINUTE: Duration = Duration::from_secs(60);

/// Condition on the number of signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Consecutive signs. A successful run resets the count.
    InARow(u32),
    /// Signs within a time.
    Within(u32, Duration),
    /// Percentage of failed calls among the calls that ended within a time.
    Share(u32, Duration),
}

impl Default for Times {
    fn default() -> Self {
        Self::InARow(1)
    }
}

impl Times {
    /// Reads `3`, `5 within 10m`, or `5% within 10m`.
    ///
    /// # Errors
    /// The expected syntax.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a number such as 3, \"5 within 10m\" or \"5% within 10m\" is expected".to_owned();
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| (1..=1_000).contains(number)).ok_or_else(expected);
        let Some((count, window)) = text.split_once(" within ") else { return number(text).map(Self::InARow) };
        let window = monitor_duration::read(window).map_err(|expected| expected.to_string())?;
        if window.is_zero() {
            return Err(expected());
        }
        if window > LONGEST {
            return Err("signs are counted within at most 30d".to_owned());
        }
        let Some(share) = count.trim().strip_suffix('%') else { return Ok(Self::Within(number(count)?, window)) };
        let percent = number(share).ok().filter(|percent| *percent <= 100).ok_or("from 1% to 100% is expected")?;
        if window < MINUTE {
            return Err("a share is that of at least 1m".to_owned());
        }
        Ok(Self::Share(percent, window))
    }

    /// Returns true if `failed` of `calls` reach the share. Always false while there are so few calls that a single failure would exceed
    /// the share.
    pub fn is_share(&self, failed: u64, calls: u64) -> bool {
        let Self::Share(percent, _) = self else { return false };
        let percent = u128::from(*percent);
        failed > 0 && u128::from(calls) * percent >= 100 && u128::from(failed) * 100 >= u128::from(calls) * percent
    }

    pub(super) fn is_one(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count}"),
            Self::Within(count, window) => write!(f, "{count} within {}", monitor_duration::write(*window)),
            Self::Share(percent, window) => write!(f, "{percent}% within {}", monitor_duration::write(*window)),
        }
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::InARow(count) => serializer.serialize_u32(*count),
            Self::Within(..) | Self::Share(..) => serializer.collect_str(self),
        }
    }
}
