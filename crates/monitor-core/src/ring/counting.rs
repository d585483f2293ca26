//! Decides below which row a count belongs, by the paths of calls.

use super::drain::{RingItem, Rings, frames, slots};
use super::layout::{RUNNING, Words};
use super::{Ending, Facts};
use crate::brief::{self, Link, Row};
use crate::fold;

impl Rings {
    /// Reports the brief calls whose parent still runs, or ended on another thread. They are counted below that parent, which gets a row.
    /// If the parent is likely to be counted itself, they are counted below the nearest call above it that has a row.
    pub(super) fn settle(&mut self, now: u64, tell: &mut impl FnMut(RingItem)) {
        let mut briefs = std::mem::take(&mut self.briefs);
        for pending in briefs.rest().filter(|pending| pending.parent != 0) {
            let mut parent = self.place_in_folds(pending.parent);
            while !pending.is_told
                && !self.announced.contains(&parent)
                && !self.rows.has(parent)
                && let Some(above) = self.paths.parent_of_counted(parent)
            {
                parent = above;
            }
            if pending.is_told {
                self.owe(parent);
            }
            parent = self.paths.place_of_counts(parent);
            self.owe(parent);
            self.add_rows(parent, pending.root, pending.rows, now, tell);
        }
        self.briefs = briefs;
    }

    /// Makes sure that a call gets a row, now or at its end.
    fn owe(&mut self, call: u64) {
        self.wanted.insert(call);
        if !self.announced.contains(&call) && self.paths.knows(call) && !self.folds.knows(call) {
            self.owed.insert(call);
        }
    }

    /// Returns the caller above a fold that may still move with it, given the fold's mark. Returns any other parent unchanged.
    fn place_in_folds(&mut self, parent: u64) -> u64 {
        if fold::has_below() && !self.folds.knows(parent) {
            self.discover();
        }
        let caller = self.folds.caller(parent).filter(|_| self.folds.waits(parent, &self.announced));
        caller.unwrap_or(parent)
    }

    /// Adds the counts of the folds below an ended call to the call's own. Returns false if a fold stays, so that the call needs a row.
    pub(super) fn absorb_folds(&mut self, words: &Words) -> bool {
        self.discover();
        let parts = self.briefs.take(|parent| parent == words.id || self.folds.caller(parent) == Some(words.id));
        let (left, own, is_all) = self.folds.absorb(words.id, words.root(), parts);
        left.into_iter().chain([own]).for_each(|pending| self.briefs.put_back(pending));
        is_all
    }

    /// Adds the rows below a process that has a row of its own, and reports the failed calls among them that are kept.
    pub(super) fn add_rows(&mut self, parent: u64, root: u128, mut rows: Vec<Row>, now: u64, tell: &mut impl FnMut(RingItem)) {
        brief::limit_kept(&mut rows, &mut |site| self.paths.keeps_failure(parent, root, site));
        if self.paths.is_among_many(parent) {
            rows = brief::flatten(rows);
        }
        let mut kept = Vec::new();
        let new = self.rows.add(parent, root, rows, now, tell, &mut kept);
        if let Some(table) = fold::table() {
            self.paths.counted(parent, new, table.limits());
        }
        for (parent, call) in kept {
            self.folds.ended(call.id);
            let facts = Facts(call.tag);
            let end = call.start.saturating_add(call.elapsed);
            let root = [(call.root >> 64) as u64, call.root as u64];
            let words = Words { id: call.id, parent, root, facts: call.tag, start: call.start, end };
            if let Some(seen) = self.seen(words, true, Some((end, facts.ending()))) {
                tell(RingItem::Call(seen));
            }
        }
    }

    /// Records the paths of all running calls.
    pub(super) fn link_running(&mut self, now: u64) {
        self.paths.unlink_running();
        for ring in &self.all {
            for words in slots(ring.region).chain(frames(ring.region)).filter_map(|frame| frame.line.read(RUNNING)) {
                self.paths.link_running(words.id, link(&words, now));
            }
        }
        // The parent of a call within a fold is the mark of the fold.
        for (mark, link) in self.folds.links() {
            self.paths.link_running(mark, link);
        }
    }

    /// Records the paths of all ended calls that are not brief, once each.
    pub(super) fn link_ended(&mut self, at: usize, head: u64, below: u64) {
        let from = self.all[at].linked.max(self.all[at].taken);
        for (_, words) in self.records(at, from, head) {
            if words.end.saturating_sub(words.start) >= below {
                self.paths.link(words.id, link(&words, words.end));
            }
        }
        self.all[at].linked = head;
    }
}

/// Describes the place of a call that runs at `now`.
fn link(words: &Words, now: u64) -> Link {
    let facts = Facts(words.facts);
    Link {
        parent: words.parent,
        site: facts.site_number() as u32,
        elapsed: now.saturating_sub(words.start),
        may_be_counted: facts.may_be_brief() && facts.ending() == Ending::Succeeded,
    }
}
