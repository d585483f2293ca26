//! Decides about reached due times: each is started, skipped, or reported as missed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::dues::{self, Found};
use super::{Action, Clock, Dues, MissedReason, Planner, Reason};
use crate::book::{Book, Task};
use crate::definition::MissedPolicy;
use crate::ledger::{State, TaskLedger};
use crate::run::Trigger;

/// Maximum delay at which a due time counts as on time even if later due times have been reached. The agent plans once a second.
const ON_TIME: SignedDuration = SignedDuration::from_secs(2);
/// Maximum delay at which the latest due time counts as on time, since the machine may be slow.
const ON_TIME_LATEST: SignedDuration = SignedDuration::from_secs(60);
/// Default maximum number of missed due times to make up for.
const DEFAULT_CAP: u32 = 100;

impl<'a> Planner<'a> {
    /// Decides about all due times until now, and about a boot of the machine.
    pub(super) fn decide_due(&mut self) {
        let is_new_boot = self.now.boot.as_ref().filter(|boot| self.ledger.boot.as_ref() != Some(&boot.id));
        for (name, task) in self.undecided() {
            self.decide(name, task);
        }
        if let Some(boot) = is_new_boot {
            for (name, task) in self.book.tasks.iter().filter(|(_, task)| task.policy.is_at_boot() && task.since <= boot.at) {
                let run = self.task_mut(name).new_run(task, boot.at, Trigger::Boot, State::Asked);
                self.admit(task, run);
            }
        }
        self.plan.boot = is_new_boot.map(|boot| boot.id.clone());
    }

    /// Returns tasks that are due, new or changed, or were decided while the clock was ahead.
    fn undecided(&self) -> Vec<(&'a String, &'a Task)> {
        let now = self.now.time;
        // Both maps are sorted by name. At this point no earlier step of the plan has changed the decided times.
        let mut known = self.ledger.tasks.iter().peekable();
        let is_undecided = |(name, task): &(&'a String, &'a Task)| {
            while known.next_if(|(other, _)| other < name).is_some() {}
            known.peek().filter(|(other, _)| other == name).is_none_or(|(_, known)| {
                known.next.version != (task.version, task.since) || known.until > now || known.next.due.is_some_and(|due| due <= now)
            })
        };
        self.book.tasks.iter().filter(is_undecided).collect()
    }

    fn decide(&mut self, name: &str, task: &Task) {
        let now = self.now.time;
        let known = self.task_mut(name);
        // After the clock was set back, executed due times are remembered and all others are decided again.
        known.until = known.until.min(now);
        let from = known.until.max(task.since);
        known.search(task);
        if known.next.due.is_none_or(|due| due > now) {
            return;
        }
        let (mut late, mut paused, mut quiet) = (Late::default(), None, None);
        for (after, to, is_old) in self.segments(task, from) {
            let known = self.seen(name).expect("it was just looked at");
            let most = if is_old { 1 } else { Late::most(task) };
            let found = dues::find(&task.policy, after, to, most, |due| known.has_run(due));
            if self.pause_at(task, to) {
                paused = joined(joined(paused, found.plain), found.quiet);
            } else {
                quiet = joined(quiet, found.quiet);
                late.add(found, is_old);
            }
        }
        self.skip_dues(task, paused, Reason::Paused);
        self.skip_dues(task, quiet, Reason::Quiet);
        self.start_due(task, late);
        let known = self.task_mut(name);
        known.until = now;
        known.search(task);
    }

    /// Divides the time since the last decision at the boundaries of pauses, and at the age limit for making up.
    fn segments(&self, task: &Task, from: Timestamp) -> Vec<(Timestamp, Timestamp, bool)> {
        let now = self.now.time;
        let policy = &task.policy;
        let within = policy.start_within.unwrap_or(Duration::MAX).min(policy.missed.within);
        let oldest = SignedDuration::try_from(within).ok().and_then(|within| now.checked_sub(within).ok()).unwrap_or(Timestamp::MIN);
        let pauses = self.book.pauses(task).flat_map(|pause| [Some(pause.from), pause.until]).flatten();
        let mut cuts: Vec<_> = pauses.chain([oldest]).filter_map(|at| at.checked_sub(SignedDuration::from_nanos(1)).ok()).collect();
        cuts.retain(|cut| from < *cut && *cut < now);
        cuts.extend([from, now]);
        cuts.sort();
        cuts.dedup();
        cuts.windows(2).map(|pair| (pair[0], pair[1], pair[1] < oldest)).collect()
    }

    fn skip_dues(&mut self, task: &Task, dues: Option<Dues>, reason: Reason) {
        if let Some(dues) = dues {
            let name = task.definition.name.clone();
            self.tell(Action::Skip { task: name, version: task.version, dues, reason, blocked_by: None, run: None });
        }
    }

