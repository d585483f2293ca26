//! Converts folds to wire events.

use std::collections::{HashMap, HashSet};

use monitor_core::brief::{Briefs, Count, Pending, Row};
use monitor_core::image::{Call, Counted, End};
use monitor_wire::{Event, Kind, ProcessFolded, ProcessId, Registered, RootId};

use super::Estate;
use super::calls::Clock;
use crate::fold::fold_id;

/// Maximum nesting depth of folds.
const DEEPEST: usize = 64;
/// Shard of the counts of calls that ended on other threads, made here.
const READ_HERE: u64 = 0x5555_5555_5555_5555;
pub(super) const GROWTH: f64 = 1.04;

/// All folds by their marks.
pub(super) struct Folds<'a> {
    known: HashMap<u64, Known<'a>>,
}

struct Known<'a> {
    counted: &'a Counted,
    site: &'a Registered,
    /// Durations of calls that ended on other threads.
    elsewhere: Vec<u64>,
    cancelled: u64,
    /// Number of calls that seem to run and are reported in another way.
    others: u64,
    /// True if a reported process is attached to the fold.
    stays: bool,
}

/// Returns the call whose children are counted in the fold with this parent, following enclosing folds. `marks` maps folds to their
/// parents.
fn caller(marks: &HashMap<u64, u64>, parent: u64) -> u64 {
    std::iter::successors(Some(parent), |parent| marks.get(parent).copied()).take(DEEPEST).last().unwrap_or(parent)
}

impl<'a> Folds<'a> {
    pub(super) fn of(estate: &'a Estate) -> Self {
        let mut known = HashMap::new();
        // Folds that move with a call were reported together with it, if that call is no longer in a ring.
        let calls: HashSet<u64> =
            estate.images.values().flat_map(|image| image.ended.iter().chain(&image.running)).map(|call| call.id).collect();
        let marks: HashMap<u64, u64> =
            estate.images.values().flat_map(|image| &image.folds).map(|counted| (counted.mark, counted.parent)).collect();
        let is_left = |counted: &Counted| !counted.may_move || counted.revision > 0 || calls.contains(&caller(&marks, counted.parent));
        for counted in estate.images.values().flat_map(|image| &image.folds).filter(|counted| is_left(counted)) {
            if let Some(site) = estate.program.sites.get(&u64::from(counted.site)) {
                known.insert(counted.mark, Known { counted, site, elsewhere: Vec::new(), cancelled: 0, others: 0, stays: false });
            }
        }
        let mut folds = Folds { known };
        for mark in estate.images.values().flat_map(|image| &image.promoted) {
            if let Some(known) = folds.known.get_mut(mark) {
                known.others += 1;
            }
        }
        folds
    }

    /// Returns the call whose children are counted in this fold, following enclosing folds. `None` if `mark` is not the mark of a fold.
    fn caller(&self, mark: u64) -> Option<u64> {
        let parent = |mark: &u64| self.known.get(mark).map(|known| known.counted.parent);
        std::iter::successors(parent(&mark), parent).take(DEEPEST).last()
    }

    /// Merges the counts of the folds below a call into the rows of its brief calls, if the folds move with the call. Returns false if the
    /// call must have a row because of a fold.
    pub(super) fn absorb(&mut self, call: &Call, briefs: &mut Briefs, clock: &Clock) -> bool {
        let mut own = Pending { parent: call.id, root: call.root, rows: Vec::new(), is_told: false };
        let mut within: HashMap<u64, Vec<Row>> = HashMap::new();
        for part in briefs.take(|parent| parent == call.id || self.caller(parent) == Some(call.id)) {
            if part.parent == call.id {
                own.is_told |= part.is_told;
                own.add(part.rows);
            } else {
                within.entry(part.parent).or_default().extend(part.rows);
            }
        }
        let moved: Vec<u64> = self.below(call.id).into_iter().filter(|mark| self.may_move(*mark, DEEPEST)).collect();
        for mark in moved {
            own.add(self.rows(mark, &mut within, clock));
        }
        for (parent, rows) in within {
            briefs.put_back(Pending { parent, root: call.root, rows, is_told: true });
        }
        briefs.put_back(own);
        self.below(call.id).is_empty()
    }

    /// Keeps a fold and its enclosing folds, because a reported process is attached to it.
    pub(super) fn stay(&mut self, mark: u64) {
        let mut at = mark;
        while let Some(known) = self.known.get_mut(&at).filter(|known| !known.stays) {
            known.stays = true;
            at = known.counted.parent;
        }
    }

    /// Returns the marks of the folds directly below a call or fold.
    fn below(&self, parent: u64) -> Vec<u64> {
        let mut marks: Vec<u64> = self.known.iter().filter(|(_, known)| known.counted.parent == parent).map(|(mark, _)| *mark).collect();
        marks.sort_unstable();
        marks
    }

