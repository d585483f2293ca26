//! Batch tasks as the API shows and takes them. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{ProcessId, RootId};
use crate::words::{BatchStatus, State};

/// A batch task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTask {
    /// Its name.
    pub name: String,
    /// Number of its newest version, from 1. A change of the task wants it in the header `If-Match`.
    pub version: u64,
    /// What it is.
    pub status: BatchStatus,
    /// Until when it is paused; none: until somebody resumes it.
    pub until_us: Option<u64>,
    /// The agent whose files define it: it can't be changed here. None if the server keeps it.
    pub agent: Option<String>,
    /// When it was changed.
    pub changed_us: u64,
    /// Who changed it.
    pub who: Option<String>,
    /// Its definition, as docs/batch.md describes it.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
    /// When it is due next, the soonest first: the next one in lists, the next five of a single task. None while it is paused.
    pub next_us: Vec<u64>,
    /// Why its rules start nothing now: `definition`, as it says `paused = true`; `person`, if it was paused; `agent`, if all of its agents
    /// were; `refused`, if all of them take no tasks from the server. None if nothing keeps them.
    #[serde(default)]
    pub paused_by: Option<String>,
    /// Its newest runs, at most 30, the oldest first.
    pub runs: Vec<BatchMark>,
    /// How many of its newest runs failed in a row.
    pub failed_in_a_row: u64,
    /// When an alert about it last fired or happened again, as far back as alerts are kept: 90 days after they are over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_warning_us: Option<u64>,
}

/// An agent, as far as the server has heard of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAgent {
    /// Its name.
    pub name: String,
    /// All that was due up to here is decided.
    pub decided_us: u64,
    /// Since when it is paused; none: it is not.
    pub paused_from_us: Option<u64>,
    /// Until when it is paused; none: until somebody resumes it.
    pub paused_until_us: Option<u64>,
    /// True if it takes no tasks from the server: `--accept files`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files_only: bool,
    /// Mistakes in its files of tasks, each with its file, line and column. They may not be all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mistakes: Vec<String>,
}

impl BatchAgent {
    /// Until when the agent is paused, if it is at this time; the inner one is none for a pause that somebody is to end.
    #[allow(clippy::option_option, reason = "a pause may have no end")]
    pub fn pause_at(&self, now_us: u64) -> Option<Option<u64>> {
        self.paused_from_us.map(|_| self.paused_until_us).filter(|until| until.is_none_or(|until| until > now_us))
    }
}

/// `GET /api/v1/agents`: the agents that the server has heard of, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchAgents {
    /// The agents.
    pub agents: Vec<BatchAgent>,
}

/// A run as one mark among many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchMark {
    /// The run.
    pub run: String,
    /// Its tree.
    pub root_id: RootId,
    /// When it was due.
    pub due_us: u64,
    /// What became of it.
    pub outcome: State,
}

/// `GET /api/v1/batch-tasks`: tasks by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchTasksPage {
    /// One page of them.
    pub tasks: Vec<BatchTask>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that is counted in.
    pub as_of: u64,
}

/// A version of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchVersion {
    /// Its number, from 1.
    pub version: u64,
    /// When it was made.
    pub time_us: u64,
    /// Who made it.
    pub who: Option<String>,
    /// What the task was from then on.
    pub status: BatchStatus,
    /// The definition.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
    /// Lines that differ from the version before, with `-` and `+` before them.
    pub diff: Vec<String>,
}

/// `GET /api/v1/batch-tasks/{name}/versions`: the newest 100 versions of a task, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchVersions {
    /// The versions.
    pub versions: Vec<BatchVersion>,
}

/// A run of a batch task. It is still told when its tree is no longer kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRun {
    /// Its id, such as `gold@20261121T023000Z.1`.
    pub run: String,
    /// Name of its task.
    pub task: String,
    /// When it was due.
    pub due_us: u64,
    /// Version of the task's definition.
    pub version: u64,
    /// The agent that ran it, if it said so.
    pub agent: Option<String>,
    /// What started it: `time`, `missed`, `boot`, `request`, `then`, `retry`.
    pub trigger: String,
    /// Who asked for it, if somebody did.
    pub by: Option<String>,
    /// Its tree.
    pub root_id: RootId,
    /// Its process.
    pub process_id: ProcessId,
    /// Its start.
    pub started_us: Option<u64>,
    /// Its end.
    pub ended_us: Option<u64>,
    /// How long it took.
    pub elapsed_ns: Option<u64>,
    /// What became of it.
    pub outcome: State,
    /// The exit code of its command.
    pub exit_code: Option<i32>,
    /// The result code: the command's own, or what the agent made of it.
    pub result_code: Option<i64>,
    /// The signal that ended its command.
    pub signal: Option<i32>,
    /// Why it ended so, in one word.
    pub reason: Option<String>,
    /// Why it failed, in words.
    pub error: Option<String>,
}

