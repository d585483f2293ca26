//! The time that the ages of trees are counted by: the time of day, unless that jumps forward.
//!
//! A clock that is set a thousand days ahead would make every tree too old at once. So the time of day is believed only as far as a
//! clock goes on that nobody sets. When it is further ahead than that, ages go on by the other clock, the log says so, and after a day,
//! or when somebody confirms it, the time of day is believed again.
//!
//! A file in the data folder keeps the time over restarts. While the server is off nothing tells how much time really goes by: up to
//! [`OFF`] is believed at once, more is a jump as well. Whoever is back after a month keeps a day longer what became too old meanwhile.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_store_sqlite::open_private;
use monitor_wire::ClockJump;

use crate::clock::Clock;

/// The time of day may be so much ahead of the clock that nobody sets.
const SLACK_US: u64 = 3_600_000_000;
/// The server may have been off for so long: over a week-end with holidays.
const OFF_US: u64 = 4 * DAY_US;
/// After so long a jump is believed.
const DAY_US: u64 = 86_400_000_000;
/// The file is written so often, while nothing happens.
const SAVE_US: u64 = 3_600_000_000;
const FILE: &str = "clock";

/// Asked for the time, from several threads.
pub(crate) struct AgeClock {
    clock: Clock,
    file: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    /// What ages are counted by, in Unix microseconds.
    now_us: u64,
    running: Duration,
    /// For how long the time of day was ahead, if it is.
    waited_us: Option<u64>,
    saved_us: u64,
}

/// A time of day that is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Jump {
    /// How far it is ahead, in microseconds.
    pub(crate) ahead_us: u64,
    /// It is believed in so many microseconds.
    pub(crate) rest_us: u64,
}

impl Jump {
    /// As the API tells it.
    pub(crate) fn told(self) -> ClockJump {
        ClockJump { ahead_s: self.ahead_us / 1_000_000, counts_in_s: self.rest_us / 1_000_000 }
    }
}

impl AgeClock {
    /// Goes on from what the data folder's file says, or without one from when the newest tree was last heard of, if there is any.
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

    /// What ages are counted by now, in Unix microseconds.
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
            (Some(_), None) => tracing::info!("ages of trees are counted by the time of day again"),
            _ => {}
        }
        if before.waited_us.is_some() != state.waited_us.is_some() || state.now_us.abs_diff(state.saved_us) >= SAVE_US {
            self.save(&mut state, wall_us);
        }
        state.now_us
    }

    /// The jump that is not believed yet, if there is one.
    pub(crate) fn jump(&self) -> Option<Jump> {
        self.now_us();
        let state = self.lock();
        let rest_us = DAY_US.saturating_sub(state.waited_us?);
        Some(Jump { ahead_us: self.clock.wall_us().saturating_sub(state.now_us), rest_us })
    }

    /// Believes the time of day.
    pub(crate) fn confirm(&self) {
        let mut state = self.lock();
        let wall_us = self.clock.wall_us();
        if state.waited_us.take().is_some() {
            tracing::info!("the clock is confirmed: ages of trees are counted by it again");
        }
        state.now_us = wall_us;
        state.running = self.clock.running();
        self.save(&mut state, wall_us);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file anew. On a full disk the old one stays, which is of an earlier time.
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
        // What is set back counts at once: nothing grows older by it.
        if wall_us <= now_us.saturating_add(SLACK_US) || waited_us.is_some_and(|waited| waited >= DAY_US) {
            (self.now_us, self.waited_us) = (wall_us, None);
        } else {
            (self.now_us, self.waited_us) = (now_us, Some(waited_us.unwrap_or(0)));
        }
    }
}

/// The three numbers of the file: the time, the time of day then, and for how long that was ahead.
fn read(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let mut words = text.split_whitespace();
    let mut number = || words.next()?.parse::<u64>().ok();
    let (now_us, wall_us) = (number()?, number()?);
    Some((now_us, wall_us, number()))
}

/// A length of time in days, hours or minutes.
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
    fn a_clock_that_jumps_ahead_is_believed_after_a_day_or_when_it_is_confirmed() {
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
        // A month asleep: the other clock goes on as well.
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
        // What came meanwhile has the time of the wrong clock: it is not asked.
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
    fn a_file_that_cannot_be_read_is_none() {
        let (folder, hands) = (tempfile::tempdir().unwrap(), Steered::at(BEGIN_US));
        for text in ["", "nonsense", "1", "1 x", "99999999999999999999999 1 -"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            assert_eq!(AgeClock::open(folder.path(), None, hands.clock()).now_us(), BEGIN_US, "{text:?}");
        }
    }
}
