//! The ledger of an agent: what it has decided and started so far.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Reason};
use crate::run::{RunId, Trigger};

/// Most spans of due times that ran which a task remembers.
const MOST_SPANS: usize = 1_000;
/// Most used numbers that a task remembers.
const MOST_USED: usize = 1_000;

/// What an agent knows of each task.
///
/// The order in which nothing is lost and nothing starts twice: plan, [`apply`](Self::apply), write the changed tasks to the disk together with
/// what is told of the actions, and only then act. What an agent finds after a crash it says by [`started`](Self::started),
/// [`ended`](Self::ended) and [`unstarted`](Self::unstarted).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// What is known of each task.
    pub tasks: BTreeMap<String, TaskLedger>,
    /// The start of the machine for which tasks were started last.
    #[serde(default)]
    pub boot: Option<String>,
}

/// What an agent knows of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLedger {
    /// Due times up to here are decided.
    pub until: Timestamp,
    /// The due time after `until`, so that nobody searches for it again.
    pub next: Next,
    /// Due times that ran, in ascending order. Each due time within a span ran.
    #[serde(default)]
    pub ran: Vec<(Timestamp, Timestamp)>,
    /// Runs that were asked for, wait, run, or have ended and are not yet settled.
    #[serde(default)]
    pub runs: Vec<Run>,
    /// The highest number of runs of a due time, of those that a rule of time did not start.
    #[serde(default)]
    pub used: BTreeMap<Timestamp, u32>,
}

/// The next due time of a version of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The version, and since when it holds.
    pub version: (u64, Timestamp),
    /// The due time; None if there is none.
    pub due: Option<Timestamp>,
}

/// A run that was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Version of the task.
    pub version: u64,
    /// What started it.
    pub trigger: Trigger,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Distance between the numbers of two attempts: the number of agents that run the task.
    pub step: u32,
    /// The lock that it holds while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
    /// Names of the tasks that led to it by `then`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
    /// The run that it repeats: with that one's due time and version of the task, whatever version holds now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<RunId>,
    /// What has become of it.
    pub state: State,
    /// Somebody was told that it runs for longer than its timeout.
    #[serde(default)]
    pub is_overtime: bool,
    /// It was asked to end.
    #[serde(default)]
    pub is_killed: bool,
    /// It was told to start once before, and its agent was gone before it did.
    #[serde(default)]
    pub is_unstarted: bool,
}

impl Run {
    /// The first attempt of a run, without a lock, of a task that one agent runs.
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

    /// Returns true if the run was told to start and has not ended.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running { .. })
    }

    /// Returns true if the run waits to be started.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }
}

/// State of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// Asked for, and not decided yet.
    Asked,
    /// Decided, and waits.
    Waiting {
        /// It doesn't start before.
        not_before: Timestamp,
        /// What it waits for; None until it was told that it waits.
        reason: Option<Reason>,
    },
    /// Told to start.
    Starting {
        /// When it was told.
        since: Timestamp,
    },
    /// Started.
    Running {
        /// Its start.
        since: Timestamp,
    },
    /// Ended, and what follows is not decided yet.
    Ended {
        /// Its end.
        at: Timestamp,
        /// How it ended.
        outcome: Outcome,
    },
}

/// Outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It went well.
    Ok,
    /// It went well, and somebody should look.
    Warn,
    /// It failed, and is not tried again.
    Fail,
    /// It failed, and is tried again if there are attempts left.
    Retry,
    /// There was nothing to do.
    Idle,
}

impl Outcome {
    /// The outcome in one word.
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
    /// Takes over what a plan has decided. The names in `plan.tasks` are those whose part of the ledger has changed.
    pub fn apply(&mut self, plan: &Plan) {
        self.tasks.extend(plan.tasks.iter().map(|(name, task)| (name.clone(), task.clone())));
        if plan.boot.is_some() {
            self.boot.clone_from(&plan.boot);
        }
    }

    /// A run, if it is asked for, waits, runs, or has ended a moment ago.
    pub fn run(&self, id: &RunId) -> Option<&Run> {
        self.tasks.get(&id.task)?.runs.iter().find(|run| run.id == *id)
    }

