//! The ledger of an agent: its decisions and runs so far.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Reason};
use crate::run::{RunId, Trigger};

/// Maximum number of remembered spans of executed due times per task.
const MOST_SPANS: usize = 1_000;
/// Maximum number of remembered run numbers per task.
const MOST_USED: usize = 1_000;

/// State of an agent's tasks.
///
/// To lose nothing and to start nothing twice, the agent must proceed in this order: plan, [`apply`](Self::apply), write the changed tasks
/// to disk together with the reports of the actions, and only then execute the actions. After a crash, the agent records the actual state
/// of its runs by [`started`](Self::started), [`ended`](Self::ended) and [`unstarted`](Self::unstarted).
/// [`ended`](Self::ended) and [`unstarted`](Self::unstarted).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// State of each task.
    pub tasks: BTreeMap<String, TaskLedger>,
    /// Id of the boot whose boot tasks were started last.
    #[serde(default)]
    pub boot: Option<String>,
}

/// State of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLedger {
    /// End of the decided period: all earlier due times are decided.
    pub until: Timestamp,
    /// Cached due time after `until`.
    pub next: Next,
    /// Executed due times as sorted spans. Each due time within a span was executed.
    #[serde(default)]
    pub ran: Vec<(Timestamp, Timestamp)>,
    /// Runs that are requested, waiting, in progress, or ended and not settled yet.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// Highest run number per due time, for runs not started by a time rule.
    #[serde(default)]
    pub used: BTreeMap<Timestamp, u32>,
}

/// Next due time of a version of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// Version number and start of validity.
    pub version: (u64, Timestamp),
    /// The due time. `None` if there is none.
    pub due: Option<Timestamp>,
}

/// A decided run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Id of the run.
    pub id: RunId,
    /// Version of the task.
    pub version: u64,
    /// Trigger of the run.
    pub trigger: Trigger,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Difference between the numbers of consecutive attempts: the number of agents that run the task.
    pub step: u32,
    /// Lock that the run holds while in progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Names of the tasks that led to it by `then`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// Run that this run repeats, with the same due time and version of the task, independent of the current version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<RunId>,
    /// State of the run.
    pub state: State,
    /// True if the exceeded timeout was reported.
    #[serde(default)]
    pub is_overtime: bool,
    /// True if the run was ordered to end.
    #[serde(default)]
    pub is_killed: bool,
    /// True if the run was ordered to start before, and the agent died before it started the run.
    #[serde(default)]
    pub is_unstarted: bool,
}

impl Run {
    /// Creates the first attempt of a run, without a lock, of a task that a single agent runs.
    pub fn new(id: RunId, version: u64, trigger: Trigger, state: State) -> Self {
        Self {
            id,
            version,
            trigger,
            attempt: 1,
            step: 1,
            lock: None,
            chain: Vec::new(),
            repeats: None,
            state,
            is_overtime: false,
            is_killed: false,
            is_unstarted: false,
        }
    }

    /// Returns true if the run was ordered to start and has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running { .. })
    }

    /// Returns true if the run is waiting for its start.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

/// State of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Requested, and not decided yet.
    Asked,
    /// Decided, and waiting.
    Waiting {
        /// Earliest start.
        not_before: Timestamp,
        /// Reason for waiting. `None` until the wait was reported.
        reason: Option<Reason>,
    },
    /// Ordered to start.
    Starting {
        /// Time of the order.
        since: Timestamp,
    },
    /// Started.
    Running {
        /// Time of the start.
        since: Timestamp,
    },
    /// Ended. The consequences are not decided yet.
    Ended {
        /// Time of the end.
        at: Timestamp,
        /// Outcome of the run.
        outcome: Outcome,
    },
}

/// Outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Success.
    Ok,
    /// Success that needs attention.
    Warn,
    /// Failure without a retry.
    Fail,
    /// Failure that is retried if attempts are left.
    Retry,
    /// Success without any work to do.
    Idle,
}

impl Outcome {
    /// Returns the outcome in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Idle => "idle",
        }
    }
}

impl Ledger {
    /// Applies a plan. `plan.tasks` contains the tasks whose state has changed.
    pub fn apply(&mut self, plan: &Plan) {
        self.tasks.extend(plan.tasks.iter().map(|(name, task)| (name.clone(), task.clone())));
        if plan.boot.is_some() {
            self.boot.clone_from(&plan.boot);
        }
    }

