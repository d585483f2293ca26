//! Share of the writer thread's time that is spent on deleting runs. A third is used as long as that suffices. While the stored data keeps
//! growing, the share increases and batches wait for it. The caps are therefore enforced however fast runs arrive.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Minimum and maximum share of the writer thread's time.
const GENTLE: f64 = 1.0 / 3.0;
const MOST: f64 = 0.95;
/// The share increases by `RISE` whenever the stored data has grown by the fraction `GROWN` since the last increase or the minimum after
/// it.
const RISE: f64 = 0.1;
const GROWN: f64 = 0.05;
/// Interval of measurements.
const LOOK: Duration = Duration::from_millis(100);
/// A pass that begins within this time after the previous one keeps its share.
const SOON: Duration = Duration::from_secs(1);
/// Maximum duration of a step, at the maximum share.
const LONGEST: Duration = Duration::from_millis(500);
/// Number of runs dropped per transaction at the minimum and at the maximum share.
const TREES: f64 = 250.0;
const MOST_TREES: f64 = 4_000.0;
/// Duration after which the progress of a pass is logged, repeatedly.
const LONG: Duration = Duration::from_secs(10);
/// Minimum time between two warnings that batches wait.
const AGAIN: Duration = Duration::from_secs(60);

/// State shared by the tasks that delete.
pub(super) struct Pace {
    state: Mutex<State>,
}

struct State {
    share: f64,
    begun: Instant,
    looked: Instant,
    said: Instant,
    /// Amount of stored data, in processes or bytes, when the share last rose, or the minimum since.
    least: Option<u64>,
    dropped: usize,
    /// End of the last pass.
    ended: Option<Instant>,
    /// Time of the last warning that batches wait.
    warned: Option<Instant>,
    /// Time at which the runs dropped by short passes were last logged. `untold` is their number since then.
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

/// Duration of a step and its share of the time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    share: f64,
    /// Maximum duration of the step.
    pub(super) time: Duration,
}

impl Step {
    /// Step that consists of a single transaction, so that batches wait for no longer than that.
    pub(super) const GENTLE: Self = Self { share: GENTLE, time: Duration::ZERO };

    /// Returns the time to leave the writer thread to others after a step that took `took`.
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

    /// Begins a pass.
    pub(super) fn begin(&self) {
        self.lock().begin();
    }

    /// True if the next measurement is due.
    pub(super) fn is_time(&self) -> bool {
        self.lock().looked.elapsed() >= LOOK
    }

    /// Updates the share. `held` is the current amount of data, `dropped` the number of runs that the pass has dropped.
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
                "still drops runs by the rules of retention"
            );
        }
    }

    /// Returns the limits of the next step.
    pub(super) fn step(&self) -> Step {
        let share = self.lock().share;
        Step { share, time: LONGEST.mul_f64((share - GENTLE) / (MOST - GENTLE)) }
    }

    /// Returns the number of runs to drop per transaction.
    pub(super) fn trees(&self) -> usize {
        let excess = (self.lock().share - GENTLE) / (MOST - GENTLE);
        (TREES + (MOST_TREES - TREES) * excess) as usize
    }

    /// Ends a pass that has dropped `dropped` runs.
    pub(super) fn end(&self, dropped: usize) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        let took = state.begun.elapsed();
        state.untold += if took >= LONG { 0 } else { dropped };
        if took >= LONG {
            tracing::info!(trees = dropped, seconds = took.as_secs(), "dropped runs by the rules of retention, which took long");
        } else if state.untold > 0 && state.told.is_none_or(|told| told.elapsed() >= LONG) {
            tracing::info!(trees = state.untold, "dropped runs by the rules of retention");
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

    /// Returns the lines that `work` logs.
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
        assert!(brief.lines().count() == 1 && brief.contains("dropped runs by the rules of retention trees=500"), "{brief}");
        let briefs = logged(|| {
            for _ in 0..3 {
                pace.begin();
                pace.end(10);
            }
            pace.lock().told = Instant::now().checked_sub(LONG);
            pace.end(10);
        });
        assert!(briefs.lines().count() == 1 && briefs.contains("dropped runs by the rules of retention trees=40"), "{briefs}");
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
            assert!(
                line.contains(&format!("still drops runs by the rules of retention seconds=10 trees={trees} held={held} share=")),
                "{line}"
            );
        }
        assert!(end.contains("which took long trees=300 seconds=10"), "{end}");
        assert!(!logged(|| pace.look(1_400, 270)).contains("batches wait"), "it is not said again within a minute");
    }
}
