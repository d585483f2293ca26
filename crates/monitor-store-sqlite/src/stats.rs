//! Reads statistics from the sums that the writer keeps: processes by name and over time, and their errors.

use std::collections::BTreeMap;
use std::ops::Range;

use foldhash::{HashMap, HashSet};
use monitor_store::{CausesQuery, ErrorsQuery, SeriesQuery, StatsQuery, StatsSort, is_bare_exit};
use monitor_wire::{CauseStats, CausesPage, ErrorStats, ErrorsPage, NameStats, SeriesStep, StatsPage, StatsSeries, quantile_ns};
use rusqlite::{Connection, OptionalExtension, Result, Row, params, params_from_iter};

use super::ids::code;
use super::pool::Snapshot;
use super::roots::matching;
use super::write::rollups::{ALL_NAMES, LEVELS, MINUTE_US, Sums};
use super::{ReadError, as_of, ids, number_of};

/// Sums of all names in a range of a level.
pub(super) const BY_TIME: &str = "SELECT name, state, sums FROM rollup WHERE level = ?1 AND t >= ?2 AND t < ?3";
/// Sums of a name in a span of a level.
pub(super) const OF_NAME: &str = "SELECT state, sums FROM rollup WHERE level = ?1 AND t = ?2 AND name = ?3";
/// First span of a level.
pub(super) const FIRST: &str = "SELECT t FROM rollup WHERE level = ?1 ORDER BY t LIMIT 1";
/// Last span of a level.
pub(super) const LAST: &str = "SELECT t FROM rollup WHERE level = ?1 ORDER BY t DESC LIMIT 1";
/// Next span of a level, from ?2 on.
pub(super) const NEXT: &str = "SELECT t FROM rollup WHERE level = ?1 AND t >= ?2 ORDER BY t LIMIT 1";
/// First span of a level that has failures.
pub(super) const FIRST_FAILURE: &str = "SELECT t FROM failure WHERE level = ?1 ORDER BY t LIMIT 1";
/// Failures in a range of a level.
pub(super) const FAILURES: &str =
    "SELECT shape, name, count, last, root, id, message, first FROM failure WHERE level = ?1 AND t >= ?2 AND t < ?3";

/// Lengths of a range in minutes above which its ends are rounded to hours, and to days.
const ENDS_AT: [u64; 2] = [2 * LEVELS[2], 62 * LEVELS[2]];
/// Possible steps of a series in minutes. Each is a multiple of the previous one.
const STEPS: [u64; 8] = [1, 5, 15, LEVELS[1], 6 * LEVELS[1], LEVELS[2], 8 * LEVELS[2], LEVELS[3]];
/// Maximum number of steps of a series if the query sets no step.
const USUAL_STEPS: u64 = 200;
/// Maximum number of spans of its level in a series.
const MAX_UNITS: u64 = 1_500;

/// Sums over the processes of a name or of a step.
#[derive(Default)]
struct Totals {
    /// Number of succeeded, failed, cancelled, lost and other processes.
    states: [u64; 5],
    ended: u64,
    total_ns: u128,
    least: u64,
    most: u64,
    /// Bucket of the first item of `counts`.
    first: u16,
    counts: Vec<u64>,
}

impl Totals {
    fn add(&mut self, state: i64, sums: &Sums) {
        let place = match state {
            code::SUCCEEDED => 0,
            code::FAILED => 1,
            code::CANCELLED => 2,
            code::LOST => 3,
            _ => 4,
        };
        self.states[place] += sums.count;
        if state == code::LOST || sums.count == 0 {
            return;
        }
        self.least = if self.ended == 0 { sums.least } else { self.least.min(sums.least) };
        self.most = self.most.max(sums.most);
        self.ended += sums.count;
        self.total_ns += sums.total;
        let (Some((first, _)), Some((last, _))) = (sums.histogram.first(), sums.histogram.last()) else { return };
        if self.counts.is_empty() {
            self.first = *first;
        } else if *first < self.first {
            self.counts.splice(..0, std::iter::repeat_n(0, usize::from(self.first - first)));
            self.first = *first;
        }
        let length = usize::from(last - self.first) + 1;
        if self.counts.len() < length {
            self.counts.resize(length, 0);
        }
        for (bucket, count) in &sums.histogram {
            self.counts[usize::from(bucket - self.first)] += count;
        }
    }

