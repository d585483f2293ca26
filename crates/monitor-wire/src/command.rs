//! Commands: what is asked of workers, what their channels carry, and what they answer. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Fields;
use crate::ids::{CommandId, ProcessId, RootId, WorkerId};
use crate::words::{CommandStatus, State};

/// Name of the header that carries the key of a worker's channel: 32 to 128 letters or digits, chosen at random by whoever opens it.
pub const CHANNEL_KEY: &str = "monitor-channel-key";

/// `POST /api/v1/commands`: what is asked of which workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandRequest {
    /// What they are to do: `ping`, `stats`, `active`, `registered`, one of a queue worker's, or a method of their own.
    #[cfg_attr(feature = "openapi", schema(example = "ping", pattern = "^[A-Za-z0-9_.-]{1,64}$"))]
    pub method: String,
    /// Passed on to the method, at most 64 KiB as JSON.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// Which workers are meant; all that are online if nothing is said.
    #[serde(default)]
    pub to: CommandTo,
    /// How long answers are waited for, 10 to 60,000; 1,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
    /// Makes it durable: until then the command waits for each worker that is named, over restarts of both sides. At most 30 days ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// `true` says which workers are meant, and asks none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Which workers a command is for. Without either part, all that are online.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandTo {
    /// Those of these ids or names. A name is `program@host`, with `:pid` behind it where several share it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<String>,
    /// Those that are online and whose names match this pattern, like `worker@build-*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
}

/// A command, and what became of it with each worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// The command; none for one that was only tried (`dry_run`).
    pub id: Option<CommandId>,
    /// What was asked.
    pub method: String,
    /// With what.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// When.
    pub created_us: u64,
    /// By whom: a user's or a token's name, or how else it is known.
    pub by: String,
    /// How long answers were waited for.
    pub timeout_ms: u64,
    /// Until when it waits for its workers, if it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// Every worker has its last word.
    pub done: bool,
    /// How many workers there are by status.
    pub counts: BTreeMap<String, u64>,
    /// A line for each worker that is meant, by name. Lists leave out all but that of the worker that is asked for, and of old commands they are forgotten.
    #[serde(default)]
    pub lines: Vec<CommandLine>,
}

/// What became of a command with one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandLine {
    /// The worker; none as long as nobody of the name has come for it.
    pub worker_id: Option<WorkerId>,
    /// Its name.
    pub name: String,
    /// How it stands.
    pub status: CommandStatus,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why there is no such answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long the answer took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
    /// When the worker was last heard of, if it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_us: Option<u64>,
}

/// `GET /api/v1/commands`: the newest commands, newest first, without their lines but that of the worker that is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandsPage {
    /// One page of them.
    pub commands: Vec<Command>,
    /// Where the next page begins; none on the last one.
    pub next_cursor: Option<String>,
}

/// `GET /api/v1/commands/methods`: what workers may be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandMethods {
    /// Methods that only tell something, then the others, each by name.
    pub methods: Vec<CommandMethod>,
}

/// A method, and who does it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandMethod {
    /// Its name.
    pub method: String,
    /// The scope that it wants, `read` or `operate`.
    pub scope: String,
    /// How many workers with an open channel do it.
    pub count: u64,
    /// Their names, at most 100.
    pub workers: Vec<String>,
}

/// One message of a worker's channel: what it is to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandOrder {
    /// The command.
    pub id: CommandId,
    /// What to do.
    pub method: String,
    /// With what.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// How long an answer is of use.
    pub timeout_ms: u64,
    /// Until when it is, for a durable one. That one is done only after the server has answered a reply `taken` with 204.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
}

/// `POST /api/v1/commands/{id}/replies`: the word of one worker, with the key of its channel in the header `Monitor-Channel-Key`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandReply {
    /// Whose word it is.
    pub worker_id: WorkerId,
    /// `ok`, `error`, `refused` or `unsupported`; or `taken`, before a durable one is begun.
    pub status: CommandStatus,
    /// What the method answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `POST /api/v1/roots/{root}/cancel`: what is to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelRequest {
    /// This process and all that is below it; the whole tree if it isn't given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// How long their ends are waited for, 10 to 60,000; 10,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
    /// `true` returns what would end and which workers would be asked, and asks none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// What became of a cancellation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cancelled {
    /// The tree.
    pub root_id: RootId,
    /// The process that was to end with all below it; none if it was the whole tree.
    pub process: Option<ProcessId>,
    /// How many processes were to end: those that were running, or waiting to.
    pub meant: u64,
    /// How many of them go on.
    pub running: u64,
    /// Some of those that go on, at most 100.
    pub still: Vec<StillRunning>,
    /// What each worker said that runs any of them, by name.
    pub lines: Vec<CommandLine>,
    /// Commands that the workers were told by; none if it was only tried.
    pub commands: Vec<CommandId>,
}

/// A process that goes on although it was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StillRunning {
    /// The process.
    pub id: ProcessId,
    /// Its name.
    pub name: String,
    /// Its state, `running` or `pending`.
    pub state: State,
    /// Who runs it.
    pub worker_id: Option<WorkerId>,
}

/// `GET /api/v1/workers/{id}/channel`: how commands reach a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerChannel {
    /// The worker.
    pub worker_id: WorkerId,
    /// Its name, as commands have it.
    pub name: String,
    /// Since when its channel is open; none if it isn't.
    pub open_since_us: Option<u64>,
    /// What it said that it does when it opened the channel.
    pub methods: Vec<String>,
}
