//! Brief calls: calls that are too short for a row of their own, unless they fail or the program knows their ids.
//!
//! Calls are added as they end. The calls of a thread are added in the order of their ends, so the calls made by a call are added before
//! it. While it is unknown if a call is brief, the brief calls within it are kept with it. If it is brief too, they are counted together
//! with it: a row for all calls of a name below a parent, and below this row a row for each name called within them, at any depth. If it
//! isn't brief, it gets a row, and the rows of the brief calls within it are its children.
//!
//! Of the longer calls, the first calls of each call path get rows. Further calls of the path are counted
//! as if they were brief ([`Paths`]).
//!
//! Failed calls are counted like all others. The first failures of each name below a call path are kept ([`Kept`]): they get rows of their
//! own as children of the row or fold that they were called in. The calls between them need no rows.

mod paths;

use std::{iter, mem};

pub use paths::{Limits, Link, Paths};

/// Maximum number of failed calls per name below a call path that get rows.
const MAX_KEPT: usize = 10;

/// A call that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Id of the call.
    pub id: u64,
    /// Id of its parent.
    pub parent: u64,
    /// Id of its tree.
    pub root: u128,
    /// Number of its site.
    pub site: u32,
    /// Start of the call.
    pub start: u64,
    /// Duration of the call.
    pub elapsed: u64,
    /// Number of the histogram bucket of the duration.
    pub bucket: u32,
    /// True if the program doesn't know the ids of the call and it was not reported while it ran, so that it may be counted.
    pub may_be_counted: bool,
    /// True if it returned an error or panicked.
    pub has_failed: bool,
    /// Unused here. The caller uses it to find a kept call.
    pub tag: u64,
}

/// Number of counted calls and their durations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Number of the site of all of them.
    pub site: u32,
    /// Start of the first call.
    pub start: u64,
    /// Number of calls. Zero if all of them are kept.
    pub calls: u64,
    /// Number of calls that failed.
    pub failed: u64,
    /// Sum of all durations.
    pub total: u64,
    /// The shortest duration.
    pub min: u64,
    /// The longest duration.
    pub max: u64,
    /// Numbers of buckets, and the number of calls in each.
    pub histogram: Vec<(u32, u64)>,
    /// Ids and ends of the failed calls, until the caller removes them to look up their error messages.
    pub failures: Vec<(u64, u64)>,
    /// Failed calls that get rows and are not counted.
    pub kept: Vec<Kept>,
}

/// A failed call that gets a row of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The call.
    pub call: Ended,
    /// The rows of its children.
    pub rows: Vec<Row>,
}

/// Brief calls with the same name and parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The calls of that name.
    pub count: Count,
    /// The calls made within them, by name.
    pub within: Vec<Count>,
}

/// Calls whose parent has not ended yet.
#[derive(Debug)]
pub struct Pending {
    /// Id of the parent.
    pub parent: u64,
    /// Id of the tree.
    pub root: u128,
    /// Rows of the brief calls.
    pub rows: Vec<Row>,
    /// True if other calls have rows of their own, so that the parent needs a row too.
    pub is_told: bool,
}

impl Pending {
    /// Adds rows of the same parent.
    pub fn add(&mut self, rows: Vec<Row>) {
        for row in rows {
            merge(&mut self.rows, row);
        }
    }
}

/// Counts the brief calls of one thread.
#[derive(Debug, Default)]
pub struct Briefs {
    /// Entries by parent. The innermost parent is last.
    pending: Vec<Pending>,
}

impl Briefs {
    /// Adds a call that has ended. Returns `None` if the call is counted or kept, and otherwise the rows of its children.
    pub fn add(&mut self, call: &Ended, paths: &mut Paths, limits: Limits) -> Option<Vec<Row>> {
        let own = self.pending.pop_if(|pending| pending.parent == call.id);
        let may_be_counted = call.may_be_counted && !own.as_ref().is_some_and(|own| own.is_told);
        let is_brief = call.elapsed < limits.below;
        let is_counted = may_be_counted && (is_brief || paths.counts(call.parent, call.site, call.elapsed));
        if !is_counted {
            paths.told(call.parent, call.site, call.elapsed, limits);
        }
        let rows = own.map_or_else(Vec::new, |own| own.rows);
        if self.pending.last().is_none_or(|pending| pending.parent != call.parent) {
            self.pending.push(Pending { parent: call.parent, root: call.root, rows: Vec::new(), is_told: false });
        }
        let above = self.pending.last_mut()?;
        if !is_counted {
            above.is_told = true;
            return Some(rows);
        }
        let row = row_of(&mut above.rows, call.site);
        if call.has_failed && row.count.kept.len() < MAX_KEPT {
            row.count.kept.push(Kept { call: *call, rows });
        } else {
            row.count.add(call);
            row.add_all_within(rows);
        }
        None
    }

    /// Removes and returns the entries of the parents accepted by `is_one`.
    pub fn take(&mut self, is_one: impl Fn(u64) -> bool) -> Vec<Pending> {
        self.pending.extract_if(.., |pending| is_one(pending.parent)).collect()
    }

