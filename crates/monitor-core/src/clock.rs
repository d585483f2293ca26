//! Time as a monitored thread reads it: ticks, which only the one who drains turns into microseconds and nanoseconds.
//!
//! Where the processor has an invariant time stamp counter a tick is one of its; reading it is most of what recording a
//! call costs. Elsewhere a tick is a nanosecond of the monotonic clock. What a tick is worth is found out by the one who
//! drains, on its own time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use crate::own::Own;

/// A shorter stretch doesn't tell the length of a tick well enough.
const SHORTEST: Duration = Duration::from_millis(5);
/// A shorter one doesn't even tell it to a hundredth, which is enough to sort durations by.
const ROUGH: Duration = Duration::from_micros(50);
/// A longer one tells it no better.
const LONGEST: Duration = Duration::from_secs(10);
/// So far the wall clock may be from what was reckoned before it is believed to have been set.
const DRIFT_NS: i128 = 1_000_000;

/// Shares its cache line with nothing that is written to.
#[repr(align(128))]
struct Alone(AtomicBool);

static HAS_COUNTER: Alone = Alone(AtomicBool::new(false));
static ORIGIN: Own<Sample> = Own::new();

/// Finds out which clock this machine has. To be called before the first [`now`] that matters.
pub(crate) fn set_up() {
    HAS_COUNTER.0.store(counter::is_invariant(), Ordering::Relaxed);
    if ORIGIN.get().is_none() {
        ORIGIN.set(Sample::take());
    }
}

/// Now, in ticks.
#[inline]
pub(crate) fn now() -> u64 {
    if HAS_COUNTER.0.load(Ordering::Relaxed) { counter::read() } else { monotonic() }
}

#[cold]
#[inline(never)]
fn monotonic() -> u64 {
    ORIGIN.get().map_or(0, |origin| origin.instant.elapsed().as_nanos() as u64)
}

/// About how many ticks a nanosecond has, without a wait; `None` in the first moment after [`set_up`].
pub(crate) fn rough_ticks_per_ns() -> Option<f64> {
    let (origin, sample) = (ORIGIN.get()?, Sample::take());
    let elapsed = sample.instant - origin.instant;
    (elapsed >= ROUGH).then(|| sample.ticks.saturating_sub(origin.ticks) as f64 / elapsed.as_nanos() as f64)
}

/// What the ticks of a program mean: at `ticks` it was `wall_ns`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clock {
    /// A reading of the program's clock.
    pub ticks: u64,
    /// Unix nanoseconds at the same time.
    pub wall_ns: u64,
    /// Length of a tick; 0 while it isn't known.
    pub ns_per_tick: f64,
    /// A tick is one of the processor's counter, not a nanosecond.
    pub is_counter: bool,
}

impl Clock {
    /// What is known before anything is recorded.
    pub fn now() -> Self {
        set_up();
        Calibration::new().clock()
    }
}

/// What ticks mean.
#[derive(Debug)]
pub(crate) struct Calibration {
    first: Sample,
    /// The sample that wall time is reckoned from.
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

    /// Looks at the clocks again. The first time it may wait for some milliseconds.
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

    /// Follows the system's clock where it is ahead. Set back, it is not followed: what begins later is never told as earlier, and
    /// siblings stay in the order in which they began.
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

    /// So many ticks.
    pub(crate) fn ticks(&self, duration: Duration) -> u64 {
        (duration.as_nanos() as f64 / self.ns_per_tick) as u64
    }

    /// How many ticks a nanosecond has.
    pub(crate) fn ticks_per_ns(&self) -> f64 {
        self.ns_per_tick.recip()
    }

    /// Unix microseconds. A clock before 1970 counts as 1970.
    pub(crate) fn time_us(&self, ticks: u64) -> u64 {
        u64::try_from(self.wall_ns(ticks) / 1_000).unwrap_or(0)
    }

    /// Nanoseconds between two readings; 0 if the second is older.
    pub(crate) fn elapsed_ns(&self, from: u64, to: u64) -> u64 {
        (to.saturating_sub(from) as f64 * self.ns_per_tick) as u64
    }

    fn wall_ns(&self, ticks: u64) -> i128 {
        let distance = ticks.wrapping_sub(self.anchor.ticks) as i64;
        self.anchor.wall_ns + i128::from((distance as f64 * self.ns_per_tick) as i64)
    }
}

/// The three clocks, read at the same time.
#[derive(Debug, Clone, Copy)]
struct Sample {
    ticks: u64,
    instant: Instant,
    wall_ns: i128,
}

impl Sample {
    /// The closest of several tries: a thread may be interrupted between two clocks.
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

    /// Whether it counts at one speed and goes on while the processor sleeps.
    pub(super) fn is_invariant() -> bool {
        const POWER: u32 = 0x8000_0007;
        // SAFETY: every x86_64 has `cpuid`, and the first leaf says whether the second exists.
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
