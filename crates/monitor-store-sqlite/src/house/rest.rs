//! Chore that deletes old data other than trees, deletes unused texts, origins and workers, and returns free space to the disk.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Duration;

use monitor_store::{Budget, Changes, Queries, Rules, StoreError, Tidied, Turn};

use super::{NEVER, Shrunk, SqliteStore, Unused};

/// A search for unused data runs if the number of removed trees times this factor reaches the number of remaining trees, because the search
/// scans all remaining rows.
const WORTH: u64 = 4;

/// State of the chore.
#[derive(Default)]
pub(super) struct Rest(Step);

/// The next step.
#[derive(Default)]
enum Step {
    /// Delete old sums.
    #[default]
    Sums,
    /// Trim the log of events.
    Events,
    /// Delete old signs and alerts.
    Alerts,
    /// Delete old events of unknown types, from workers with a greater key.
    Unknown(i64),
    /// Decide whether to search for unused data.
    Weigh,
    /// Start the search, with the number of removed trees.
    Begin(u64),
    /// Scan the next rows.
    Find(Box<Unused>, u64),
    /// Delete unused data.
    Delete(Box<Unused>, u64),
    /// Return free space to the disk.
    Shrink,
}

impl Step {
    fn turn(&self) -> Turn {
        if matches!(self, Self::Weigh | Self::Find(..)) { Turn::Look } else { Turn::Change }
    }
}

impl Rest {
    pub(super) fn tidy(&mut self, store: &SqliteStore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError> {
        let mut more = Some(self.0.turn());
        if more == Some(Turn::Look) || budget.turn == Turn::Change {
            // `mem::take` resets the step, so the chore starts again after an error.
            let next = step(mem::take(&mut self.0), store, rules)?;
            more = next.as_ref().map(Step::turn);
            self.0 = next.unwrap_or_default();
        }
        Ok(Tidied { changes: Changes::none(), more, dropped: 0, left: 0 })
    }
}

/// Runs a step and returns the next one.
fn step(step: Step, store: &SqliteStore, rules: &Rules<'_>) -> Result<Option<Step>, StoreError> {
    let before_us = |age: Duration| rules.aged_us.saturating_sub(age.as_micros() as u64);
    Ok(Some(match step {
        Step::Sums if store.trim_sums(rules.aged_us)? => Step::Sums,
        Step::Sums => Step::Events,
        Step::Events if store.trim_events(rules.aged_us)? => Step::Events,
        Step::Events => Step::Alerts,
        Step::Alerts if store.trim_alerts(rules.aged_us)? => Step::Alerts,
        Step::Alerts => Step::Unknown(0),
        Step::Unknown(after) => {
            let next = match rules.retention.longest() {
                Some(age) => store.trim_unknown(before_us(age), after)?,
                None => None,
            };
            next.map_or(Step::Weigh, Step::Unknown)
        }
        Step::Weigh => {
            let gone = store.house.gone.load(Ordering::Relaxed);
            let is_worth_it = gone != 0 && gone != NEVER && gone.saturating_mul(WORTH) >= store.status()?.roots.total();
            if is_worth_it { Step::Begin(gone) } else { Step::Shrink }
        }
        Step::Begin(gone) => Step::Find(Box::new(store.begin_unused()?), gone),
        Step::Find(mut unused, gone) => {
            if store.find_unused(&mut unused)? {
                Step::Find(unused, gone)
            } else {
                Step::Delete(unused, gone)
            }
        }
        Step::Delete(mut unused, gone) => {
            if store.drop_unused(&mut unused, rules.forget_before_us())? {
                Step::Delete(unused, gone)
            } else {
                store.house.gone.fetch_sub(gone, Ordering::Relaxed);
                Step::Shrink
            }
        }
        Step::Shrink if store.shrink()? == Shrunk::More => Step::Shrink,
        Step::Shrink => return Ok(None),
    }))
}
