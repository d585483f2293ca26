//! Tasks of a queue: their events, and how the API returns them. A task is a process of the kind `task`. Each event is about one attempt of the
//! task.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::command::CommandTo;
use crate::event::{Fields, Link, WorkerRef, process_event};
use crate::ids::{CommandId, ProcessId, RootId, WorkerId};
use crate::model::Process;
use crate::queue_order::RetryLine;
use crate::words::{Phase, State};

/// Defines an event that carries the message of a task: its name, its arguments and its routing.
macro_rules! message_event {
    ($(#[$doc:meta])* $name:ident) => {
        process_event!(
            $(#[$doc])*
            $name {
                /// The task's parent. None for a root.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                parent_id: Option<ProcessId>,
                /// Name of the task.
                name: String,
                /// Batch mark of a root: a label such as `batch001`.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                batch: Option<String>,
                /// Positional arguments: a list, or a text if the sender only has their textual form.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                args: Option<Value>,
                /// Keyword arguments: an object, or a text if the sender only has their textual form.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                kwargs: Option<Value>,
                /// Number of earlier attempts. An event without `attempt` is about attempt `retries` + 1.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                retries: Option<u32>,
                /// Earliest start time, in Unix microseconds.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                eta_us: Option<u64>,
                /// Latest start time, in Unix microseconds.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                expires_us: Option<u64>,
                /// Name of the queue.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                queue: Option<String>,
                /// Name of the exchange.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                exchange: Option<String>,
                /// Routing key.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                routing_key: Option<String>,
            }
        );

        impl $name {
            /// Returns the number of the attempt that the event is about, from 1.
            pub fn attempt(&self) -> u32 {
                if self.attempt == 1 { self.retries.unwrap_or(0).saturating_add(1) } else { self.attempt }
            }
        }
    };
}

message_event!(
    /// A task was put into a queue and waits there.
    TaskSent
);
message_event!(
    /// A worker received a task from its queue. The task now waits in the worker.
    TaskReceived
);

process_event!(
    /// A worker started to execute a task.
    TaskStarted {
        /// Id of the operating-system process that executes the task. None if the worker itself executes it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    }
);

process_event!(
    /// A task succeeded.
    TaskSucceeded {
        /// Return value: any JSON value including `null`, or a text if the sender only has its textual form. Absent if it was not recorded.
        #[serde(default, deserialize_with = "recorded", skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// Duration, measured by the monotonic clock, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime_ns: Option<u64>,
    }
);

/// Deserializes a field that is present, so that `null` becomes `Some(Value::Null)`. An absent field becomes `None` by `#[serde(default)]`.
fn recorded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

process_event!(
    /// A task failed, and no other attempt follows.
    TaskFailed {
        /// Error message.
        exception: String,
        /// Stack trace of the error, as formatted by the task's language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
    }
);

process_event!(
    /// A worker rejected a task.
    TaskRejected {
        /// True if the task was put back into its queue and waits there again.
        #[serde(default)]
        requeued: bool,
    }
);

process_event!(
    /// A task was revoked: it must not be executed any more.
    TaskRevoked {
        /// True if the task was running and was terminated.
        #[serde(default)]
        terminated: bool,
        /// Number of the signal that terminated the task.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signum: Option<i32>,
        /// True if the task was revoked because it expired.
        #[serde(default)]
        expired: bool,
    }
);

process_event!(
    /// An attempt failed, and another attempt follows.
    TaskRetried {
        /// Error message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exception: Option<String>,
        /// Stack trace of the error, as formatted by the task's language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
        /// Earliest start time of the next attempt, in Unix microseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        eta_us: Option<u64>,
    }
);

/// `GET /api/v1/queue-tasks`: one page of queue tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTasksPage {
    /// The tasks, without their attempts.
    pub tasks: Vec<Process>,
    /// Cursor of the next page, if there are more tasks to examine. The server ends a search after 1 s. The page is then short or even empty,
    /// and still has a cursor.
    pub next_cursor: Option<String>,
    /// Number of tasks that the server examined for this page.
    #[serde(default)]
    pub examined: u64,
    /// Number of the newest change that the page includes.
    pub as_of: u64,
}

/// Number of tasks by state, for all tasks with the same queue or the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueCounts {
    /// Name of the queue or of the tasks. Empty for tasks whose queue is not known.
    pub name: String,
    /// Number of tasks in each state.
    pub states: BTreeMap<String, u64>,
}

/// `GET /api/v1/queue-tasks/types`: number of queue tasks by name and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTypes {
    /// The counts for each task name.
    pub types: Vec<QueueCounts>,
}

/// `GET /api/v1/queues`: all known queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queues {
    /// All queues that are named by stored tasks, or by workers that the request has queried.
    pub queues: Vec<Queue>,
}

/// A queue, with the counts of its stored tasks and the answers of its workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queue {
    /// Name of the queue. Empty for tasks whose queue is not known.
    pub name: String,
    /// Number of stored tasks in each state.
    pub states: BTreeMap<String, u64>,
    /// The workers that know the queue. Empty if the request did not query workers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<QueueOfWorker>,
}

/// A queue, as one of its workers reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueOfWorker {
    /// Name of the worker.
    pub worker: String,
    /// Id of the worker.
    pub worker_id: Option<WorkerId>,
    /// Number of tasks that wait in the queue. Workers that share a queue report the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// Number of workers that consume the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// Number of the queue's tasks that this worker has received and not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// Number of the queue's tasks that this worker is executing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
}

