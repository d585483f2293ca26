//! How long to wait before the next try: doubling, with jitter, so that a thousand programs don't come back at once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Tries so far, since the last success.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It worked: the next failure waits briefly again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure: half of it fixed, half by chance, and never less than the server asked for.
    pub(super) fn next(&mut self, retry_after: Option<Duration>) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        let chance = RandomState::new().hash_one(self.failures) % 1_000;
        let wait = full / 2 + full.mul_f64(chance as f64 / 2_000.0);
        // A server that asks for a day is a mistake somewhere: it would look like a loss.
        wait.max(retry_after.unwrap_or_default().min(LONGEST * 6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_within_bounds_and_obey_the_server() {
        let mut backoff = Backoff::default();
        for full_ms in [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000] {
            let wait = backoff.next(None).as_millis();
            assert!((full_ms / 2..=full_ms).contains(&wait), "{wait} of {full_ms}");
        }
        assert_eq!(backoff.next(Some(Duration::from_secs(30))), Duration::from_secs(30));
        assert_eq!(backoff.next(Some(Duration::from_secs(86_400))), Duration::from_secs(60));
        backoff.reset();
        assert!(backoff.next(None) <= Duration::from_millis(100));
    }

    #[test]
    fn two_programs_do_not_wait_alike() {
        let waits: std::collections::HashSet<_> = (0..20).map(|_| Backoff { failures: 7 }.next(None)).collect();
        assert!(waits.len() > 1, "{waits:?}");
    }
}
