//! Folds that move with the call above them.
//!
//! A woven call has a fold below it if it makes many calls of one name. The call needs no row because of that: if it is counted itself, the
//! counts of its folds are added to its own, as if each of those calls had been brief. So a fold that may move ([`waits`](Folds::waits)) is
//! not reported until it is known whether its caller gets a row. A fold stays in its place as soon as something below it is reported.

use std::collections::{HashMap, HashSet};

use super::Facts;
use super::folds::{Folds, Known, snapshot};
use super::layout::{CLOSING, Fold};
use crate::brief::{Count, Link, Pending, Row};

impl Folds {
    /// Returns the call above this fold and above all folds around it. `None` if this is not the mark of a fold.
    pub(super) fn caller(&self, mark: u64) -> Option<u64> {
        let mut parent = self.known.get(&mark)?.fold.parent.get();
        while let Some(known) = self.known.get(&parent) {
            parent = known.fold.parent.get();
        }
        Some(parent)
    }

    /// Returns the places of all folds in the paths of calls, by their marks.
    pub(super) fn links(&self) -> impl Iterator<Item = (u64, Link)> {
        let link = |fold: &Fold| Link {
            parent: fold.parent.get(),
            site: Facts(fold.facts.get()).site_number() as u32,
            elapsed: 0,
            may_be_counted: false,
        };
        self.known.iter().map(move |(mark, known)| (*mark, link(known.fold)))
    }

    /// Returns true if it is still unknown whether this fold gets a row.
    pub(super) fn waits(&self, mark: u64, announced: &HashSet<u64>) -> bool {
        let (mut mark, mut may_wait) = (mark, false);
        while let Some(known) = self.known.get(&mark) {
            if !self.may_move(mark) || known.has_parent_ended {
                return false;
            }
            (mark, may_wait) = (known.fold.parent.get(), true);
        }
        may_wait && !announced.contains(&mark)
    }

    fn may_move(&self, mark: u64) -> bool {
        let is_free = |known: &Known| !known.stays && known.told.is_none() && Facts(known.fold.facts.get()).may_be_brief();
        self.known.get(&mark).is_some_and(is_free)
    }

    /// Keeps a fold in its place because something below it is reported. Returns the call that needs a row because of that.
    pub(super) fn stay(&mut self, mark: u64) -> Option<u64> {
        let mut at = mark;
        while let Some(known) = self.known.get_mut(&at).filter(|known| !known.stays && known.told.is_none()) {
            known.stays = true;
            at = known.fold.parent.get();
        }
        if at == mark { None } else { self.caller(mark) }
    }

    /// Keeps every fold in its place that contains one which stays. Returns the calls that need rows because of that.
    pub(super) fn stay_above(&mut self) -> Vec<u64> {
        let above = |mark: &u64| self.known.get(mark).map(|known| known.fold.parent.get()).filter(|above| self.may_move(*above));
        let stays: Vec<u64> = self.known.keys().filter(|mark| !self.may_move(**mark)).filter_map(above).collect();
        stays.into_iter().filter_map(|mark| self.stay(mark)).collect()
    }

    /// Turns the folds below an ended call into rows of that call. `parts` holds the brief calls below the call and below its folds.
    /// Returns the parts of folds that stay, the rows of the call, and true if no fold stays.
    pub(super) fn absorb(&mut self, call: u64, root: u128, parts: Vec<Pending>) -> (Vec<Pending>, Pending, bool) {
        let mut own = Pending { parent: call, root, rows: Vec::new(), is_told: false };
        let mut within: HashMap<u64, Vec<Row>> = HashMap::new();
        let moved: Vec<u64> = self.by_parent.get(&call).into_iter().flatten().copied().filter(|mark| self.has_settled(*mark)).collect();
        let mut left = Vec::new();
        for part in parts {
            if part.parent == call {
                own.is_told |= part.is_told;
                own.add(part.rows);
            } else if self.has_settled(part.parent) && moved.iter().any(|mark| self.is_in(part.parent, *mark)) {
                within.entry(part.parent).or_default().extend(part.rows);
            } else {
                left.push(part);
            }
        }
        for mark in moved {
            own.add(self.rows(mark, &mut within));
        }
        let is_all = !self.by_parent.contains_key(&call) && left.is_empty();
        (left, own, is_all)
    }

    fn is_in(&self, mark: u64, outer: u64) -> bool {
        std::iter::successors(Some(mark), |mark| self.known.get(mark).map(|known| known.fold.parent.get())).any(|mark| mark == outer)
    }

    /// Returns true if a fold and all folds within it are complete and were not reported.
    fn has_settled(&self, mark: u64) -> bool {
        let Some(known) = self.known.get(&mark) else { return false };
        let [ended, left, elsewhere, begun, promoted] = known.counts();
        let is_over = promoted == 0 && known.elsewhere.count == 0 && begun == ended + left + elsewhere;
        is_over && self.may_move(mark) && self.by_parent.get(&mark).into_iter().flatten().all(|mark| self.has_settled(*mark))
    }

    /// Takes the counts of a fold and of the folds within it. Returns one row, or the rows of the calls below if the fold has counted none.
    fn rows(&mut self, mark: u64, within: &mut HashMap<u64, Vec<Row>>) -> Vec<Row> {
        let inner = self.by_parent.get(&mark).cloned().unwrap_or_default();
        let mut rows: Vec<Row> = within.remove(&mark).unwrap_or_default();
        rows.extend(inner.into_iter().flat_map(|mark| self.rows(mark, within)));
        let Some(Known { fold, .. }) = self.known.remove(&mark) else { return rows };
        fold.reader.state.publish(CLOSING);
        self.give_back(mark, fold);
        let tally = snapshot(fold);
        if tally.count == 0 {
            // Each of its calls has a row or is counted elsewhere.
            return rows;
        }
        let (min, max) = tally.range.unwrap_or((u64::MAX, 0));
        let mut row = Row::from(Count {
            site: Facts(fold.facts.get()).site_number() as u32,
            start: fold.start.get(),
            calls: tally.count,
            failed: tally.failed,
            total: tally.total,
            min,
            max,
            histogram: (0..).zip(tally.histogram).filter(|(_, count)| *count > 0).collect(),
            failures: Vec::new(),
            kept: Vec::new(),
        });
        row.add_all_within(rows);
        vec![row]
    }
}
