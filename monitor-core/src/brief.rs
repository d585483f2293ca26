//! Brief calls: those that are too short to be worth a row of their own, unless they fail or somebody knows their ids.
//!
//! Calls are told of here as they end, those of one thread in that order: so what a call has called comes before it does. While it
//! is not known whether a call is brief, the brief calls within it are kept with it. If it is brief as well, they are counted
//! together with it: one row for all calls of a name below one parent, and below that one row for each name that was called
//! within them, however deep. If it is not, it gets a row, and the rows of what was brief within it are below.
//!
//! Of calls that took longer the first ones of each call path get rows; after those, further ones are counted as if they were brief
//! ([`Paths`]).

mod paths;

pub use paths::{Limits, Link, Paths};

/// A call that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Its id.
    pub id: u64,
    /// Its parent.
    pub parent: u64,
    /// Its tree.
    pub root: u128,
    /// Number of its site.
    pub site: u32,
    /// When it began.
    pub start: u64,
    /// How long it took.
    pub elapsed: u64,
    /// Number of the bucket of that.
    pub bucket: u32,
    /// Nobody knows its ids, it has not failed, and it wasn't told while it ran: it may be counted.
    pub may_be_counted: bool,
}

/// How many calls were counted, and how long they took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Number of the site of all of them.
    pub site: u32,
    /// When the first one began.
    pub start: u64,
    /// How many there were.
    pub calls: u64,
    /// All durations together.
    pub total: u64,
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// Numbers of buckets, and how many are in them.
    pub histogram: Vec<(u32, u64)>,
}

/// Brief calls of one name below one parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// These.
    pub count: Count,
    /// What was called within them, by name.
    pub within: Vec<Count>,
}

/// What is known of calls whose parent has not ended by now.
#[derive(Debug)]
pub struct Pending {
    /// The parent.
    pub parent: u64,
    /// Its tree.
    pub root: u128,
    /// The brief ones.
    pub rows: Vec<Row>,
    /// Others have rows of their own: so must the parent.
    pub(crate) is_told: bool,
}

/// Counts the brief calls of one thread.
#[derive(Debug, Default)]
pub struct Briefs {
    /// By parent, the innermost one last.
    pending: Vec<Pending>,
}

impl Briefs {
    /// Takes a call that has ended. `None` if it is counted, else the rows that are below its own one.
    pub fn add(&mut self, call: &Ended, paths: &mut Paths, limits: Limits) -> Option<Vec<Row>> {
        let own = self.pending.pop_if(|pending| pending.parent == call.id);
        let may_be_counted = call.may_be_counted && !own.as_ref().is_some_and(|own| own.is_told);
        let is_brief = call.elapsed < limits.below;
        let is_counted = may_be_counted && (is_brief || paths.counts(call.parent, call.site, call.elapsed));
        if !is_counted && !is_brief {
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
        if let Some(row) = above.rows.iter_mut().find(|row| row.count.site == call.site) {
            row.count.add(call);
            row.add_all_within(rows);
        } else {
            let mut row = Row { count: Count::of(call), within: Vec::new() };
            row.add_all_within(rows);
            above.rows.push(row);
        }
        None
    }

    /// What is left when all calls were told that are to be: that of parents that have not ended, or ended elsewhere.
    pub fn rest(&mut self) -> impl Iterator<Item = Pending> {
        self.pending.drain(..)
    }
}

/// Adds a row to those of the same parent.
pub fn merge(rows: &mut Vec<Row>, row: Row) {
    match rows.iter_mut().find(|own| own.count.site == row.count.site) {
        Some(own) => {
            own.count.merge(&row.count);
            row.within.into_iter().for_each(|count| own.add_within(count));
        }
        None => rows.push(row),
    }
}

impl Row {
    /// Adds the rows of what was brief within one of these calls.
    fn add_all_within(&mut self, rows: Vec<Row>) {
        for row in rows {
            std::iter::once(row.count).chain(row.within).for_each(|count| self.add_within(count));
        }
    }