    fn histogram(&self) -> impl Iterator<Item = (u32, u64)> + Clone {
        (u32::from(self.first)..).zip(self.counts.iter().copied()).filter(|(_, count)| *count > 0)
    }

    fn total_ns(&self) -> u64 {
        u64::try_from(self.total_ns).unwrap_or(u64::MAX)
    }

    fn show(&self, name: String) -> NameStats {
        let [succeeded, failed, cancelled, lost, other] = self.states;
        let bounds = (self.ended > 0).then_some((self.least, self.most));
        let quantile = |part| quantile_ns(self.histogram(), bounds?, part);
        NameStats {
            name,
            count: self.states.iter().sum(),
            succeeded,
            failed,
            cancelled,
            lost,
            other,
            total_ns: self.total_ns(),
            min_ns: bounds.map(|(least, _)| least),
            max_ns: bounds.map(|(_, most)| most),
            p50_ns: quantile(0.5),
            p95_ns: quantile(0.95),
            p99_ns: quantile(0.99),
        }
    }
}

/// Reads one page of statistics by name.
pub(super) fn by_name(snapshot: &mut Snapshot<'_>, query: &StatsQuery) -> Result<StatsPage, ReadError> {
    let offset = query.cursor.as_deref().map_or(Ok(0), number_of)?;
    let range = range(snapshot, query.from_us, query.to_us, 0)?;
    let mut page = StatsPage {
        stats: Vec::new(),
        from_us: range.start * MINUTE_US,
        to_us: range.end * MINUTE_US,
        next_cursor: None,
        as_of: as_of(snapshot)?,
    };
    let parts = parts(&range, rolled(snapshot)?);
    let mut found = HashMap::<i64, Totals>::default();
    if let Some(name) = &query.name {
        let Some(key) = snapshot.find_text(name)? else { return Ok(page) };
        let totals = of_name(snapshot, &parts, key)?;
        if totals.states.iter().any(|count| *count > 0) {
            found.insert(key, totals);
        }
    } else {
        let wanted = query.text.as_deref().map(|text| keys(snapshot, text)).transpose()?;
        let mut statement = snapshot.prepare_cached(BY_TIME)?;
        for (level, part) in &parts {
            let mut rows = statement.query(params![*level as i64, part.start as i64, part.end as i64])?;
            while let Some(row) = rows.next()? {
                let name = row.get(0)?;
                if name != ALL_NAMES && wanted.as_ref().is_none_or(|wanted| wanted.contains(&name)) {
                    found.entry(name).or_default().add(row.get(1)?, &sums(row, 2)?);
                }
            }
        }
    }
    let (connection, dictionary) = snapshot.parts();
    let show = |(key, totals): (i64, Totals)| -> Result<_> { Ok(totals.show(dictionary.text(connection, key)?.to_string())) };
    let mut all = found.into_iter().map(show).collect::<Result<Vec<_>>>()?;
    all.sort_unstable_by(|a, b| {
        let greater = |of: fn(&NameStats) -> Option<u64>| of(b).cmp(&of(a));
        let order = match query.sort {
            StatsSort::Count => greater(|stats| Some(stats.count)),
            StatsSort::Failed => greater(|stats| Some(stats.failed)),
            StatsSort::Total => greater(|stats| Some(stats.total_ns)),
            StatsSort::Max => greater(|stats| stats.max_ns),
            StatsSort::P50 => greater(|stats| stats.p50_ns),
            StatsSort::P95 => greater(|stats| stats.p95_ns),
            StatsSort::P99 => greater(|stats| stats.p99_ns),
            StatsSort::Name => std::cmp::Ordering::Equal,
        };
        order.then_with(|| a.name.cmp(&b.name))
    });
    let (begin, end) = (offset as usize, (offset as usize).saturating_add(query.limit));
    if all.len() > end {
        page.next_cursor = Some(end.to_string());
    }
    page.stats = all.into_iter().skip(begin).take(query.limit).collect();
    Ok(page)
}

