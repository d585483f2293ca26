//! The clock for the ages of runs: the time of day, unless it jumps forward.
//!
//! If the time of day were set a thousand days ahead, every run would become too old at once. The time of day is therefore accepted only as
//! far as a monotonic clock agrees. If it is further ahead, ages continue by the monotonic clock and a warning is logged. After a day, or
//! when an operator confirms it, the time of day is accepted again.
//!
//! A file in the data folder keeps the time across restarts. While the server is not running, the elapsed time is unknown: up to [`OFF_US`]
//! is accepted at once, and more counts as a jump. A server that was off for a month keeps the runs that became too old in that time for
//! one more day.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_store_sqlite::open_private;
use monitor_wire::ClockJump;

use crate::clock::Clock;

/// Tolerated difference between the time of day and the monotonic clock.
const SLACK_US: u64 = 3_600_000_000;
/// Tolerated time during which the server is not running: a weekend with holidays.
const OFF_US: u64 = 4 * DAY_US;
/// Time after which a jump is accepted.
const DAY_US: u64 = 86_400_000_000;
/// Interval of writing the file while no jump begins or ends.
const SAVE_US: u64 = 3_600_000_000;
const FILE: &str = "clock";

/// Clock for the ages of runs, used by several threads.
pub(crate) struct AgeClock {
    clock: Clock,
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// Current time for ages, in Unix microseconds.
    now_us: u64,
    running: Duration,
    /// Time since the time of day has been ahead. `None` if it is not ahead.
    waited_us: Option<u64>,
    saved_us: u64,
}

/// Jump of the time of day that is not accepted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    /// Difference in microseconds.
    pub(crate) ahead_us: u64,
    /// Time until it is accepted, in microseconds.
    pub(crate) rest_us: u64,
}

impl Jump {
    /// Converts the jump to the type of the API.
    pub(crate) fn told(self) -> ClockJump {
        ClockJump { ahead_s: self.ahead_us / 1_000_000, counts_in_s: self.rest_us / 1_000_000 }
    }
}

impl AgeClock {
    /// Continues from the time in the data folder's file. Without a file, it continues from the last activity of the newest run, if there
    /// is one.
    pub(crate) fn open(folder: &Path, newest_us: Option<u64>, clock: Clock) -> Self {
        let file = folder.join(FILE);
        let (wall_us, running) = (clock.wall_us(), clock.running());
        let known = std::fs::read_to_string(&file).ok().and_then(|text| read(&text));
        let (mut now_us, seen_us, mut waited_us) = known.unwrap_or_else(|| {
            let newest_us = newest_us.unwrap_or(wall_us);
            (newest_us, newest_us, None)
        });
        let off_us = wall_us.saturating_sub(seen_us);
        if off_us <= OFF_US {
            now_us += off_us;
            waited_us = waited_us.map(|waited| waited + off_us);
        }
        let state = State { now_us, running, waited_us, saved_us: 0 };
        let opened = Self { clock, file, state: Mutex::new(state) };
        opened.now_us();
        opened
    }

    /// Returns the current time for ages, in Unix microseconds.
    pub(crate) fn now_us(&self) -> u64 {
        let mut state = self.lock();
        let (wall_us, running) = (self.clock.wall_us(), self.clock.running());
        let before = *state;
        state.advance(wall_us, running);
        match (before.waited_us, state.waited_us) {
            (None, Some(_)) => tracing::warn!(
                "the clock is {} ahead of where it should be: until tomorrow trees grow no older by that (if it was set right, \
                 `monitor clock confirm` lets it count at once)",
                words(wall_us - state.now_us)
            ),
            (Some(_), None) => tracing::info!("ages of runs are counted by the time of day again"),
            _ => {}
        }
        if before.waited_us.is_some() != state.waited_us.is_some() || state.now_us.abs_diff(state.saved_us) >= SAVE_US {
            self.save(&mut state, wall_us);
        }
        state.now_us
    }

    /// Returns the jump that is not accepted yet, if there is one.
    pub(crate) fn jump(&self) -> Option<Jump> {
        self.now_us();
        let state = self.lock();
        let rest_us = DAY_US.saturating_sub(state.waited_us?);
        Some(Jump { ahead_us: self.clock.wall_us().saturating_sub(state.now_us), rest_us })
    }