    /// Returns a run that is requested, waiting, in progress, or ended and not settled.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.tasks.get(&id.task)?.runs.iter().find(|run| run.id == *id)
    }

    /// Returns all known runs.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.tasks.values().flat_map(|task| &task.runs)
    }

    /// Records that a run has started. Returns false if the run was not ordered to start.
    pub fn started(&mut self, id: &RunId, at: Timestamp) -> bool {
        self.change(id, |run| {
            let is_starting = matches!(run.state, State::Starting { .. });
            if is_starting {
                run.state = State::Running { since: at };
            }
            is_starting
        })
    }

    /// Records that a run has ended, could not be started, or was lost. Returns false if the run is not open.
    pub fn ended(&mut self, id: &RunId, at: Timestamp, outcome: Outcome) -> bool {
        self.change(id, |run| {
            let is_open = run.is_open();
            if is_open {
                run.state = State::Ended { at, outcome };
            }
            is_open
        })
    }

    /// Records that a run was ordered to start and never started, so that the next plan may start it. After a restart, that is the case if
    /// there is no claim of the run, or only the claim. Returns false if the run was not ordered to start.
    pub fn unstarted(&mut self, id: &RunId) -> bool {
        self.change(id, |run| {
            let State::Starting { since } = run.state else { return false };
            run.state = State::Waiting { not_before: since, reason: None };
            run.is_unstarted = true;
            true
        })
    }

    fn change(&mut self, id: &RunId, change: impl FnOnce(&mut Run) -> bool) -> bool {
        let run = self.tasks.get_mut(&id.task).and_then(|task| task.runs.iter_mut().find(|run| run.id == *id));
        run.is_some_and(change)
    }

    /// Requests a run of a task for now. The next plan decides about it. Returns the id, or `None` if the task is not in the book.
    pub fn ask(&mut self, book: &crate::Book, task: &str, at: Timestamp, by: &str, args: Vec<String>) -> Option<RunId> {
        let task = book.tasks.get(task)?;
        let ledger = self.tasks.entry(task.definition.name.clone()).or_insert_with(|| TaskLedger::new(task));
        let run = ledger.new_run(task, at, Trigger::Request { by: by.to_owned(), args }, State::Asked);
        let id = run.id.clone();
        ledger.runs.push(run);
        Some(id)
    }

    /// Requests a repetition of a run with the same due time and version of the task. The next plan decides about it. `last` is the highest
    /// known run number for the due time. Returns the id of the new run, or `None` if the task is not in the book.
    pub fn repeat(&mut self, book: &crate::Book, of: &RunId, version: u64, last: u32, (by, args): (&str, Vec<String>)) -> Option<RunId> {
        let task = book.tasks.get(&of.task)?;
        let ledger = self.tasks.entry(of.task.clone()).or_insert_with(|| TaskLedger::new(task));
        let mut run = ledger.new_run(task, of.due, Trigger::Request { by: by.to_owned(), args }, State::Asked);
        // The ledger forgets numbers of old due times, so continue after `last`.
        if let Some(behind) = last.checked_sub(run.id.part) {
            run.id.part = run.id.part.saturating_add((behind / run.step + 1).saturating_mul(run.step));
            ledger.use_part(run.id.due, run.id.part);
        }
        (run.version, run.repeats) = (version, Some(of.clone()));
        let id = run.id.clone();
        ledger.runs.push(run);
        Some(id)
    }

    /// Adds a run found on disk after the ledger was lost. Its due time is not started again, and no due time until `now` is started.
    pub fn find(&mut self, run: Run, now: Timestamp) {
        let new = || TaskLedger {
            until: now,
            next: Next { version: (0, now), due: None },
            ran: Vec::new(),
            runs: Vec::new(),
            used: BTreeMap::new(),
        };
        let task = self.tasks.entry(run.id.task.clone()).or_insert_with(new);
        match run.trigger {
            Trigger::Time | Trigger::Missed => task.note_run(run.id.due, |_| None),
            _ => task.use_part(run.id.due, run.id.part),
        }
        if run.is_open() {
            task.runs.push(run);
        }
    }

    /// Removes tasks that are not in the book and have no runs.
    pub fn forget(&mut self, book: &crate::Book) {
        self.tasks.retain(|name, task| book.tasks.contains_key(name) || !task.runs.is_empty());
    }
}

