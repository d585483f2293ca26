//! Reads the clock, and detects that it was set forward while the agent runs.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use monitor_tasks::plan::{Boot, Clock, LONGEST_WAIT, Now};
use nix::time::ClockId;

/// The clock has jumped if it gains at least this much on the machine's uptime.
const JUMP: SignedDuration = SignedDuration::from_secs(10);

/// Reads the clock, and detects that it was set forward.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    last: Option<Look>,
    jump: Option<Jump>,
}

/// A reading of both clocks.
#[derive(Debug, Clone, Copy)]
struct Look {
    time: Timestamp,
    /// Time since the machine was started, by a clock that is never set.
    uptime: Duration,
}

/// The clock was set forward, and it is unknown whether the new time is correct.
#[derive(Debug, Clone, Copy)]
struct Jump {
    /// The last reading before the jump.
    before: Look,
    /// Uptime when the jump was detected.
    noticed: Duration,
}

impl Look {
    fn now() -> Self {
        let uptime = ClockId::CLOCK_BOOTTIME.now().map_or(Duration::ZERO, Duration::from);
        Self { time: Timestamp::now(), uptime }
    }

    /// Returns by how much the time of day has advanced more than the uptime since an earlier reading.
    fn ahead_of(self, before: Self) -> SignedDuration {
        let gone = SignedDuration::try_from(self.uptime.saturating_sub(before.uptime)).unwrap_or_default();
        self.time.duration_since(before.time) - gone
    }
}

impl Watch {
    /// Returns the current time and the state of the clock.
    pub(crate) fn now(&mut self) -> Now {
        let look = Look::now();
        let clock = self.judge(look, is_synchronised);
        let at = look.time.checked_sub(SignedDuration::try_from(look.uptime).unwrap_or_default()).unwrap_or(look.time);
        let boot = boot_id().map(|id| Boot { id, at });
        Now { time: look.time, clock, boot }
    }

    fn judge(&mut self, look: Look, is_synchronised: impl Fn() -> bool) -> Clock {
        let last = self.last.replace(look).unwrap_or(look);
        let jump = match self.jump {
            // The clock was set back again.
            Some(jump) if look.ahead_of(jump.before) < JUMP => None,
            None if look.ahead_of(last) >= JUMP => Some(Jump { before: last, noticed: look.uptime }),
            jump => jump,
        };
        self.jump = jump;
        let Some(jump) = jump else { return Clock::Steady };
        let since = look.uptime.saturating_sub(jump.noticed);
        if is_synchronised() {
            self.jump = None;
            return Clock::Jumped;
        }
        if since >= LONGEST_WAIT {
            self.jump = None;
        }
        Clock::Unsure { since }
    }
}

fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Returns true if the system clock is synchronised with a time source.
fn is_synchronised() -> bool {
    #[expect(unsafe_code, reason = "no crate of ours asks the system for it")]
    // SAFETY: `timex` is a plain C structure, so all zeros is a valid value. With `modes` zero, `adjtimex` only fills the structure and changes
    // no setting.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(time: i64, uptime: u64) -> Look {
        Look { time: Timestamp::from_second(time).unwrap(), uptime: Duration::from_secs(uptime) }
    }

    #[test]
    fn a_clock_that_is_set_forward_is_trusted_once_it_is_synchronised() {
        let mut watch = Watch::default();
        assert_eq!(watch.judge(look(1_000, 5), || false), Clock::Steady);
        assert_eq!(watch.judge(look(1_001, 6), || false), Clock::Steady);
        assert_eq!(watch.judge(look(5_001, 7), || false), Clock::Unsure { since: Duration::ZERO });
        assert_eq!(watch.judge(look(5_011, 17), || false), Clock::Unsure { since: Duration::from_secs(10) });
        assert_eq!(watch.judge(look(5_012, 18), || true), Clock::Jumped);
        assert_eq!(watch.judge(look(5_013, 19), || false), Clock::Steady);
    }

    #[test]
    fn a_clock_that_is_not_corrected_is_trusted_after_the_longest_wait() {
        let mut watch = Watch::default();
        watch.judge(look(1_000, 5), || false);
        watch.judge(look(5_000, 6), || false);
        assert_eq!(watch.judge(look(5_300, 306), || false), Clock::Unsure { since: LONGEST_WAIT });
        assert_eq!(watch.judge(look(5_301, 307), || false), Clock::Steady);
    }

    #[test]
    fn a_clock_that_is_set_back_to_the_right_time_has_not_jumped() {
        let mut watch = Watch::default();
        watch.judge(look(1_000, 5), || false);
        watch.judge(look(5_000, 6), || false);
        assert_eq!(watch.judge(look(1_002, 7), || false), Clock::Steady);
    }

    #[test]
    fn a_suspended_machine_is_not_taken_for_a_clock_jump() {
        let mut watch = Watch::default();
        watch.judge(look(1_000, 5), || false);
        assert_eq!(watch.judge(look(91_000, 90_005), || false), Clock::Steady, "the machine was suspended");
        assert_eq!(watch.judge(look(500, 90_006), || false), Clock::Steady, "set back");
    }
}
