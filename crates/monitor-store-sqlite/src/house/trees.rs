//! Trees that are due are dropped, and what is left of them is deleted.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Instant;

use monitor_store::{Budget, Changes, Rules, StoreError, Tidied, Turn};

use super::{DropTrees, Dropped, DueCursor, SqliteStore, Swept};

/// For the database's size so few trees are dropped at first, and then twice as many each time: it may be that they are not what makes
/// it large.
const FIRST_ROOTS: usize = 10;
/// When so much should be free, it is looked whether a part of it is: one in so many.
const JUDGED_BYTES: u64 = 1 << 20;
const PART: u64 = 10;
/// So many rows of dropped trees are deleted in a transaction: no batch waits long for that.
const ROWS: usize = 4_000;

/// How far it is.
#[derive(Default)]
pub(super) struct Trees {
    step: Step,
    /// How large the database was when dropping trees made it hardly smaller, in bytes; 0 if it does.
    stuck_bytes: u64,
    /// How many processes there are in trees that were dropped by the rules, and of which rows are still there.
    waiting: u64,
}

/// The next step.
enum Step {
    /// Looks for what is due, from a place on.
    Due(DueCursor),
    /// Looks which trees are the oldest, if the database is too large.
    Oldest(Size),
    /// Drops trees for a reason. If none could be dropped for the size, the chore ends.
    Drop { reason: &'static str, numbers: Vec<u64>, then: Box<Step> },
    /// Deletes what is left of dropped trees.
    Sweep(Then),
}

/// What follows when nothing is left of dropped trees.
enum Then {
    /// The next look for what is due.
    Due(DueCursor),
    /// The first look at the size.
    Oldest,
    /// A judgement whether that has made the database smaller.
    Judge(Size),
    /// Nothing.
    End,
}

/// How it goes with holding the database's size.
#[derive(Clone, Copy)]
struct Size {
    /// At most so many trees are dropped next.
    most: usize,
    /// So many bytes should be free by what was dropped.
    expected: u64,
    /// And so many are.
    freed: u64,
    /// So many bytes were in use at the last look.
    used: u64,
}

impl Default for Step {
    fn default() -> Self {
        Self::Due(DueCursor::default())
    }
}

impl Step {
    fn turn(&self) -> Turn {
        match self {
            Self::Due(_) | Self::Oldest(_) => Turn::Look,
            Self::Drop { .. } | Self::Sweep(_) => Turn::Change,
        }
    }

    /// Drops these trees before this step, if there are any.
    fn after_dropping(self, numbers: Vec<u64>, reason: &'static str) -> Self {
        if numbers.is_empty() { self } else { Self::Drop { reason, numbers, then: Box::new(self) } }
    }
}

impl Trees {
    pub(super) fn tidy(&mut self, store: &SqliteStore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError> {
        let (mut changes, mut dropped) = (Changes::none(), 0);
        if self.step.turn() == Turn::Change && budget.turn == Turn::Look {
            return Ok(Tidied { changes, more: Some(Turn::Change), dropped, left: self.waiting });
        }
        // A chore that fails or is done begins anew.
        let next = match mem::take(&mut self.step) {
            Step::Due(from) => Some(look(store, rules, budget, from)?),
            Step::Oldest(size) => self.look_at_size(store, rules, size)?,
            Step::Drop { reason, numbers, then } => {
                let drop = DropTrees { numbers: &numbers, reason, may_run: false };
                let (went, told) = store.drop_roots(&drop, rules.now_us)?;
                let Dropped { trees, processes } = went;
                self.waiting += processes;
                (changes, dropped) = (told, trees);
                if trees == 0 && reason == "size" { Some(Step::Sweep(Then::End)) } else { Some(*then) }
            }
            Step::Sweep(then) => self.sweep(store, budget, then)?,
        };
        let more = next.as_ref().map(Step::turn);
        self.step = next.unwrap_or_default();
        Ok(Tidied { changes, more, dropped, left: self.waiting })
    }

    /// Looks whether the database is too large, and for trees that should go then.
    fn look_at_size(&self, store: &SqliteStore, rules: &Rules<'_>, size: Size) -> Result<Option<Step>, StoreError> {
        let Some(limit) = rules.retention.size else { return Ok(None) };
        let beyond = store.oldest_beyond(limit, size.most)?;
        if beyond.numbers.is_empty() || (self.stuck_bytes > 0 && beyond.used_bytes < self.stuck_bytes.saturating_add(limit / PART)) {
            return Ok(None);
        }
        let size = Size { expected: size.expected + beyond.bytes, used: beyond.used_bytes, ..size };
        Ok(Some(Step::Sweep(Then::Judge(size)).after_dropping(beyond.numbers, "size")))
    }

    fn sweep(&mut self, store: &SqliteStore, budget: Budget, then: Then) -> Result<Option<Step>, StoreError> {
        let (begun, mut all) = (Instant::now(), Swept::default());
        loop {
            let Swept { is_more, trees, processes, freed_bytes } = store.sweep(ROWS)?;
            all = Swept {
                is_more,
                trees: all.trees + trees,
                processes: all.processes + processes,
                freed_bytes: all.freed_bytes + freed_bytes,
            };
            if !is_more || begun.elapsed() >= budget.time {
                break;
            }
        }
        store.house.gone.fetch_add(all.trees, Ordering::Relaxed);
        // What was asked for, or was left by a server before, is not counted.
        self.waiting = if all.is_more { self.waiting.saturating_sub(all.processes) } else { 0 };
        let then = match then {
            Then::Judge(size) => Then::Judge(Size { freed: size.freed + all.freed_bytes, ..size }),
            then => then,
        };
        if all.is_more {
            return Ok(Some(Step::Sweep(then)));
        }
        Ok(match then {
            Then::Due(from) => Some(Step::Due(from)),
            Then::Oldest => Some(Step::Oldest(Size { most: FIRST_ROOTS, expected: 0, freed: 0, used: 0 })),
            Then::Judge(size) => self.judge(size, budget),
            Then::End => None,
        })
    }

    /// Goes on dropping the oldest trees as long as that makes the database smaller.
    fn judge(&mut self, size: Size, budget: Budget) -> Option<Step> {
        if size.expected >= JUDGED_BYTES && size.freed < size.expected / PART {
            self.stuck_bytes = size.used;
            tracing::warn!(
                used_bytes = size.used,
                "the database stays larger than `retention-size`: what makes it large is not trees but what stays of them (words, sums, \
                 workers), so no more are dropped for its size; allow it more"
            );
            return None;
        }
        self.stuck_bytes = 0;
        Some(Step::Oldest(Size { most: (2 * size.most).min(budget.trees), ..size }))
    }
}

/// Looks for what is due, from a place on.
fn look(store: &SqliteStore, rules: &Rules<'_>, budget: Budget, from: DueCursor) -> Result<Step, StoreError> {
    let due = store.due(rules.retention, rules.aged_us, from, budget.trees)?;
    let then = match due.next {
        Some(next) => Then::Due(next),
        None if rules.retention.size.is_some() => Then::Oldest,
        None => Then::End,
    };
    // What is too old goes first.
    Ok(Step::Sweep(then).after_dropping(due.surplus, "count").after_dropping(due.old, "age"))
}