    /// Accepts the time of day.
    pub(crate) fn confirm(&self) {
        let mut state = self.lock();
        let wall_us = self.clock.wall_us();
        if state.waited_us.take().is_some() {
            tracing::info!("the clock is confirmed: ages of runs are counted by it again");
        }
        state.now_us = wall_us;
        state.running = self.clock.running();
        self.save(&mut state, wall_us);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the file. On a full disk the old file remains, which contains an earlier time.
    fn save(&self, state: &mut State, wall_us: u64) {
        state.saved_us = state.now_us;
        let waited = state.waited_us.map_or("-".to_owned(), |waited| waited.to_string());
        let text = format!("{} {wall_us} {waited}\n", state.now_us);
        let new = self.file.with_extension("new");
        let write = || {
            let mut file = open_private(&new)?;
            file.set_len(0)?;
            std::io::Write::write_all(&mut file, text.as_bytes())?;
            std::fs::rename(&new, &self.file)
        };
        if let Err(error) = write() {
            tracing::debug!(%error, path = %self.file.display(), "could not write the time down");
        }
    }
}

impl State {
    fn advance(&mut self, wall_us: u64, running: Duration) {
        let gone_us = running.saturating_sub(self.running).as_micros() as u64;
        self.running = running;
        let now_us = self.now_us.saturating_add(gone_us);
        let waited_us = self.waited_us.map(|waited| waited.saturating_add(gone_us));
        // A time of day that was set back is accepted at once, because nothing becomes older by it.
        if wall_us <= now_us.saturating_add(SLACK_US) || waited_us.is_some_and(|waited| waited >= DAY_US) {
            (self.now_us, self.waited_us) = (wall_us, None);
        } else {
            (self.now_us, self.waited_us) = (now_us, Some(waited_us.unwrap_or(0)));
        }
    }
}

/// Parses the three numbers of the file: the time for ages, the time of day at that moment, and how long that had been ahead.
fn read(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let mut words = text.split_whitespace();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (now_us, wall_us) = (number()?, number()?);
    Some((now_us, wall_us, number()))
}

/// Formats a duration in days, hours or minutes.
fn words(us: u64) -> String {
    let minutes = us / 60_000_000;
    match minutes {
        2_880.. => format!("{} days", minutes / 1_440),
        120.. => format!("{} hours", minutes / 60),
        _ => format!("{minutes} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::steered::Steered;

    const BEGIN_US: u64 = 1_763_600_000_000_000;

    #[test]
    fn a_clock_that_jumps_ahead_is_trusted_after_a_day_or_a_confirmation() {
        for confirm in [false, true] {
            let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
            let age = AgeClock::open(folder.path(), None, hands.clock());
            hands.pass(60_000_000);
            assert_eq!((age.now_us(), age.jump()), (BEGIN_US + 60_000_000, None));
            hands.set(hands.wall_us() + 1_000 * DAY_US);
            assert_eq!(age.now_us(), BEGIN_US + 60_000_000, "trees are no older than before");
            hands.pass(DAY_US / 2);
            assert_eq!(age.now_us(), BEGIN_US + 60_000_000 + DAY_US / 2, "but grow older as time goes by");
            assert_eq!(age.jump(), Some(Jump { ahead_us: 1_000 * DAY_US, rest_us: DAY_US / 2 }));
            if confirm {
                age.confirm();
            } else {
                hands.pass(DAY_US / 2);
            }
            assert_eq!((age.now_us(), age.jump()), (hands.wall_us(), None));
        }
    }

    #[test]
    fn neither_sleep_nor_a_clock_that_is_set_back_is_a_jump() {
        let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
        let age = AgeClock::open(folder.path(), None, hands.clock());
        // The machine sleeps for a month. The monotonic clock includes that time.
        hands.pass(30 * DAY_US);
        assert_eq!((age.now_us(), age.jump()), (BEGIN_US + 30 * DAY_US, None));
        hands.set(BEGIN_US);
        assert_eq!((age.now_us(), age.jump()), (BEGIN_US, None), "set back: nothing is older by it");
        hands.set(BEGIN_US + 30 * DAY_US);
        assert!(age.jump().is_some(), "and forward again: that waits");
    }

    #[test]
    fn a_restart_neither_forgets_a_jump_nor_makes_one_of_a_night() {
        let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
        drop(AgeClock::open(folder.path(), None, hands.clock()));
        hands.set(hands.wall_us() + 3 * DAY_US);
        let age = AgeClock::open(folder.path(), Some(BEGIN_US), hands.clock());
        assert_eq!((age.now_us(), age.jump()), (BEGIN_US + 3 * DAY_US, None), "off for three days");
        hands.set(hands.wall_us() + 1_000 * DAY_US);
        let before = age.now_us();
        drop(age);
        // Events that arrived in the meantime have the time of the wrong clock, so the newest run is not used.
        let age = AgeClock::open(folder.path(), Some(hands.wall_us()), hands.clock());
        assert_eq!(age.now_us(), before);
        assert!(age.jump().is_some());
        drop(age);
        hands.set(hands.wall_us() + DAY_US);
        let age = AgeClock::open(folder.path(), None, hands.clock());
        assert_eq!((age.now_us(), age.jump()), (hands.wall_us(), None), "a day has passed");
    }

    #[test]
    fn a_server_that_was_off_for_a_month_waits_a_day() {
        for with_file in [false, true] {
            let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
            if with_file {
                drop(AgeClock::open(folder.path(), None, hands.clock()));
            }
            hands.set(hands.wall_us() + 30 * DAY_US);
            let age = AgeClock::open(folder.path(), Some(BEGIN_US), hands.clock());
            assert_eq!(age.jump(), Some(Jump { ahead_us: 30 * DAY_US, rest_us: DAY_US }));
            hands.pass(DAY_US);
            assert_eq!(age.jump(), None);
        }
    }

    #[test]
    fn an_unreadable_file_counts_as_missing() {
        let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
        for text in ["", "nonsense", "1", "1 x", "99999999999999999999999 1 -"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(AgeClock::open(folder.path(), None, hands.clock()).now_us(), BEGIN_US, "{text:?}");
        }
    }
}
