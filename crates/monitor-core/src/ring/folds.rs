//! The reading side of the folds: what each of them counts, told while it grows and once more when it is over.

use std::collections::{HashMap, HashSet};

use super::drain::{Look, RingItem};
use super::layout::{CLOSING, FREE, Fold, Words};
use super::{Ending, Facts, host};
use crate::error_texts::ErrorTexts;
use crate::fold::{self, FAILURES_KEPT, Tally};
use crate::park;
use crate::record::Origin;

/// So often a reader tries to find totals that fit the number.
const TRIES: usize = 16;

/// What a fold counts now.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) mark: u64,
    /// Names this count: the mark, or another one for what ended on other threads, where that is told apart.
    pub(crate) shard: u64,
    /// Id of the parent, or mark of its fold.
    pub(crate) parent: u64,
    pub(crate) root: u128,
    pub(crate) origin: Origin,
    /// In ticks.
    pub(crate) start: u64,
    pub(crate) revision: u64,
    pub(crate) tally: Tally,
    /// Nothing more will be counted.
    pub(crate) is_last: bool,
}

/// All folds of the program, by their marks.
#[derive(Debug, Default)]
pub(super) struct Folds {
    pub(super) known: HashMap<u64, Known>,
    /// Marks, by parent.
    pub(super) by_parent: HashMap<u64, Vec<u64>>,
    /// Marks of the folds that calls belong to which were told of singly while they run, by call.
    promoted: HashMap<u64, u64>,
    /// What ended since the last look: a parent may have ended before its fold was met.
    ended: Vec<u64>,
    /// Told for the last time, and not given back yet.
    over: Vec<&'static Fold>,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) fold: &'static Fold,
    /// What ended on other threads.
    pub(super) elsewhere: Tally,
    failures_kept: u64,
    /// How many of those that run were told of singly.
    pub(super) promoted: u64,
    pub(super) has_parent_ended: bool,
    /// It has a row of its own: something was told of as below it.
    pub(super) stays: bool,
    /// Revision of what was told of these by itself, and whether there is more by now.
    elsewhere_told: (u64, bool),
    /// The counts that were told, and when.
    pub(super) told: Option<([u64; 5], u64)>,
}

impl Folds {
    pub(super) fn meet(&mut self, fold: &'static Fold) {
        let mark = fold.mark.observe();
        // One that is not in use any more was absorbed.
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

    /// A process has ended, and is told singly.
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

    /// A call of this fold is told of singly while it runs.
    pub(super) fn promoted(&mut self, id: u64, mark: u64) {
        if let Some(known) = self.known.get_mut(&mark) {
            known.promoted += 1;
            self.promoted.insert(id, mark);
        }
    }

    /// Counts a call that ended on another thread than it began; its parent if it is to be told singly instead.
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

    /// Tells of what has changed but for what waits, and gives back what is over. `announced`: who runs and is told to have begun.
    pub(super) fn look(&mut self, look: Look, announced: &HashSet<u64>, tell: &mut impl FnMut(RingItem)) {
        self.close();
        let over: HashSet<u64> = self.known.iter().filter(|(_, known)| known.is_over()).map(|(mark, _)| *mark).collect();
        self.ended.clear();
        let due = self.known.iter().filter(|(mark, known)| known.is_due(look) || over.contains(mark));
        let due = due.filter(|(mark, _)| !self.waits(**mark, announced));
        let mut due: Vec<_> = due.map(|(mark, _)| (self.depth(*mark), *mark)).collect();
        // The parents first, for their marks are to be known when those of their children are told.
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

    /// How many folds it is in.
    fn depth(&self, mark: u64) -> usize {
        std::iter::successors(self.known.get(&mark), |known| self.known.get(&known.fold.parent.get())).count()
    }

    /// Nothing is to begin from here on in folds whose parents have ended.
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

    /// Marks of the folds that the last look has told for the last time.
    pub(super) fn over(&self) -> impl Iterator<Item = u64> {
        self.over.iter().map(|fold| fold.mark.get())
    }

    /// Gives back what the last look has told for the last time.
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
    /// Numbers that change whenever there is something to tell.
    pub(super) fn counts(&self) -> [u64; 5] {
        let Fold { begun, ended, left, reader, .. } = self.fold;
        [ended.observe(), left.observe(), reader.elsewhere.observe(), begun.observe(), self.promoted]
    }

    fn is_due(&self, look: Look) -> bool {
        // What was taken out of the rings and is only counted is told with what was taken.
        self.elsewhere_told.1 && is_apart()
            || self.told.is_none_or(|(told, at)| {
                // Once a second.
                let is_time = look.all_folds || fold::table().is_none_or(|table| look.now.saturating_sub(at) >= table.longest);
                is_time && told != self.counts()
            })
    }

    /// Its parent and all its calls have ended.
    fn is_over(&self) -> bool {
        let [ended, left, elsewhere, begun, promoted] = self.counts();
        self.fold.reader.state.get() == CLOSING && promoted == 0 && begun == ended + left + elsewhere
    }

    /// What ended on other threads, by itself: what the own one counts is there for whoever comes after this program.
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
        // One that finds the fold closed counts for a moment as begun.
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

/// Whether what other threads have ended is told apart.
fn is_apart() -> bool {
    host::keeper().is_shared()
}

/// What its own thread has counted. While that goes on, the number is exact and the rest may be a call ahead or behind.
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
