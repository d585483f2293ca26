//! Folds: when a parent has had many children of one name, further ones are counted instead of recorded one by one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::brief::Limits;
use crate::clock;
use crate::error_texts::ErrorTexts;
use crate::inside;
use crate::own::Own;

/// Bucket i counts durations of 1.04^i to 1.04^(i+1) nanoseconds; what takes a second is never counted.
pub(crate) const BUCKETS: usize = 530;
/// What runs so long is recorded singly.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// What runs so long, and twice as long as all before it, is recorded singly.
pub(crate) const SLOW: Duration = Duration::from_millis(1);
/// Failures of a fold that are recorded singly, by each thread.
pub(crate) const FAILURES_KEPT: u64 = 100;

/// Of the children of one parent and name, a thread counts so many by itself, at most.
const LARGEST_SHARE: u64 = 50;
const GROWTH: f64 = 1.04;
/// Bits of a duration below its highest that its cell is found by.
const MANTISSA_BITS: u32 = 5;
const CELLS: usize = 32 << MANTISSA_BITS;

static AFTER: AtomicU64 = AtomicU64::new(u64::MAX);
static BELOW_NS: AtomicU64 = AtomicU64::new(0);
static TABLE: Own<Table> = Own::new();

/// So many children of one parent and name are recorded singly; `u64::MAX`, the default, folds nothing. To be called before
/// recording begins.
pub fn set_after(children: u64) {
    AFTER.store(children, Ordering::Relaxed);
}

/// Woven calls that took less are counted and not told singly, see [`brief`](crate::brief); zero, the default, for none. To be
/// called before recording begins.
pub fn set_below(duration: Duration) {
    BELOW_NS.store(duration.min(LONGEST).as_nanos() as u64, Ordering::Relaxed);
}

/// Whether brief calls are counted.
pub(crate) fn has_below() -> bool {
    BELOW_NS.load(Ordering::Relaxed) > 0
}

pub(crate) fn after() -> u64 {
    AFTER.load(Ordering::Relaxed)
}

/// So many children of one parent and name a thread counts by itself before it adds them to what others have counted: a part of
/// the number beyond which they are folded that goes into it without a rest, so that one thread alone keeps to it exactly.
pub(crate) fn share() -> u64 {
    match after() {
        u64::MAX => u64::MAX,
        after => (1..=LARGEST_SHARE).rev().find(|share| after.is_multiple_of(*share) && share * 20 <= after).unwrap_or(1),
    }
}

/// Nothing is folded before it is known what a tick is.
pub(crate) fn set_up(ticks_per_ns: f64) {
    if TABLE.get().is_none() {
        TABLE.set(Table::new(ticks_per_ns));
    }
}

/// The same on a thread that records. Nobody else may have had a turn by now, and calls come by the million.
pub(crate) fn set_up_early() -> Option<&'static Table> {
    if TABLE.get().is_none()
        && let Some(ticks_per_ns) = clock::rough_ticks_per_ns()
    {
        let _inside = inside::enter();
        set_up(ticks_per_ns);
    }
    TABLE.get()
}

/// How durations in ticks are sorted into buckets, if that is known by now.
#[inline]
pub(crate) fn table() -> Option<&'static Table> {
    TABLE.get()
}

/// The borders of the buckets in ticks, and a way to find the right one by a look-up and a comparison.
#[derive(Debug)]
pub(crate) struct Table {
    /// By highest bit and those below it: the bucket of the smallest duration that has these.
    cells: [u16; CELLS],
    /// Where each bucket begins; the last one has no end.
    from: [u64; BUCKETS + 1],
    /// [`LONGEST`], in ticks.
    pub(crate) longest: u64,
    /// [`SLOW`], in ticks.
    pub(crate) slow: u64,
    /// A woven call that took less is brief, in ticks; 0 if none is.
    pub(crate) below: u64,
}

