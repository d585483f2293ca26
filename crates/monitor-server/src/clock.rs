//! The server's clock. [`crate::Server`] passes it to everything that needs the time: the time of day, which can be set, and the time since
//! boot, which is monotonic.
//!
//! Nothing else in this crate reads the time of day (`tests/walls.rs` checks that), so a test that controls this clock controls everything
//! that depends on it. `Instant` is used only to measure durations that decide nothing beyond how long something lasts.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clock that all parts of a server share.
#[derive(Clone)]
pub struct Clock(Arc<dyn Hands>);

type Pause<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Source of the times of a clock.
trait Hands: Send + Sync {
    fn wall_us(&self) -> u64;
    fn running(&self) -> Duration;
    /// Waits for about `length` as measured by [`Hands::running`]. It may return early, so the caller checks the time again.
    fn pause(&self, length: Duration) -> Pause<'_>;
}

impl Clock {
    /// Returns the clocks of the operating system.
    pub fn system() -> Self {
        Self(Arc::new(System { began: Instant::now() }))
    }

    /// Returns the time of day, in Unix microseconds.
    pub fn wall_us(&self) -> u64 {
        self.0.wall_us()
    }

    /// Returns a monotonic time. On systems that support it, it includes the time during which the machine sleeps.
    pub fn running(&self) -> Duration {
        self.0.running()
    }

    /// Waits until [`Clock::running`] is at this time or later.
    pub async fn sleep_until(&self, at: Duration) {
        while let Some(rest) = at.checked_sub(self.running()).filter(|rest| !rest.is_zero()) {
            self.0.pause(rest).await;
        }
    }

    /// Waits for `length`.
    pub async fn sleep(&self, length: Duration) {
        self.sleep_until(self.running().saturating_add(length)).await;
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("wall_us", &self.wall_us()).field("running", &self.running()).finish()
    }
}

struct System {
    began: Instant,
}

impl Hands for System {
    fn wall_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
    }

    fn running(&self) -> Duration {
        since_boot().unwrap_or_else(|| self.began.elapsed())
    }

    fn pause(&self, length: Duration) -> Pause<'_> {
        Box::pin(tokio::time::sleep(length))
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    // Read through the C library, like all clocks of the standard library, so that a test can replace them together (`tests/clock`).
    nix::time::ClockId::CLOCK_BOOTTIME.now().ok().map(Duration::from)
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}

/// Clock for tests. It stands still until the test advances it.
#[cfg(test)]
pub(crate) mod steered {
    use tokio::sync::watch;

    use super::*;

    #[derive(Clone)]
    pub(crate) struct Steered(Arc<Times>);

    /// Time of day in microseconds, and monotonic time.
    struct Times(watch::Sender<(u64, Duration)>);

    impl Steered {
        pub(crate) fn at(wall_us: u64) -> Self {
            Self(Arc::new(Times(watch::Sender::new((wall_us, Duration::ZERO)))))
        }

        pub(crate) fn clock(&self) -> Clock {
            Clock(self.0.clone())
        }

        pub(crate) fn wall_us(&self) -> u64 {
            self.0.wall_us()
        }

        /// Advances both times.
        pub(crate) fn pass(&self, us: u64) {
            self.0.0.send_modify(|(wall_us, running)| (*wall_us, *running) = (*wall_us + us, *running + Duration::from_micros(us)));
        }

        /// Sets the time of day.
        pub(crate) fn set(&self, to_us: u64) {
            self.0.0.send_modify(|(wall_us, _)| *wall_us = to_us);
        }
    }

    impl Hands for Times {
        fn wall_us(&self) -> u64 {
            self.0.borrow().0
        }

        fn running(&self) -> Duration {
            self.0.borrow().1
        }

        fn pause(&self, length: Duration) -> Pause<'_> {
            let (mut times, until) = (self.0.subscribe(), self.running() + length);
            Box::pin(async move { drop(times.wait_for(|(_, running)| *running >= until).await) })
        }
    }

    #[tokio::test]
    async fn a_sleep_ends_by_elapsed_time_and_not_by_clock_changes() {
        let steered = Steered::at(1_000);
        let (clock, (slept, mut sleeps)) = (steered.clock(), tokio::sync::oneshot::channel());
        tokio::spawn(async move {
            clock.sleep(Duration::from_secs(10)).await;
            slept.send(clock.wall_us()).unwrap();
        });
        tokio::task::yield_now().await;
        steered.set(1 << 50);
        steered.pass(9_000_000);
        tokio::task::yield_now().await;
        assert!(sleeps.try_recv().is_err());
        steered.pass(1_000_000);
        assert_eq!(sleeps.await.unwrap(), (1 << 50) + 10_000_000);
    }
}