/// `POST /api/v1/queue-tasks`: starts a task by its name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(
    feature = "openapi",
    schema(example = json!({"name": "render", "args": ["a.mov"], "kwargs": {"size": "4k"}, "queue": "video", "countdown_ms": 10_000}))
)]
pub struct QueueCallRequest {
    /// Name of the task, 1 to 512 bytes.
    #[cfg_attr(feature = "openapi", schema(example = "render", min_length = 1, max_length = 512))]
    pub name: String,
    /// Positional arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
    /// Keyword arguments.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub kwargs: Fields,
    /// Name of the queue. The worker chooses the queue if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 512))]
    pub queue: Option<String>,
    /// Earliest start time, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 9_007_199_254_740_991_u64))]
    pub eta_us: Option<u64>,
    /// Delay before the earliest start, in milliseconds, at most 30 days. Replaces `eta_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 2_592_000_000_u64))]
    pub countdown_ms: Option<u64>,
    /// Latest start time, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 9_007_199_254_740_991_u64))]
    pub expires_us: Option<u64>,
    /// One of these workers puts the task into its queue. Default: one of all workers that are online.
    #[serde(default)]
    pub to: CommandTo,
    /// Maximum time to wait for the worker's answer, in milliseconds, 10 to 60,000 (default 5,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

impl QueueCallRequest {
    /// Returns the arguments of the method `call`.
    #[must_use]
    pub fn arguments(&self) -> Fields {
        let Self { name, args, kwargs, queue, eta_us, countdown_ms, expires_us, to: _, timeout_ms: _ } = self;
        let number = |name: &str, number: &Option<u64>| Some((name.to_owned(), (*number)?.into()));
        let given = [
            Some(("name".to_owned(), name.as_str().into())),
            (!args.is_empty()).then(|| ("args".to_owned(), args.clone().into())),
            (!kwargs.is_empty()).then(|| ("kwargs".to_owned(), Value::Object(kwargs.clone().into_iter().collect()))),
            queue.as_ref().map(|queue| ("queue".to_owned(), queue.as_str().into())),
            number("eta_us", eta_us),
            number("countdown_ms", countdown_ms),
            number("expires_us", expires_us),
        ];
        given.into_iter().flatten().collect()
    }
}

/// A task that was started by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueCalled {
    /// Id of the task in its queue.
    #[cfg_attr(feature = "openapi", schema(example = "8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"))]
    pub uuid: String,
    /// Name of the worker that put the task into its queue.
    #[cfg_attr(feature = "openapi", schema(example = "worker@build-7:4711"))]
    pub worker: String,
    /// Id of that worker.
    pub worker_id: Option<WorkerId>,
    /// Id of the command that was sent to the worker.
    pub command: Option<CommandId>,
}

/// `POST /api/v1/queue-tasks/revoke`: revokes tasks, so that they are not executed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"ids": ["8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"], "terminate": true})))]
pub struct QueueRevokeRequest {
    /// Ids of the tasks in their queues, 1 to 1,000.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1_000))]
    pub ids: Vec<String>,
    /// True to terminate the tasks that are running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
    /// Maximum time to wait for the workers' answers, in milliseconds, 10 to 60,000 (default 5,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

/// `POST /api/v1/queue-tasks/retry`: runs tasks again that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"ids": ["8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"]})))]
pub struct QueueRetryRequest {
    /// Ids of the tasks in their queues, 1 to 1,000.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1_000))]
    pub ids: Vec<String>,
    /// Only these workers may receive the command. Default: all workers that are online.
    #[serde(default)]
    pub to: CommandTo,
    /// Maximum time to wait for the workers' answers, in milliseconds, 10 to 60,000 (default 5,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

/// Result of a request to run tasks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueRetried {
    /// One line per requested task, in the order of the request.
    pub tasks: Vec<RetryLine>,
    /// Id of the command that was sent to the workers.
    pub command: Option<CommandId>,
}

/// `GET /api/v1/queue-tasks/{uuid}/result`: the result of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTaskResult {
    /// Id of the task in its queue.
    pub uuid: String,
    /// Name of the task.
    pub name: String,
    /// State of the task.
    pub state: State,
    /// Phase of the latest attempt. It distinguishes `rejected` from `revoked` tasks: the state of both is `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// True if the task has ended, so that its result is final.
    pub ended: bool,
    /// True if the program recorded the task's return value.
    #[serde(default)]
    pub has_result: bool,
    /// Return value of the task. `null` also if the value was not recorded.
    pub result: Option<Value>,
    /// Error message, if the task failed.
    pub error: Option<String>,
    /// Stack trace of the latest error, as formatted by the task's language. `null` if the task succeeded.
    pub traceback: Option<String>,
}

/// Details of a process that is a task of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// Phase of the latest attempt.
    pub phase: Phase,
    /// Name of the queue.
    pub queue: Option<String>,
    /// Name of the exchange.
    pub exchange: Option<String>,
    /// Routing key.
    pub routing_key: Option<String>,
    /// Positional arguments.
    pub args: Option<Value>,
    /// Keyword arguments.
    pub kwargs: Option<Value>,
    /// Return value.
    pub result: Option<Value>,
    /// Stack trace of the latest error, as formatted by the task's language.
    pub traceback: Option<String>,
    /// Earliest start time, in Unix microseconds.
    pub eta_us: Option<u64>,
    /// Latest start time, in Unix microseconds.
    pub expires_us: Option<u64>,
    /// Time at which the task was sent, in Unix microseconds.
    pub sent_us: Option<u64>,
    /// The worker that sent the task.
    pub sent_by: Option<WorkerId>,
    /// Time at which a worker last received the task, in Unix microseconds.
    pub received_us: Option<u64>,
    /// The worker that last received the task.
    pub received_by: Option<WorkerId>,
    /// Id of the operating-system process that executes the task. None if the worker itself executes it.
    pub pid: Option<u32>,
}
