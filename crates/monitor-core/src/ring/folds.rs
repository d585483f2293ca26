//! The reading side of the folds: the counts of each fold are reported while it grows and once more when it is complete.

use std::collections::{HashMap, HashSet};

use super::drain::{Look, RingItem};
use super::layout::{CLOSING, FREE, Fold, Words};
use super::{Ending, Facts, host};
use crate::error_texts::ErrorTexts;
use crate::fold::{self, FAILURES_KEPT, Tally};
use crate::park;
use crate::record::Origin;

/// Maximum number of attempts to read totals that fit the number of calls.
const TRIES: usize = 16;

/// The current counts of a fold.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) mark: u64,
    /// Identifies this count: the mark, or another number for calls that ended on other threads, if those are reported separately.
    pub(crate) shard: u64,
    /// Id of the parent, or mark of its fold.
    pub(crate) parent: u64,
    pub(crate) root: u128,
    pub(crate) origin: Origin,
    /// Start, in ticks.
    pub(crate) start: u64,
    pub(crate) revision: u64,
    pub(crate) tally: Tally,
    /// True if nothing more will be counted.
    pub(crate) is_last: bool,
}

/// All folds of the program, by their marks.
#[derive(Debug, Default)]
pub(super) struct Folds {
    pub(super) known: HashMap<u64, Known>,
    /// Marks of the folds, by parent.
    pub(super) by_parent: HashMap<u64, Vec<u64>>,
    /// Marks of the folds of running calls that were reported individually, by call.
    promoted: HashMap<u64, u64>,
    /// Calls that ended since the last scan: a parent may have ended before its fold was found.
    ended: Vec<u64>,
    /// Folds that were reported for the last time and not given back yet.
    over: Vec<&'static Fold>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) fold: &'static Fold,
    /// Calls that ended on other threads.
    pub(super) elsewhere: Tally,
    failures_kept: u64,
    /// Number of running calls that were reported individually.
    pub(super) promoted: u64,
    pub(super) has_parent_ended: bool,
    /// True if the fold has a row of its own because something below it was reported.
    pub(super) stays: bool,
    /// Revision of the separate report of these calls, and true if there is more to report.
    elsewhere_told: (u64, bool),
    /// The counts that were last reported, and the time of that.
    pub(super) told: Option<([u64; 5], u64)>,
}

impl Folds {
    pub(super) fn meet(&mut self, fold: &'static Fold) {
        let mark = fold.mark.observe();
        // A fold that is no longer in use was absorbed.
        if mark == 0 || fold.reader.state.get() != 0 || self.known.contains_key(&mark) {
            return;
        }
        let parent = fold.parent.get();
        let known = Known {
            fold,
            elsewhere: Tally::default(),
            elsewhere_told: (0, false),
            failures_kept: 0,
            promoted: 0,
            has_parent_ended: self.ended.contains(&parent),
            stays: false,
            told: None,
        };
        self.known.insert(mark, known);
        self.by_parent.entry(parent).or_default().push(mark);
    }

    pub(super) fn knows(&self, mark: u64) -> bool {
        self.known.contains_key(&mark)
    }

    /// Notes that a process has ended that is reported individually.
    pub(super) fn ended(&mut self, id: u64) {
        if fold::after() == u64::MAX {
            return;
        }
        self.ended.push(id);
        if let Some(known) = self.promoted.remove(&id).and_then(|mark| self.known.get_mut(&mark)) {
            known.promoted -= 1;
        }
        self.close_below(id);
    }

    /// Notes that a running call of this fold is reported individually.
    pub(super) fn promoted(&mut self, id: u64, mark: u64) {
        if let Some(known) = self.known.get_mut(&mark) {
            known.promoted += 1;
            self.promoted.insert(id, mark);
        }
    }

