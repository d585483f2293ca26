//! Tasks of a queue: events about them, and how they are shown. A task is a process of the kind `task`, and each event is about one attempt of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::command::CommandTo;
use crate::event::{Fields, Link, WorkerRef, process_event};
use crate::ids::{CommandId, ProcessId, RootId, WorkerId};
use crate::model::Process;
use crate::queue_order::RetryLine;
use crate::words::{Phase, State};

/// Events that carry the message of a task: what it is, with what it is called, and how it travels.
macro_rules! message_event {
    ($(#[$doc:meta])* $name:ident) => {
        process_event!(
            $(#[$doc])*
            $name {
                /// Its parent, none for a root.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                parent_id: Option<ProcessId>,
                /// Name of the task.
                name: String,
                /// Its arguments by position: a list, or its words where the sender has only these.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                args: Option<Value>,
                /// Its arguments by name: an object, or its words where the sender has only these.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                kwargs: Option<Value>,
                /// How often it was tried before. An event without `attempt` is about attempt `retries` + 1.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                retries: Option<u32>,
                /// Not to be started before, in Unix microseconds.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                eta_us: Option<u64>,
                /// Not to be started after, in Unix microseconds.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                expires_us: Option<u64>,
                /// The queue that it goes through.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                queue: Option<String>,
                /// The exchange that it was sent to.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                exchange: Option<String>,
                /// The key that it was routed by.
                #[serde(default, skip_serializing_if = "Option::is_none")]
                routing_key: Option<String>,
            }
        );

        impl $name {
            /// The attempt that it is about.
            pub fn attempt(&self) -> u32 {
                if self.attempt == 1 { self.retries.unwrap_or(0).saturating_add(1) } else { self.attempt }
            }
        }
    };
}

message_event!(
    /// A task was put into a queue: it waits.
    TaskSent
);
message_event!(
    /// A worker took a task from its queue: it waits there for its turn.
    TaskReceived
);

process_event!(
    /// A worker began to work on a task.
    TaskStarted {
        /// The operating-system process that works on it, if it isn't the worker's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<u32>,
    }
);

process_event!(
    /// A task ended well.
    TaskSucceeded {
        /// What it returned: a value, which may be `null`, or its words where the sender has only these. Left out if it isn't recorded.
        #[serde(default, deserialize_with = "recorded", skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// How long it took by the monotonic clock, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime_ns: Option<u64>,
    }
);

/// Reads a value that was sent, also if it is `null`.
fn recorded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

process_event!(
    /// A task failed, and no other attempt is to come.
    TaskFailed {
        /// The error's own words.
        exception: String,
        /// Where it came from, in the words of its language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
    }
);

process_event!(
    /// A worker refused a task.
    TaskRejected {
        /// It went back into its queue, and waits there again.
        #[serde(default)]
        requeued: bool,
    }
);

process_event!(
    /// A task is not to be done any more.
    TaskRevoked {
        /// It had begun, and was ended.
        #[serde(default)]
        terminated: bool,
        /// The signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signum: Option<i32>,
        /// It was too late for it.
        #[serde(default)]
        expired: bool,
    }
);

process_event!(
    /// An attempt failed, and the next one is to come.
    TaskRetried {
        /// The error's own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exception: Option<String>,
        /// Where it came from, in the words of its language.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceback: Option<String>,
        /// The next attempt is not to be started before, in Unix microseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        eta_us: Option<u64>,
    }
);

/// `GET /api/v1/queue-tasks`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTasksPage {
    /// The tasks, without their attempts.
    pub tasks: Vec<Process>,
    /// Where the next page begins, if tasks are left to examine. A page that took too long is short, even empty, and has a next one.
    pub next_cursor: Option<String>,
    /// Number of tasks that were examined for this page.
    #[serde(default)]
    pub examined: u64,
    /// Number of the change that the page is true at.
    pub as_of: u64,
}

/// Tasks that have a word in common, a queue or a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueCounts {
    /// That word; empty for tasks whose queue isn't known.
    pub name: String,
    /// How many of the tasks are in which state.
    pub states: BTreeMap<String, u64>,
}

/// `GET /api/v1/queue-tasks/types`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTypes {
    /// The tasks of each name.
    pub types: Vec<QueueCounts>,
}

/// `GET /api/v1/queues`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queues {
    /// Each queue that tasks went through, or that a worker has told of.
    pub queues: Vec<Queue>,
}

/// A queue, with its tasks as they are stored and with what workers say of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Queue {
    /// Its name; empty for tasks whose queue isn't known.
    pub name: String,
    /// How many of its tasks are in which state.
    pub states: BTreeMap<String, u64>,
    /// The workers that know it, if they were asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub workers: Vec<QueueOfWorker>,
}