impl Table {
    fn new(ticks_per_ns: f64) -> Self {
        let mut from = [0; BUCKETS + 1];
        for (bucket, from) in from.iter_mut().enumerate().skip(1) {
            *from = (GROWTH.powi(bucket as i32) * ticks_per_ns).ceil() as u64;
        }
        let mut cells = [0; CELLS];
        for (cell, bucket) in cells.iter_mut().enumerate() {
            *bucket = (from[..BUCKETS].partition_point(|from| *from <= smallest_of(cell)) - 1) as u16;
        }
        from[BUCKETS] = u64::MAX;
        let ticks = |duration: Duration| (duration.as_nanos() as f64 * ticks_per_ns) as u64;
        let below = ticks(Duration::from_nanos(BELOW_NS.load(Ordering::Relaxed)));
        Table { cells, from, longest: ticks(LONGEST), slow: ticks(SLOW), below }
    }

    /// Durations in ticks that decide which calls are counted.
    pub(crate) fn limits(&self) -> Limits {
        Limits { below: self.below, slow: self.slow, longest: self.longest }
    }

    /// The bucket of a duration in ticks.
    #[inline]
    pub(crate) fn bucket(&self, ticks: u64) -> usize {
        let shift = (u64::BITS - 1 - MANTISSA_BITS) - (ticks | 1 << MANTISSA_BITS).leading_zeros();
        let cell = ((shift as usize) << MANTISSA_BITS) + (ticks >> shift) as usize;
        let bucket = self.cells.get(cell).map_or(BUCKETS - 1, |bucket| usize::from(*bucket));
        // A cell is narrower than a bucket: no more than one border lies within it.
        bucket + usize::from(self.from.get(bucket + 1).is_some_and(|next| ticks >= *next))
    }
}

fn smallest_of(cell: usize) -> u64 {
    let width = 1 << MANTISSA_BITS;
    let shift = (cell / width).saturating_sub(1);
    ((cell - shift * width) as u64) << shift
}

/// What a fold counts, durations in ticks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Began in it and have not left it.
    pub(crate) count: u64,
    pub(crate) running: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) total: u64,
    /// Shortest and longest, if any ended.
    pub(crate) range: Option<(u64, u64)>,
    /// By bucket.
    pub(crate) histogram: Vec<u64>,
    /// Error texts of the failed ones, as far as they are known here.
    pub(crate) errors: ErrorTexts,
}

impl Tally {
    /// One that has ended.
    pub(crate) fn add(&mut self, ticks: u64, table: &Table) {
        self.count += 1;
        self.total += ticks;
        let (min, max) = self.range.unwrap_or((ticks, ticks));
        self.range = Some((min.min(ticks), max.max(ticks)));
        self.histogram.resize(BUCKETS, 0);
        self.histogram[table.bucket(ticks)] += 1;
    }

    /// All that another one counts.
    pub(crate) fn merge(&mut self, other: &Tally) {
        self.count += other.count;
        self.running += other.running;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.total += other.total;
        if let Some((min, max)) = other.range {
            let (own_min, own_max) = self.range.unwrap_or((min, max));
            self.range = Some((own_min.min(min), own_max.max(max)));
            self.histogram.resize(BUCKETS, 0);
            self.histogram.iter_mut().zip(&other.histogram).for_each(|(own, other)| *own += other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_falls_into_its_bucket() {
        for ticks_per_ns in [0.02, 0.999, 1.0, 2.445, 5.3] {
            let table = Table::new(ticks_per_ns);
            let around_borders = table.from[..BUCKETS].iter().flat_map(|from| [from.saturating_sub(1), *from, from + 1]);
            for ticks in around_borders.chain(0..5_000).chain((0..table.longest).step_by(9_999_991)) {
                let plain = table.from[..BUCKETS].iter().rposition(|from| *from <= ticks).unwrap();
                assert_eq!(table.bucket(ticks), plain, "{ticks} ticks of {ticks_per_ns}");
            }
            assert_eq!(table.bucket(u64::MAX - 1), BUCKETS - 1);
            assert!(GROWTH.powi(BUCKETS as i32) > LONGEST.as_nanos() as f64);
        }
    }
}
