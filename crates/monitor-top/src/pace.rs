//! Timing of requests and drawing, so that both use a bounded share of the processor.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum interval between drawings, for new data and for keys.
const DATA_PAUSE: Duration = Duration::from_millis(100);
const KEY_PAUSE: Duration = Duration::from_millis(15);
/// Interval of drawing while running durations are visible.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);
/// Minimum interval between requests of a list. If a request took long, the pause is `REST` times its duration.
const ASK_PAUSE: Duration = Duration::from_millis(500);
const REST: u32 = 9;
/// Maximum interval of retries if the server is unreachable. The interval starts with `ASK_PAUSE` and doubles.
const LONGEST_AWAY_PAUSE: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(crate) struct Pace {
    drawn: Instant,
    draw_at: Option<Instant>,
    ask_after: Instant,
    away_pause: Duration,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { drawn: now, draw_at: Some(now), ask_after: now, away_pause: ASK_PAUSE }
    }

    /// Returns the time of the next drawing, if one is pending.
    pub(crate) fn draw_at(&self) -> Option<Instant> {
        self.draw_at
    }

    pub(crate) fn key_came(&mut self) {
        self.draw_by(self.drawn + KEY_PAUSE);
    }

    pub(crate) fn data_came(&mut self) {
        self.draw_by(self.drawn + DATA_PAUSE);
    }

    fn draw_by(&mut self, at: Instant) {
        self.draw_at = Some(self.draw_at.map_or(at, |known| known.min(at)));
    }

    /// Records a drawing. `goes_on` is true if the screen shows a running duration.
    pub(crate) fn drew(&mut self, now: Instant, goes_on: bool) {
        (self.drawn, self.draw_at) = (now, goes_on.then(|| now + CLOCK_PAUSE));
    }

    /// Returns the time at which the question may be repeated.
    pub(crate) fn ask_after(&self) -> Instant {
        self.ask_after
    }

    /// Permits an immediate request, because the question has changed.
    pub(crate) fn ask_at_once(&mut self, now: Instant) {
        (self.ask_after, self.away_pause) = (now, ASK_PAUSE);
    }

    /// Records an answer or a failure.
    pub(crate) fn answered(&mut self, asked: Instant, now: Instant, is_away: bool) {
        if is_away {
            self.ask_after = now + self.away_pause;
            self.away_pause = (2 * self.away_pause).min(LONGEST_AWAY_PAUSE);
        } else {
            self.away_pause = ASK_PAUSE;
            self.ask_after = now + ASK_PAUSE.max(REST * (now - asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_drawn_ten_times_a_second_and_only_if_something_changed() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        assert_eq!(pace.draw_at(), Some(start));
        pace.drew(start, false);
        assert_eq!(pace.draw_at(), None);
        pace.data_came();
        pace.data_came();
        assert_eq!(pace.draw_at(), Some(start + DATA_PAUSE));
        pace.key_came();
        assert_eq!(pace.draw_at(), Some(start + KEY_PAUSE));
        pace.drew(start, true);
        assert_eq!(pace.draw_at(), Some(start + CLOCK_PAUSE));
    }

    #[test]
    fn slow_answers_are_requested_less_often() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let later = start + Duration::from_millis(10);
        pace.answered(start, later, false);
        assert_eq!(pace.ask_after(), later + ASK_PAUSE);
        let later = start + Duration::from_millis(200);
        pace.answered(start, later, false);
        assert_eq!(pace.ask_after(), later + 9 * Duration::from_millis(200));
        for seconds in [0.5, 1.0, 2.0, 4.0, 8.0, 8.0] {
            pace.answered(start, later, true);
            assert_eq!(pace.ask_after(), later + Duration::from_secs_f64(seconds));
        }
        pace.ask_at_once(later);
        assert_eq!(pace.ask_after(), later);
    }
}
