//! How many signs make an alert.

use std::time::Duration;

use monitor_tasks::duration;
use serde::{Serialize, Serializer};

/// The longest time that signs are counted within, and that a rule may look back: signs are kept for 90 days.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// How many signs make an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// So many in a row: a run that ends well begins anew.
    InARow(u32),
    /// So many within a time.
    Within(u32, Duration),
}

impl Default for Times {
    fn default() -> Self {
        Self::InARow(1)
    }
}

impl Times {
    /// Reads `3`, or `5 within 10m`.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a number such as 3, or \"5 within 10m\" is expected".to_owned();
        let number = |text: &str| text.trim().parse::<u32>().ok().filter(|number| (1..=1_000).contains(number)).ok_or_else(expected);
        let Some((count, window)) = text.split_once(" within ") else { return number(text).map(Self::InARow) };
        let window = duration::read(window)?;
        if window.is_zero() {
            return Err(expected());
        }
        if window > LONGEST {
            return Err("signs are counted within at most 30d".to_owned());
        }
        Ok(Self::Within(number(count)?, window))
    }

    pub(super) fn is_one(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InARow(count) => write!(f, "{count}"),
            Self::Within(count, window) => write!(f, "{count} within {}", duration::write(*window)),
        }
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::InARow(count) => serializer.serialize_u32(*count),
            Self::Within(..) => serializer.collect_str(self),
        }
    }
}
