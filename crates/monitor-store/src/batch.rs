//! Batch tasks: the queries that a store answers about them, and the rules for changing them, which are the same for every store.

use monitor_wire::{
    AgentDecided, BatchAgent, BatchDecision, BatchMark, BatchRun, BatchRunsPage, BatchStatus, BatchTask, BatchTaskChanged, BatchTasksPage,
    BatchVersion, Event, Kind, KnownDues, Process, State,
};
use serde_json::{Map, Value};

use super::StoreError;

/// Definition of a task, as a JSON object.
pub type Definition = Map<String, Value>;

/// Number of newest runs that are shown with a task.
pub const MARKS: usize = 30;
/// Maximum number of versions of a task that are returned. The newest are returned.
pub const VERSIONS: usize = 100;
/// Number of a task's newest runs and decisions that an agent gets back after it has lost its database.
pub const DECIDED: usize = 50;
/// Triggers of runs that a task's schedule started.
pub const BY_RULE: [&str; 2] = ["time", "missed"];
/// Age at which runs and decisions of a task are deleted, in microseconds: 400 days. The age is measured between due times: storing a run
/// deletes the task's runs that were due this much earlier, and storing a decision does the same for decisions.
pub const KEPT_US: u64 = 400 * 86_400 * 1_000_000;

/// Queries about batch tasks. Every method blocks, so call it only where blocking is allowed.
///
/// # Errors
/// Every method returns an error if the store fails. Methods with a cursor also refuse a cursor that they did not create.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait BatchQueries: Send + Sync + 'static {
    /// Returns one page of the tasks that are not deleted, sorted by name, without their due times.
    fn batch_tasks(&self, query: &BatchTasksQuery) -> Result<BatchTasksPage, StoreError>;

    /// Returns one task without its due times, even if it is deleted. Returns `None` if there never was a task of this name.
    fn batch_task(&self, name: &str) -> Result<Option<BatchTask>, StoreError>;

    /// Returns the newest [`VERSIONS`] versions of a task, newest first.
    fn batch_versions(&self, name: &str) -> Result<Vec<BatchVersion>, StoreError>;

    /// Returns one page of runs, sorted by due time, latest first.
    fn batch_runs(&self, query: &BatchRunsQuery) -> Result<BatchRunsPage, StoreError>;

    /// Returns up to `limit` decisions not to run a task whose due times overlap the range `time` (start inclusive, end exclusive), sorted
    /// by first due time.
    fn batch_decisions(&self, task: &str, time: (u64, u64), limit: usize) -> Result<Vec<BatchDecision>, StoreError>;

    /// Returns the newest due times of a task that an agent has decided.
    fn batch_decided(&self, task: &str, agent: &str) -> Result<Decided, StoreError>;

    /// Returns the tasks that were changed after revision `after`, with the revision of their latest change, in ascending order. Includes
    /// deleted tasks.
    fn batch_changes(&self, after: u64) -> Result<Vec<(u64, BatchTask)>, StoreError>;

    /// Returns the agents that have reported how far they have decided, sorted by name.
    fn batch_agents(&self) -> Result<Vec<BatchAgent>, StoreError>;
}

/// Newest due times of a task that an agent has decided and reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decided {
    /// Start of the range that `dues` covers, in Unix microseconds. Due times up to here are not listed: they were cut off, or are older
    /// than the task's current version.
    pub from_us: u64,
    /// Decided due times after `from_us`, earliest first.
    pub dues: Vec<KnownDues>,
}

