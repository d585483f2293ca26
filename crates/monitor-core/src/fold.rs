//! Folds: when a parent has had many children of the same name, further ones are counted instead of recorded individually.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::brief::Limits;
use crate::clock;
use crate::error_texts::ErrorTexts;
use crate::inside;
use crate::own::Own;

/// Number of buckets. Bucket i counts durations of 1.04^i to 1.04^(i+1) nanoseconds. Calls of a second or more are never counted.
pub(crate) const BUCKETS: usize = 530;
/// Minimum run time of a call that is recorded individually in any case.
pub(crate) const LONGEST: Duration = Duration::from_secs(1);
/// Minimum run time of a call that is recorded individually if it takes twice as long as all before it.
pub(crate) const SLOW: Duration = Duration::from_millis(1);
/// Maximum number of failures of a fold that each thread records individually.
pub(crate) const FAILURES_KEPT: u64 = 100;

/// Maximum number of children with the same parent and name that a thread counts before it updates the shared count.
const LARGEST_SHARE: u64 = 50;
const GROWTH: f64 = 1.04;
/// Number of bits below the highest bit of a duration that select its cell.
const MANTISSA_BITS: u32 = 5;
const CELLS: usize = 32 << MANTISSA_BITS;

static AFTER: AtomicU64 = AtomicU64::new(u64::MAX);
static BELOW_NS: AtomicU64 = AtomicU64::new(0);
static TABLE: Own<Table> = Own::new();

/// Sets the number of children with the same parent and name that are recorded individually. The default `u64::MAX` disables folds. Must be
/// called before recording begins.
pub fn set_after(children: u64) {
    AFTER.store(children, Ordering::Relaxed);
}

/// Sets the duration below which woven calls are counted and not reported individually, see [`brief`](crate::brief). The default zero
/// disables this. Must be called before recording begins.
pub fn set_below(duration: Duration) {
    BELOW_NS.store(duration.min(LONGEST).as_nanos() as u64, Ordering::Relaxed);
}

/// Returns true if brief calls are counted.
pub(crate) fn has_below() -> bool {
    BELOW_NS.load(Ordering::Relaxed) > 0
}

pub(crate) fn after() -> u64 {
    AFTER.load(Ordering::Relaxed)
}

/// Returns the number of children with the same parent and name that a thread counts before it updates the shared count. It is a divisor of
/// the fold limit, so that a single thread keeps the limit exactly.
pub(crate) fn share() -> u64 {
    match after() {
        u64::MAX => u64::MAX,
        after => (1..=LARGEST_SHARE).rev().find(|share| after.is_multiple_of(*share) && share * 20 <= after).unwrap_or(1),
    }
}

/// Enables folds. Must be called when the length of a tick is known.
pub(crate) fn set_up(ticks_per_ns: f64) {
    if TABLE.get().is_none() {
        TABLE.set(Table::new(ticks_per_ns));
    }
}

/// Enables folds from a recording thread. The drainer may not have run yet, while millions of calls are made.
pub(crate) fn set_up_early() -> Option<&'static Table> {
    if TABLE.get().is_none()
        && let Some(ticks_per_ns) = clock::rough_ticks_per_ns()
    {
        let _inside = inside::enter();
        set_up(ticks_per_ns);
    }
    TABLE.get()
}

/// Returns the table of buckets, if folds are enabled.
#[inline]
pub(crate) fn table() -> Option<&'static Table> {
    TABLE.get()
}

/// The limits of the buckets in ticks, with cells that find a bucket by one lookup and one comparison.
#[derive(Debug)]
pub(crate) struct Table {
    /// Indexed by the highest bit and the bits below it: the bucket of the smallest duration with these bits.
    cells: [u16; CELLS],
    /// Lower limit of each bucket. The last bucket has no upper limit.
    from: [u64; BUCKETS + 1],
    /// [`LONGEST`] in ticks.
    pub(crate) longest: u64,
    /// [`SLOW`] in ticks.
    pub(crate) slow: u64,
    /// Duration in ticks below which a woven call is brief. 0 if no call is brief.
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

    /// Returns the durations in ticks that determine which calls are counted.
    pub(crate) fn limits(&self) -> Limits {
        Limits { below: self.below, slow: self.slow, longest: self.longest }
    }

    /// Returns the bucket of a duration in ticks.
    #[inline]
    pub(crate) fn bucket(&self, ticks: u64) -> usize {
        let shift = (u64::BITS - 1 - MANTISSA_BITS) - (ticks | 1 << MANTISSA_BITS).leading_zeros();
        let cell = ((shift as usize) << MANTISSA_BITS) + (ticks >> shift) as usize;
        let bucket = self.cells.get(cell).map_or(BUCKETS - 1, |bucket| usize::from(*bucket));
        // A cell is narrower than a bucket, so it contains at most one limit.
        bucket + usize::from(self.from.get(bucket + 1).is_some_and(|next| ticks >= *next))
    }
}

fn smallest_of(cell: usize) -> u64 {
    let width = 1 << MANTISSA_BITS;
    let shift = (cell / width).saturating_sub(1);
    ((cell - shift * width) as u64) << shift
}

/// The counts of a fold. Durations are in ticks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Number of calls that began in the fold and have not left it.
    pub(crate) count: u64,
    pub(crate) running: u64,
    pub(crate) failed: u64,
    pub(crate) cancelled: u64,
    pub(crate) total: u64,
    /// Shortest and longest duration, if any call has ended.
    pub(crate) range: Option<(u64, u64)>,
    /// Number of calls by bucket.
    pub(crate) histogram: Vec<u64>,
    /// Known error texts of the failed calls.
    pub(crate) errors: ErrorTexts,
}

impl Tally {
    /// Adds a call that has ended.
    pub(crate) fn add(&mut self, ticks: u64, table: &Table) {
        self.count += 1;
        self.total += ticks;
        let (min, max) = self.range.unwrap_or((ticks, ticks));
        self.range = Some((min.min(ticks), max.max(ticks)));
        self.histogram.resize(BUCKETS, 0);
        self.histogram[table.bucket(ticks)] += 1;
    }

    /// Adds the counts of another fold.
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
