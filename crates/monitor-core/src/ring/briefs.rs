//! The rows of brief calls, by parent. Each is reported when the parent ends and, while it runs, with each scan that has counted more.
//!
//! A scan reports everything that it takes out of the rings, because the program may be killed between two scans: the records taken are
//! reported or counted in the batch that names them as taken. So a scan leaves those records in the ring for which it can't be decided yet
//! whether they belong to a brief call ([`undecided`]): the calls below calls that have just begun and still run.

use std::collections::HashMap;
use std::mem;

use super::Facts;
use super::drain::RingItem;
use super::folds::Counted;
use super::layout::{RUNNING, Region, Words};
use crate::brief::{self, Count, Ended, Row};
use crate::fold::{self, BUCKETS, Tally};
use crate::ids;
use crate::record::Origin;

/// Time after which unchanged rows are forgotten, in multiples of the longest call that is counted. The end of their parent may have been
/// seen before they were. Calls that come later get rows of their own.
const IDLE: u64 = 2;

/// All rows that may still grow.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_parent: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    root: u128,
    rows: Vec<Row>,
    /// Mark and last revision of each row and of each count within it, by site.
    marks: HashMap<(u32, Option<u32>), (u64, u64)>,
    is_changed: bool,
    has_ended: bool,
    /// Time of the last change, in ticks.
    touched: u64,
}

impl Rows {
    /// Adds brief calls below a parent that has a row of its own. Appends to `kept` the failed calls that get rows, with their parents.
    /// Returns the number of new rows.
    pub(super) fn add(
        &mut self,
        parent: u64,
        root: u128,
        mut rows: Vec<Row>,
        now: u64,
        tell: &mut impl FnMut(RingItem),
        kept: &mut Vec<(u64, Ended)>,
    ) -> usize {
        if rows.is_empty() {
            return 0;
        }
        let open = self.by_parent.entry(parent).or_insert_with(|| Open {
            root,
            rows: Vec::new(),
            marks: HashMap::new(),
            is_changed: false,
            has_ended: false,
            touched: now,
        });
        let mut failed = Vec::new();
        for row in &mut rows {
            failed.extend(mem::take(&mut row.count.kept).into_iter().map(|kept| (parent, kept)));
            open.failures_counted((row.count.site, None), &mut row.count, tell);
            for within in &mut row.within {
                let mark = open.mark((row.count.site, None));
                failed.extend(mem::take(&mut within.kept).into_iter().map(|kept| (mark, kept)));
                open.failures_counted((row.count.site, Some(within.site)), within, tell);
            }
        }
        let before = brief::number_of(&open.rows);
        for row in rows {
            brief::merge(&mut open.rows, row);
        }
        let mut new = brief::number_of(&open.rows) - before;
        (open.is_changed, open.touched) = (true, now);
        for (parent, brief::Kept { call, rows }) in failed {
            kept.push((parent, call));
            new += self.add(call.id, root, rows, now, tell, kept);
            self.ended(call.id);
        }
        new
    }

    /// Returns true if there are rows below this process.
    pub(super) fn has(&self, parent: u64) -> bool {
        self.by_parent.contains_key(&parent)
    }

    /// Notes that this process has ended: its rows are complete.
    pub(super) fn ended(&mut self, parent: u64) {
        if let Some(open) = self.by_parent.get_mut(&parent) {
            open.has_ended = true;
        }
    }

    /// Reports the rows that have changed.
    pub(super) fn look(&mut self, now: u64, tell: &mut impl FnMut(RingItem)) {
        let longest = fold::table().map_or(u64::MAX, |table| table.longest);
        self.by_parent.retain(|parent, open| {
            if open.is_changed || open.has_ended {
                open.is_changed = false;
                open.tell(*parent, open.has_ended, tell);
            }
            let is_open = !open.has_ended && now.saturating_sub(open.touched) < longest.saturating_mul(IDLE);
            // If the parent has ended, the last report of the row closes it.
            if !is_open && !open.has_ended {
                open.marks.values().for_each(|(mark, _)| tell(RingItem::Closed(*mark)));
            }
            is_open
        });
    }
}

