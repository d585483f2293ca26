//! Folds of what comes by the queue. Beyond a number of children of one parent and name a start is held back until its end
//! tells whether it is counted: unless its ids are handed on meanwhile, it says something of its own, runs for long, is slow
//! or fails.
//!
//! What is held back is in no batch, but counts among what was taken: each batch says what that is, for who reads what a dead
//! program left.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::fold::{self, FAILURES_KEPT, Table, Tally};
use crate::record::{Origin, Outcome, Record, Started};
use crate::ring::Counted;
use crate::sending::Sent;
use crate::{budget, clock, ids};

/// Parents and names whose children are counted. Beyond, those that have no fold are counted anew.
const MOST_NAMES: usize = 20_000;
/// Starts that are held back at the same time.
const MOST_HELD: usize = 10_000;
/// Folds that count at the same time; further names are told singly.
const MOST_FOLDS: usize = 4_096;
/// Processes that were counted and whose fold is still known in any case: what they began may be met later.
const REMEMBERED: usize = 1 << 16;
/// A fold is told when so many ends were counted, however soon that is.
const UNTOLD: u64 = 8_192;
/// What it holds that the fold of a process is known.
const MARK_BYTES: usize = size_of::<(u64, u64, Mark)>();
/// What a fold holds.
const FOLD_BYTES: usize = size_of::<Fold>() + fold::BUCKETS * size_of::<u64>();

/// All that is counted, and held back.
#[derive(Debug, Default)]
pub(crate) struct QueueFolds {
    /// By parent, which may be the mark of its fold, and name.
    counts: HashMap<u64, HashMap<Box<str>, Count>>,
    names: usize,
    /// In the order in which they began: a fold comes after the one that it is in.
    folds: BTreeMap<u64, Fold>,
    last_fold: u64,
    held: HashMap<u64, Held>,
    /// What was held back, in the order of the queue, some of it no longer.
    order: VecDeque<(u64, u64)>,
    /// Marks of the folds that processes are or may be counted in: what hangs below them belongs to these.
    marks: HashMap<u64, Mark>,
    counted: VecDeque<u64>,
    /// Handed on, and not met yet.
    early: HashSet<u64>,
    /// Number by the queue of the last that came.
    last_place: u64,
    /// Ends that were counted since the folds were told.
    untold: u64,
}

/// Children of one parent and name.
#[derive(Debug)]
enum Count {
    Singly(u64),
    /// Number of their fold.
    Folded(u64),
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    mark: u64,
    fold: u64,
}

#[derive(Debug)]
struct Held {
    sent: Sent,
    fold: u64,
}

#[derive(Debug)]
struct Fold {
    mark: u64,
    parent: u64,
    root: u128,
    origin: Origin,
    /// In ticks.
    start: u64,
    tally: Tally,
    held: u64,
    failures_kept: u64,
    /// What runs so long is told singly, in ticks.
    slow_from: u64,
    revision: u64,
    /// How many were told, and when.
    told: Option<(u64, u64)>,
    /// Something hangs below it.
    is_parent: bool,
    has_parent_ended: bool,
}

impl QueueFolds {
    /// Takes note of what has just come by the queue; `None` if it is held back.
    pub(crate) fn meet(&mut self, mut sent: Sent) -> Option<Sent> {
        // One that found no room where the queue is kept has the number of the one before.
        let is_kept = sent.place == 0 || sent.place != self.last_place;
        self.last_place = sent.place;
        let Record::Started(started) = &mut sent.record else { return Some(sent) };
        if started.parent == 0 || fold::after() == u64::MAX {
            return Some(sent);
        }
        started.parent = self.parent(started.parent);
        let Some(number) = self.count(started, sent.at) else { return Some(sent) };
        if !is_kept || self.early.contains(&started.id) || started.extra.is_some() {
            return Some(sent);
        }
        let (id, place) = (started.id, sent.place);
        if let Some(fold) = self.folds.get_mut(&number) {
            fold.held += 1;
            self.marks.insert(id, Mark { mark: fold.mark, fold: number });
        }
        self.order.push_back((place, id));
        self.held.insert(id, Held { sent, fold: number });
        None
    }

