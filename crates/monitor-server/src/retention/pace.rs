//! How much of the writer's time goes to deleting trees: a third, as long as that is enough. While what is held grows all the same, more
//! and more, and batches wait for it. So caps hold however fast trees come in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The least and the most of the writer's time.
const GENTLE: f64 = 1.0 / 3.0;
const MOST: f64 = 0.95;
/// It rises by so much whenever so much more is held, as a part of all, than at its last rise or at the least since.
const RISE: f64 = 0.1;
const GROWN: f64 = 0.05;
/// A look so often.
const LOOK: Duration = Duration::from_millis(100);
/// A pass that begins so soon after the last one keeps its pace.
const SOON: Duration = Duration::from_secs(1);
/// A step takes so long at most, when it has most of the time.
const LONGEST: Duration = Duration::from_millis(500);
/// So many trees are dropped in a transaction, and at most so many.
const TREES: f64 = 250.0;
const MOST_TREES: f64 = 4_000.0;
/// A pass that takes longer is told of, again and again.
const LONG: Duration = Duration::from_secs(10);
/// That batches wait is said at most so often.
const AGAIN: Duration = Duration::from_secs(60);

/// Shared by those who delete.
pub(super) struct Pace {
    state: Mutex<State>,
}

struct State {
    share: f64,
    begun: Instant,
    looked: Instant,
    said: Instant,
    /// What was held when the share last rose, or the least since: processes, or bytes.
    least: Option<u64>,
    dropped: usize,
    /// When the last pass ended.
    ended: Option<Instant>,
    /// When it was last said that batches wait.
    warned: Option<Instant>,
    /// When it was last said how many trees brief passes have dropped, and how many they have dropped since.
    told: Option<Instant>,
    untold: usize,
}

impl State {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            share: GENTLE,
            begun: now,
            looked: now,
            said: now,
            least: None,
            dropped: 0,
            ended: None,
            warned: None,
            told: None,
            untold: 0,
        }
    }

    fn begin(&mut self) {
        let is_soon = self.ended.is_some_and(|ended| ended.elapsed() < SOON);
        let share = if is_soon { self.share } else { GENTLE };
        let Self { warned, told, untold, .. } = *self;
        *self = Self { share, warned, told, untold, ..Self::new() };
    }
}

/// How long a step takes, and what of the time is for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    share: f64,
    /// It goes on for so long.
    pub(super) time: Duration,
}

impl Step {
    /// Nobody waits for it longer than for one transaction.
    pub(super) const GENTLE: Self = Self { share: GENTLE, time: Duration::ZERO };

    /// For so long the writer is left to others, after a step that took so long.
    pub(super) fn pause(self, took: Duration) -> Duration {
        took.mul_f64((1.0 - self.share) / self.share)
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { state: Mutex::new(State::new()) }
    }
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pass begins.
    pub(super) fn begin(&self) {
        self.lock().begin();
    }

    /// It is time for a look.
    pub(super) fn is_time(&self) -> bool {
        self.lock().looked.elapsed() >= LOOK
    }

    /// Hears how much is held now, and how many trees the pass has dropped.
    pub(super) fn look(&self, held: u64, dropped: usize) {
        let mut state = self.lock();
        state.looked = Instant::now();
        state.dropped = state.dropped.max(dropped);
        let least = state.least.map_or(held, |least| least.min(held));
        let has_grown = held as f64 > least as f64 * (1.0 + GROWN);
        state.least = Some(if has_grown { held } else { least });
        if has_grown {
            state.share = (state.share + RISE).min(MOST);
            if state.warned.is_none_or(|warned| warned.elapsed() >= AGAIN) {
                state.warned = Some(state.looked);
                tracing::warn!(
                    "more comes in than the rules of retention allow to keep and than is deleted beside it: batches wait longer until that \
                     is made up for"
                );
            }
        }
        if state.said.elapsed() >= LONG {
            state.said = Instant::now();
            tracing::info!(
                seconds = state.begun.elapsed().as_secs(),
                trees = state.dropped,
                held,
                share = format!("{:.0} %", 100.0 * state.share),
                "still drops what is no longer kept"
            );
        }
    }