/// A queue as one worker knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueOfWorker {
    /// The worker's name.
    pub worker: String,
    /// Its id.
    pub worker_id: Option<WorkerId>,
    /// How many tasks wait in the queue. Workers that share a queue say the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// How many workers take tasks from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<u64>,
    /// How many of its tasks this worker has that haven't begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<u64>,
    /// How many of its tasks this worker works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<u64>,
}

/// `POST /api/v1/queue-tasks`: a task that is to be started by its name.
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
    /// Its arguments by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Value>,
    /// Its arguments by name.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub kwargs: Fields,
    /// The queue that it goes through; the worker's own choice if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 512))]
    pub queue: Option<String>,
    /// Not to be started before, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 9_007_199_254_740_991_u64))]
    pub eta_us: Option<u64>,
    /// Not to be started before so many milliseconds are over, at most 30 days; instead of `eta_us`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 2_592_000_000_u64))]
    pub countdown_ms: Option<u64>,
    /// Not to be started after, in Unix microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 9_007_199_254_740_991_u64))]
    pub expires_us: Option<u64>,
    /// One of these workers does it; one of all that are online if nothing is said.
    #[serde(default)]
    pub to: CommandTo,
    /// How long its answer is waited for, 10 to 60,000; 5,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

impl QueueCallRequest {
    /// The arguments of the method `call`.
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
    /// Its id in the queue.
    #[cfg_attr(feature = "openapi", schema(example = "8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"))]
    pub uuid: String,
    /// Name of the worker that has put it into its queue.
    #[cfg_attr(feature = "openapi", schema(example = "worker@build-7:4711"))]
    pub worker: String,
    /// Its id.
    pub worker_id: Option<WorkerId>,
    /// The command that the worker was told by.
    pub command: Option<CommandId>,
}

/// `POST /api/v1/queue-tasks/revoke`: tasks that are not to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"ids": ["8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"], "terminate": true})))]
pub struct QueueRevokeRequest {
    /// Their ids in the queue, 1 to 1,000.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1_000))]
    pub ids: Vec<String>,
    /// Ends those that run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminate: bool,
    /// How long the workers' answers are waited for, 10 to 60,000; 5,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

/// `POST /api/v1/queue-tasks/retry`: tasks that have ended and are to run again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"ids": ["8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"]})))]
pub struct QueueRetryRequest {
    /// Their ids in the queue, 1 to 1,000.
    #[cfg_attr(feature = "openapi", schema(min_items = 1, max_items = 1_000))]
    pub ids: Vec<String>,
    /// Only these workers are told; all that are online if nothing is said.
    #[serde(default)]
    pub to: CommandTo,
    /// How long the workers' answers are waited for, 10 to 60,000; 5,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 10, maximum = 60_000))]
    pub timeout_ms: Option<u64>,
}

/// What became of tasks that were to run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueRetried {
    /// A line for each task that was asked for, in that order.
    pub tasks: Vec<RetryLine>,
    /// The command that the workers were told by.
    pub command: Option<CommandId>,
}

/// `GET /api/v1/queue-tasks/{uuid}/result`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueTaskResult {
    /// Its id in the queue.
    pub uuid: String,
    /// Name of the task.
    pub name: String,
    /// Where it is.
    pub state: State,
    /// The last event of its latest attempt: `rejected` and `revoked` tell apart what is `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// It has ended: there is nothing to wait for.
    pub ended: bool,
    /// True if the program recorded what the task returned.
    #[serde(default)]
    pub has_result: bool,
    /// What it returned; `null` also if it isn't recorded.
    pub result: Option<Value>,
    /// Its error.
    pub error: Option<String>,
    /// Where its latest error came from, in the words of its language. `null` if it succeeded.
    pub traceback: Option<String>,
}

/// A process as a task of a queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Task {
    /// What was last heard of its latest attempt.
    pub phase: Phase,
    /// The queue that it goes through.
    pub queue: Option<String>,
    /// The exchange that it was sent to.
    pub exchange: Option<String>,
    /// The key that it was routed by.
    pub routing_key: Option<String>,
    /// Its arguments by position.
    pub args: Option<Value>,
    /// Its arguments by name.
    pub kwargs: Option<Value>,
    /// What it returned.
    pub result: Option<Value>,
    /// Where its latest error came from, in the words of its language.
    pub traceback: Option<String>,
    /// Not to be started before, in Unix microseconds.
    pub eta_us: Option<u64>,
    /// Not to be started after, in Unix microseconds.
    pub expires_us: Option<u64>,
    /// When it was sent.
    pub sent_us: Option<u64>,
    /// Who sent it.
    pub sent_by: Option<WorkerId>,
    /// When a worker last received it.
    pub received_us: Option<u64>,
    /// The worker that last received it.
    pub received_by: Option<WorkerId>,
    /// The operating-system process that works on it, if it isn't the worker's own.
    pub pid: Option<u32>,
}
