//! Chore that drops trees according to the retention rules and deletes their rows.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Instant;

use monitor_store::{Budget, Changes, Rules, StoreError, Tidied, Turn};

use super::{DropTrees, Dropped, DueCursor, SqliteStore, Swept};

/// Number of trees dropped first to reduce the size of the database. It doubles each time. The start is small because the trees may not be
/// the cause of the size.
const FIRST_ROOTS: usize = 10;
/// When the trees dropped for size should have freed `JUDGED_BYTES`, at least the `PART`th part of the expected size must be free.
const JUDGED_BYTES: u64 = 1 << 20;
const PART: u64 = 10;
/// Number of rows of dropped trees to delete per transaction, so that no batch waits long.
const ROWS: usize = 4_000;

/// State of the chore.
#[derive(Default)]
pub(super) struct Trees {
    step: Step,
    /// Used size of the database, in bytes, at which dropping trees no longer reduced it; 0 if it does.
    stuck_bytes: u64,
    /// Number of processes in dropped trees whose rows have not been deleted yet.
    waiting: u64,
}

/// The next step.
enum Step {
    /// Find trees that are due, starting at a position.
    Due(DueCursor),
    /// Find the oldest trees if the database is too large.
    Oldest(Size),
    /// Drop trees for a reason. The chore ends after a sweep if no tree could be dropped for the reason `size`.
    Drop { reason: &'static str, numbers: Vec<u64>, then: Box<Step> },
    /// Delete the rows of dropped trees.
    Sweep(Then),
}

/// The step after all rows of dropped trees have been deleted.
enum Then {
    /// Continue the search for trees that are due.
    Due(DueCursor),
    /// Check the size of the database for the first time.
    Oldest,
    /// Check whether dropping trees has reduced the size of the database.
    Judge(Size),
    /// End the chore.
    End,
}

/// Progress of reducing the database size.
#[derive(Clone, Copy)]
struct Size {
    /// Maximum number of trees to drop next.
    most: usize,
    /// Number of bytes that the dropped trees should have freed.
    expected: u64,
    /// Number of bytes that were freed.
    freed: u64,
    /// Number of used bytes at the last check.
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

    /// Inserts a step that drops trees before this step, if there are any.
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
        // `mem::take` resets the step, so the chore starts again after an error.
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

    /// Finds the trees to drop if the database is too large.
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
        // Trees dropped on request or before a restart are swept as well but were not added, so the number can't go below 0.
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

    /// Continues with the next oldest trees, unless the dropped trees freed too little space.
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

/// Finds trees that are due, starting at `from`.
fn look(store: &SqliteStore, rules: &Rules<'_>, budget: Budget, from: DueCursor) -> Result<Step, StoreError> {
    let due = store.due(rules.retention, rules.aged_us, from, budget.trees)?;
    let then = match due.next {
        Some(next) => Then::Due(next),
        None if rules.retention.size.is_some() => Then::Oldest,
        None => Then::End,
    };
    // Trees that are too old are dropped first.
    Ok(Step::Sweep(then).after_dropping(due.surplus, "count").after_dropping(due.old, "age"))
}