/// Reads the ended processes of a range, summed by step.
pub(super) fn series(snapshot: &mut Snapshot<'_>, query: &SeriesQuery) -> Result<StatsSeries, ReadError> {
    let whole = range(snapshot, query.from_us, query.to_us, 0)?;
    let length = whole.end - whole.start;
    let asked = query.step_us.map_or(length.div_ceil(USUAL_STEPS), |step| step.div_ceil(MINUTE_US));
    let kept = LEVELS[kept_level(snapshot, whole.start)?];
    let is_possible = |step: &&u64| **step >= asked.max(kept) && length / LEVELS[level_of(**step)] <= MAX_UNITS;
    let step = *STEPS.iter().find(is_possible).unwrap_or(&LEVELS[3]);
    let (from, to) = (whole.start / step * step, whole.end.div_ceil(step) * step);
    let mut answer = StatsSeries {
        series: Vec::new(),
        step_us: step * MINUTE_US,
        from_us: from * MINUTE_US,
        to_us: to * MINUTE_US,
        as_of: as_of(snapshot)?,
    };
    let name = match &query.name {
        Some(name) => match snapshot.find_text(name)? {
            Some(key) => key,
            None => return Ok(answer),
        },
        None => ALL_NAMES,
    };
    let mut steps = BTreeMap::<u64, Totals>::new();
    let rolled = rolled(snapshot)?;
    let level = level_of(step);
    // Minutes that are not yet included in the sums of longer spans are read one by one.
    for (level, part) in [(level, from / LEVELS[level]..to / LEVELS[level]), (0, rolled.max(from)..to)] {
        let part = if level == 0 { part } else { part.start..part.end.min(rolled / LEVELS[level] + 1) };
        each_of_name(snapshot, level, part, name, |t, state, sums| {
            let at = t * LEVELS[level] / step * step;
            steps.entry(at).or_default().add(state, &sums);
        })?;
        if step < LEVELS[1] {
            break;
        }
    }
    let show = |(at, totals): (u64, Totals)| {
        let [succeeded, failed, cancelled, lost, other] = totals.states;
        let (total_ns, histogram) = (totals.total_ns(), totals.histogram().collect());
        SeriesStep { from_us: at * MINUTE_US, succeeded, failed, cancelled, lost, other, total_ns, histogram }
    };
    answer.series = steps.into_iter().map(show).collect();
    Ok(answer)
}

/// Reads the most frequent errors.
pub(super) fn errors(snapshot: &mut Snapshot<'_>, query: &ErrorsQuery) -> Result<ErrorsPage, ReadError> {
    let range = range(snapshot, query.from_us, query.to_us, 1)?;
    let mut page =
        ErrorsPage { errors: Vec::new(), from_us: range.start * MINUTE_US, to_us: range.end * MINUTE_US, as_of: as_of(snapshot)? };
    let name = match &query.name {
        Some(name) => match snapshot.find_text(name)? {
            Some(key) => Some(key),
            None => return Ok(page),
        },
        None => None,
    };
    // Key: shape and name. Value: count, and for the newest failure its end, root, id and message.
    let mut found = HashMap::<(i64, i64), (u64, (i64, i64, i64, i64))>::default();
    each_failure(snapshot, &range, |failure| {
        if name.is_none_or(|name| name == failure.name) {
            let (count, newest) = found.entry((failure.shape, failure.name)).or_insert((0, (i64::MIN, 0, 0, 0)));
            *count += failure.count;
            *newest = (*newest).max(failure.newest);
        }
    })?;
    let (connection, dictionary) = snapshot.parts();
    let mut all: Vec<_> = found.into_iter().collect();
    all.sort_unstable_by_key(|(key, (count, newest))| (std::cmp::Reverse(*count), std::cmp::Reverse(newest.0), *key));
    let mut root_id = connection.prepare_cached("SELECT id FROM root WHERE number = ?1")?;
    for ((shape, name), (count, (last, root, id, message))) in all.into_iter().take(query.limit) {
        page.errors.push(ErrorStats {
            shape: dictionary.text(connection, shape)?.to_string(),
            message: dictionary.text(connection, message)?.to_string(),
            name: dictionary.text(connection, name)?.to_string(),
            count,
            last_us: last as u64,
            root_id: root_id.query_row([root], |row| ids::root(row, 0)).optional()?,
            id: ids::process_id(id)?,
        });
    }
    Ok(page)
}

