//! Starts decided runs when nothing blocks them.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{Action, Dues, KillReason, MissedReason, Planner, Reason, after};
use crate::book::Task;
use crate::definition::{MissedPolicy, Overlap};
use crate::ledger::{Run, State};
use crate::run::{RunId, Trigger};

/// A decided run whose agent was killed before starting it may start within this time, regardless of the policy for missed runs.
const ON_TIME: SignedDuration = SignedDuration::from_secs(60);

impl Planner<'_> {
    /// Adds a run to the waiting runs if the overlap policy permits that. Otherwise skips it.
    pub(super) fn admit(&mut self, task: &Task, mut run: Run) {
        let name = &task.definition.name;
        let known = self.task_mut(name);
        known.runs.retain(|other| other.id != run.id);
        let open: Vec<_> = known.runs.iter().filter(|other| other.is_open()).map(|other| (other.id.clone(), other.is_killed)).collect();
        let waiting: Vec<_> = known.runs.iter().filter(|other| other.is_waiting()).map(|other| other.id.clone()).collect();
        let blocked_by = open.first().map(|(id, _)| id).or(waiting.first()).cloned();
        let refused = match task.policy.overlap {
            Overlap::Skip | Overlap::Allow(_) => (open.len() + waiting.len() >= task.policy.most_at_once()).then_some(Reason::Overlap),
            Overlap::Queue(most) => (waiting.len() >= most as usize).then_some(Reason::Full),
            Overlap::Replace => None,
        };
        let refused = if self.pause_at(task, self.now.time) && !is_asked_for(&run) {
            Some((Reason::Paused, None))
        } else {
            refused.map(|reason| (reason, blocked_by))
        };
        if let Some((reason, blocked_by)) = refused {
            self.give_up(&run, reason, blocked_by);
            return;
        }
        if task.policy.overlap == Overlap::Replace {
            for id in waiting {
                let given_up = self.run_mut(&id).clone();
                self.give_up(&given_up, Reason::Overlap, Some(run.id.clone()));
            }
            for (id, _) in open.into_iter().filter(|(_, is_killed)| !is_killed) {
                self.run_mut(&id).is_killed = true;
                self.tell(Action::Kill { run: id, reason: KillReason::Replaced, replaced_by: Some(run.id.clone()) });
            }
        }
        let not_before = match run.trigger {
            Trigger::Time | Trigger::Missed | Trigger::Boot => after(run.id.due, task.policy.delay).unwrap_or(run.id.due),
            // The original due time is long past.
            _ if run.repeats.is_some() => self.now.time,
            _ => run.id.due,
        };
        run.state = State::Waiting { not_before, reason: None };
        self.task_mut(name).runs.push(run);
    }

    /// Reports that a run does not start because it is blocked, and removes it.
    pub(super) fn give_up(&mut self, run: &Run, reason: Reason, blocked_by: Option<RunId>) {
        self.forget(run);
        let (task, version, dues) = (run.id.task.clone(), run.version, Dues::one(run.id.due));
        self.tell(Action::Skip { task, version, dues, reason, blocked_by, run: Some(run.id.clone()) });
    }

    /// Reports that a run does not start because it is too late, and removes it.
    fn too_late(&mut self, run: &Run, reason: MissedReason) {
        self.forget(run);
        let (task, version, dues) = (run.id.task.clone(), run.version, Dues::one(run.id.due));
        self.tell(Action::Missed { task, version, dues, reason, run: Some(run.id.clone()) });
    }

    fn forget(&mut self, run: &Run) {
        self.remove_run(&run.id);
        if matches!(run.trigger, Trigger::Time | Trigger::Missed) {
            self.task_mut(&run.id.task).forget_run(run.id.due);
        }
    }

    /// Starts waiting runs that are not blocked, in the order of their due times.
    pub(super) fn start_waiting(&mut self) {
        let ids = self.ids(Run::is_waiting);
        if ids.is_empty() {
            return;
        }
        let mut open = Open::new(self.runs());
        for id in ids {
            let run = self.seen(&id.task).and_then(|task| task.runs.iter().find(|run| run.id == id)).expect("a run of the ledger").clone();
            self.start_or_wait(run, &mut open);
        }
    }

    fn start_or_wait(&mut self, mut run: Run, open: &mut Open) {
        let State::Waiting { not_before, reason: told } = run.state else { return };
        let now = self.now.time;
        let Some(task) = self.book.tasks.get(&run.id.task) else { return self.give_up(&run, Reason::Deleted, None) };
        let policy = &task.policy;
        let is_asked_for = is_asked_for(&run);
        if !is_asked_for && self.pause_at(task, now) {
            return self.give_up(&run, Reason::Paused, None);
        }
        let most = self.book.max_runs.map_or(usize::MAX, |most| most as usize);
        let blocked = if !is_asked_for && policy.quiet_until(now).is_some() {
            Some((Reason::Quiet, None))
        } else if not_before > now {
            Some((Reason::Delay, None))
        } else {
            open.in_the_way_of(&run, policy.most_at_once(), most)
        };
        let deadline = policy.start_within.and_then(|within| after(not_before, within));
        match blocked {
            None if deadline.is_some_and(|deadline| deadline < now) => self.too_late(&run, MissedReason::Deadline),
            None if run.is_unstarted && self.is_too_late(task, &run) => self.too_late(&run, MissedReason::AgentDown),
            None => {
                run.state = State::Starting { since: now };
                if run.repeats.is_none() {
                    run.version = task.version;
                }
                run.lock.clone_from(&policy.lock);
                open.add(&run);
                *self.run_mut(&run.id) = run.clone();
                self.tell(Action::Start { run });
            }
            Some((reason, blocked_by)) if reason != Reason::Delay && deadline.is_some_and(|deadline| deadline <= now) => {
                self.give_up(&run, reason, blocked_by);
            }
            Some((reason, blocked_by)) => {
                if told != Some(reason) {
                    run.state = State::Waiting { not_before, reason: Some(reason) };
                    *self.run_mut(&run.id) = run.clone();
                }
                if told.is_none() {
                    self.tell(Action::Queue { run, reason, not_before, blocked_by });
                }
            }
        }
    }

    /// Returns true if a run that the agent failed to start is too late according to the policy for missed runs.
    fn is_too_late(&self, task: &Task, run: &Run) -> bool {
        let late = run.id.due.duration_until(self.now.time);
        let missed = task.policy.missed;
        let is_over = SignedDuration::try_from(missed.within).is_ok_and(|within| late > within);
        !is_asked_for(run) && late > ON_TIME && (missed.policy == MissedPolicy::Skip || is_over)
    }
}