/// Filter and page of a list of tasks.
#[derive(Debug, Clone, Default)]
pub struct BatchTasksQuery {
    /// Text that the name must contain, in upper or lower case.
    pub text: Option<String>,
    /// Maximum number of tasks to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

/// Filter and page of a list of runs.
#[derive(Debug, Clone, Default)]
pub struct BatchRunsQuery {
    /// Name of the task.
    pub task: Option<String>,
    /// Earliest due time, inclusive, in Unix microseconds.
    pub from_us: Option<u64>,
    /// Latest due time, exclusive, in Unix microseconds.
    pub to_us: Option<u64>,
    /// Result code of the run. It equals the exit code unless the run reported a result code of its own.
    pub exit_code: Option<i32>,
    /// Current state of the run.
    pub outcome: Option<State>,
    /// Name of the agent that started the run.
    pub agent: Option<String>,
    /// Maximum number of runs to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

/// A change of a task that a client requests.
#[derive(Debug, Clone)]
pub struct TaskChange {
    /// Name of the task.
    pub name: String,
    /// Name of the person or program that requests the change.
    pub who: String,
    /// Condition that the stored task must meet.
    pub expects: Expects,
    /// The change.
    pub edit: TaskEdit,
}

/// Condition that the stored task must meet for a change to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expects {
    /// No condition.
    Anything,
    /// There is no task of this name.
    New,
    /// The task has this version.
    Version(u64),
}

/// A change of a task.
#[derive(Debug, Clone)]
pub enum TaskEdit {
    /// Creates the task, or replaces its definition.
    Define(Definition),
    /// Pauses the task until this time in Unix microseconds, or until it is resumed: its schedule starts no runs.
    Pause(Option<u64>),
    /// Ends a pause.
    Resume,
    /// Deletes the task.
    Delete,
    /// Deletes the task although files of this agent define it, because the agent no longer exists.
    DeleteOfGone(String),
}

/// Reason why a change is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no task of this name.
    Missing,
    /// There is already a task of this name.
    Exists,
    /// The task's version is not the expected one. Contains the current version.
    Version(u64),
    /// The task is defined by files of this agent.
    OfAgent(String),
    /// There is a heartbeat of this name. Runs of the two would be indistinguishable, because runs are stored by task name.
    OfHeartbeat,
}

/// Result of changes that are applied together: the new version of each task, or the first task whose change was refused. If a change is
/// refused, no task is changed.
pub type TasksChanged = Result<Vec<u64>, (String, Refused)>;

/// A task as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Name of the task.
    pub name: String,
    /// Version of its definition.
    pub version: u64,
    /// Active, paused or deleted.
    pub status: BatchStatus,
    /// End of its pause, in Unix microseconds. `None` if the task is not paused, or is paused until it is resumed.
    pub until_us: Option<u64>,
    /// Name of the agent whose files define the task. `None` for a task that the server defines.
    pub agent: Option<String>,
    /// Time of its latest change, in Unix microseconds.
    pub changed_us: u64,
    /// The person or token that changed it.
    pub who: Option<String>,
    /// Definition of the task.
    pub definition: Definition,
}

impl TaskRow {
    /// Returns the task after a change that a client requests. Returns `None` if the change has no effect.
    ///
    /// # Errors
    /// Returns the reason if the change is refused.
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

    /// Returns true if a change creates a task: none of this name exists, or it is deleted.
    pub fn is_new(row: Option<&Self>, change: &TaskChange) -> bool {
        matches!(change.edit, TaskEdit::Define(_)) && row.is_none_or(|row| row.status == BatchStatus::DELETED)
    }

