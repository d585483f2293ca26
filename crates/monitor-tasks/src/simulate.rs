//! Simulates an agent with [`plan`](crate::plan()) over a period, given the durations of its runs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::book::Book;
use crate::ledger::{Ledger, Outcome, Run};
use crate::plan::{Action, Now, Plan, after, plan};
use crate::run::RunId;

/// A simulated agent that is always up.
pub(crate) struct Simulation<'a> {
    pub(crate) book: &'a Book,
    pub(crate) ledger: Ledger,
    pub(crate) now: Timestamp,
    /// Future ends of running runs.
    ends: BTreeMap<(Timestamp, RunId), Outcome>,
}

impl<'a> Simulation<'a> {
    pub(crate) fn new(book: &'a Book, ledger: Ledger, from: Timestamp) -> Self {
        Self { book, ledger, now: from, ends: BTreeMap::new() }
    }

    /// Sets the end of a run that is already in progress.
    pub(crate) fn ends(&mut self, run: &RunId, at: Timestamp) {
        self.ends.insert((at, run.clone()), Outcome::Ok);
    }

    /// Plans at the current time, starts runs, and advances to the next relevant time. Returns `None` if there is none until `to`.
    pub(crate) fn step(&mut self, to: Timestamp, takes: &mut impl FnMut(&Run) -> (Duration, Outcome)) -> Option<(Timestamp, Plan)> {
        if self.now > to {
            return None;
        }
        let now = self.now;
        while let Some(((end, id), outcome)) = self.ends.pop_first() {
            if end > now {
                self.ends.insert((end, id), outcome);
                break;
            }
            self.ledger.ended(&id, end, outcome);
        }
        let plan = plan(&Now::steady(now), self.book, &self.ledger);
        self.ledger.apply(&plan);
        for action in &plan.actions {
            match action {
                Action::Start { run } => {
                    self.ledger.started(&run.id, now);
                    let (duration, outcome) = takes(run);
                    self.ends.insert((after(now, duration).unwrap_or(Timestamp::MAX), run.id.clone()), outcome);
                }
                Action::Kill { run, .. } => {
                    self.ends.retain(|(_, id), _| id != run);
                    self.ends.insert((now, run.clone()), Outcome::Fail);
                }
                _ => {}
            }
        }
        let end = self.ends.keys().next().map(|(end, _)| (*end).max(now));
        self.now = [end, plan.wake_at].into_iter().flatten().min().unwrap_or(Timestamp::MAX);
        Some((now, plan))
    }
}