/// Returns true for a requested run, which starts even in pauses and quiet hours.
fn is_asked_for(run: &Run) -> bool {
    matches!(run.trigger, Trigger::Request { .. })
}

/// Open runs.
struct Open {
    of_task: BTreeMap<String, Vec<RunId>>,
    locks: BTreeMap<String, RunId>,
    all: Vec<RunId>,
}

impl Open {
    fn new<'a>(runs: impl Iterator<Item = &'a Run>) -> Self {
        let mut open = Self { of_task: BTreeMap::new(), locks: BTreeMap::new(), all: Vec::new() };
        runs.filter(|run| run.is_open()).for_each(|run| open.add(run));
        open
    }

    fn add(&mut self, run: &Run) {
        self.of_task.entry(run.id.task.clone()).or_default().push(run.id.clone());
        self.all.push(run.id.clone());
        if let Some(lock) = &run.lock {
            self.locks.insert(lock.clone(), run.id.clone());
        }
    }

    /// Returns what blocks a run: an earlier run of its task, the holder of its lock, or the total number of runs.
    fn in_the_way_of(&self, run: &Run, most_of_task: usize, most: usize) -> Option<(Reason, Option<RunId>)> {
        let of_task = self.of_task.get(&run.id.task).filter(|open| open.len() >= most_of_task);
        let holder = run.lock.as_ref().and_then(|lock| self.locks.get(lock));
        let overlap = of_task.map(|open| (Reason::Overlap, open.first().cloned()));
        let lock = || holder.map(|holder| (Reason::Lock, Some(holder.clone())));
        let full = || (self.all.len() >= most).then(|| (Reason::Full, self.all.first().cloned()));
        overlap.or_else(lock).or_else(full)
    }
}
