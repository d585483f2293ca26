//! Folds of processes recorded by the queue. Beyond a number of children with the same parent and name, a start is held back
//! until its end determines if it is counted. It is recorded individually if its ids are read before, or if it records values,
//! runs for a long time, is slow or fails.
//!
//! Starts that are held back are in no batch, but count as taken. Each batch lists them, for the process that
//! reads the spool of a dead program.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use crate::fold::{self, FAILURES_KEPT, Table, Tally};
use crate::record::{Origin, Outcome, Record, Started};
use crate::ring::Counted;
use crate::sending::Sent;
use crate::{budget, clock, ids};

/// Maximum number of parents and names whose children are counted. Beyond it, the counts without a fold start again.
const MOST_NAMES: usize = 20_000;
/// Maximum number of starts that are held back.
const MOST_HELD: usize = 10_000;
/// Maximum number of folds. Processes of further names are recorded individually.
const MOST_FOLDS: usize = 4_096;
/// Minimum number of counted processes whose folds stay known, because children of them may arrive later.
const REMEMBERED: usize = 1 << 16;
/// Number of counted ends after which the folds are reported immediately.
const UNTOLD: u64 = 8_192;
/// Memory for the fold of a process.
const MARK_BYTES: usize = size_of::<(u64, u64, Mark)>();
/// Memory of a fold.
const FOLD_BYTES: usize = size_of::<Fold>() + fold::BUCKETS * size_of::<u64>();

/// The counts and the starts that are held back.
#[derive(Debug, Default)]
pub(crate) struct QueueFolds {
    /// By parent, which may be the mark of its fold, and by name.
    counts: HashMap<u64, HashMap<Box<str>, Count>>,
    names: usize,
    /// In the order of their start, so that a fold comes after the fold that contains it.
    folds: BTreeMap<u64, Fold>,
    last_fold: u64,
    held: HashMap<u64, Held>,
    /// Starts that were held back, in the order of the queue. Some are no longer held back.
    order: VecDeque<(u64, u64)>,
    /// Marks of the folds that processes are or may be counted in. Children of these processes belong to the folds.
    marks: HashMap<u64, Mark>,
    counted: VecDeque<u64>,
    /// Ids that were read by the program before their start arrived.
    early: HashSet<u64>,
    /// Queue number of the last record.
    last_place: u64,
    /// Number of ends that were counted since the folds were last reported.
    untold: u64,
}

/// The children with the same parent and name.
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
    /// Start in ticks.
    start: u64,
    tally: Tally,
    held: u64,
    failures_kept: u64,
    /// Minimum duration of a call that is recorded individually, in ticks.
    slow_from: u64,
    revision: u64,
    /// Last reported count, and its time.
    told: Option<(u64, u64)>,
    /// True if there are processes below the fold.
    is_parent: bool,
    has_parent_ended: bool,
}

impl QueueFolds {
    /// Handles a record that has arrived by the queue. Returns `None` if it is held back.
    pub(crate) fn meet(&mut self, mut sent: Sent) -> Option<Sent> {
        // A record without room in the queue's storage has the number of the record before it.
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

    /// Returns the fold of a start, if there were many before it.
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

    /// Returns the parent to record for a child of this process.
    pub(crate) fn parent(&mut self, id: u64) -> u64 {
        let Some(Mark { mark, fold }) = self.marks.get(&id).copied() else { return id };
        if let Some(fold) = self.folds.get_mut(&fold) {
            fold.is_parent = true;
        }
        mark
    }

    /// Handles ids that the program has read. Returns the starts to record individually.
    pub(crate) fn hand_on(&mut self, ids: impl Iterator<Item = u64>) -> Vec<Sent> {
        // The starts of earlier ids have arrived by now.
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

    /// Returns the start of this process if it was held back. It is then recorded individually.
    pub(crate) fn tell_singly(&mut self, id: u64) -> Option<Sent> {
        let held = self.held.remove(&id)?;
        self.marks.remove(&id);
        if let Some(fold) = self.folds.get_mut(&held.fold) {
            fold.held -= 1;
        }
        Some(held.sent)
    }

    /// Returns starts that must be recorded because the process has been running since `begun_before`, and
    /// the oldest starts beyond the limit.
    pub(crate) fn tell_older(&mut self, begun_before: u64) -> Vec<Sent> {
        self.order.retain(|(_, id)| self.held.contains_key(id));
        let many = self.order.len().saturating_sub(MOST_HELD);
        let is_old = |id: &u64| self.held.get(id).is_some_and(|held| held.sent.at <= begun_before);
        let ids: Vec<u64> =
            self.order.iter().enumerate().take_while(|(at, (_, id))| *at < many || is_old(id)).map(|(_, (_, id))| *id).collect();
        ids.into_iter().filter_map(|id| self.tell_singly(id)).collect()
    }

    /// Returns true if an end is counted. If not, its start is added to `singly` if it was held back.
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

    /// Removes old marks. Called when all records of the children of the counted processes have arrived, except
    /// those of processes that outlive them.
    pub(crate) fn forget(&mut self) {
        while self.counted.len() > REMEMBERED
            && let Some(oldest) = self.counted.pop_front()
        {
            self.marks.remove(&oldest);
            budget::release(MARK_BYTES);
        }
    }

    /// Handles the end of a process, or of the last process of a fold: it gets no more children.
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

    /// Returns true if there is something to report, now or later.
    pub(crate) fn has_news(&self) -> bool {
        !self.held.is_empty() || self.folds.values().any(|fold| fold.is_changed() || fold.is_over())
    }

    /// Returns the changed folds. If a batch is made anyway (`has_others`), all changed folds must be in it, because the batch records the
    /// position in the queue and thus must contain all counts up to there.
    pub(crate) fn tell(&mut self, has_others: bool, is_asked: bool) -> Vec<Counted> {
        let now = clock::now();
        let is_full = has_others || is_asked || self.untold >= UNTOLD;
        let is_due = |fold: &Fold| {
            let is_time = |longest| fold.told.is_none_or(|(_, at)| now.saturating_sub(at) >= longest);
            fold.is_over() || fold.is_changed() && fold::table().is_none_or(|table| is_time(table.longest))
        };
        // A fold that is due makes a batch.
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

    /// Returns the queue numbers of the starts that are held back, in order.
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
