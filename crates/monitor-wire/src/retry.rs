//! Retries of requests to a server: the statuses that are retried, and the waits between retries. All clients follow these rules.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// Maximum wait that a server can request with `Retry-After`. A longer wait is likely a mistake in the server or a proxy, and the data that
/// waits would look lost.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Returns true if the same request may succeed later without any change: for the statuses 408, 429 and 500 to 599. A proxy may send them as
/// well as the server.
///
/// ```
/// assert!(monitor_wire::is_temporary(503) && monitor_wire::is_temporary(408));
/// assert!(!monitor_wire::is_temporary(404) && !monitor_wire::is_temporary(200));
/// ```
pub fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// Parses a `Retry-After` header in seconds, and limits it to [`LONGEST_RETRY_AFTER`]. Returns `None` for any other value, such as a date.
pub fn retry_after(header: &str) -> Option<Duration> {
    let text = header.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for `u64` is valid, and is limited as well.
    is_number.then(|| text.parse().map_or(LONGEST_RETRY_AFTER, Duration::from_secs).min(LONGEST_RETRY_AFTER))
}

/// Waits between retries. They double and have jitter, so that many clients don't retry at the same time.
#[derive(Debug, Default, Clone)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Resets the next wait to the first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Returns the next wait, a random time between half of an upper bound and the bound. The bound is `first` for the first wait and doubles
    /// with each call, up to `longest` and to 1,024 times `first`.
    pub fn next(&mut self, first: Duration, longest: Duration) -> Duration {
        let full = first.saturating_mul(1 << self.failures.min(10)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let chance = RandomState::new().hash_one(self.failures) % 1_000;
        full / 2 + full.mul_f64(chance as f64 / 2_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_temporary_failures_are_retried() {
        for status in 0..=999 {
            assert_eq!(is_temporary(status), status == 408 || status == 429 || status / 100 == 5, "{status}");
        }
    }

    #[test]
    fn seconds_are_read_and_nothing_else() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (header, expected) in [
            ("0", seconds(0)),
            (" 7 ", seconds(7)),
            ("60", seconds(60)),
            ("61", seconds(60)),
            ("99999999999999999999999999", seconds(60)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("Sun, 22 Nov 2026 00:00:00 GMT", None),
        ] {
            assert_eq!(retry_after(header), expected, "{header:?}");
        }
    }

    #[test]
    fn waits_double_within_bounds_and_differ() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(10));
        let mut backoff = Backoff::default();
        for full_ms in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000] {
            let wait = backoff.next(first, longest).as_millis();
            assert!((full_ms / 2..=full_ms).contains(&wait), "{wait} of {full_ms}");
        }
        backoff.reset();
        assert!(backoff.next(first, longest) <= first);
        let waits: std::collections::HashSet<_> = (0..20).map(|_| Backoff { failures: 7 }.next(first, longest)).collect();
        assert!(waits.len() > 1, "{waits:?}");
    }
}