    /// Returns an entry that was removed by [`Briefs::take`].
    pub fn put_back(&mut self, pending: Pending) {
        self.pending.push(pending);
    }

    /// Removes and returns the entries that remain after all calls were added: those of parents that have not
    /// ended, or ended on another thread.
    pub fn rest(&mut self) -> impl Iterator<Item = Pending> {
        self.pending.drain(..)
    }
}

/// Returns the number of rows, including the rows within them.
pub fn number_of(rows: &[Row]) -> usize {
    rows.iter().map(|row| 1 + row.within.len()).sum()
}

/// Moves the rows within other rows to the top level and merges them by name.
pub fn flatten(rows: Vec<Row>) -> Vec<Row> {
    let mut flat = Vec::new();
    for count in rows.into_iter().flat_map(|row| iter::once(row.count).chain(row.within)) {
        merge(&mut flat, count.into());
    }
    flat
}

/// Adds a row to those of the same parent.
pub fn merge(rows: &mut Vec<Row>, row: Row) {
    let own = row_of(rows, row.count.site);
    own.count.merge(row.count);
    row.within.into_iter().for_each(|count| own.within_of(count.site).merge(count));
}

/// Keeps the failed calls whose sites `keeps` accepts, and counts the others.
pub fn limit_kept(rows: &mut [Row], keeps: &mut impl FnMut(u32) -> bool) {
    for row in rows {
        row.limit_kept(keeps);
    }
}

fn row_of(rows: &mut Vec<Row>, site: u32) -> &mut Row {
    let place = rows.iter().position(|row| row.count.site == site).unwrap_or_else(|| {
        rows.push(Count::none_of(site).into());
        rows.len() - 1
    });
    &mut rows[place]
}

impl From<Count> for Row {
    /// Creates a row of calls that have made no counted calls.
    fn from(count: Count) -> Self {
        Row { count, within: Vec::new() }
    }
}

impl Row {
    /// Adds the rows of calls that were made within these calls.
    pub fn add_all_within(&mut self, rows: Vec<Row>) {
        for mut count in rows.into_iter().flat_map(|row| iter::once(row.count).chain(row.within)) {
            let kept = mem::take(&mut count.kept);
            if count.calls > 0 {
                self.within_of(count.site).merge(count);
            }
            for kept in kept {
                if self.within_of(kept.call.site).kept.len() < MAX_KEPT {
                    self.within_of(kept.call.site).kept.push(kept);
                } else {
                    self.count_within(kept);
                }
            }
        }
    }

    /// Counts a failed call within these calls instead of keeping it.
    fn count_within(&mut self, Kept { call, rows }: Kept) {
        self.within_of(call.site).add(&call);
        self.add_all_within(rows);
    }

    fn within_of(&mut self, site: u32) -> &mut Count {
        let place = self.within.iter().position(|count| count.site == site).unwrap_or_else(|| {
            self.within.push(Count::none_of(site));
            self.within.len() - 1
        });
        &mut self.within[place]
    }

    fn limit_kept(&mut self, keeps: &mut impl FnMut(u32) -> bool) {
        for mut kept in mem::take(&mut self.count.kept) {
            if keeps(kept.call.site) {
                limit_kept(&mut kept.rows, keeps);
                self.count.kept.push(kept);
            } else {
                self.count.add(&kept.call);
                self.add_all_within(kept.rows);
            }
        }
        let mut accepted = Vec::new();
        // A call that is counted instead of kept may leave the failed calls below it here, so repeat.
        while let Some(count) = self.within.iter_mut().find(|count| !count.kept.is_empty()) {
            for mut kept in mem::take(&mut count.kept) {
                if keeps(kept.call.site) {
                    limit_kept(&mut kept.rows, keeps);
                    accepted.push(kept);
                } else {
                    self.count_within(kept);
                }
            }
        }
        for kept in accepted {
            self.within_of(kept.call.site).kept.push(kept);
        }
    }
}

