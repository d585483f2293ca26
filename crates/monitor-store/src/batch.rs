//! Batch tasks: what the store is asked of them, and the rules by which they change, the same for every store.

use monitor_wire::{
    AgentDecided, BatchAgent, BatchDecision, BatchMark, BatchRun, BatchRunsPage, BatchStatus, BatchTask, BatchTaskChanged, BatchTasksPage,
    BatchVersion, Event, Kind, KnownDues, Process, State,
};
use serde_json::{Map, Value};

use super::StoreError;

/// A definition of a task, as JSON.
pub type Definition = Map<String, Value>;

/// So many of a task's newest runs are shown with it.
pub const MARKS: usize = 30;
/// Maximum number of versions of a task in an answer, the newest ones.
pub const VERSIONS: usize = 100;
/// Number of a task's newest runs and decisions that an agent gets back after it has lost its database.
pub const DECIDED: usize = 50;
/// Triggers of the runs that the rules of a task start.
pub const BY_RULE: [&str; 2] = ["time", "missed"];
/// Runs of a task are kept for so long after they were due, in microseconds: 400 days.
pub const KEPT_US: u64 = 400 * 86_400 * 1_000_000;

/// Answers questions about batch tasks. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does; lists also for a cursor that they did not make.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait BatchQueries: Send + Sync + 'static {
    /// One page of the tasks that are not deleted, by name, without their due times.
    fn batch_tasks(&self, query: &BatchTasksQuery) -> Result<BatchTasksPage, StoreError>;

    /// One task, deleted or not, without its due times; none if there never was one.
    fn batch_task(&self, name: &str) -> Result<Option<BatchTask>, StoreError>;

    /// The newest hundred versions of a task, newest first.
    fn batch_versions(&self, name: &str) -> Result<Vec<BatchVersion>, StoreError>;

    /// One page of runs, those that were due last first.
    fn batch_runs(&self, query: &BatchRunsQuery) -> Result<BatchRunsPage, StoreError>;

    /// Due times of a task without a run, from the first of these times up to the second, the first due first, at most so many.
    fn batch_decisions(&self, task: &str, time: (u64, u64), limit: usize) -> Result<Vec<BatchDecision>, StoreError>;

    /// The newest due times of a task that an agent has decided.
    fn batch_decided(&self, task: &str, agent: &str) -> Result<Decided, StoreError>;

    /// The tasks that were changed after a revision, the latest change last, with those revisions; deleted ones as well.
    fn batch_changes(&self, after: u64) -> Result<Vec<(u64, BatchTask)>, StoreError>;

    /// The agents that told how far they have decided, by name.
    fn batch_agents(&self) -> Result<Vec<BatchAgent>, StoreError>;
}

/// The newest due times of a task that an agent has decided, as far as it has reported them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// Those before are not listed, or are from before the task's version.
    pub from_us: u64,
    /// Due times after that, the earliest first.
    pub dues: Vec<KnownDues>,
}

/// Which tasks are listed.
#[derive(Debug, Clone, Default)]
pub struct BatchTasksQuery {
    /// Those whose name contains this, in any case.
    pub text: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// Which runs are listed.
#[derive(Debug, Clone, Default)]
pub struct BatchRunsQuery {
    /// Those of this task.
    pub task: Option<String>,
    /// Those that were due then or later.
    pub from_us: Option<u64>,
    /// Those that were due before then.
    pub to_us: Option<u64>,
    /// Those that ended with this exit code.
    pub exit_code: Option<i32>,
    /// Those that ended so, or are so far.
    pub outcome: Option<State>,
    /// Those of this agent.
    pub agent: Option<String>,
    /// At most so many.
    pub limit: usize,
    /// Where the page begins.
    pub cursor: Option<String>,
}

/// A change of a task that somebody asks for.
#[derive(Debug, Clone)]
pub struct TaskChange {
    /// Name of the task.
    pub name: String,
    /// Name of the person or program that asks for the change.
    pub who: String,
    /// What is expected of the task as it is.
    pub expects: Expects,
    /// The change.
    pub edit: TaskEdit,
}

/// What somebody who changes a task expects of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// Nothing.
    Anything,
    /// That there is none of its name.
    New,
    /// That this is its version.
    Version(u64),
}

