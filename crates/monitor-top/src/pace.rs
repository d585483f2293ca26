//! When something is asked for again and drawn again, so that both take a bounded part of a processor.

use std::time::Duration;

use tokio::time::Instant;

/// The screen is drawn at most so often, but for a key.
const DATA_PAUSE: Duration = Duration::from_millis(100);
const KEY_PAUSE: Duration = Duration::from_millis(15);
/// What goes on is drawn again after so long.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);
/// A list is read again after so long at the earliest, and after this many times what reading it took.
const ASK_PAUSE: Duration = Duration::from_millis(500);
const REST: u32 = 9;
/// A server that is away is asked again after so long, then after twice as long, and so on.
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

    /// When to draw next, if there is something to be drawn.
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

    /// It was drawn; `goes_on` says that it shows something that is another one a second later.
    pub(crate) fn drew(&mut self, now: Instant, goes_on: bool) {
        (self.drawn, self.draw_at) = (now, goes_on.then(|| now + CLOCK_PAUSE));
    }

    /// When the same may be asked for again.
    pub(crate) fn ask_after(&self) -> Instant {
        self.ask_after
    }

    /// Something else is wanted: that is asked for at once.
    pub(crate) fn ask_at_once(&mut self, now: Instant) {
        (self.ask_after, self.away_pause) = (now, ASK_PAUSE);
    }

    /// An answer came, or that there is none.
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
    fn what_takes_long_is_asked_for_less_often() {
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
