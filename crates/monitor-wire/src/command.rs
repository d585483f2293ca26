//! Commands: requests to workers, the messages of workers' channels, and the replies. Times are Unix microseconds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Fields;
use crate::ids::{CommandId, ProcessId, RootId, WorkerId};
use crate::words::{CommandStatus, State};

/// Name of the header that contains the key of a worker's channel. The worker chooses the key at random when it opens the channel: 32 to 128
/// letters or digits.
pub const CHANNEL_KEY: &str = "monitor-channel-key";

/// Body of `POST /api/v1/commands`: a command for workers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandRequest {
    /// Name of the method: `ping`, `stats`, `active`, `registered`, a method of queue workers, or a method of the program's own.
    #[cfg_attr(feature = "openapi", schema(example = "ping", pattern = "^[A-Za-z0-9_.-]{1,64}$"))]
    pub method: String,
    /// Arguments of the method, at most 64 KiB as JSON.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// Workers that receive the command. The default is all workers that are online.
    #[serde(default)]
    pub to: CommandTo,
    /// Maximum time to wait for replies, in milliseconds: 10 to 60,000, default 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
    /// Makes the command durable and sets its deadline, at most 30 days ahead. Until then the command waits for each worker that `to` names,
    /// across restarts of the server and the workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// If `true`, the answer lists the workers that would receive the command, and nothing is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Workers that receive a command. If neither field is set, these are all workers that are online.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandTo {
    /// Ids or names of workers. A name is `program@host`, followed by `:pid` if several workers share it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<String>,
    /// Pattern for the names of workers that are online, such as `worker@build-*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
}

/// A command and its result for each worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// Id of the command; none for a `dry_run`.
    pub id: Option<CommandId>,
    /// Name of the method.
    pub method: String,
    /// Arguments of the method.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// Time at which the server received the command.
    pub created_us: u64,
    /// Name of the user or token that sent the command, or another description of the sender.
    pub by: String,
    /// Maximum time to wait for replies, in milliseconds.
    pub timeout_ms: u64,
    /// Time until which the command waits for its workers, if it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
    /// True if the status of every line is final.
    pub done: bool,
    /// Number of workers by status.
    pub counts: BTreeMap<String, u64>,
    /// A line for each worker, by name. Lists of commands contain only the line of the worker that the request specifies. The server deletes the
    /// lines of old commands.
    #[serde(default)]
    pub lines: Vec<CommandLine>,
}

/// The result of a command for one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandLine {
    /// Id of the worker; none while no worker with this name has received the command.
    pub worker_id: Option<WorkerId>,
    /// Name of the worker.
    pub name: String,
    /// Status of the command for this worker.
    pub status: CommandStatus,
    /// Value that the worker returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Reason why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Time between the command and the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
    /// Time at which the server last received anything from the worker. Set only if the worker did not reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_us: Option<u64>,
}

/// Answer of `GET /api/v1/commands`: commands, newest first. They contain no lines except for the worker that the request specifies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandsPage {
    /// Commands of the page.
    pub commands: Vec<Command>,
    /// Cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

/// Answer of `GET /api/v1/commands/methods`: methods that can be called now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandMethods {
    /// Methods that only read, followed by the other methods, each group by name.
    pub methods: Vec<CommandMethod>,
}

/// A method and the workers that implement it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandMethod {
    /// Name of the method.
    pub method: String,
    /// Scope that a caller needs: `read` or `operate`.
    pub scope: String,
    /// Number of workers that implement the method and have an open channel.
    pub count: u64,
    /// Names of these workers, at most 100.
    pub workers: Vec<String>,
}

/// A message of a worker's channel: a command to execute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandOrder {
    /// Id of the command.
    pub id: CommandId,
    /// Name of the method.
    pub method: String,
    /// Arguments of the method.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub arguments: Fields,
    /// Time after which a reply is too late, in milliseconds.
    pub timeout_ms: u64,
    /// Deadline of a durable command. The worker must send the reply `taken` first, and may execute the command only after the server has
    /// answered it with 204.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<u64>,
}

/// Body of `POST /api/v1/commands/{id}/replies`: the reply of a worker. The header `Monitor-Channel-Key` must contain the key of the worker's
/// channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommandReply {
    /// Id of the worker that replies.
    pub worker_id: WorkerId,
    /// `ok`, `error`, `refused` or `unsupported`; or `taken`, before the worker executes a durable command.
    pub status: CommandStatus,
    /// Value that the method returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Reason why there is no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Body of `POST /api/v1/roots/{root}/cancel`: the processes to cancel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CancelRequest {
    /// Process to cancel, together with its descendants. The default is the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Maximum time to wait for the processes to end, in milliseconds: 10 to 60,000, default 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
    /// If `true`, the answer lists the processes that would be cancelled and the workers that would receive the command, and nothing is sent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// The result of a cancellation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cancelled {
    /// Id of the run.
    pub root_id: RootId,
    /// Process to cancel, together with its descendants; none for the whole run.
    pub process: Option<ProcessId>,
    /// Number of processes to cancel: those that were running or pending.
    pub meant: u64,
    /// Number of these processes that have not ended.
    pub running: u64,
    /// Processes that have not ended, at most 100 of them.
    pub still: Vec<StillRunning>,
    /// Results of the workers that run any of these processes, by name.
    pub lines: Vec<CommandLine>,
    /// Ids of the commands that the server sent to the workers; none for a `dry_run`.
    pub commands: Vec<CommandId>,
}

/// A process that has not ended although it was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StillRunning {
    /// Id of the process.
    pub id: ProcessId,
    /// Name of the process.
    pub name: String,
    /// State of the process: `running` or `pending`.
    pub state: State,
    /// Worker that runs the process.
    pub worker_id: Option<WorkerId>,
}

/// Answer of `GET /api/v1/workers/{id}/channel`: the channel on which a worker receives commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkerChannel {
    /// Id of the worker.
    pub worker_id: WorkerId,
    /// Name of the worker, as commands use it.
    pub name: String,
    /// Time at which the channel was opened; none if no channel is open.
    pub open_since_us: Option<u64>,
    /// Methods that the worker announced when it opened the channel.
    pub methods: Vec<String>,
}
