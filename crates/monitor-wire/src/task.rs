//! Batch tasks, as the API accepts and returns them. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{ProcessId, RootId};
use crate::words::{BatchStatus, State};

/// A batch task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTask {
    /// Name of the task.
    pub name: String,
    /// Number of the newest version, from 1. A request that changes the task must send it in the header `If-Match`.
    pub version: u64,
    /// Status of the task.
    pub status: BatchStatus,
    /// End of the pause. None if the task is not paused, or if the pause has no end and lasts until the task is resumed.
    pub until_us: Option<u64>,
    /// The agent whose files define the task. The server can't change such a definition. None if the server stores the definition.
    pub agent: Option<String>,
    /// Time of the last change.
    pub changed_us: u64,
    /// User, token or file that made the last change.
    pub who: Option<String>,
    /// Definition of the task, in the format that docs/reference/definitions.md describes.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
    /// Next due times, the soonest first: one in lists, up to five for a single task. Empty during a pause without an end.
    pub next_us: Vec<u64>,
    /// The reason why the task's rules start no runs at the moment: `refused` if all of its agents reject tasks from the server, `definition` if
    /// the definition contains `paused = true`, `person` if the task was paused, `agent` if all of its agents were paused. None if the rules are
    /// in effect.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// The newest runs, at most 30, the oldest first.
    pub runs: Vec<BatchMark>,
    /// The newest run, with its error. None if the task has never run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<BatchRun>,
    /// Newest due time, if its run was missed: the agent could not start it in time, and neither a run nor a skipped due time follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_us: Option<u64>,
    /// Number of consecutive failed or lost runs, counted back from the newest ended run. Only the newest 30 runs are examined.
    pub failed_in_a_row: u64,
    /// Time at which an alert about the task last fired or occurred again. Alerts are kept for 90 days after they are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_warning_us: Option<u64>,
}

/// An agent, as last reported to the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAgent {
    /// Name of the agent.
    pub name: String,
    /// The agent has decided all due times up to and including this time.
    pub decided_us: u64,
    /// Start of the agent's pause. None if the agent is not paused.
    pub paused_from_us: Option<u64>,
    /// End of the agent's pause. None if the pause has no end and lasts until the agent is resumed.
    pub paused_until_us: Option<u64>,
    /// True if the agent rejects tasks from the server (`--accept files`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files_only: bool,
    /// Mistakes in the agent's task files, each with file, line and column. The list may be incomplete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

impl BatchAgent {
    /// Returns the end of the pause if the agent is paused at `now_us`. The inner `Option` is `None` for a pause without an end.
    #[allow(clippy::option_option, reason = "a pause may have no end")]
    pub fn pause_at(&self, now_us: u64) -> Option<Option<u64>> {
        self.paused_from_us.map(|_| self.paused_until_us).filter(|until| until.is_none_or(|until| until > now_us))
    }
}

/// `GET /api/v1/agents`: the agents that have reported to the server, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAgents {
    /// The agents.
    pub agents: Vec<BatchAgent>,
}

/// A run in the short form that is listed with its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchMark {
    /// Id of the run.
    pub run: String,
    /// Root id of the run.
    pub root_id: RootId,
    /// Due time of the run.
    pub due_us: u64,
    /// State of the run: its outcome if it has ended.
    pub outcome: State,
}

/// `GET /api/v1/batch-tasks`: one page of tasks, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTasksPage {
    /// The tasks of this page.
    pub tasks: Vec<BatchTask>,
    /// Cursor of the next page. None on the last page.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// A version of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchVersion {
    /// Number of the version, from 1.
    pub version: u64,
    /// Time at which the version was created.
    pub time_us: u64,
    /// User, token or file that created the version.
    pub who: Option<String>,
    /// Status of the task in this version.
    pub status: BatchStatus,
    /// The definition.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
    /// Differences from the previous version: one line per changed key, prefixed with `-` (old) or `+` (new).
    pub diff: Vec<String>,
}