    /// Returns the task after an event of an agent. Returns `None` if the event is not newer than the stored task. An agent can't change a
    /// task that the server defines, but can create a task of the same name once that task is deleted.
    pub fn told(row: Option<&Self>, event: &BatchTaskChanged) -> Option<Self> {
        let agent = event.agent.clone()?;
        let is_newer = |row: &Self| match &row.agent {
            None => row.status == BatchStatus::DELETED && row.changed_us < event.time_us,
            // Events arrive in any order: the latest applies. At equal times the greater agent name applies, then the greater version.
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

    /// Returns the event that reports the task's latest change.
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

    /// Returns the task as the API shows it.
    pub fn show(self, history: TaskHistory) -> BatchTask {
        let TaskHistory { mut runs, last_run, last_decision, last_warning_us } = history;
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
            missed_us: missed_us(last_run.as_ref(), last_decision),
            last_run,
            failed_in_a_row,
            last_warning_us,
        }
    }

    /// Returns true if this task has another version or agent than `row`, the task before the change, and so has to be stored as a new
    /// version.
    pub fn is_version_after(&self, row: Option<&Self>) -> bool {
        row.is_none_or(|row| row.version != self.version || row.agent != self.agent)
    }
}

/// Returns the short form of a run.
pub fn mark_of(run: &BatchRun) -> BatchMark {
    BatchMark { run: run.run.clone(), root_id: run.root_id, due_us: run.due_us, outcome: run.outcome.clone() }
}

/// Stored past of a task.
#[derive(Debug, Clone, Default)]
pub struct TaskHistory {
    /// The newest runs, newest first.
    pub runs: Vec<BatchMark>,
    /// The newest run.
    pub last_run: Option<BatchRun>,
    /// The newest decision about due times without a run: in one word, with its last due time.
    pub last_decision: Option<(String, u64)>,
    /// Time of the latest alert about the task.
    pub last_warning_us: Option<u64>,
}

/// Returns the newest due time if its run was missed.
fn missed_us(last_run: Option<&BatchRun>, last_decision: Option<(String, u64)>) -> Option<u64> {
    let (what, due_us) = last_decision?;
    (what == "missed" && last_run.is_none_or(|run| run.due_us < due_us)).then_some(due_us)
}

/// Returns the latest time up to which an agent can have decided. A stored time after it was stored before the server's clock was set back,
/// so a smaller time replaces it.
pub fn latest_decision_us(now_us: u64) -> u64 {
    now_us.saturating_add(crate::MOST_AHEAD_US)
}

/// Returns the state that an agent describes in its event.
pub fn agent_of(told: &AgentDecided) -> BatchAgent {
    let AgentDecided { agent, until_us, paused_from_us, paused_until_us, files_only, mistakes, .. } = told.clone();
    BatchAgent { name: agent, decided_us: until_us, paused_from_us, paused_until_us, files_only, mistakes }
}

/// Returns the run of a batch task that a process represents. Returns `None` if the process is not such a run.
pub fn run_of(process: &Process) -> Option<BatchRun> {
    if process.kind != Kind::RUN {
        return None;
    }
    let text = |key: &str| process.fields.get(key).and_then(Value::as_str).map(str::to_owned);
    // Clients that support only text fields send numbers as text.
    let number = |key: &str| process.fields.get(key).and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Some(BatchRun {
        // The project's own launchers have no native ids and send the run's id as a field.
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
        error: process.error.as_ref().map(|error| error.line(str::to_owned)),
    })
}

/// Returns the decision not to run a task that an event reports.
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

/// Combines the newest [`DECIDED`] scheduled runs and the newest [`DECIDED`] decisions of a task. `version_us` is the time of the task's
/// current version.
///
/// A list of length [`DECIDED`] may have been cut, so due times before its oldest entry are treated as unknown.
pub fn decided_of(version_us: u64, lists: [Vec<KnownDues>; 2]) -> Decided {
    let cut_us = lists.iter().filter(|list| list.len() >= DECIDED).filter_map(|list| list.iter().map(|dues| dues.last_us).min()).max();
    let from_us = cut_us.unwrap_or_default().max(version_us);
    let mut dues: Vec<KnownDues> = lists.into_iter().flatten().filter(|dues| dues.last_us > from_us).collect();
    dues.sort_unstable();
    Decided { from_us, dues }
}

/// Returns the difference between two definitions. Each key that differs gives a line `- key = value` with the old value and a line
/// `+ key = value` with the new value.
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

/// Sets the `diff` of each version to its difference from the previous version, and keeps the newest [`VERSIONS`]. `versions` are sorted
/// newest first.
pub fn with_diffs(mut versions: Vec<BatchVersion>) -> Vec<BatchVersion> {
    for place in 0..versions.len() {
        versions[place].diff = diff(versions.get(place + 1).map(|version| &version.definition), &versions[place].definition);
    }
    versions.truncate(VERSIONS);
    versions
}

/// Parses a cursor of a list of runs: the due time and the id of the last run of the previous page.
pub fn run_cursor(cursor: &str) -> Option<(u64, &str)> {
    let (due, run) = cursor.split_once('.')?;
    Some((due.parse().ok().filter(|due| i64::try_from(*due).is_ok())?, run))
}

/// Returns the cursor for the page that follows this run.
pub fn cursor_of(run: &BatchRun) -> String {
    format!("{}.{}", run.due_us, run.run)
}