    /// Starts due times that are on time or are made up for, and reports the others.
    fn start_due(&mut self, task: &Task, mut late: Late) {
        let now = self.now.time;
        let mut on_time = Vec::new();
        while let Some(due) = late.recent.latest.back().copied() {
            let allowed = if on_time.is_empty() { ON_TIME_LATEST } else { ON_TIME };
            if due.duration_until(now) > allowed {
                break;
            }
            late.recent.latest.pop_back();
            on_time.push(due);
        }
        if late.old.is_some() || late.recent.plain.is_some_and(|dues| dues.count as usize > on_time.len()) {
            // The agent was down for a while, so a single run replaces several on-time runs.
            late.recent.latest.extend(on_time.drain(1.min(on_time.len())..).rev());
        }
        on_time.reverse();
        let is_paused = self.pause_at(task, now);
        let made_up = match task.policy.missed.policy {
            _ if is_paused => 0,
            MissedPolicy::Skip => 0,
            MissedPolicy::Once => usize::from(on_time.is_empty()),
            MissedPolicy::All => task.policy.missed.cap.unwrap_or(DEFAULT_CAP) as usize,
        };
        let latest = &mut late.recent.latest;
        let made_up: Vec<_> = latest.split_off(latest.len().saturating_sub(made_up)).into();
        let taken = on_time.len() + made_up.len();
        let first_taken = made_up.first().or(on_time.first()).copied();
        // The remaining recent due times are earlier than the started due times.
        let left = late.recent.plain.filter(|dues| dues.count as usize > taken).map(|dues| Dues {
            last: if first_taken.is_some() { latest.back().copied().unwrap_or(dues.first) } else { dues.last },
            count: dues.count - taken as u32,
            ..dues
        });
        let cause = if self.now.clock == Clock::Steady { MissedReason::AgentDown } else { MissedReason::Clock };
        let is_capped = task.policy.missed.policy == MissedPolicy::All && !is_paused;
        let runs: Vec<_> =
            made_up.iter().map(|due| (*due, Trigger::Missed)).chain(on_time.iter().map(|due| (*due, Trigger::Time))).collect();
        let makes_up = first_taken.filter(|_| task.policy.missed.policy == MissedPolicy::Once).map(|due| {
            let known = self.task_mut(&task.definition.name);
            known.new_run(task, due, Trigger::Missed, State::Asked).id
        });
        let missed = if is_capped { vec![(late.old, cause), (left, MissedReason::Cap)] } else { vec![(joined(late.old, left), cause)] };
        for (dues, reason) in missed {
            if let Some(dues) = dues {
                let (name, run) = (task.definition.name.clone(), makes_up.clone());
                self.tell(Action::Missed { task: name, version: task.version, dues, reason, run });
            }
        }
        for (due, trigger) in runs {
            let known = self.task_mut(&task.definition.name);
            known.note_run(due, |last| crate::rule::next_of(&task.policy.rules, last, &task.policy.zone));
            let run = known.new_run(task, due, trigger, State::Asked);
            self.admit(task, run);
        }
    }
}

/// Due times of a task whose decisions are lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undecided {
    /// Due times after this time may be undecided.
    pub from: Timestamp,
    /// Later spans whose due times are known to be decided.
    pub decided: Vec<(Timestamp, Timestamp)>,
}

/// Reports due times of a task until `to` whose decision is lost and which have no run. None of them is started.
pub fn lost(book: &Book, task: &Task, ledger: Option<&TaskLedger>, undecided: &Undecided, to: Timestamp) -> Option<Action> {
    let is_known = |due| {
        let has_run = ledger.is_some_and(|ledger| ledger.has_run(due));
        let is_decided = || undecided.decided.iter().any(|(first, last)| (*first..=*last).contains(&due));
        has_run || is_decided() || book.pauses(task).any(|pause| pause.is_at(due))
    };
    let dues = dues::find(&task.policy, undecided.from, to, 1, is_known).plain?;
    let (name, version) = (task.definition.name.clone(), task.version);
    Some(Action::Missed { task: name, version, dues, reason: MissedReason::Rebuilt, run: None })
}

/// Due times that are neither skipped nor decided yet.
#[derive(Debug, Default)]
struct Late {
    /// Due times that are too old to be made up for.
    old: Option<Dues>,
    recent: Found,
}

impl Late {
    /// Returns the number of latest due times that may be needed: those to make up for, those on time, and the one before.
    fn most(task: &Task) -> usize {
        let on_time = ON_TIME.as_secs() as usize + 2;
        match task.policy.missed.policy {
            MissedPolicy::All => task.policy.missed.cap.unwrap_or(DEFAULT_CAP) as usize + on_time,
            MissedPolicy::Skip | MissedPolicy::Once => 1 + on_time,
        }
    }

    fn add(&mut self, found: Found, is_old: bool) {
        if is_old {
            self.old = joined(self.old, found.plain);
        } else {
            self.recent.plain = joined(self.recent.plain, found.plain);
            self.recent.latest.extend(found.latest);
        }
    }
}

/// Combines the due times of two spans.
fn joined(one: Option<Dues>, other: Option<Dues>) -> Option<Dues> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Dues {
            first: one.first.min(other.first),
            last: one.last.max(other.last),
            count: one.count.saturating_add(other.count).min(super::MOST_COUNTED),
        }),
        (one, other) => one.or(other),
    }
}