/// `GET /api/v1/batch-tasks/{name}/versions`: the newest 100 versions of a task, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchVersions {
    /// The versions.
    pub versions: Vec<BatchVersion>,
}

/// A run of a batch task. Runs remain available for 400 days after they were due, even if the recorded processes are deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRun {
    /// Id of the run, such as `gold@20261121T023000Z.1`.
    pub run: String,
    /// Name of the task.
    pub task: String,
    /// Due time of the run.
    pub due_us: u64,
    /// Version of the task's definition.
    pub version: u64,
    /// The agent that ran it. None if the agent is not known.
    pub agent: Option<String>,
    /// Trigger of the run: `time`, `missed`, `boot`, `request`, `then`, `retry`, or `ping` for a run of a heartbeat.
    pub trigger: String,
    /// User, token or alert that requested the run. None if the run was not requested.
    pub by: Option<String>,
    /// Root id of the run.
    pub root_id: RootId,
    /// The run's own process.
    pub process_id: ProcessId,
    /// Start time.
    pub started_us: Option<u64>,
    /// End time.
    pub ended_us: Option<u64>,
    /// Duration, measured by the monotonic clock.
    pub elapsed_ns: Option<u64>,
    /// State of the run: its outcome if it has ended.
    pub outcome: State,
    /// Exit code of the command.
    pub exit_code: Option<i32>,
    /// Result code: the exit code of the command, or a code that the agent sets for a run that it ended or could not start.
    pub result_code: Option<i64>,
    /// Signal that ended the command.
    pub signal: Option<i32>,
    /// Reason for the outcome, in one word, such as `kill-after`.
    pub reason: Option<String>,
    /// Error message, if the run failed.
    pub error: Option<String>,
}

/// `GET /api/v1/batch-tasks/runs`: one page of runs, the latest due time first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRunsPage {
    /// The runs of this page.
    pub runs: Vec<BatchRun>,
    /// Cursor of the next page. None on the last page.
    pub next_cursor: Option<String>,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// One or more due times at which no run started, and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDecision {
    /// Name of the task.
    pub task: String,
    /// The agent that decided.
    pub agent: String,
    /// Version of the task's definition.
    pub version: u64,
    /// The first due time.
    pub first_due_us: u64,
    /// The last due time.
    pub last_due_us: u64,
    /// Number of due times.
    pub count: u64,
    /// Decision: `skipped` or `missed`.
    pub what: String,
    /// Reason, as in the event `run-skipped` or `run-missed`.
    pub reason: String,
    /// The run that prevented the start.
    pub blocked_by: Option<String>,
}

/// A due time and the decision about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchExplained {
    /// The due time. If the entry covers several due times with the same decision: the first of them.
    pub due_us: u64,
    /// Number of due times that the entry covers.
    pub count: u64,
    /// `started`, `waits`, `skipped` or `missed`; for a future due time `will-start` or `will-be-skipped`; `none` if the agent had a different
    /// version of the task at that time; `unknown` if the agent has not reported its decision.
    pub decision: String,
    /// Reason for the decision, in one word.
    pub reason: Option<String>,
    /// The agent that made the decision or will make it.
    pub agent: Option<String>,
    /// Version of the task's definition, if an agent reported it.
    pub version: Option<u64>,
    /// The run that started or waits, or the run that prevented the start.
    pub run: Option<String>,
}

/// `GET /api/v1/batch-tasks/{name}/explain`: the due times of a task, the earliest first, at most 1,000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchExplanation {
    /// The due times.
    pub due: Vec<BatchExplained>,
    /// True if the list is incomplete: there are more due times in the requested period.
    pub is_cut: bool,
}