impl Open {
    /// Returns the mark of a row or of a count within it.
    fn mark(&mut self, row: (u32, Option<u32>)) -> u64 {
        self.marks.entry(row).or_insert_with(|| (ids::new_process().get(), 0)).0
    }

    /// Reports the failed calls that a row has counted since the last scan.
    fn failures_counted(&mut self, row: (u32, Option<u32>), count: &mut Count, tell: &mut impl FnMut(RingItem)) {
        for (id, at) in mem::take(&mut count.failures) {
            tell(RingItem::FailureCounted { id, mark: self.mark(row), at });
        }
    }

    fn tell(&mut self, parent: u64, is_last: bool, tell: &mut impl FnMut(RingItem)) {
        for row in self.rows.iter().filter(|row| row.count.calls > 0) {
            let site = row.count.site;
            let mark = counted(&mut self.marks, (site, None), &row.count, (parent, self.root), is_last, tell);
            for within in row.within.iter().filter(|within| within.calls > 0) {
                counted(&mut self.marks, (site, Some(within.site)), within, (mark, self.root), is_last, tell);
            }
        }
    }
}

/// Reports the counts of a row. Returns its mark.
fn counted(
    marks: &mut HashMap<(u32, Option<u32>), (u64, u64)>,
    row: (u32, Option<u32>),
    count: &Count,
    (parent, root): (u64, u128),
    is_last: bool,
    tell: &mut impl FnMut(RingItem),
) -> u64 {
    let (mark, revision) = marks.entry(row).or_insert_with(|| (ids::new_process().get(), 0));
    *revision += 1;
    let mut histogram = vec![0; BUCKETS];
    for (bucket, count) in &count.histogram {
        if let Some(own) = histogram.get_mut(*bucket as usize) {
            *own += count;
        }
    }
    let range = Some((count.min, count.max));
    let tally = Tally { count: count.calls, failed: count.failed, total: count.total, range, histogram, ..Tally::default() };
    if let Some(site) = Facts(u64::from(count.site)).site() {
        let (mark, origin, start, revision) = (*mark, Origin::Site(site), count.start, *revision);
        tell(RingItem::Fold(Counted { mark, shard: mark, parent, root, origin, start, revision, tally, is_last }));
    }
    *mark
}

/// The calls that run in the frames of a thread before its records are read.
pub(super) struct Running {
    /// Id and start of each call, and true if it may be brief.
    calls: Vec<(u64, u64, bool)>,
    at: u64,
}

impl Running {
    /// Reads the frames of a region. All threads passed a barrier after `at`, so a call that is not found in its frame was stored later,
    /// and the calls that it makes begin later, too.
    pub(super) fn of(region: &'static Region, at: u64) -> Self {
        let frames = region.frames.iter().take(region.writer.depth.observe() as usize);
        let calls = frames.filter_map(|frame| frame.line.read(RUNNING));
        Running { calls: calls.map(|words| (words.id, words.start, Facts(words.facts).may_be_brief())).collect(), at }
    }
}

/// Returns the earliest start among the children of calls that may yet turn out to be brief. `calls` are numbered records. A call that runs
/// and began before `old` is not brief. `is_cut` is true if more records follow.
pub(super) fn undecided(calls: &[(u64, Words)], running: &Running, old: u64, is_cut: bool, is_told: impl Fn(u64) -> bool) -> Option<u64> {
    let below = fold::table()?.below;
    let singly = calls.iter().filter(|(_, words)| !Facts(words.facts).is_folded());
    let parents = brief::parents_elsewhere(singly.map(|(_, words)| (words.id, words.parent, words.start)));
    // A call that began later may be missing from the frames, and one that ended late may be among the records that follow.
    let left = if is_cut { calls.last().map_or(0, |(_, words)| words.end).saturating_sub(below) } else { u64::MAX };
    let unseen = running.at.min(left);
    let is_undecided = |(parent, since): &(u64, u64)| match running.calls.iter().find(|(id, ..)| id == parent) {
        Some((_, start, may_be_brief)) => *may_be_brief && *start > old,
        None => *since > unseen,
    };
    parents.into_iter().filter(|(parent, _)| *parent != 0 && !is_told(*parent)).filter(is_undecided).map(|(_, since)| since).min()
}
