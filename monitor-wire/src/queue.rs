//! Tasks of a queue: events about them, and how they are shown. A task is a process of the kind `task`, and each event is about one attempt of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Link, WorkerRef, process_event};
use crate::ids::{ProcessId, RootId, WorkerId};
use crate::model::Process;
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
        /// What it returned: a value, or its words where the sender has only these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        result: Option<Value>,
        /// How long it took by the monotonic clock, in nanoseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runtime_ns: Option<u64>,
    }
);

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
    /// Where the next page begins, if there is more to look at; a page may be short, even empty, and still have a next one.
    pub next_cursor: Option<String>,
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
    /// The tasks of each queue.
    pub queues: Vec<QueueCounts>,
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
    /// It has ended: there is nothing to wait for.
    pub ended: bool,
    /// What it returned.
    pub result: Option<Value>,
    /// Its error.
    pub error: Option<String>,
    /// Where its latest error came from, in the words of its language.
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