/// `GET /api/v1/batch-tasks/runs`: runs, those that were due last first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRunsPage {
    /// One page of them.
    pub runs: Vec<BatchRun>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
    /// Number of the newest change that is counted in.
    pub as_of: u64,
}

/// Due times at which no run started, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDecision {
    /// Name of the task.
    pub task: String,
    /// The agent that decided.
    pub agent: String,
    /// Version of the task's definition.
    pub version: u64,
    /// The first of them.
    pub first_due_us: u64,
    /// The last of them.
    pub last_due_us: u64,
    /// How many there were.
    pub count: u64,
    /// What became of them: `skipped` or `missed`.
    pub what: String,
    /// Why, as the event `run-skipped` or `run-missed` says it.
    pub reason: String,
    /// The run that was in the way.
    pub blocked_by: Option<String>,
}

/// One due time and what was decided on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchExplained {
    /// The due time, or the first of several that have one answer.
    pub due_us: u64,
    /// How many due times it stands for.
    pub count: u64,
    /// `started`, `waits`, `skipped`, `missed`; of those to come `will-start` and `will-be-skipped`; `none`, if the agent had another version
    /// at that time; or `unknown`: the agent has not told what it decided.
    pub decision: String,
    /// Why, in one word.
    pub reason: Option<String>,
    /// The agent that decided, or is to.
    pub agent: Option<String>,
    /// Version of the task's definition, if an agent said so.
    pub version: Option<u64>,
    /// The run that started, or that was in the way.
    pub run: Option<String>,
}

/// `GET /api/v1/batch-tasks/{name}/explain`: the due times of a task, the earliest first, at most 1,000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchExplanation {
    /// The due times.
    pub due: Vec<BatchExplained>,
    /// There are more up to `to` than are told.
    pub is_cut: bool,
}

/// `GET /api/v1/batch-tasks/runs/day`: what was due in a time, what became of it, and what ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDay {
    /// From then on.
    pub from_us: u64,
    /// Until before then.
    pub to_us: u64,
    /// Tasks of which there is something to tell, by agent and name.
    pub lanes: Vec<BatchLane>,
    /// Minutes in which many tasks of an agent start by their rules, the most crowded first, at most 50.
    pub crowded: Vec<BatchCrowd>,
    /// There is more than is told: ask for fewer tasks, or for a shorter time.
    pub is_cut: bool,
}

/// A task on one of its agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLane {
    /// The agent.
    pub agent: String,
    /// The task.
    pub task: String,
    /// What became of its due times, the first one first.
    pub marks: Vec<BatchDayMark>,
}

/// A run, or a due time without one. Those of a task that went the same way within five minutes of each other stand together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchDayMark {
    /// The due time, or the first of several.
    pub due_us: u64,
    /// The last due time.
    pub last_us: u64,
    /// Number of runs or due times.
    pub count: u64,
    /// `started` for runs; else as in an explanation: `waits`, `skipped`, `missed`, `unknown`, `will-start`, `will-be-skipped`.
    pub decision: String,
    /// The trigger of runs, or why nothing started, in one word.
    pub reason: Option<String>,
    /// What became of the runs.
    pub outcome: Option<State>,
    /// The first start.
    pub started_us: Option<u64>,
    /// The last end; none while a run runs.
    pub ended_us: Option<u64>,
    /// The run, the first of several, or the one that was in the way.
    pub run: Option<String>,
    /// The tree of the run.
    pub root_id: Option<RootId>,
}

/// A minute in which many tasks of an agent start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchCrowd {
    /// The agent.
    pub agent: String,
    /// The beginning of the minute.
    pub minute_us: u64,
    /// Number of tasks that start within it.
    pub starts: u64,
}

/// `POST /api/v1/batch-tasks/rehearse`: what would have happened by a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRehearsal {
    /// From then on it was tried.
    pub from_us: u64,
    /// Until then; earlier than asked for if there was too much to walk through.
    pub to_us: u64,
    /// Number of real runs whose durations were used; with none, runs take no time.
    pub durations: u64,
    /// Due times.
    pub due: u64,
    /// Runs.
    pub starts: u64,
    /// Due times at which an earlier run ran.
    pub overlaps: u64,
    /// Due times at which nothing starts, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Longest time from a due time to the start.
    pub longest_wait_ns: u64,
    /// Runs that take longer than `timeout`.
    pub overtime: u64,
    /// Runs that are ended by `kill-after`.
    pub killed: u64,
    /// Minutes of the day at which this task and many others start, the most crowded first.
    pub crowded: Vec<BatchCrowded>,
}