    /// All runs that are known.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.tasks.values().flat_map(|task| &task.runs)
    }

    /// Says that a run has started. Returns false if the ledger doesn't know it as one that was told to.
    pub fn started(&mut self, id: &RunId, at: Timestamp) -> bool {
        self.change(id, |run| {
            let is_starting = matches!(run.state, State::Starting { .. });
            if is_starting {
                run.state = State::Running { since: at };
            }
            is_starting
        })
    }

    /// Says that a run has ended, or couldn't be started, or was lost. Returns false if the ledger doesn't know it as open.
    pub fn ended(&mut self, id: &RunId, at: Timestamp, outcome: Outcome) -> bool {
        self.change(id, |run| {
            let is_open = run.is_open();
            if is_open {
                run.state = State::Ended { at, outcome };
            }
            is_open
        })
    }

    /// Says that a run which was told to start never began, and may be started by the next plan: after a restart, there is no claim of it,
    /// or a claim alone. Returns false if the ledger doesn't know it as one that was told to start.
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

    /// Asks for a run of a task now. The next plan decides on it. Returns its id, or None if there is no such task in the book.
    pub fn ask(&mut self, book: &crate::Book, task: &str, at: Timestamp, by: &str, args: Vec<String>) -> Option<RunId> {
        let task = book.tasks.get(task)?;
        let ledger = self.tasks.entry(task.definition.name.clone()).or_insert_with(|| TaskLedger::new(task));
        let run = ledger.new_run(task, at, Trigger::Request { by: by.to_owned(), args }, State::Asked);
        let id = run.id.clone();
        ledger.runs.push(run);
        Some(id)
    }

    /// Asks that a run be repeated now, for its own due time and with the version of the task that it had. The next plan decides on it. `last` is the
    /// highest number of a run of that due time. Returns the id of the new run, or None if there is no such task in the book.
    pub fn repeat(&mut self, book: &crate::Book, of: &RunId, version: u64, last: u32, (by, args): (&str, Vec<String>)) -> Option<RunId> {
        let task = book.tasks.get(&of.task)?;
        let ledger = self.tasks.entry(of.task.clone()).or_insert_with(|| TaskLedger::new(task));
        let mut run = ledger.new_run(task, of.due, Trigger::Request { by: by.to_owned(), args }, State::Asked);
        // Numbers of due times that are long ago are forgotten.
        if let Some(behind) = last.checked_sub(run.id.part) {
            run.id.part = run.id.part.saturating_add((behind / run.step + 1).saturating_mul(run.step));
            ledger.use_part(run.id.due, run.id.part);
        }
        (run.version, run.repeats) = (version, Some(of.clone()));
        let id = run.id.clone();
        ledger.runs.push(run);
        Some(id)
    }

    /// Takes in a run that is on the disk, after the ledger was lost. Its due time does not start again; nothing due until `now` does.
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

    /// Forgets tasks that are not in the book and have no runs.
    pub fn forget(&mut self, book: &crate::Book) {
        self.tasks.retain(|name, task| book.tasks.contains_key(name) || !task.runs.is_empty());
    }
}

impl TaskLedger {
    /// The ledger of a task that is new to the agent: no due time before its version holds is its own.
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

    /// Returns true if a rule of time has started a run for this due time.
    pub(crate) fn has_run(&self, due: Timestamp) -> bool {
        let after = self.ran.partition_point(|(first, _)| *first <= due);
        after > 0 && due <= self.ran[after - 1].1
    }

    /// Remembers that a rule of time has started a run. `next` says which due time follows another.
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

    /// Forgets that a run was started for a due time, because it was given up.
    pub(crate) fn forget_run(&mut self, due: Timestamp) {
        let Some(at) = self.ran.iter().position(|(first, last)| (*first..=*last).contains(&due)) else { return };
        let (first, last) = self.ran[at];
        let second = SignedDuration::from_secs(1);
        let parts = [(first, due - second), (due + second, last)];
        self.ran.splice(at..=at, parts.into_iter().filter(|(first, last)| first <= last));
    }

    /// A run with an id that no other has.
    pub(crate) fn new_run(&mut self, task: &crate::book::Task, due: Timestamp, trigger: Trigger, state: State) -> Run {
        let due = Timestamp::from_second(due.as_second()).unwrap_or(due);
        let (first, step) = (task.place.index + 1, task.place.of.max(1));
        let is_by_rule = matches!(trigger, Trigger::Time | Trigger::Missed);
        // The first number belongs to the rule of time.
        let part = if is_by_rule { first } else { self.next_part(due, first, step) };
        if !is_by_rule {
            self.use_part(due, part);
        }
        let id = RunId { task: task.definition.name.clone(), due, part };
        Run { step, lock: task.policy.lock.clone(), ..Run::new(id, task.version, trigger, state) }
    }

    /// The next free number among those of this agent, after the first.
    fn next_part(&self, due: Timestamp, first: u32, step: u32) -> u32 {
        let highest = self.used.get(&due).copied().unwrap_or(first);
        let steps = highest.saturating_sub(first) / step + 1;
        first.saturating_add(steps.saturating_mul(step))
    }

    /// Remembers a number.
    pub(crate) fn use_part(&mut self, due: Timestamp, part: u32) {
        let highest = self.used.entry(due).or_insert(part);
        *highest = part.max(*highest);
        if self.used.len() > MOST_USED {
            self.used.pop_first();
        }
    }

    /// The run of the next attempt.
    pub(crate) fn next_attempt(&mut self, run: &Run, not_before: Timestamp) -> Run {
        let part = self.used.get(&run.id.due).copied().unwrap_or(0).max(run.id.part).saturating_add(run.step);
        // Stays among the numbers of this agent, whatever other agents there were.
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
