//! Limits how often a persistent error is logged.

use std::time::{Duration, Instant};

/// Time until the same error is logged again. The time doubles after each repetition, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// A persistent error. It is logged when it begins, when its text changes, and then at increasing intervals.
#[derive(Debug, Default)]
pub(crate) struct Telling(Option<Told>);

#[derive(Debug)]
struct Told {
    words: String,
    at: Instant,
    pause: Duration,
}

impl Telling {
    /// Returns true if the error should be logged now.
    pub(crate) fn is_due(&mut self, words: &str, now: Instant) -> bool {
        let pause = match &self.0 {
            Some(told) if told.words == words && now < told.at + told.pause => return false,
            Some(told) if told.words == words => (2 * told.pause).min(LONGEST_PAUSE),
            _ => FIRST_PAUSE,
        };
        self.0 = Some(Told { words: words.to_owned(), at: now, pause });
        true
    }

    /// Ends the error. Returns true if it was logged.
    pub(crate) fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_error_is_logged_less_and_less_often_and_a_new_error_at_once() {
        let (mut telling, begin) = (Telling::default(), Instant::now());
        let mut told = |from: u64, to: u64, words: &str| {
            (from..to).filter(|at| telling.is_due(words, begin + Duration::from_secs(*at))).collect::<Vec<_>>()
        };
        assert_eq!(told(0, 500, "refused"), [0, 60, 180, 420]);
        assert_eq!(told(500, 600, "no certificate"), [500, 560]);
        let day = told(600, 87_000, "no certificate");
        assert!(day.len() < 30 && day.windows(2).all(|pair| pair[1] - pair[0] <= 3600), "{day:?}");
        assert!(telling.is_over() && !telling.is_over());
        assert!(telling.is_due("no certificate", begin), "a trouble that comes back is told at once");
    }
}