/// A change of a task.
#[derive(Debug, Clone)]
pub enum TaskEdit {
    /// It has this definition.
    Define(Definition),
    /// Its rules start nothing until then, or until it is resumed.
    Pause(Option<u64>),
    /// Its rules start runs again.
    Resume,
    /// It is gone.
    Delete,
    /// It is gone, though files of this agent define it: the agent isn't there any more.
    DeleteOfGone(String),
}

/// Why a task is not changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is none of this name.
    Missing,
    /// There is one of this name.
    Exists,
    /// Another version is the newest.
    Version(u64),
    /// Files of this agent define it.
    OfAgent(String),
    /// There is a heartbeat of its name: their runs would be told as those of one.
    OfHeartbeat,
}

/// What became of changes that were asked for together: each task's version, or the first that was refused; then nothing is changed.
pub type TasksChanged = Result<Vec<u64>, (String, Refused)>;

/// A task as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Its name.
    pub name: String,
    /// Version of its definition.
    pub version: u64,
    /// Active, paused or deleted.
    pub status: BatchStatus,
    /// End of its pause, in microseconds; none for a pause without end.
    pub until_us: Option<u64>,
    /// Name of its agent.
    pub agent: Option<String>,
    /// Time of its latest change, in microseconds.
    pub changed_us: u64,
    /// The person or token that changed it.
    pub who: Option<String>,
    /// Its definition.
    pub definition: Definition,
}

impl TaskRow {
    /// The task after a change that somebody asks for; none if it is so already.
    ///
    /// # Errors
    /// The reason for which the change is refused.
    pub fn edited(row: Option<&Self>, change: &TaskChange, now_us: u64) -> Result<Option<Self>, Refused> {
        let there = row.filter(|row| row.status != BatchStatus::DELETED);
        if let Some(agent) = there.and_then(|row| row.agent.as_ref())
            && !matches!(&change.edit, TaskEdit::DeleteOfGone(gone) if gone == agent)
        {
            return Err(Refused::OfAgent(agent.clone()));
        }
        match (change.expects, there) {
            (Expects::New, Some(_)) => return Err(Refused::Exists),
            (Expects::Version(_), None) => return Err(Refused::Missing),
            (Expects::Version(version), Some(row)) if row.version != version => return Err(Refused::Version(row.version)),
            _ => {}
        }
        let is_as = |status: &BatchStatus, until_us| there.is_some_and(|row| row.status == *status && row.until_us == until_us);
        let new = |row: &Self| Self { changed_us: now_us, who: Some(change.who.clone()), ..row.clone() };
        Ok(match &change.edit {
            TaskEdit::Define(definition) if there.is_some_and(|row| row.definition == *definition) => None,
            TaskEdit::Define(definition) => Some(Self {
                name: change.name.clone(),
                version: row.map_or(0, |row| row.version) + 1,
                // A paused task that is changed stays paused.
                status: there.map_or(BatchStatus::ACTIVE, |row| row.status.clone()),
                until_us: there.and_then(|row| row.until_us),
                agent: None,
                changed_us: now_us,
                who: Some(change.who.clone()),
                definition: definition.clone(),
            }),
            TaskEdit::Pause(until_us) if is_as(&BatchStatus::PAUSED, *until_us) => None,
            TaskEdit::Resume if is_as(&BatchStatus::ACTIVE, None) => None,
            edit => {
                let row = there.ok_or(Refused::Missing)?;
                let (version, status, until_us) = match edit {
                    TaskEdit::Pause(until_us) => (row.version, BatchStatus::PAUSED, *until_us),
                    TaskEdit::Delete | TaskEdit::DeleteOfGone(_) => (row.version + 1, BatchStatus::DELETED, None),
                    _ => (row.version, BatchStatus::ACTIVE, None),
                };
                Some(Self { version, status, until_us, ..new(row) })
            }
        })
    }

