//! Sums of finished processes by minute, hour, day and 32 days. Statistics read them, and they are kept when the processes are deleted.

use std::collections::BTreeSet;

use foldhash::HashMap;
use monitor_wire::Fold;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::ids::{self, code};

/// Minutes in a minute, an hour, a day and 32 days: levels 0 to 3.
pub(in super::super) const LEVELS: [u64; 4] = [1, 60, 1_440, 46_080];
/// Microseconds per minute.
pub(in super::super) const MINUTE_US: u64 = 60_000_000;
/// Name key for the sum of all names. Keys of texts start at 1.
pub(in super::super) const ALL_NAMES: i64 = 0;
/// Number of minutes before the newest one that are still open. Earlier minutes are over: a process that ended in one of them is added to
/// the longer spans at once.
const OPEN_MINUTES: u64 = 2;
/// Sums of the minutes that are over but not yet added to longer spans.
pub(in super::super) const OVER: &str = "SELECT t, name, state, sums FROM rollup WHERE level = 0 AND t >= ?1 AND t < ?2";
/// Maximum number of calls counted between two reports of a fold. It prevents an overflow of the sums by wrong reports.
const MOST_COUNTED: u64 = 1 << 40;
/// Maximum number of rows cached between transactions.
const MAX_REMEMBERED: usize = 20_000;

/// Contribution of a finished process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Finished {
    /// End of the process; its start if it is lost.
    pub ended_us: u64,
    /// Key of the name.
    pub name: i64,
    /// Code of the state.
    pub state: i64,
    /// Duration; 0 if the process is lost.
    pub elapsed_ns: u64,
}

/// Level, t, name and state, as in the table `rollup`.
type Key = (usize, u64, i64, i64);

/// Cached rows, and the changes of the transaction.
#[derive(Default)]
pub(super) struct Rollups {
    rows: HashMap<Key, Sums>,
    /// Sums to add, by minute, name and state.
    added: HashMap<(u64, i64, i64), Sums>,
    /// Processes to subtract because their end was corrected.
    removed: Vec<Finished>,
}

/// Durations of processes with the same name and state, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Sums {
    pub count: u64,
    pub total: u128,
    /// Lower bound of a bucket if the shortest duration was subtracted. `most` is then an upper bound in the same way.
    pub least: u64,
    pub most: u64,
    /// Buckets in ascending order, with counts. Bucket i covers 1.04^i to 1.04^(i+1) ns.
    pub histogram: Vec<(u16, u64)>,
}

impl Rollups {
    pub(super) fn trim(&mut self) {
        if self.rows.len() > MAX_REMEMBERED {
            self.rows.clear();
        }
    }

    /// Records that a process has finished, or that its end has changed.
    pub(super) fn change(&mut self, before: Option<Finished>, after: Option<Finished>) {
        if before == after {
            return;
        }
        self.removed.extend(before);
        if let Some(Finished { ended_us, name, state, elapsed_ns }) = after {
            self.added.entry((ended_us / MINUTE_US, name, state)).or_default().add(elapsed_ns);
        }
    }

    /// Adds the increase of a fold's counts to the minute of `told_us`, the time of the report. A fold does not report durations per state,
    /// so they are divided among the states in proportion to their counts.
    pub(super) fn grow(&mut self, before: Option<&Fold>, after: &Fold, told_us: u64, name: i64) {
        let more = |of: fn(&Fold) -> u64| of(after).saturating_sub(before.map_or(0, of)).min(MOST_COUNTED);
        let succeeded = |fold: &Fold| fold.count.saturating_sub(fold.running).saturating_sub(fold.failed).saturating_sub(fold.cancelled);
        let counts =
            [(code::SUCCEEDED, more(succeeded)), (code::FAILED, more(|fold| fold.failed)), (code::CANCELLED, more(|fold| fold.cancelled))];
        let known: HashMap<u32, u64> = before.into_iter().flat_map(|fold| fold.histogram.iter().copied()).collect();
        let buckets = after
            .histogram
            .iter()
            .map(|(bucket, count)| (*bucket, count.saturating_sub(known.get(bucket).copied().unwrap_or(0)).min(MOST_COUNTED)));
        let buckets: Vec<(u32, u64)> = buckets.filter(|(_, count)| *count > 0).collect();
        let least = after.min_ns.unwrap_or(0).max(buckets.first().map_or(0, |(first, _)| bound(bucket_of(*first))));
        let most = after.max_ns.unwrap_or(0).min(buckets.last().map_or(u64::MAX, |(last, _)| bound(bucket_of(*last) + 1)));
        let mut left = counts.map(|(_, count)| count);
        let totals = deal(after.total_ns.saturating_sub(before.map_or(0, |fold| fold.total_ns)), left);
        let mut dealt: [Sums; 3] =
            std::array::from_fn(|at| Sums { count: left[at], total: totals[at].into(), least, most, ..Sums::default() });
        for (bucket, count) in buckets {
            let shares = deal(count.min(left.iter().sum()), left);
            for (at, share) in shares.into_iter().enumerate().filter(|(_, share)| *share > 0) {
                left[at] -= share;
                dealt[at].add_to_bucket(bucket_of(bucket), share);
            }
        }
        for ((state, count), sums) in counts.into_iter().zip(dealt) {
            if count > 0 {
                self.added.entry((told_us / MINUTE_US, name, state)).or_default().merge(&sums);
            }
        }
    }

