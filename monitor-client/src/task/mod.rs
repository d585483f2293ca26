//! Tasks of a queue. One program sends a task and another one executes it. Both report events of the same process of kind `task`, which
//! lasts from the sending of the message to the last attempt.
//!
//! A [`Ticket`] identifies the task. The sender puts it into the message, for any kind of queue, and the
//! receiver reports the attempts with it.
//!
//! ```
//! use monitor_client::task::{self, Ticket};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Message {
//!     film: String,
//!     ticket: Ticket,
//! }
//!
//! # let queue: &mut Vec<String> = &mut Vec::new();
//! // The sender.
//! let ticket = task::send("render").queue("video").begin();
//! queue.push(serde_json::to_string(&Message { film: "a.mov".to_owned(), ticket }).unwrap());
//!
//! // The worker.
//! let message: Message = serde_json::from_str(&queue.pop().unwrap()).unwrap();
//! let size = task::receive(&message.ticket).run(|| std::fs::metadata(&message.film));
//! # assert!(size.is_err());
//! ```
//!
//! Arguments and results are recorded only if the program calls [`MessageBuilder::args`] or [`Work::returned`]. A worker that receives a
//! message again because the previous worker died calls [`Receive::retries`].

mod receive;
mod received;
mod send;
mod work;

use monitor_core::Context;
use monitor_core::record::TaskStep;
use monitor_core::task::{self as core, TaskIds};
use serde::{Deserialize, Serialize};

pub use self::receive::{Receive, receive};
pub use self::received::{Received, ShowResult};
pub use self::send::{MessageBuilder, send};
pub use self::work::Work;
#[cfg(feature = "ship")]
pub(crate) use self::work::counts;
use crate::propagation::context_of_traceparent;

/// The ids of a sent task, for its message. If the sender isn't monitored, a ticket contains only the name and queue, and
/// the receiver accepts it unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticket {
    /// Id of the task in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Process of the task, as a W3C `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Name of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Queue of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Number of earlier attempts.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Ticket {
    /// Returns the ticket for the next attempt of the task.
    #[must_use]
    pub fn next(&self) -> Self {
        Ticket { retries: self.retries.saturating_add(1), ..self.clone() }
    }

    /// Returns the process of the task. `None` if the sender isn't monitored.
    pub fn context(&self) -> Option<Context> {
        context_of_traceparent(self.traceparent.as_deref()?)
    }

    /// Reports that the queue did not accept the task. No worker will receive it, and its state is rejected.
    pub fn reject(&self) {
        if let (Some(context), Some(native_id)) = (self.context(), self.uuid.clone()) {
            let ids = TaskIds { context, native_id, attempt: self.retries.saturating_add(1) };
            core::tell(&ids, TaskStep::Rejected { requeued: false });
        }
    }
}

/// Serializes a value as JSON. If that fails, returns the reason instead.
fn json<T: Serialize + ?Sized>(is_recorded: bool, value: &T) -> Option<String> {
    is_recorded.then(|| serde_json::to_string(value).unwrap_or_else(|error| format!("(no JSON: {error})")))
}