    /// Returns true if a change makes a task of a name that has none.
    pub fn is_new(row: Option<&Self>, change: &TaskChange) -> bool {
        matches!(change.edit, TaskEdit::Define(_)) && row.is_none_or(|row| row.status == BatchStatus::DELETED)
    }

    /// The task after an agent told of it; none if that says nothing new. What the server keeps itself no agent changes.
    pub fn told(row: Option<&Self>, event: &BatchTaskChanged) -> Option<Self> {
        let agent = event.agent.clone()?;
        let is_newer = |row: &Self| match &row.agent {
            None => row.status == BatchStatus::DELETED && row.changed_us < event.time_us,
            // In any order: the latest word holds, and of two at the same time that of the greater agent and version.
            Some(known) => (row.changed_us, known, row.version) < (event.time_us, &agent, event.version),
        };
        if !row.is_none_or(is_newer) {
            return None;
        }
        Some(Self {
            name: event.task.clone(),
            version: event.version,
            status: event.status.clone(),
            until_us: event.until_us,
            agent: Some(agent),
            changed_us: event.time_us,
            who: event.who.clone(),
            definition: event.definition.clone().or_else(|| row.map(|row| row.definition.clone())).unwrap_or_default(),
        })
    }

    /// The event that tells of it.
    pub fn event(&self) -> BatchTaskChanged {
        BatchTaskChanged {
            time_us: self.changed_us,
            task: self.name.clone(),
            version: self.version,
            status: self.status.clone(),
            who: self.who.clone(),
            agent: self.agent.clone(),
            until_us: self.until_us,
            definition: None,
        }
    }

    /// The task as it is shown. `runs`: the newest ones, newest first. `last_warning_us`: when an alert about it last happened.
    pub fn show(self, mut runs: Vec<BatchMark>, last_warning_us: Option<u64>) -> BatchTask {
        let ended = runs.iter().filter(|run| ![State::RUNNING, State::PENDING, State::RETRYING].contains(&run.outcome));
        let failed_in_a_row = ended.take_while(|run| run.outcome == State::FAILED || run.outcome == State::LOST).count() as u64;
        runs.truncate(MARKS);
        runs.reverse();
        let Self { name, version, status, until_us, agent, changed_us, who, definition } = self;
        BatchTask {
            name,
            version,
            status,
            until_us,
            agent,
            changed_us,
            who,
            definition,
            next_us: Vec::new(),
            paused_by: None,
            runs,
            failed_in_a_row,
            last_warning_us,
        }
    }

    /// It is made or changed so that it gets a version.
    pub fn is_version_after(&self, row: Option<&Self>) -> bool {
        row.is_none_or(|row| row.version != self.version || row.agent != self.agent)
    }
}

/// The latest time up to which an agent can have decided. A later one was stored before the server's clock was set back, and any other
/// replaces it.
pub fn latest_decision_us(now_us: u64) -> u64 {
    now_us.saturating_add(crate::MOST_AHEAD_US)
}

/// An agent's description of itself, from its event.
pub fn agent_of(told: &AgentDecided) -> BatchAgent {
    let AgentDecided { agent, until_us, paused_from_us, paused_until_us, files_only, mistakes, .. } = told.clone();
    BatchAgent { name: agent, decided_us: until_us, paused_from_us, paused_until_us, files_only, mistakes }
}