    fn may_move(&self, mark: u64, deepest: usize) -> bool {
        let Some(deepest) = deepest.checked_sub(1) else { return false };
        let may_move = |Known { counted, elsewhere, others, stays, .. }: &Known<'_>| {
            counted.may_move && counted.revision == 0 && counted.running == 0 && elsewhere.is_empty() && *others == 0 && !stays
        };
        self.known.get(&mark).is_some_and(may_move) && self.below(mark).into_iter().all(|mark| self.may_move(mark, deepest))
    }

    /// Removes a fold and its inner folds and returns their counts: one row, or the rows of the inner calls if the fold itself counted
    /// none.
    fn rows(&mut self, mark: u64, within: &mut HashMap<u64, Vec<Row>>, clock: &Clock) -> Vec<Row> {
        let mut rows = within.remove(&mark).unwrap_or_default();
        rows.extend(self.below(mark).into_iter().flat_map(|mark| self.rows(mark, within, clock)));
        let Some(counted) = self.known.remove(&mark).map(|known| known.counted).filter(|counted| counted.ended > 0) else { return rows };
        let (min, max) = counted.range.unwrap_or((u64::MAX, 0));
        let mut row = Row::from(Count {
            site: counted.site,
            start: counted.start,
            calls: counted.ended,
            failed: counted.failed,
            total: clock.elapsed_ns(0, counted.total),
            min: clock.elapsed_ns(0, min),
            max: clock.elapsed_ns(0, max),
            histogram: counted.histogram.clone(),
            failures: Vec::new(),
            kept: Vec::new(),
        });
        row.add_all_within(rows);
        vec![row]
    }

    /// Counts a folded call that ended on another thread than it started on. Returns false if the call gets a row of its own.
    pub(super) fn take(&mut self, call: &Call, clock: &Clock) -> bool {
        let (true, Some(known), Some((at, end))) = (call.is_folded, self.known.get_mut(&call.parent), call.end) else { return false };
        known.others += 1;
        if matches!(end, End::Error | End::Panic) {
            return false;
        }
        known.cancelled += u64::from(end == End::Cancelled);
        known.elsewhere.push(clock.elapsed_ns(call.start, at));
        true
    }

    /// Returns the parent of a call; for a folded call, the parent of its fold.
    pub(super) fn parent(&self, call: &Call) -> u64 {
        match self.known.get(&call.parent) {
            Some(known) if call.is_folded => known.counted.parent,
            _ => call.parent,
        }
    }

    /// Returns the id of [`parent`](Self::parent).
    pub(super) fn parent_of(&self, call: &Call) -> Option<ProcessId> {
        self.id_of(self.parent(call))
    }

    /// Returns the id of a process, or of a fold given by its mark.
    pub(super) fn id_of(&self, parent: u64) -> Option<ProcessId> {
        self.id(parent, DEEPEST)
    }

    /// Like [`id_of`](Self::id_of), with a limit on the nesting depth.
    fn id(&self, parent: u64, deepest: usize) -> Option<ProcessId> {
        match self.known.get(&parent) {
            Some(known) => Some(fold_id(self.id(known.counted.parent, deepest.checked_sub(1)?)?, &known.site.name)),
            None => ProcessId::new(parent),
        }
    }

    /// Returns the counts of all folds with their start times, in ticks.
    pub(super) fn events(&self, clock: &Clock) -> Vec<(u64, Event)> {
        // Sorted, so that every reader produces the same order.
        let mut known: Vec<_> = self.known.iter().collect();
        known.sort_by_key(|(mark, _)| **mark);
        known.into_iter().flat_map(|(_, known)| self.events_of(known, clock).into_iter().flatten()).collect()
    }

    fn events_of(&self, known: &Known<'_>, clock: &Clock) -> Option<Vec<(u64, Event)>> {
        let Known { counted, site, elsewhere, cancelled, others, .. } = known;
        let running = counted.running.saturating_sub(*others);
        let own = ProcessFolded {
            root_id: RootId::new(counted.root)?,
            id: self.id(counted.mark, DEEPEST)?,
            time_us: clock.time_us(counted.start),
            parent_id: self.id(counted.parent, DEEPEST),
            kind: Kind::from(site.kind.as_str()),
            name: site.name.clone(),
            shard: counted.mark,
            revision: counted.revision.saturating_add(1),
            count: counted.ended.saturating_add(running),
            running,
            failed: counted.failed,
            cancelled: counted.cancelled,
            total_ns: clock.elapsed_ns(0, counted.total),
            min_ns: counted.range.map(|(min, _)| clock.elapsed_ns(0, min)),
            max_ns: counted.range.map(|(_, max)| clock.elapsed_ns(0, max)),
            histogram: counted.histogram.clone(),
            errors: Vec::new(),
            attempt: 1,
            worker: None,
            native_id: None,
            links: Vec::new(),
        };
        let mut events = vec![own];
        if !elsewhere.is_empty() {
            let mut histogram = std::collections::BTreeMap::<u32, u64>::new();
            for duration in elsewhere {
                *histogram.entry((*duration as f64).max(1.0).log(GROWTH) as u32).or_default() += 1;
            }
            events.push(ProcessFolded {
                shard: counted.mark ^ READ_HERE,
                revision: 1,
                count: elsewhere.len() as u64,
                running: 0,
                failed: 0,
                cancelled: *cancelled,
                total_ns: elsewhere.iter().fold(0, |sum, duration| sum.saturating_add(*duration)),
                min_ns: elsewhere.iter().min().copied(),
                max_ns: elsewhere.iter().max().copied(),
                histogram: histogram.into_iter().collect(),
                ..events[0].clone()
            });
        }
        Some(events.into_iter().map(|event| (counted.start, Event::ProcessFolded(event))).collect())
    }
}