/// A row of `failure`.
struct FailureRow {
    shape: i64,
    name: i64,
    count: u64,
    /// End, root, id and message of the newest failure.
    newest: (i64, i64, i64, i64),
    first: i64,
}

/// Failures with one cause.
struct Cause {
    names: BTreeMap<i64, u64>,
    /// End, root, id and message of the newest failure.
    newest: (i64, i64, i64, i64),
    first: i64,
}

impl Default for Cause {
    fn default() -> Self {
        Self { names: BTreeMap::new(), newest: (i64::MIN, 0, 0, 0), first: i64::MAX }
    }
}

impl Cause {
    fn add(&mut self, other: &Self) {
        for (name, count) in &other.names {
            *self.names.entry(*name).or_default() += count;
        }
        self.newest = self.newest.max(other.newest);
        self.first = self.first.min(other.first);
    }
}

/// Calls `take` for the failures in a range of minutes.
fn each_failure(connection: &Connection, range: &Range<u64>, mut take: impl FnMut(FailureRow)) -> Result<()> {
    let mut statement = connection.prepare_cached(FAILURES)?;
    let mut parts = Vec::new();
    cover(LEVELS.len() - 1, 1, range, &mut parts);
    for (level, part) in parts {
        let mut rows = statement.query(params![level as i64, part.start as i64, part.end as i64])?;
        while let Some(row) = rows.next()? {
            take(FailureRow {
                shape: row.get(0)?,
                name: row.get(1)?,
                count: row.get::<_, i64>(2)? as u64,
                newest: (row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?),
                first: row.get(7)?,
            });
        }
    }
    Ok(())
}

/// Time before a range, in minutes, without failures of a kind for that kind to be new.
const NEW_AFTER: u64 = 7 * LEVELS[2];
/// Maximum number of names listed for a cause.
const MOST_NAMES: usize = 10;
/// Names of roots.
pub(super) const ROOT_NAMES: &str = "SELECT DISTINCT name FROM root_count";

