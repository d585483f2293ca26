//! Time as monitored threads read it: ticks, which the drainer converts to microseconds and nanoseconds.
//!
//! If the processor has an invariant time stamp counter, a tick is a tick of this counter. Reading it is most of the cost of recording a
//! call. Otherwise, a tick is a nanosecond of the monotonic clock. The drainer determines the length of a tick on its own thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::own::Own;

/// Minimum measured time for the length of a tick.
const SHORTEST: Duration = Duration::from_millis(5);
/// Minimum measured time for a rough length of a tick, with an error of about a hundredth. This is
/// sufficient to sort durations into buckets.
const ROUGH: Duration = Duration::from_micros(50);
/// Measured time after which the length of a tick is not improved further.
const LONGEST: Duration = Duration::from_secs(10);
/// Difference between the wall clock and the computed time after which the wall clock counts as having been set.
const DRIFT_NS: i128 = 1_000_000;

/// Aligned so that its cache line contains nothing that is written to.
#[repr(align(128))]
struct Alone(AtomicBool);

static HAS_COUNTER: Alone = Alone(AtomicBool::new(false));
static ORIGIN: Own<Sample> = Own::new();

/// Determines the clock of this machine. Must be called before the first [`now`] whose value is used.
pub(crate) fn set_up() {
    HAS_COUNTER.0.store(counter::is_invariant(), Ordering::Relaxed);
    if ORIGIN.get().is_none() {
        ORIGIN.set(Sample::take());
    }
}

/// Returns the current time in ticks.
#[inline]
pub(crate) fn now() -> u64 {
    if HAS_COUNTER.0.load(Ordering::Relaxed) { counter::read() } else { monotonic() }
}

#[cold]
#[inline(never)]
fn monotonic() -> u64 {
    ORIGIN.get().map_or(0, |origin| origin.instant.elapsed().as_nanos() as u64)
}

/// Returns the approximate number of ticks per nanosecond, without waiting. `None` for a short time after [`set_up`].
pub(crate) fn rough_ticks_per_ns() -> Option<f64> {
    let (origin, sample) = (ORIGIN.get()?, Sample::take());
    let elapsed = sample.instant - origin.instant;
    (elapsed >= ROUGH).then(|| sample.ticks.saturating_sub(origin.ticks) as f64 / elapsed.as_nanos() as f64)
}

/// Conversion of a program's ticks: at `ticks`, the wall clock was `wall_ns`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// A reading of the program's clock.
    pub ticks: u64,
    /// Unix nanoseconds at the same time.
    pub wall_ns: u64,
    /// Length of a tick in nanoseconds. 0 while it is unknown.
    pub ns_per_tick: f64,
    /// True if ticks are those of the processor's counter. False if they are nanoseconds.
    pub is_counter: bool,
}

impl Clock {
    /// Returns the conversion known before anything is recorded.
    pub fn now() -> Self {
        set_up();
        Calibration::new().clock()
    }
}

/// Converts ticks.
#[derive(Debug)]
pub(crate) struct Calibration {
    first: Sample,
    /// The base of computed wall times.
    anchor: Sample,
    ns_per_tick: f64,
    is_final: bool,
}

impl Calibration {
    pub(crate) fn new() -> Self {
        let first = Sample::take();
        let ns_per_tick = if HAS_COUNTER.0.load(Ordering::Relaxed) { 0.0 } else { 1.0 };
        Calibration { first, anchor: first, ns_per_tick, is_final: false }
    }

    /// Reads the clocks again. The first call may sleep for some milliseconds.
    pub(crate) fn update(&mut self) {
        let mut sample = Sample::take();
        if !self.is_final {
            let missing = SHORTEST.saturating_sub(sample.instant - self.first.instant);
            if !missing.is_zero() {
                std::thread::sleep(missing);
                sample = Sample::take();
            }
            let elapsed = sample.instant - self.first.instant;
            self.ns_per_tick = elapsed.as_nanos() as f64 / sample.ticks.saturating_sub(self.first.ticks).max(1) as f64;
            self.is_final = elapsed >= LONGEST;
        }
        self.follow(sample);
    }

