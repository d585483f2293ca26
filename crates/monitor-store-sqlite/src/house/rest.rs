//! What is too old beside trees is deleted, and what nothing refers to any more; free space is given back.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Duration;

use monitor_store::{Budget, Changes, Queries, Rules, StoreError, Tidied, Turn};

use super::{NEVER, Shrunk, SqliteStore, Unused};

/// What is unused is looked for when trees went of which as many are left as so many times those: it takes a look at all that is left.
const WORTH: u64 = 4;

/// How far it is.
#[derive(Default)]
pub(super) struct Rest(Step);

/// The next step.
#[derive(Default)]
enum Step {
    /// Deletes old sums.
    #[default]
    Sums,
    /// Trims the log of events.
    Events,
    /// Deletes old signs, and what is old of alerts.
    Alerts,
    /// Deletes old events of unknown types, of workers after this one.
    Unknown(i64),
    /// Looks whether a search for what is unused is worth it.
    Weigh,
    /// Begins that search, after so many trees went.
    Begin(u64),
    /// Searches.
    Find(Box<Unused>, u64),
    /// Deletes what was found.
    Delete(Box<Unused>, u64),
    /// Gives space back.
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
            // A chore that fails or is done begins anew.
            let next = step(mem::take(&mut self.0), store, rules)?;
            more = next.as_ref().map(Step::turn);
            self.0 = next.unwrap_or_default();
        }
        Ok(Tidied { changes: Changes::none(), more, dropped: 0, left: 0 })
    }
}

/// Does a step. Returns the next one.
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