    /// The fold of a start, if there were many before it.
    fn count(&mut self, started: &Started, at: u64) -> Option<u64> {
        let name = started.origin.name();
        if self.names >= MOST_NAMES {
            self.forget_names();
        }
        let counts = self.counts.entry(started.parent).or_default();
        match counts.get_mut(name) {
            Some(Count::Folded(fold)) => return Some(*fold),
            Some(Count::Singly(count)) => *count += 1,
            None => {
                counts.insert(name.into(), Count::Singly(1));
                self.names += 1;
            }
        }
        let is_many = matches!(counts.get(name), Some(Count::Singly(count)) if *count > fold::after());
        if !is_many || self.folds.len() >= MOST_FOLDS {
            return None;
        }
        let slow_from = fold::table()?.slow;
        self.last_fold += 1;
        counts.insert(name.into(), Count::Folded(self.last_fold));
        budget::hold(FOLD_BYTES);
        self.folds.insert(
            self.last_fold,
            Fold {
                mark: ids::new_process().get(),
                parent: started.parent,
                root: started.root,
                origin: started.origin.clone(),
                start: at,
                tally: Tally::default(),
                held: 0,
                failures_kept: 0,
                slow_from,
                revision: 0,
                told: None,
                is_parent: false,
                has_parent_ended: false,
            },
        );
        Some(self.last_fold)
    }

    /// What a child of this process hangs below.
    pub(crate) fn parent(&mut self, id: u64) -> u64 {
        let Some(Mark { mark, fold }) = self.marks.get(&id).copied() else { return id };
        if let Some(fold) = self.folds.get_mut(&fold) {
            fold.is_parent = true;
        }
        mark
    }

    /// Ids of these are known to others: what is given back is to be told singly.
    pub(crate) fn hand_on(&mut self, ids: impl Iterator<Item = u64>) -> Vec<Sent> {
        // One that came before the start it is about was met with it by now.
        self.early.clear();
        let mut told = Vec::new();
        for id in ids {
            match self.tell_singly(id) {
                Some(sent) => told.push(sent),
                None => drop(self.early.insert(id)),
            }
        }
        told
    }

    /// What was held back of this process, which is to be told singly.
    pub(crate) fn tell_singly(&mut self, id: u64) -> Option<Sent> {
        let held = self.held.remove(&id)?;
        self.marks.remove(&id);
        if let Some(fold) = self.folds.get_mut(&held.fold) {
            fold.held -= 1;
        }
        Some(held.sent)
    }

    /// What began before, and runs; and the oldest of what is too much to hold back.
    pub(crate) fn tell_older(&mut self, begun_before: u64) -> Vec<Sent> {
        self.order.retain(|(_, id)| self.held.contains_key(id));
        let many = self.order.len().saturating_sub(MOST_HELD);
        let is_old = |id: &u64| self.held.get(id).is_some_and(|held| held.sent.at <= begun_before);
        let ids: Vec<u64> =
            self.order.iter().enumerate().take_while(|(at, (_, id))| *at < many || is_old(id)).map(|(_, (_, id))| *id).collect();
        ids.into_iter().filter_map(|id| self.tell_singly(id)).collect()
    }

    /// Whether an end is counted. If not, its start is to be told, if it was held back.
    pub(crate) fn end(&mut self, id: u64, (elapsed, ended): (u64, u64), outcome: &Outcome, table: &Table, singly: &mut Vec<Sent>) -> bool {
        let Some(held) = self.held.get(&id) else { return false };
        let bytes = held.sent.bytes;
        let Some(fold) = self.folds.get_mut(&held.fold) else { return false };
        let (is_slow, is_failed) = (elapsed >= fold.slow_from, matches!(outcome, Outcome::Failed(_)));
        if is_slow || is_failed && fold.failures_kept < FAILURES_KEPT {
            fold.failures_kept += u64::from(is_failed);
            if is_slow {
                fold.slow_from = elapsed.saturating_mul(2).min(table.longest);
            }
            singly.extend(self.tell_singly(id));
            return false;
        }
        fold.tally.add(elapsed, table);
        if let Outcome::Failed(failure) = outcome {
            fold.tally.failed += 1;
            fold.tally.errors.add(&failure.message, ended);
        }
        fold.tally.cancelled += u64::from(matches!(outcome, Outcome::Cancelled));
        fold.held -= 1;
        self.untold += 1;
        self.held.remove(&id);
        self.counted.push_back(id);
        budget::release(bytes);
        budget::hold(MARK_BYTES);
        true
    }

