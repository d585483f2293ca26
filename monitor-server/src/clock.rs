//! The server's two clocks: the time of day, which may be set, and the time since the machine began, which only goes on.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Handed down to whoever must not be misled by a time of day that was set.
pub(crate) struct Clock {
    /// The time of day, in Unix microseconds.
    pub(crate) wall_us: Box<dyn Fn() -> u64 + Send + Sync>,
    /// A time that only goes on, also while the machine sleeps, where the system has one.
    pub(crate) running: Box<dyn Fn() -> Duration + Send + Sync>,
}

impl Clock {
    /// The clocks of the operating system.
    pub(crate) fn system() -> Self {
        let began = Instant::now();
        Self { wall_us: Box::new(now_us), running: Box::new(move || since_boot().unwrap_or_else(|| began.elapsed())) }
    }
}

pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

#[cfg(target_os = "linux")]
fn since_boot() -> Option<Duration> {
    rustix::time::clock_gettime(rustix::time::ClockId::Boottime).try_into().ok()
}

#[cfg(not(target_os = "linux"))]
fn since_boot() -> Option<Duration> {
    None
}