    /// The next step.
    pub(super) fn step(&self) -> Step {
        let share = self.lock().share;
        Step { share, time: LONGEST.mul_f64((share - GENTLE) / (MOST - GENTLE)) }
    }

    /// How many trees are dropped at once.
    pub(super) fn trees(&self) -> usize {
        let excess = (self.lock().share - GENTLE) / (MOST - GENTLE);
        (TREES + (MOST_TREES - TREES) * excess) as usize
    }

    /// A pass ends that has dropped so many trees.
    pub(super) fn end(&self, dropped: usize) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        let took = state.begun.elapsed();
        state.untold += if took >= LONG { 0 } else { dropped };
        if took >= LONG {
            tracing::info!(trees = dropped, seconds = took.as_secs(), "dropped what is no longer kept, which took long");
        } else if state.untold > 0 && state.told.is_none_or(|told| told.elapsed() >= LONG) {
            tracing::info!(trees = state.untold, "dropped what is no longer kept");
            (state.told, state.untold) = (state.ended, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_share_rises_while_more_is_held_and_stays_until_the_pass_ends() {
        let pace = Pace::default();
        pace.begin();
        pace.look(1_000, 0);
        pace.look(900, 0);
        assert_eq!((pace.step(), pace.trees()), (Step::GENTLE, 250), "it goes down: nobody has to wait");
        pace.look(940, 0);
        assert_eq!(pace.step(), Step::GENTLE, "some more is nothing yet");
        for rise in 0..8 {
            pace.look(1_000 + 100 * rise, 0);
        }
        let step = pace.step();
        assert_eq!((step.time, pace.trees()), (LONGEST, 4_000));
        assert!(step.pause(LONGEST) < LONGEST / 10);
        pace.look(10, 0);
        assert_eq!(pace.step(), step, "until it is made up for");
        pace.end(0);
        pace.begin();
        assert_eq!(pace.step(), step, "a pass that follows at once goes on so");
        pace.lock().ended = Instant::now().checked_sub(2 * SOON);
        pace.begin();
        assert_eq!(pace.step().pause(LONGEST), 2 * LONGEST);
    }

    /// The lines that `work` logs.
    fn logged(work: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Arc::new(file.reopen().unwrap())).finish();
        tracing::subscriber::with_default(subscriber, work);
        std::fs::read_to_string(file.path()).unwrap()
    }

    #[test]
    fn a_pass_that_takes_long_and_batches_that_wait_are_logged() {
        let pace = Pace::default();
        let has_taken_long = || {
            let mut state = pace.lock();
            let before = Instant::now().checked_sub(LONG).expect("the machine has run for longer");
            (state.begun, state.said) = (before, before);
        };
        let brief = logged(|| {
            pace.begin();
            pace.look(1_000, 250);
            pace.look(900, 500);
            pace.end(500);
        });
        assert!(brief.lines().count() == 1 && brief.contains("dropped what is no longer kept trees=500"), "{brief}");
        let briefs = logged(|| {
            for _ in 0..3 {
                pace.begin();
                pace.end(10);
            }
            pace.lock().told = Instant::now().checked_sub(LONG);
            pace.end(10);
        });
        assert!(briefs.lines().count() == 1 && briefs.contains("dropped what is no longer kept trees=40"), "{briefs}");
        let long = logged(|| {
            pace.begin();
            pace.look(1_000, 0);
            has_taken_long();
            pace.look(1_100, 250);
            pace.look(1_200, 260);
            has_taken_long();
            pace.look(1_300, 270);
            has_taken_long();
            pace.end(300);
        });
        let lines: Vec<_> = long.lines().collect();
        let [waits, first, second, end] = lines[..] else { panic!("{long}") };
        assert!(waits.contains(" WARN ") && waits.contains("batches wait longer"), "{waits}");
        for (line, trees, held) in [(first, 250, 1_100), (second, 270, 1_300)] {
            assert!(line.contains(&format!("still drops what is no longer kept seconds=10 trees={trees} held={held} share=")), "{line}");
        }
        assert!(end.contains("which took long trees=300 seconds=10"), "{end}");
        assert!(!logged(|| pace.look(1_400, 270)).contains("batches wait"), "it is not said again within a minute");
    }
}
