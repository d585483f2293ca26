//! The planner: decides what an agent must do now.

mod action;
mod due;
mod dues;
mod follow;
mod start;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use action::{Action, Boot, Clock, Dues, KillReason, MOST_COUNTED, MissedReason, Now, Plan, Reason, given_up};
pub use due::{Undecided, lost};

use crate::book::{Book, Task};
use crate::ledger::{Ledger, Run, State, TaskLedger};
use crate::run::RunId;

/// Maximum time without decisions after the clock has jumped and is not synchronized.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Decides what to do now. The ledger is not changed; [`Ledger::apply`] does that.
///
/// The result depends only on the arguments. If a plan was not applied, the next call returns its actions again; after it was applied, they
/// are not returned again.
pub fn plan(now: &Now, book: &Book, ledger: &Ledger) -> Plan {
    if let Clock::Unsure { since } = now.clock
        && since < LONGEST_WAIT
    {
        let left = SignedDuration::try_from(LONGEST_WAIT.saturating_sub(since)).unwrap_or_default();
        return Plan { wake_at: now.time.checked_add(left).ok(), ..Plan::default() };
    }
    let mut planner = Planner { now, book, ledger, plan: Plan::default() };
    planner.follow_ended();
    planner.decide_due();
    planner.start_waiting();
    planner.watch_running();
    planner.plan.wake_at = planner.wake_at();
    planner.plan
}

struct Planner<'a> {
    now: &'a Now,
    book: &'a Book,
    ledger: &'a Ledger,
    plan: Plan,
}

impl Planner<'_> {
    fn tell(&mut self, action: Action) {
        self.plan.actions.push(action);
    }

    /// Returns the state of a task including the changes of this plan.
    fn seen(&self, name: &str) -> Option<&TaskLedger> {
        self.plan.tasks.get(name).or_else(|| self.ledger.tasks.get(name))
    }

    /// Returns the state of a task for modification.
    fn task_mut(&mut self, name: &str) -> &mut TaskLedger {
        if !self.plan.tasks.contains_key(name) {
            let known = self.ledger.tasks.get(name).cloned();
            let task = known.or_else(|| self.book.tasks.get(name).map(TaskLedger::new)).expect("a task of the book or the ledger");
            self.plan.tasks.insert(name.to_owned(), task);
        }
        self.plan.tasks.get_mut(name).expect("it was just put there")
    }

    fn run_mut(&mut self, id: &RunId) -> &mut Run {
        self.task_mut(&id.task).runs.iter_mut().find(|run| run.id == *id).expect("a run of the ledger")
    }

    fn remove_run(&mut self, id: &RunId) {
        self.task_mut(&id.task).runs.retain(|run| run.id != *id);
    }

    /// Returns all runs including the changes of this plan.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        let unchanged = self
            .ledger
            .tasks
            .iter()
            .filter(|(name, task)| !task.runs.is_empty() && !self.plan.tasks.contains_key(*name))
            .map(|(_, task)| task);
        unchanged.chain(self.plan.tasks.values()).flat_map(|task| &task.runs)
    }

    /// Returns the ids of matching runs, in the order of their due times.
    fn ids(&self, is_wanted: impl Fn(&Run) -> bool) -> Vec<RunId> {
        let mut ids: Vec<_> = self.runs().filter(|run| is_wanted(run)).map(|run| run.id.clone()).collect();
        ids.sort_by(|one, other| (one.due, &one.task, one.part).cmp(&(other.due, &other.task, other.part)));
        ids
    }

    fn pause_at(&self, task: &Task, at: Timestamp) -> bool {
        self.book.pauses(task).any(|pause| pause.is_at(at))
    }

    /// Reports runs that exceed their timeout, and ends runs that exceed `kill-after`.
    fn watch_running(&mut self) {
        let now = self.now.time;
        for id in self.ids(|run| matches!(run.state, State::Running { .. })) {
            let Some(task) = self.book.tasks.get(&id.task) else { continue };
            let run = self.seen(&id.task).and_then(|task| task.runs.iter().find(|run| run.id == id)).expect("a run of the ledger");
            let State::Running { since } = run.state else { continue };
            let (is_overtime, is_killed) = (run.is_overtime, run.is_killed);
            let is_over = |limit: Option<Duration>| limit.is_some_and(|limit| after(since, limit).is_some_and(|at| at <= now));
            if !is_overtime && is_over(task.policy.timeout) {
                self.run_mut(&id).is_overtime = true;
                self.tell(Action::Overtime { run: id.clone(), since });
            }
            if !is_killed && is_over(task.policy.kill_after) {
                self.run_mut(&id).is_killed = true;
                self.tell(Action::Kill { run: id, reason: KillReason::KillAfter, replaced_by: None });
            }
        }
    }

    /// Returns the next time at which a task is due, a waiting run may start or expires, or a running run exceeds a limit.
    fn wake_at(&self) -> Option<Timestamp> {
        let now = self.now.time;
        let unchanged = self.ledger.tasks.iter().filter(|(name, _)| !self.plan.tasks.contains_key(*name));
        let mut due: Option<Timestamp> = None;
        for (name, task) in unchanged.chain(&self.plan.tasks) {
            // Compare first, because tasks missing in the book are rare and the lookup is slow.
            if let Some(next) = task.next.due.filter(|next| due.is_none_or(|due| *next < due))
                && self.book.tasks.contains_key(name)
            {
                due = Some(next);
            }
        }
        let runs = self.runs().filter_map(|run| {
            let policy = &self.book.tasks.get(&run.id.task)?.policy;
            let at = |since: Timestamp, limit: Option<Duration>| limit.and_then(|limit| after(since, limit)).filter(|at| *at > now);
            match run.state {
                State::Waiting { not_before, .. } => {
                    [Some(not_before).filter(|at| *at > now), at(not_before, policy.start_within), policy.quiet_until(now)]
                        .into_iter()
                        .flatten()
                        .min()
                }
                State::Starting { since } | State::Running { since } => {
                    let told = at(since, policy.timeout).filter(|_| !run.is_overtime);
                    [told, at(since, policy.kill_after).filter(|_| !run.is_killed)].into_iter().flatten().min()
                }
                State::Asked | State::Ended { .. } => None,
            }
        });
        due.into_iter().chain(runs).min()
    }
}

/// Returns the time `duration` after `at`.
pub(crate) fn after(at: Timestamp, duration: Duration) -> Option<Timestamp> {
    at.checked_add(SignedDuration::try_from(duration).ok()?).ok()
}