/// `GET /api/v1/batch-tasks/runs/day`: due times and runs of a period, with their outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDay {
    /// Start of the period (inclusive).
    pub from_us: u64,
    /// End of the period (exclusive).
    pub to_us: u64,
    /// Tasks with at least one run or due time in the period, by agent and name.
    pub lanes: Vec<BatchLane>,
    /// Minutes with at least five tasks of an agent that start by their rules, the most crowded first, at most 50.
    pub crowded: Vec<BatchCrowd>,
    /// True if the answer is incomplete. Request fewer tasks or a shorter period.
    pub is_cut: bool,
}

/// The runs and due times of a task on an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLane {
    /// The agent.
    pub agent: String,
    /// The task.
    pub task: String,
    /// The runs and due times, the earliest first.
    pub marks: Vec<BatchDayMark>,
}

/// A run, or a due time without a run. Runs or due times of a task that are at most five minutes apart and have the same result are combined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDayMark {
    /// The due time, or the first of the combined due times.
    pub due_us: u64,
    /// The last due time.
    pub last_us: u64,
    /// Number of runs or due times.
    pub count: u64,
    /// `started` for runs. For due times without a run: `waits`, `skipped`, `missed`, `unknown`, `will-start` or `will-be-skipped`.
    pub decision: String,
    /// Trigger of the runs, or the reason why no run started, in one word.
    pub reason: Option<String>,
    /// State of the runs: their outcome if they have ended.
    pub outcome: Option<State>,
    /// Earliest start of the runs.
    pub started_us: Option<u64>,
    /// Latest end of the runs. None while a run has not ended.
    pub ended_us: Option<u64>,
    /// The run, or the first of the combined runs. For a due time without a run: the run that waits or that prevented the start.
    pub run: Option<String>,
    /// Root id of the run.
    pub root_id: Option<RootId>,
}

/// A minute with many task starts on an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchCrowd {
    /// The agent.
    pub agent: String,
    /// Start of the minute.
    pub minute_us: u64,
    /// Number of tasks that start within the minute.
    pub starts: u64,
}

/// `POST /api/v1/batch-tasks/rehearse`: result of applying a definition to the past 30 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRehearsal {
    /// Start of the rehearsed period.
    pub from_us: u64,
    /// End of the rehearsed period. Earlier than the time of the request if the rehearsal reached its maximum number of steps.
    pub to_us: u64,
    /// Number of past runs whose durations were used. If it is 0, runs are rehearsed with a duration of zero.
    pub durations: u64,
    /// Number of due times.
    pub due: u64,
    /// Number of runs, including retries.
    pub starts: u64,
    /// Number of due times at which an earlier run was still running.
    pub overlaps: u64,
    /// Number of due times at which no run starts, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Longest time between a due time and the start of its run.
    pub longest_wait_ns: u64,
    /// Number of runs that take longer than `timeout`.
    pub overtime: u64,
    /// Number of runs that are ended by `kill-after`.
    pub killed: u64,
    /// Minutes of the day at which this task starts together with many others, the most crowded first.
    pub crowded: Vec<BatchCrowded>,
}

/// A minute of the day at which many tasks start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchCrowded {
    /// The minute in the time zone of the task, such as `00:00`.
    pub minute: String,
    /// Largest number of starts within this minute on any day.
    pub starts: u64,
    /// Suggestion for avoiding the crowded minute.
    pub hint: String,
}

/// A due time of a set of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextDue {
    /// The due time.
    pub due_us: u64,
    /// The due time in the time zone of the rules, such as `2026-03-29T03:00:00+02:00`.
    pub local: String,
    /// Note about a clock change that affects this due time: the local time is skipped, or occurs twice.
    pub note: Option<String>,
}

/// `GET /api/v1/batch-tasks/rules/next`: the next due times of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextDues {
    /// Time zone of the rules.
    pub zone: String,
    /// Due times, the soonest first.
    pub due: Vec<NextDue>,
    /// True if the rules are also due after each start of the machine.
    pub at_boot: bool,
}