    /// Writes the changed rows. `rolled` is the first minute whose sums are not yet part of the longer spans; returns its new value.
    /// Minutes in the future by the server's clock are never over.
    pub(super) fn write(&mut self, connection: &Connection, rolled: i64, now_us: u64) -> Result<i64> {
        let rolled = rolled as u64;
        let mut touched = BTreeSet::<Key>::new();
        let mut newest = 0;
        for ((minute, name, state), sums) in self.added.drain() {
            newest = newest.max(minute);
            for key in keys(minute, name, state, rolled) {
                row(&mut self.rows, connection, key)?.merge(&sums);
                touched.insert(key);
            }
        }
        for Finished { ended_us, name, state, elapsed_ns } in self.removed.drain(..) {
            for key in keys(ended_us / MINUTE_US, name, state, rolled) {
                row(&mut self.rows, connection, key)?.remove(elapsed_ns);
                touched.insert(key);
            }
        }
        self.write_rows(connection, touched)?;
        let over = newest.saturating_sub(OPEN_MINUTES).min(now_us / MINUTE_US);
        if over <= rolled {
            return Ok(rolled as i64);
        }
        let mut statement = connection.prepare_cached(OVER)?;
        let mut minutes = statement.query([rolled as i64, over as i64])?;
        let mut touched = BTreeSet::new();
        while let Some(minute) = minutes.next()? {
            let (t, name, state): (i64, i64, i64) = (minute.get(0)?, minute.get(1)?, minute.get(2)?);
            let sums = Sums::read(minute.get_ref(3)?.as_blob()?)?;
            for (level, length) in LEVELS.into_iter().enumerate().skip(1) {
                let key = (level, t as u64 / length, name, state);
                row(&mut self.rows, connection, key)?.merge(&sums);
                touched.insert(key);
            }
        }
        self.write_rows(connection, touched)?;
        Ok(over as i64)
    }

    fn write_rows(&self, connection: &Connection, touched: BTreeSet<Key>) -> Result<()> {
        let mut write = connection.prepare_cached(
            "INSERT INTO rollup(level, t, name, state, sums) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET sums = ?5",
        )?;
        for key @ (level, t, name, state) in touched {
            let sums = &self.rows[&key];
            if sums.count == 0 {
                let sql = "DELETE FROM rollup WHERE level = ?1 AND t = ?2 AND name = ?3 AND state = ?4";
                connection.prepare_cached(sql)?.execute(params![level as i64, t as i64, name, state])?;
            } else {
                write.execute(params![level as i64, t as i64, name, state, sums.to_bytes()])?;
            }
        }
        Ok(())
    }
}

/// Returns the keys of the rows that include a minute: its own, and if it is over those of longer spans, each for the name and for all
/// names.
fn keys(minute: u64, name: i64, state: i64, rolled: u64) -> impl Iterator<Item = Key> {
    let levels = if minute < rolled { LEVELS.len() } else { 1 };
    (0..levels).flat_map(move |level| [name, ALL_NAMES].map(|name| (level, minute / LEVELS[level], name, state)))
}

fn row<'a>(rows: &'a mut HashMap<Key, Sums>, connection: &Connection, key: Key) -> Result<&'a mut Sums> {
    use std::collections::hash_map::Entry;
    Ok(match rows.entry(key) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => {
            let (level, t, name, state) = key;
            let sql = "SELECT sums FROM rollup WHERE level = ?1 AND t = ?2 AND name = ?3 AND state = ?4";
            let found = connection
                .prepare_cached(sql)?
                .query_row(params![level as i64, t as i64, name, state], |row| Sums::read(row.get_ref(0)?.as_blob()?))
                .optional()?;
            unknown.insert(found.unwrap_or_default())
        }
    })
}

/// Returns the histogram bucket of a duration.
pub(in super::super) fn bucket(elapsed_ns: u64) -> u16 {
    if elapsed_ns < 2 { 0 } else { ((elapsed_ns as f64).ln() / 1.04_f64.ln()) as u16 }
}