/// Reads the causes of failed roots: the failures of all processes whose name is also the name of a root, grouped by the shape of their
/// message.
pub(super) fn causes(snapshot: &mut Snapshot<'_>, query: &CausesQuery) -> Result<CausesPage, ReadError> {
    let range = range(snapshot, query.from_us, query.to_us, 1)?;
    let mut page =
        CausesPage { causes: Vec::new(), from_us: range.start * MINUTE_US, to_us: range.end * MINUTE_US, as_of: as_of(snapshot)? };
    let of_roots: HashSet<i64> = snapshot.prepare_cached(ROOT_NAMES)?.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut found = HashMap::<(i64, i64), Cause>::default();
    each_failure(snapshot, &range, |failure| {
        if of_roots.contains(&failure.name) {
            let cause = found.entry((failure.shape, failure.name)).or_default();
            cause.add(&Cause { names: BTreeMap::from([(failure.name, failure.count)]), newest: failure.newest, first: failure.first });
        }
    })?;
    let mut known = HashSet::default();
    each_failure(snapshot, &(range.start.saturating_sub(NEW_AFTER)..range.start), |failure| {
        if of_roots.contains(&failure.name) {
            known.extend([(failure.shape, None), (failure.shape, Some(failure.name))]);
        }
    })?;
    let (connection, dictionary) = snapshot.parts();
    // A shape is one cause of all its names, but bare exit codes of different names have nothing in common.
    let mut causes = HashMap::<(i64, Option<i64>), Cause>::default();
    for ((shape, name), cause) in found {
        let of = is_bare_exit(&dictionary.text(connection, shape)?).then_some(name);
        causes.entry((shape, of)).or_default().add(&cause);
    }
    let mut all: Vec<_> = causes.into_iter().collect();
    all.sort_unstable_by_key(|(key, cause)| (std::cmp::Reverse(cause.newest.0), *key));
    let mut root_id = connection.prepare_cached("SELECT id FROM root WHERE number = ?1")?;
    for (key, Cause { names, newest: (last, root, _, message), first }) in all.into_iter().take(query.limit) {
        let (count, name_count) = (names.values().sum(), names.len() as u64);
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable_by_key(|(name, count)| (std::cmp::Reverse(*count), *name));
        let names = names.into_iter().take(MOST_NAMES).map(|(name, _)| Ok(dictionary.text(connection, name)?.to_string()));
        page.causes.push(CauseStats {
            names: names.collect::<Result<_>>()?,
            shape: dictionary.text(connection, key.0)?.to_string(),
            message: dictionary.text(connection, message)?.to_string(),
            count,
            name_count,
            first_us: first.max(0) as u64,
            last_us: last.max(0) as u64,
            new: !known.contains(&key),
            root_id: root_id.query_row([root], |row| ids::root(row, 0)).optional()?,
        });
    }
    Ok(page)
}

/// Reads the totals of a name.
fn of_name(connection: &Connection, parts: &[(usize, Range<u64>)], name: i64) -> Result<Totals> {
    let mut totals = Totals::default();
    for (level, part) in parts {
        each_of_name(connection, *level, part.clone(), name, |_, state, sums| totals.add(state, &sums))?;
    }
    Ok(totals)
}

/// Calls `add` with span, state and sums of a name for a range of spans. After a span without sums of the name, it continues with the next
/// span that has sums of any name.
fn each_of_name(connection: &Connection, level: usize, times: Range<u64>, name: i64, mut add: impl FnMut(u64, i64, Sums)) -> Result<()> {
    let mut statement = connection.prepare_cached(OF_NAME)?;
    let mut next = connection.prepare_cached(NEXT)?;
    let mut t = times.start;
    while t < times.end {
        let mut rows = statement.query(params![level as i64, t as i64, name])?;
        let mut is_there = false;
        while let Some(row) = rows.next()? {
            is_there = true;
            add(t, row.get(0)?, sums(row, 1)?);
        }
        t += 1;
        if !is_there {
            let found = next.query_row([level as i64, t as i64], |row| row.get::<_, i64>(0)).optional()?;
            t = found.map_or(times.end, |t| t as u64);
        }
    }
    Ok(())
}

fn sums(row: &Row<'_>, column: usize) -> Result<Sums> {
    Sums::read(row.get_ref(column)?.as_blob()?)
}

/// Returns the keys of the texts that contain `text`.
fn keys(snapshot: &Snapshot<'_>, text: &str) -> Result<HashSet<i64>> {
    let mut values = Vec::new();
    let sql = matching(text, &mut values);
    snapshot.prepare_cached(&sql)?.query_map(params_from_iter(values), |row| row.get(0))?.collect()
}

/// Returns the first minute that is not yet included in the sums of longer spans.
fn rolled(connection: &Connection) -> Result<u64> {
    connection.prepare_cached("SELECT rolled FROM counter")?.query_row([], |row| Ok(row.get::<_, i64>(0)? as u64))
}

/// Returns the range of the spans of a level that have sums; empty if there are none.
fn bounds(connection: &Connection, level: usize) -> Result<Range<u64>> {
    let end = |sql| connection.prepare_cached(sql)?.query_row([level as i64], |row| row.get::<_, i64>(0)).optional();
    Ok(end(FIRST)?.zip(end(LAST)?).map_or(0..0, |(first, last)| first as u64..last as u64 + 1))
}