/// A minute of the day at which many tasks start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchCrowded {
    /// The minute in the zone of the task, such as `00:00`.
    pub minute: String,
    /// Most starts within it.
    pub starts: u64,
    /// What to do, in words.
    pub hint: String,
}

/// A due time of rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextDue {
    /// The instant.
    pub due_us: u64,
    /// On the clock of the rules' zone, such as `2026-03-29T03:00:00+02:00`.
    pub local: String,
    /// What a change of the clock makes of it.
    pub note: Option<String>,
}

/// `GET /api/v1/batch-tasks/rules/next`: when rules are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NextDues {
    /// The zone that the rules were read in.
    pub zone: String,
    /// Due times, the soonest first.
    pub due: Vec<NextDue>,
    /// They are also due whenever the machine has started.
    pub at_boot: bool,
}

/// A task as an agent gets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BookTask {
    /// Its name.
    pub name: String,
    /// Number of its version.
    pub version: u64,
    /// `deleted`: the agent is to forget it.
    pub status: BatchStatus,
    /// Until when it is paused; none: until somebody resumes it.
    pub until_us: Option<u64>,
    /// When it became so.
    pub changed_us: u64,
    /// Its definition.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub definition: Map<String, Value>,
}

/// `GET /api/v1/agents/{name}/book`: the tasks of an agent that have changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentBook {
    /// Number of the newest change in it: the next question's `after`.
    pub revision: u64,
    /// Tasks that have changed after that, the latest change last. One that is `deleted` no longer is this agent's.
    pub tasks: Vec<BookTask>,
    /// Pauses and decided due times of the agent, with `known=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<AgentKnown>,
}

/// State of an agent in the server's database, for an agent that has lost its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentKnown {
    /// How far the agent has decided, and whether it is paused. None if it has never reported that.
    pub agent: Option<BatchAgent>,
    /// Each task of the agent: those that the server keeps for it, and those of its files.
    pub tasks: Vec<KnownTask>,
}

/// State of a task on one agent, in the server's database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownTask {
    /// Its name.
    pub name: String,
    /// Number of its newest version.
    pub version: u64,
    /// Its status: `active` or `paused`.
    pub status: BatchStatus,
    /// End of the pause. None for a pause without an end.
    pub until_us: Option<u64>,
    /// Time of its newest change.
    pub changed_us: u64,
    /// Due times after this one are not decided, unless they are in `decided`.
    pub from_us: u64,
    /// Due times after `from_us` for which the agent has started a run, or reported that they are skipped or missed, the earliest first.
    pub decided: Vec<KnownDues>,
}

/// Due times of a task, of which each is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownDues {
    /// The first due time.
    pub first_us: u64,
    /// The last due time.
    pub last_us: u64,
}

/// `POST /api/v1/batch-tasks/{name}/pause`: how long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchPause {
    /// Until then; without it, until somebody resumes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
}

/// `POST /api/v1/batch-tasks/{name}/run`: how it is to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchRunRequest {
    /// Arguments that follow the command's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
}

/// `POST /api/v1/batch-tasks/{name}/kill`: how runs are to be ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchKillRequest {
    /// This run alone; else all runs of the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// At once, without SIGTERM before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// `POST /api/v1/batch-tasks/runs/{id}/kill`: how a run is to be ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchEnd {
    /// At once, without SIGTERM before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub now: bool,
}

/// `GET /api/v1/batch-tasks/runs/{id}/log`: a piece of what a run has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchLog {
    /// The run.
    pub run: String,
    /// The first byte of the piece.
    pub offset: u64,
    /// The piece. Bytes that are no UTF-8 are replaced.
    pub text: String,
    /// The first byte after it.
    pub next_offset: u64,
    /// All that the run has written so far, in bytes.
    pub size_bytes: u64,
    /// The run has ended: nothing more will be written.
    pub is_over: bool,
}

/// `POST /api/v1/batch-tasks/apply`: the tasks that there are to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchApply {
    /// Definitions.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub tasks: Vec<Map<String, Value>>,
    /// Tasks of the server that are not among them are deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// `true` tells what would be done, and does nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What applying does to one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchStep {
    /// Name of the task.
    pub name: String,
    /// `add`, `change`, `delete` or `same`.
    pub what: String,
    /// The version that it has then; none of a plan.
    pub version: Option<u64>,
    /// Lines of the definition that differ, with `-` and `+` before them.
    pub diff: Vec<String>,
}

/// What applying does, or has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchApplied {
    /// Each task, by name.
    pub steps: Vec<BatchStep>,
}