/// Divides an amount in proportion to `among`.
fn deal(amount: u64, among: [u64; 3]) -> [u64; 3] {
    let (mut amount, mut others) = (u128::from(amount), among.iter().map(|part| u128::from(*part)).sum::<u128>());
    among.map(|of| {
        let part = (amount * u128::from(of)).checked_div(others).unwrap_or(0);
        (amount, others) = (amount - part, others - u128::from(of));
        part as u64
    })
}

/// Converts a bucket number, limited to the last bucket.
fn bucket_of(number: u32) -> u16 {
    number.min(u32::from(bucket(u64::MAX))) as u16
}

/// Returns the lower bound of a bucket, in nanoseconds.
fn bound(bucket: u16) -> u64 {
    if bucket == 0 { 0 } else { 1.04_f64.powi(i32::from(bucket)) as u64 }
}

impl Sums {
    pub(in super::super) fn add(&mut self, elapsed_ns: u64) {
        self.least = if self.count == 0 { elapsed_ns } else { self.least.min(elapsed_ns) };
        self.most = self.most.max(elapsed_ns);
        self.count += 1;
        self.total += u128::from(elapsed_ns);
        self.add_to_bucket(bucket(elapsed_ns), 1);
    }

    fn add_to_bucket(&mut self, bucket: u16, count: u64) {
        match self.histogram.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.histogram[place].1 += count,
            Err(place) => self.histogram.insert(place, (bucket, count)),
        }
    }

    pub(in super::super) fn merge(&mut self, other: &Self) {
        self.least = if self.count == 0 { other.least } else { self.least.min(other.least) };
        self.most = self.most.max(other.most);
        self.count += other.count;
        self.total += other.total;
        for (bucket, count) in &other.histogram {
            self.add_to_bucket(*bucket, *count);
        }
    }

    /// Subtracts a duration that was added before.
    fn remove(&mut self, elapsed_ns: u64) {
        self.count = self.count.saturating_sub(1);
        self.total = self.total.saturating_sub(u128::from(elapsed_ns));
        if let Ok(place) = self.histogram.binary_search_by_key(&bucket(elapsed_ns), |(bucket, _)| *bucket) {
            self.histogram[place].1 -= 1;
            if self.histogram[place].1 == 0 {
                self.histogram.remove(place);
            }
        }
        // The next shortest and longest durations are unknown, so the bounds of their buckets are used.
        let bounds = self.histogram.first().zip(self.histogram.last()).map(|(first, last)| (bound(first.0), bound(last.0 + 1)));
        let (least, most) = bounds.unwrap_or_default();
        if elapsed_ns == self.least {
            self.least = least;
        }
        if elapsed_ns == self.most {
            self.most = most;
        }
        if self.count == 0 {
            *self = Self::default();
        }
    }

    /// Encodes the sums as LEB128 numbers: count, total, least, most, then for each bucket the distance from the previous bucket and the
    /// count.
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 3 * self.histogram.len());
        let numbers = [u128::from(self.count), self.total, u128::from(self.least), u128::from(self.most)];
        for number in numbers {
            put(&mut bytes, number);
        }
        let mut last = 0;
        for (bucket, count) in &self.histogram {
            put(&mut bytes, u128::from(bucket - last));
            put(&mut bytes, u128::from(*count));
            last = *bucket;
        }
        bytes
    }

    /// Decodes the output of [`Sums::to_bytes`].
    pub(in super::super) fn read(mut bytes: &[u8]) -> Result<Self> {
        let damaged = || ids::damaged(0, Type::Blob, "sums break off");
        let mut number = || take(&mut bytes).ok_or_else(damaged);
        let (count, total, least, most) = (number()? as u64, number()?, number()? as u64, number()? as u64);
        let (mut histogram, mut before) = (Vec::new(), 0);
        while !bytes.is_empty() {
            let mut number = || take(&mut bytes).ok_or_else(damaged);
            before += number()? as u16;
            histogram.push((before, number()? as u64));
        }
        Ok(Self { count, total, least, most, histogram })
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u128) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u128> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u128::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if *byte < 0x80 {
            return Some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_as_they_were_written_and_taken_back_as_they_were_added() {
        let mut sums = Sums::default();
        for elapsed in [0, 1, 7, 1_000_000_000, 1_000_000_001, u64::MAX] {
            sums.add(elapsed);
        }
        assert_eq!(Sums::read(&sums.to_bytes()).unwrap(), sums);
        assert!(Sums::read(&sums.to_bytes()[..5]).is_err());
        sums.remove(u64::MAX);
        sums.remove(0);
        assert_eq!((sums.count, sums.total), (4, 2_000_000_009));
        assert!(sums.least <= 1 && sums.most >= 1_000_000_001 && sums.most < 1_100_000_000, "{sums:?}");
        for elapsed in [1, 7, 1_000_000_000, 1_000_000_001] {
            sums.remove(elapsed);
        }
        assert_eq!(sums, Sums::default());
    }
}