/// A task, as sent to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookTask {
    /// Name of the task.
    pub name: String,
    /// Number of the task's version.
    pub version: u64,
    /// Status of the task. `deleted`: the agent must remove the task.
    pub status: BatchStatus,
    /// End of the pause. None if the task is not paused, or if the pause has no end and lasts until the task is resumed.
    pub until_us: Option<u64>,
    /// Time of the last change.
    pub changed_us: u64,
    /// Definition of the task. Empty if `status` is `deleted`.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
}

/// `GET /api/v1/agents/{name}/book`: the tasks of an agent that have changed since a revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentBook {
    /// Number of the newest change in this answer. Send it as `after` in the next request.
    pub revision: u64,
    /// Tasks that have changed after the requested revision, the latest change last. A task with the status `deleted` does not belong to this
    /// agent, or not any more.
    pub tasks: Vec<BookTask>,
    /// Pauses and decided due times of the agent. Only included if the request contains `known=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<AgentKnown>,
}

/// State of an agent in the server's database, for an agent that has lost its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentKnown {
    /// Last reported state of the agent: its decided due times and its pause. None if the agent has never reported it.
    pub agent: Option<BatchAgent>,
    /// All tasks of the agent: the tasks that the server stores for it, and the tasks of its files.
    pub tasks: Vec<KnownTask>,
}

/// State of a task on one agent, in the server's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownTask {
    /// Name of the task.
    pub name: String,
    /// Number of the newest version.
    pub version: u64,
    /// Its status: `active` or `paused`.
    pub status: BatchStatus,
    /// End of the pause. None for a pause without an end.
    pub until_us: Option<u64>,
    /// Time of its newest change.
    pub changed_us: u64,
    /// Due times after this time are not decided, unless they are listed in `decided`.
    pub from_us: u64,
    /// Decided due times after `from_us`, the earliest first: the agent started a run, or reported them as skipped or missed.
    pub decided: Vec<KnownDues>,
}

/// A range of due times of a task. Each due time in the range is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownDues {
    /// The first due time.
    pub first_us: u64,
    /// The last due time.
    pub last_us: u64,
}

/// `POST /api/v1/batch-tasks/{name}/pause`: the length of the pause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPause {
    /// End of the pause. Without it, the task is paused until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
}

/// `POST /api/v1/batch-tasks/{name}/run`: options of the run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRunRequest {
    /// Arguments to append to the command's own arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// `POST /api/v1/batch-tasks/{name}/kill`: the runs to end, and the way to end them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchKillRequest {
    /// Id of the run to end. Without it, all runs of the task are ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// True to kill the processes immediately, without SIGTERM first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// `POST /api/v1/batch-tasks/runs/{id}/kill`: the way to end a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchEnd {
    /// True to kill the processes immediately, without SIGTERM first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// `GET /api/v1/batch-tasks/runs/{id}/log`: a part of the output of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLog {
    /// Id of the run.
    pub run: String,
    /// Position of the part's first byte in the output.
    pub offset: u64,
    /// Text of the part. Bytes that are not valid UTF-8 are replaced.
    pub text: String,
    /// Position of the first byte after the part. Send it as `offset` in the next request.
    pub next_offset: u64,
    /// Number of bytes that the run has written so far.
    pub size_bytes: u64,
    /// True if the run has ended and will write no more output.
    pub is_over: bool,
}

/// `POST /api/v1/batch-tasks/apply`: the desired batch tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchApply {
    /// Definitions of the tasks.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub tasks: Vec<Map<String, Value>>,
    /// True to delete the tasks stored by the server that are not listed in `tasks`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// True to return the planned changes without applying them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The change that applying makes to one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchStep {
    /// Name of the task.
    pub name: String,
    /// Kind of the change: `add`, `change`, `delete` or `same`.
    pub what: String,
    /// Version of the task after the change. None for a dry run.
    pub version: Option<u64>,
    /// Changes of the definition: one line per changed key, prefixed with `-` (old) or `+` (new).
    pub diff: Vec<String>,
}

/// The changes that were made, or that a dry run would make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchApplied {
    /// One step per task, by name.
    pub steps: Vec<BatchStep>,
}