/// The run of a batch task that a process is; none if it is no such process.
pub fn run_of(process: &Process) -> Option<BatchRun> {
    if process.kind != Kind::RUN {
        return None;
    }
    let text = |key: &str| process.fields.get(key).and_then(Value::as_str).map(str::to_owned);
    // Whoever has only texts for fields sends numbers as texts.
    let number = |key: &str| process.fields.get(key).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Some(BatchRun {
        // Our own launchers have no native ids: they say the run as a field.
        run: process.native_id.clone().or_else(|| text("task.run"))?,
        task: text("task.name")?,
        due_us: number("task.due_us").filter(|due| i64::try_from(*due).is_ok())?,
        version: number("task.version").unwrap_or_default(),
        agent: text("task.agent"),
        trigger: text("task.trigger").unwrap_or_default(),
        by: text("task.by"),
        root_id: process.root_id,
        process_id: process.id,
        started_us: process.started_us,
        ended_us: process.ended_us,
        elapsed_ns: process.elapsed_ns,
        outcome: process.state.clone(),
        exit_code: process.exit_code,
        result_code: number("task.result_code").and_then(|code| i64::try_from(code).ok()).or(process.exit_code.map(i64::from)),
        signal: process.signal,
        reason: text("task.reason").or_else(|| process.reason.clone()),
        error: process.error.as_ref().map(|error| error.message.clone()),
    })
}

/// The due times without a run that an event tells of.
pub fn decision_of(event: &Event) -> Option<BatchDecision> {
    Some(match event {
        Event::RunSkipped(of) => BatchDecision {
            task: of.task.clone(),
            agent: of.agent.clone(),
            version: of.version,
            first_due_us: of.due_us,
            last_due_us: of.last_due_us.unwrap_or(of.due_us),
            count: of.count,
            what: "skipped".to_owned(),
            reason: of.reason.to_string(),
            blocked_by: of.blocked_by.clone(),
        },
        Event::RunMissed(of) => BatchDecision {
            task: of.task.clone(),
            agent: of.agent.clone(),
            version: of.version,
            first_due_us: of.first_due_us,
            last_due_us: of.last_due_us,
            count: of.count,
            what: "missed".to_owned(),
            reason: of.reason.to_string(),
            blocked_by: None,
        },
        _ => return None,
    })
}

/// The decided due times of a task, from the newest [`DECIDED`] runs by its rules and the newest [`DECIDED`] decisions without a run, and the time of the
/// task's version.
///
/// A list of that length may be cut: nothing is known of due times before its oldest one.
pub fn decided_of(version_us: u64, lists: [Vec<KnownDues>; 2]) -> Decided {
    let cut_us = lists.iter().filter(|list| list.len() >= DECIDED).filter_map(|list| list.iter().map(|dues| dues.last_us).min()).max();
    let from_us = cut_us.unwrap_or_default().max(version_us);
    let mut dues: Vec<KnownDues> = lists.into_iter().flatten().filter(|dues| dues.last_us > from_us).collect();
    dues.sort_unstable();
    Decided { from_us, dues }
}

/// What differs between two definitions: a line for each key, `-` as it was and `+` as it is.
pub fn diff(before: Option<&Definition>, after: &Definition) -> Vec<String> {
    let empty = Definition::new();
    let before = before.unwrap_or(&empty);
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let lines = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).flat_map(|key| {
        let line = |sign: char, value: Option<&Value>| value.map(|value| format!("{sign} {key} = {value}"));
        [line('-', before.get(key)), line('+', after.get(key))]
    });
    lines.flatten().collect()
}

/// Adds to each version, newest first, what differs from the one before it.
pub fn with_diffs(mut versions: Vec<BatchVersion>) -> Vec<BatchVersion> {
    for place in 0..versions.len() {
        versions[place].diff = diff(versions.get(place + 1).map(|version| &version.definition), &versions[place].definition);
    }
    versions.truncate(VERSIONS);
    versions
}

/// A cursor of a list of runs: the due time and the id of the last run.
pub fn run_cursor(cursor: &str) -> Option<(u64, &str)> {
    let (due, run) = cursor.split_once('.')?;
    Some((due.parse().ok().filter(|due| i64::try_from(*due).is_ok())?, run))
}

/// The cursor behind a run.
pub fn cursor_of(run: &BatchRun) -> String {
    format!("{}.{}", run.due_us, run.run)
}