    fn add_within(&mut self, count: Count) {
        match self.within.iter_mut().find(|within| within.site == count.site) {
            Some(within) => within.merge(&count),
            None => self.within.push(count),
        }
    }
}

impl Count {
    fn of(call: &Ended) -> Self {
        let Ended { site, start, elapsed, bucket, .. } = *call;
        Count { site, start, calls: 1, total: elapsed, min: elapsed, max: elapsed, histogram: vec![(bucket, 1)] }
    }

    fn add(&mut self, call: &Ended) {
        self.calls += 1;
        self.total = self.total.saturating_add(call.elapsed);
        self.min = self.min.min(call.elapsed);
        self.max = self.max.max(call.elapsed);
        self.add_to_bucket(call.bucket, 1);
    }

    /// Adds what another one counts.
    fn merge(&mut self, other: &Count) {
        self.start = self.start.min(other.start);
        self.calls += other.calls;
        self.total = self.total.saturating_add(other.total);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        other.histogram.iter().for_each(|(bucket, count)| self.add_to_bucket(*bucket, *count));
    }

    fn add_to_bucket(&mut self, bucket: u32, count: u64) {
        match self.histogram.iter_mut().find(|(own, _)| *own == bucket) {
            Some((_, own)) => *own += count,
            None => self.histogram.push((bucket, count)),
        }
    }
}

/// Parents that calls have which ended, but not among these; with each when the first of its calls began.
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
        Ended { id, parent, root: 1, site, start: id, elapsed: 10, bucket: 3, may_be_counted: is_brief }
    }

    /// Site and count of a row, and of each row within it.
    type Shown = (u32, u64, Vec<(u32, u64)>);

    fn shown(rows: &[Row]) -> Vec<Shown> {
        let within = |row: &Row| row.within.iter().map(|count| (count.site, count.calls)).collect();
        rows.iter().map(|row| (row.count.site, row.count.calls, within(row))).collect()
    }

    const LIMITS: Limits = Limits { below: 100, slow: 1_000, longest: 1_000_000 };

    impl Briefs {
        fn take(&mut self, call: &Ended) -> Option<Vec<Row>> {
            self.add(call, &mut Paths::default(), LIMITS)
        }
    }

    #[test]
    fn brief_calls_are_counted_below_the_first_one_that_is_not() {
        let mut briefs = Briefs::default();
        // 1 calls 2 twice, which calls 3 and through it 4 and itself.
        for first in [10, 20] {
            assert_eq!(briefs.take(&ended(first + 3, first + 2, 4, true)), None);
            assert_eq!(briefs.take(&ended(first + 4, first + 2, 2, true)), None);
            assert_eq!(briefs.take(&ended(first + 2, first + 1, 3, true)), None);
            assert_eq!(briefs.take(&ended(first + 1, 1, 2, true)), None);
        }
        let rows = briefs.take(&ended(1, 0, 1, false)).expect("it took long");
        assert_eq!(shown(&rows), [(2, 2, vec![(3, 2), (4, 2), (2, 2)])]);
        assert_eq!((rows[0].count.start, rows[0].count.total, &rows[0].count.histogram), (11, 20, &vec![(3, 2)]));
        assert_eq!(briefs.rest().map(|pending| (pending.parent, pending.rows.len())).collect::<Vec<_>>(), [(0, 0)]);
    }

    #[test]
    fn whoever_has_a_row_below_has_one_as_well() {
        let mut briefs = Briefs::default();
        assert_eq!(briefs.take(&ended(4, 3, 4, true)), None);
        assert_eq!(briefs.take(&ended(5, 3, 5, false)), Some(Vec::new()), "it fails");
        let rows = briefs.take(&ended(3, 2, 3, true)).expect("it has called the one that fails");
        assert_eq!(shown(&rows), [(4, 1, vec![])]);
        assert_eq!(briefs.take(&ended(2, 1, 2, true)), Some(Vec::new()));
    }

    #[test]
    fn longer_calls_are_counted_after_some_of_their_path_with_what_is_within_them() {
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