impl TaskLedger {
    /// Creates the state of a new task. Due times before the start of its validity do not belong to it.
    pub(crate) fn new(task: &crate::book::Task) -> Self {
        let mut ledger = Self {
            until: task.since,
            next: Next { version: (task.version, task.since), due: None },
            ran: Vec::new(),
            runs: Vec::new(),
            used: BTreeMap::new(),
        };
        ledger.search(task);
        ledger
    }

    /// Searches for the next due time.
    pub(crate) fn search(&mut self, task: &crate::book::Task) {
        let due = crate::rule::next_of(&task.policy.rules, self.until.max(task.since), &task.policy.zone);
        self.next = Next { version: (task.version, task.since), due };
    }

    /// Returns true if a time rule has started a run for this due time.
    pub(crate) fn has_run(&self, due: Timestamp) -> bool {
        let after = self.ran.partition_point(|(first, _)| *first <= due);
        after > 0 && due <= self.ran[after - 1].1
    }

    /// Records that a time rule has started a run. `next` returns the due time that follows another.
    pub(crate) fn note_run(&mut self, due: Timestamp, next: impl Fn(Timestamp) -> Option<Timestamp>) {
        let at = self.ran.partition_point(|(first, _)| *first <= due);
        match at.checked_sub(1).and_then(|before| self.ran.get_mut(before)) {
            Some((_, last)) if *last >= due => {}
            Some((_, last)) if next(*last) == Some(due) => *last = due,
            _ => self.ran.insert(at, (due, due)),
        }
        if self.ran.len() > MOST_SPANS {
            self.ran.remove(0);
        }
    }

    /// Removes a due time from the executed due times, because its run was given up.
    pub(crate) fn forget_run(&mut self, due: Timestamp) {
        let Some(at) = self.ran.iter().position(|(first, last)| (*first..=*last).contains(&due)) else { return };
        let (first, last) = self.ran[at];
        let second = SignedDuration::from_secs(1);
        let parts = [(first, due - second), (due + second, last)];
        self.ran.splice(at..=at, parts.into_iter().filter(|(first, last)| first <= last));
    }

    /// Creates a run with a unique id.
    pub(crate) fn new_run(&mut self, task: &crate::book::Task, due: Timestamp, trigger: Trigger, state: State) -> Run {
        let due = Timestamp::from_second(due.as_second()).unwrap_or(due);
        let (first, step) = (task.place.index + 1, task.place.of.max(1));
        let is_by_rule = matches!(trigger, Trigger::Time | Trigger::Missed);
        // The first number is reserved for the time rule.
        let part = if is_by_rule { first } else { self.next_part(due, first, step) };
        if !is_by_rule {
            self.use_part(due, part);
        }
        let id = RunId { task: task.definition.name.clone(), due, part };
        Run { step, lock: task.policy.lock.clone(), ..Run::new(id, task.version, trigger, state) }
    }

    /// Returns the next free number of this agent after the first.
    fn next_part(&self, due: Timestamp, first: u32, step: u32) -> u32 {
        let highest = self.used.get(&due).copied().unwrap_or(first);
        let steps = highest.saturating_sub(first) / step + 1;
        first.saturating_add(steps.saturating_mul(step))
    }

    /// Records a used number.
    pub(crate) fn use_part(&mut self, due: Timestamp, part: u32) {
        let highest = self.used.entry(due).or_insert(part);
        *highest = part.max(*highest);
        if self.used.len() > MOST_USED {
            self.used.pop_first();
        }
    }

    /// Creates the run of the next attempt.
    pub(crate) fn next_attempt(&mut self, run: &Run, not_before: Timestamp) -> Run {
        let part = self.used.get(&run.id.due).copied().unwrap_or(0).max(run.id.part).saturating_add(run.step);
        // Keep the number in this agent's sequence, even if the number of agents has changed.
        let part = part - (part - run.id.part) % run.step.max(1);
        self.use_part(run.id.due, part);
        Run {
            id: RunId { part, ..run.id.clone() },
            trigger: Trigger::Retry { run: run.id.clone(), args: run.trigger.args().to_vec() },
            attempt: run.attempt + 1,
            state: State::Waiting { not_before, reason: Some(Reason::Delay) },
            is_overtime: false,
            is_killed: false,
            is_unstarted: false,
            ..run.clone()
        }
    }
}