    /// Counts a call that ended on another thread than it began on. Returns its parent if it must be reported individually instead.
    pub(super) fn take(&mut self, words: &Words, ending: Ending) -> Option<u64> {
        let (Some(known), Some(table)) = (self.known.get_mut(&words.parent), fold::table()) else { return Some(words.parent) };
        known.fold.reader.elsewhere.count();
        let elapsed = words.end.saturating_sub(words.start);
        let is_failed = matches!(ending, Ending::Error | Ending::Panic);
        if elapsed >= table.longest || is_failed && known.failures_kept < FAILURES_KEPT {
            known.failures_kept += u64::from(is_failed);
            return Some(known.fold.parent.get());
        }
        known.elsewhere.failed += u64::from(is_failed);
        known.elsewhere.cancelled += u64::from(ending == Ending::Cancelled);
        known.elsewhere.add(elapsed, table);
        known.elsewhere_told.1 = true;
        None
    }

    pub(super) fn has_news(&self, announced: &HashSet<u64>) -> bool {
        self.known.iter().any(|(mark, known)| {
            known.told.is_none_or(|(told, _)| told != known.counts()) && !self.waits(*mark, announced) || known.is_over()
        })
    }

    /// Reports all changed folds except those that wait, and gives back those that are complete. `announced` holds the
    /// running calls whose start was reported.
    pub(super) fn look(&mut self, look: Look, announced: &HashSet<u64>, tell: &mut impl FnMut(RingItem)) {
        self.close();
        let over: HashSet<u64> = self.known.iter().filter(|(_, known)| known.is_over()).map(|(mark, _)| *mark).collect();
        self.ended.clear();
        let due = self.known.iter().filter(|(mark, known)| known.is_due(look) || over.contains(mark));
        let due = due.filter(|(mark, _)| !self.waits(**mark, announced));
        let mut due: Vec<_> = due.map(|(mark, _)| (self.depth(*mark), *mark)).collect();
        // Parents first, so that their marks are known when their children are reported.
        due.sort_unstable();
        for (_, mark) in due {
            let Some(known) = self.known.get_mut(&mark) else { continue };
            if let Some(counted) = known.count_elsewhere() {
                tell(RingItem::Fold(counted));
            }
            if let Some(counted) = known.count(look.now, over.contains(&mark)) {
                tell(RingItem::Fold(counted));
            }
        }
        for mark in over {
            if let Some(known) = self.known.remove(&mark) {
                self.give_back(mark, known.fold);
            }
        }
    }

    /// Returns the number of folds around this one, itself included.
    fn depth(&self, mark: u64) -> usize {
        std::iter::successors(self.known.get(&mark), |known| self.known.get(&known.fold.parent.get())).count()
    }

    /// Closes the folds whose parents have ended, so that no call begins in them from here on.
    fn close(&mut self) {
        let closing = self.known.values().filter(|known| known.has_parent_ended && known.fold.reader.state.get() == 0);
        let mut is_any = false;
        for known in closing {
            known.fold.reader.state.publish(CLOSING);
            is_any = true;
        }
        if is_any {
            park::pass();
        }
    }

    /// Returns the marks of the folds that the last scan has reported for the last time.
    pub(super) fn over(&self) -> impl Iterator<Item = u64> {
        self.over.iter().map(|fold| fold.mark.get())
    }

    /// Gives back the folds that the last scan has reported for the last time.
    pub(super) fn commit(&mut self) {
        for fold in self.over.drain(..) {
            fold.mark.set(0);
            fold.reader.state.publish(FREE);
        }
    }

    pub(super) fn give_back(&mut self, mark: u64, fold: &'static Fold) {
        let parent = fold.parent.get();
        if let Some(marks) = self.by_parent.get_mut(&parent) {
            marks.retain(|other| *other != mark);
            if marks.is_empty() {
                self.by_parent.remove(&parent);
            }
        }
        self.over.push(fold);
        self.ended.push(mark);
        self.close_below(mark);
    }

