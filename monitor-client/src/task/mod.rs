//! Tasks of a queue.
//!
//! One program sends a task, and another program executes it. Both report events of the same process of kind `task`, which lasts from the
//! sending of the message to the last attempt. A [`Ticket`] identifies the task: the sender adds it to the message, in any kind of queue,
//! and the worker reports the attempts with it.
//!
//! - The sender calls [`send`], which returns a [`MessageBuilder`]. Its [`begin`](MessageBuilder::begin) returns the ticket.
//! - The worker calls [`receive`] with the ticket, and then [`run`](Receive::run) or [`instrument`](Receive::instrument). If the end of the
//!   task is not the end of a function, it calls [`begin`](Receive::begin) and ends the returned [`Work`].
//! - A program that sends a task to a worker of Celery adds [`celery_headers`] to its message. The worker reports its events itself.
//! - A worker whose tasks operators can pause, limit and revoke uses the module [`control`](crate::control).
//!
//! # Examples
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

mod celery;
mod receive;
mod received;
mod send;
mod work;

use monitor_core::Context;
use monitor_core::record::TaskStep;
use monitor_core::task::{self as core, TaskIds};
use serde::{Deserialize, Serialize};

pub use self::celery::celery_headers;
pub use self::receive::{Receive, receive};
pub use self::received::{Received, ShowResult};
pub use self::send::{MessageBuilder, send};
pub use self::work::Work;
#[cfg(feature = "ship")]
pub(crate) use self::work::counts;
use crate::propagation::context_of_traceparent;

/// The ids of a sent task, for its message.
///
/// If the sender isn't monitored, the ticket contains only the name and the queue. The worker accepts such a ticket, too.
///
/// # Examples
///
/// ```
/// use monitor_client::task;
///
/// let ticket = task::send("render").queue("video").begin();
/// let message = serde_json::to_string(&ticket).unwrap();
/// let received: task::Ticket = serde_json::from_str(&message).unwrap();
/// assert_eq!(received, ticket);
/// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// let first = task::send("render").begin();
    /// let second = first.next();
    /// assert_eq!((first.retries, second.retries), (0, 1));
    /// assert_eq!(first.uuid, second.uuid);
    /// ```
    #[must_use]
    pub fn next(&self) -> Self {
        Ticket { retries: self.retries.saturating_add(1), ..self.clone() }
    }

    /// Returns the process of the task. `None` if the sender isn't monitored.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// assert_eq!(Ticket::default().context(), None);
    ///
    /// let ticket = task::send("render").begin();
    /// let is_recorded = ticket.context().is_some();
    /// # assert!(!is_recorded);
    /// ```
    pub fn context(&self) -> Option<Context> {
        context_of_traceparent(self.traceparent.as_deref()?)
    }

    /// Reports that the queue did not accept the task. No worker will receive it, and its state is rejected.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task;
    ///
    /// # fn push(_: &str) -> Result<(), &'static str> { Err("the queue is full") }
    /// let ticket = task::send("render").begin();
    /// let message = serde_json::to_string(&ticket).unwrap();
    /// if push(&message).is_err() {
    ///     ticket.reject();
    /// }
    /// ```
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