    /// All is known that the processes had begun that are counted by now, but for what goes on without them.
    pub(crate) fn forget(&mut self) {
        while self.counted.len() > REMEMBERED
            && let Some(oldest) = self.counted.pop_front()
        {
            self.marks.remove(&oldest);
            budget::release(MARK_BYTES);
        }
    }

    /// A process has ended, or the last of a fold: nothing more will hang below it.
    pub(crate) fn parent_ended(&mut self, id: u64) {
        let Some(counts) = self.counts.remove(&id) else { return };
        self.names -= counts.len();
        for count in counts.into_values() {
            if let Count::Folded(number) = count
                && let Some(fold) = self.folds.get_mut(&number)
            {
                fold.has_parent_ended = true;
            }
        }
    }

    /// Whether there is something to tell, now or when it has run long enough.
    pub(crate) fn has_news(&self) -> bool {
        !self.held.is_empty() || self.folds.values().any(|fold| fold.is_changed() || fold.is_over())
    }

    /// The folds that have changed. With a batch that is made anyway (`has_others`) all of them: it says how far the queue was
    /// taken, and so has to say all that was counted.
    pub(crate) fn tell(&mut self, has_others: bool, is_asked: bool) -> Vec<Counted> {
        let now = clock::now();
        let is_full = has_others || is_asked || self.untold >= UNTOLD;
        let is_due = |fold: &Fold| {
            let is_time = |longest| fold.told.is_none_or(|(_, at)| now.saturating_sub(at) >= longest);
            fold.is_over() || fold.is_changed() && fold::table().is_none_or(|table| is_time(table.longest))
        };
        // One that is due is a batch.
        if !is_full && !self.folds.values().any(is_due) {
            return Vec::new();
        }
        self.untold = 0;
        let mut told = Vec::new();
        let numbers: Vec<u64> = self.folds.keys().copied().collect();
        for number in numbers {
            let Some(fold) = self.folds.get_mut(&number) else { continue };
            let is_last = fold.is_over();
            if fold.is_changed() || is_last && fold.told.is_some() {
                told.push(fold.counted(now, is_last));
            }
            if is_last {
                let mark = fold.mark;
                self.folds.remove(&number);
                budget::release(FOLD_BYTES);
                self.parent_ended(mark);
            }
        }
        told
    }

    /// Numbers by the queue of what is held back, in their order.
    pub(crate) fn held(&self) -> impl Iterator<Item = u64> {
        self.order.iter().filter(|(_, id)| self.held.contains_key(id)).map(|(place, _)| *place)
    }

    fn forget_names(&mut self) {
        self.counts.retain(|_, counts| {
            counts.retain(|_, count| matches!(count, Count::Folded(_)));
            !counts.is_empty()
        });
        self.names = self.counts.values().map(HashMap::len).sum();
    }
}

impl Fold {
    fn is_changed(&self) -> bool {
        match self.told {
            Some((count, _)) => count != self.tally.count,
            None => self.is_parent || self.tally.count > 0,
        }
    }

    fn is_over(&self) -> bool {
        self.has_parent_ended && self.held == 0
    }

    fn counted(&mut self, now: u64, is_last: bool) -> Counted {
        self.revision += 1;
        self.told = Some((self.tally.count, now));
        Counted {
            mark: self.mark,
            shard: self.mark,
            parent: self.parent,
            root: self.root,
            origin: self.origin.clone(),
            start: self.start,
            revision: self.revision,
            tally: self.tally.clone(),
            is_last,
        }
    }
}