/// Returns the minutes of a requested range. Its ends are rounded outwards to spans of `level`, and to longer spans if the range is long or
/// the sums of shorter spans were deleted.
fn range(connection: &Connection, from_us: Option<u64>, to_us: Option<u64>, level: usize) -> Result<Range<u64>> {
    let (mut first, mut last) = (u64::MAX, 0);
    for (level, length) in LEVELS.into_iter().enumerate() {
        let bounds = bounds(connection, level)?;
        if !bounds.is_empty() {
            (first, last) = (first.min(bounds.start * length), last.max(bounds.end * length));
        }
    }
    let from = from_us.map_or(first.min(last), |from| from / MINUTE_US);
    let to = to_us.map_or(last, |to| to.div_ceil(MINUTE_US)).max(from);
    let by_length = ENDS_AT.iter().filter(|from_on| to - from > **from_on).count();
    let length = LEVELS[by_length.max(level).max(kept_level(connection, from)?)];
    Ok(from / length * length..to.div_ceil(length) * length)
}

/// Returns the lowest level whose sums are still kept from a minute on.
fn kept_level(connection: &Connection, from: u64) -> Result<usize> {
    let mut statement = connection.prepare_cached("SELECT level, t FROM sums_from ORDER BY level DESC")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (level, t) = (row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as u64);
        if from / LEVELS[level] < t {
            return Ok(level + 1);
        }
    }
    Ok(0)
}

/// Returns the highest level whose spans divide a step of `step` minutes.
fn level_of(step: u64) -> usize {
    LEVELS.iter().rposition(|length| step.is_multiple_of(*length)).unwrap_or(0)
}

/// Returns the smallest set of sums that cover a range of minutes, as levels with ranges of spans.
fn parts(range: &Range<u64>, rolled: u64) -> Vec<(usize, Range<u64>)> {
    let mut parts = Vec::new();
    let top = LEVELS.len() - 1;
    if range.start < rolled {
        // Longer spans contain nothing from `rolled` on, so the last one may be read as a whole.
        let end = if range.end < rolled { range.end } else { rolled.div_ceil(LEVELS[top]) * LEVELS[top] };
        cover(top, 0, &(range.start..end), &mut parts);
        for (level, part) in &mut parts {
            if *level == 0 {
                part.end = part.end.min(rolled);
            }
        }
    }
    parts.push((0, range.start.max(rolled)..range.end));
    parts.retain(|(_, part)| !part.is_empty());
    parts
}

/// Covers a range of minutes with spans of the levels from `top` down to `bottom`.
fn cover(top: usize, bottom: usize, range: &Range<u64>, parts: &mut Vec<(usize, Range<u64>)>) {
    let length = LEVELS[top];
    let (first, last) = (range.start.div_ceil(length), range.end / length);
    if top == bottom {
        parts.push((top, range.start / length..range.end.div_ceil(length)));
    } else if first < last {
        parts.push((top, first..last));
        cover(top - 1, bottom, &(range.start..first * length), parts);
        cover(top - 1, bottom, &(last * length..range.end), parts);
    } else {
        cover(top - 1, bottom, range, parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each minute of the range is in exactly one part, and no part has other minutes.
    #[test]
    fn parts_cover_their_range_exactly() {
        for (from, to) in [(0, 1), (59, 61), (0, 1_440), (1, 1_439), (100, 50_000), (1_439, 200_001), (46_080, 92_160)] {
            for rolled in [0, 1, 30, 60, 1_441, 49_999, 300_000] {
                let mut minutes = Vec::new();
                for (level, part) in parts(&(from..to), rolled) {
                    // Longer spans include the minutes before `rolled`, as in the database.
                    let minute = |t| (t * LEVELS[level]..(t + 1) * LEVELS[level]).filter(|minute| level == 0 || *minute < rolled);
                    minutes.extend(part.flat_map(minute));
                }
                minutes.sort_unstable();
                assert_eq!(minutes, (from..to).collect::<Vec<_>>(), "{from}..{to}, {rolled}");
            }
        }
        assert!(parts(&(7..525_600), 525_000).len() < 12);
    }
}