    fn close_below(&mut self, parent: u64) {
        for mark in self.by_parent.get(&parent).into_iter().flatten() {
            if let Some(known) = self.known.get_mut(mark) {
                known.has_parent_ended = true;
            }
        }
    }
}

impl Known {
    /// Returns numbers that change whenever there is something to report.
    pub(super) fn counts(&self) -> [u64; 5] {
        let Fold { begun, ended, left, reader, .. } = self.fold;
        [ended.observe(), left.observe(), reader.elsewhere.observe(), begun.observe(), self.promoted]
    }

    fn is_due(&self, look: Look) -> bool {
        // A record that was taken out of a ring and only counted must be reported in the same batch.
        self.elsewhere_told.1 && is_apart()
            || self.told.is_none_or(|(told, at)| {
                // Once a second
                let is_time = look.all_folds || fold::table().is_none_or(|table| look.now.saturating_sub(at) >= table.longest);
                is_time && told != self.counts()
            })
    }

    /// Returns true if the parent and all calls of the fold have ended.
    fn is_over(&self) -> bool {
        let [ended, left, elsewhere, begun, promoted] = self.counts();
        self.fold.reader.state.get() == CLOSING && promoted == 0 && begun == ended + left + elsewhere
    }

    /// Returns the separate count of calls that ended on other threads. The fold's own count remains in memory for a reader after a crash.
    fn count_elsewhere(&mut self) -> Option<Counted> {
        if !is_apart() || !std::mem::take(&mut self.elsewhere_told.1) {
            return None;
        }
        self.elsewhere_told.0 += 1;
        self.counted(!self.fold.mark.get(), self.elsewhere_told.0, self.elsewhere.clone(), false)
    }

    fn count(&mut self, now: u64, is_last: bool) -> Option<Counted> {
        let counts = self.counts();
        self.told = Some((counts, now));
        let fold = self.fold;
        let mut tally = snapshot(fold);
        let [_, left, elsewhere, begun, promoted] = counts;
        // A call that finds the fold closed counts as begun for a moment.
        tally.running = if is_last { 0 } else { begun.saturating_sub(tally.count + left + elsewhere + promoted) };
        tally.count += tally.running;
        if !is_apart() {
            tally.merge(&self.elsewhere);
        }
        let revision = fold.reader.revision.get() + 1;
        fold.reader.revision.set(revision);
        self.counted(fold.mark.get(), revision, tally, is_last)
    }

    fn counted(&self, shard: u64, revision: u64, tally: Tally, is_last: bool) -> Option<Counted> {
        let fold = self.fold;
        Some(Counted {
            mark: fold.mark.get(),
            shard,
            parent: fold.parent.get(),
            root: u128::from(fold.root[0].get()) << 64 | u128::from(fold.root[1].get()),
            origin: Origin::Site(Facts(fold.facts.get()).site()?),
            start: fold.start.get(),
            revision,
            tally,
            is_last,
        })
    }
}

/// Returns true if calls that ended on other threads are reported separately.
fn is_apart() -> bool {
    host::keeper().is_shared()
}

/// Reads the counts of the fold's own thread. While that thread counts, the number of calls is exact and the other
/// values may be one call ahead or behind.
pub(super) fn snapshot(fold: &Fold) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..TRIES {
        let ended = fold.ended.observe();
        let mut histogram: Vec<u64> = Vec::new();
        if ended > 0 {
            histogram = fold.buckets.iter().map(super::layout::Word::observe).collect();
            if let Some(last) = histogram.get_mut(fold.last.get() as usize) {
                *last += 1;
            }
        }
        tally = Tally {
            errors: ErrorTexts::default(),
            count: ended,
            running: 0,
            failed: fold.failed.get(),
            cancelled: fold.cancelled.get(),
            total: fold.total[(ended & 1) as usize].observe(),
            range: (ended > 0).then(|| (fold.min.get(), fold.max.get())),
            histogram,
        };
        if fold.ended.observe() == ended {
            break;
        }
    }
    tally
}