impl Count {
    fn none_of(site: u32) -> Self {
        Count {
            site,
            start: u64::MAX,
            calls: 0,
            failed: 0,
            total: 0,
            min: u64::MAX,
            max: 0,
            histogram: Vec::new(),
            failures: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn add(&mut self, call: &Ended) {
        self.start = self.start.min(call.start);
        self.calls += 1;
        self.total = self.total.saturating_add(call.elapsed);
        self.min = self.min.min(call.elapsed);
        self.max = self.max.max(call.elapsed);
        self.add_to_bucket(call.bucket, 1);
        if call.has_failed {
            self.failed += 1;
            self.failures.push((call.id, call.start.saturating_add(call.elapsed)));
        }
    }

    /// Adds the counts and kept calls of another count.
    fn merge(&mut self, other: Count) {
        self.start = self.start.min(other.start);
        self.calls += other.calls;
        self.failed += other.failed;
        self.total = self.total.saturating_add(other.total);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        other.histogram.iter().for_each(|(bucket, count)| self.add_to_bucket(*bucket, *count));
        self.failures.extend(other.failures);
        self.kept.extend(other.kept);
    }

    fn add_to_bucket(&mut self, bucket: u32, count: u64) {
        match self.histogram.iter_mut().find(|(own, _)| *own == bucket) {
            Some((_, own)) => *own += count,
            None => self.histogram.push((bucket, count)),
        }
    }
}

/// Returns the parents of ended calls that are not among the ended calls themselves, with the start of the earliest call of each.
pub(crate) fn parents_elsewhere(calls: impl Iterator<Item = (u64, u64, u64)>) -> Vec<(u64, u64)> {
    let mut parents: Vec<(u64, u64)> = Vec::new();
    for (id, parent, start) in calls {
        parents.pop_if(|(open, _)| *open == id);
        match parents.last_mut().filter(|(open, _)| *open == parent) {
            Some((_, since)) => *since = start.min(*since),
            None => parents.push((parent, start)),
        }
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(id: u64, parent: u64, site: u32, is_brief: bool) -> Ended {
        Ended { id, parent, root: 1, site, start: id, elapsed: 10, bucket: 3, may_be_counted: is_brief, has_failed: false, tag: 0 }
    }

    /// Site and count of a row, and of each row within it.
    type Shown = (u32, u64, Vec<(u32, u64)>);

    fn shown(rows: &[Row]) -> Vec<Shown> {
        let within = |row: &Row| row.within.iter().map(|count| (count.site, count.calls)).collect();
        rows.iter().map(|row| (row.count.site, row.count.calls, within(row))).collect()
    }

    const LIMITS: Limits = Limits { below: 100, slow: 1_000, longest: 1_000_000 };

    impl Briefs {
        fn told(&mut self, call: &Ended) -> Option<Vec<Row>> {
            self.add(call, &mut Paths::default(), LIMITS)
        }
    }

    #[test]
    fn brief_calls_are_counted_below_the_nearest_caller_that_is_not_brief() {
        let mut briefs = Briefs::default();
        // Call 1 calls 2 twice, which calls 3 and through it 4 and itself.
        for first in [10, 20] {
            assert_eq!(briefs.told(&ended(first + 3, first + 2, 4, true)), None);
            assert_eq!(briefs.told(&ended(first + 4, first + 2, 2, true)), None);
            assert_eq!(briefs.told(&ended(first + 2, first + 1, 3, true)), None);
            assert_eq!(briefs.told(&ended(first + 1, 1, 2, true)), None);
        }
        let rows = briefs.told(&ended(1, 0, 1, false)).expect("it took long");
        assert_eq!(shown(&rows), [(2, 2, vec![(3, 2), (4, 2), (2, 2)])]);
        assert_eq!((rows[0].count.start, rows[0].count.total, &rows[0].count.histogram), (11, 20, &vec![(3, 2)]));
        assert_eq!(briefs.rest().map(|pending| (pending.parent, pending.rows.len())).collect::<Vec<_>>(), [(0, 0)]);
    }

    #[test]
    fn a_call_above_a_row_has_a_row() {
        let mut briefs = Briefs::default();
        assert_eq!(briefs.told(&ended(4, 3, 4, true)), None);
        assert_eq!(briefs.told(&ended(5, 3, 5, false)), Some(Vec::new()), "it fails");
        let rows = briefs.told(&ended(3, 2, 3, true)).expect("it has called the one that fails");
        assert_eq!(shown(&rows), [(4, 1, vec![])]);
        assert_eq!(briefs.told(&ended(2, 1, 2, true)), Some(Vec::new()));
    }

    #[test]
    fn longer_calls_are_counted_with_their_children_after_some_of_their_path() {
        let (mut briefs, mut paths) = (Briefs::default(), Paths::default());
        let mut told = 0;
        for id in 10..60 {
            let parent = Ended { elapsed: 500, ..ended(id, 1, 2, true) };
            paths.link(id, Link { parent: 1, site: 2, elapsed: 500, may_be_counted: true });
            for (elapsed, site) in [(500, 3), (10, 4)] {
                let child = Ended { elapsed, ..ended(id * 10 + u64::from(site), id, site, true) };
                told += u64::from(briefs.add(&child, &mut paths, LIMITS).is_some());
            }
            told += u64::from(briefs.add(&parent, &mut paths, LIMITS).is_some());
        }
        assert_eq!(told, 20, "ten of each path");
        let rows = briefs.add(&Ended { elapsed: 5_000, ..ended(1, 0, 1, true) }, &mut paths, LIMITS).expect("the first of its path");
        assert_eq!(shown(&rows), [(2, 40, vec![(3, 40), (4, 40)])]);
    }

    #[test]
    fn parents_that_have_not_ended_are_found() {
        let calls = [(3, 2, 30), (2, 1, 20), (6, 5, 60), (5, 1, 50), (8, 7, 80), (9, 7, 90)];
        assert_eq!(parents_elsewhere(calls.into_iter()), [(1, 20), (7, 80)]);
    }
}