    /// Follows the system's clock if it is ahead. A clock that was set back is not followed, so that later starts never have earlier times
    /// and siblings stay in order.
    fn follow(&mut self, sample: Sample) {
        if sample.wall_ns - self.wall_ns(sample.ticks) > DRIFT_NS {
            self.anchor = sample;
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let Sample { ticks, wall_ns, .. } = self.anchor;
        Clock {
            ticks,
            wall_ns: u64::try_from(wall_ns).unwrap_or(0),
            ns_per_tick: self.ns_per_tick,
            is_counter: HAS_COUNTER.0.load(Ordering::Relaxed),
        }
    }

    /// Converts a duration to ticks.
    pub(crate) fn ticks(&self, duration: Duration) -> u64 {
        (duration.as_nanos() as f64 / self.ns_per_tick) as u64
    }

    /// Returns the number of ticks per nanosecond.
    pub(crate) fn ticks_per_ns(&self) -> f64 {
        self.ns_per_tick.recip()
    }

    /// Converts ticks to Unix microseconds. Times before 1970 count as 1970.
    pub(crate) fn time_us(&self, ticks: u64) -> u64 {
        u64::try_from(self.wall_ns(ticks) / 1_000).unwrap_or(0)
    }

    /// Returns the nanoseconds between two readings. 0 if the second is older.
    pub(crate) fn elapsed_ns(&self, from: u64, to: u64) -> u64 {
        (to.saturating_sub(from) as f64 * self.ns_per_tick) as u64
    }

    fn wall_ns(&self, ticks: u64) -> i128 {
        let distance = ticks.wrapping_sub(self.anchor.ticks) as i64;
        self.anchor.wall_ns + i128::from((distance as f64 * self.ns_per_tick) as i64)
    }
}

/// Readings of the three clocks at the same time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    ticks: u64,
    instant: Instant,
    wall_ns: i128,
}

impl Sample {
    /// Takes the most precise of several samples, because a thread may be interrupted between two clocks.
    fn take() -> Self {
        let tries = (0..8).map(|_| {
            let before = now();
            let (instant, wall) = (Instant::now(), SystemTime::now());
            let after = now();
            let wall_ns = wall.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
            let width = after.saturating_sub(before);
            (width, Sample { ticks: before + width / 2, instant, wall_ns })
        });
        tries.min_by_key(|(width, _)| *width).expect("several tries").1
    }
}

#[cfg(target_arch = "x86_64")]
mod counter {
    #![allow(unsafe_code, unused_unsafe, reason = "whether these instructions are safe to call depends on the compiler's version")]

    use std::arch::x86_64::{__cpuid, _rdtsc};

    /// Returns true if the counter has a constant rate and continues while the processor sleeps.
    pub(super) fn is_invariant() -> bool {
        const POWER: u32 = 0x8000_0007;
        // SAFETY: every x86_64 has `cpuid`, and the first leaf states whether the second exists.
        unsafe { __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & 1 << 8 != 0 }
    }

    #[inline]
    pub(super) fn read() -> u64 {
        // SAFETY: every x86_64 has `rdtsc`; a system that forbids it to programs doesn't show an invariant counter.
        unsafe { _rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod counter {
    pub(super) fn is_invariant() -> bool {
        false
    }

    pub(super) fn read() -> u64 {
        super::monotonic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() {
        let mut calibration = Calibration::new();
        std::thread::sleep(ROUGH);
        let rough = rough_ticks_per_ns().expect("it is late enough");
        calibration.update();
        assert!((rough / calibration.ticks_per_ns() - 1.0).abs() < 0.02, "{rough} of {}", calibration.ticks_per_ns());
        let (from, begun, wall) = (now(), Instant::now(), SystemTime::now());
        std::thread::sleep(Duration::from_millis(30));
        let (to, elapsed) = (now(), begun.elapsed().as_nanos() as f64);
        calibration.update();
        let measured = calibration.elapsed_ns(from, to) as f64;
        assert!((measured / elapsed - 1.0).abs() < 0.01, "{measured} of {elapsed}");
        let time_us = wall.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros() as f64;
        let off = calibration.time_us(from) as f64 - time_us;
        assert!(off.abs() < 5_000.0, "{off}");
        assert_eq!(calibration.elapsed_ns(to, from), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_changes_no_order() {
        const HOUR_NS: i128 = 3_600_000_000_000;
        let mut calibration = Calibration::new();
        calibration.ns_per_tick = 1.0;
        let later = |clock: &Calibration, ms: u64, ahead: i128| {
            let ticks = clock.first.ticks + ms * 1_000_000;
            Sample { ticks, instant: clock.first.instant, wall_ns: clock.first.wall_ns + i128::from(ms) * 1_000_000 + ahead }
        };
        let mut times = Vec::new();
        for (ms, ahead) in [(10, 0), (20, -HOUR_NS), (30, -HOUR_NS), (40, HOUR_NS), (50, HOUR_NS), (60, 0)] {
            let sample = later(&calibration, ms, ahead);
            calibration.follow(sample);
            times.push(calibration.time_us(sample.ticks));
        }
        assert!(times.is_sorted(), "{times:?}");
        assert!(times[3] - times[2] > 3_599_000_000, "a clock that is set forward is followed: {times:?}");
    }

    #[test]
    fn ticks_become_wall_time_and_nanoseconds_with_either_clock() {
        ORIGIN.set(Sample::take());
        check();
        ORIGIN.forget();
        set_up();
        check();
    }
}
