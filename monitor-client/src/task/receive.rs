//! A task that a worker receives.

use std::panic::Location;
use std::time::Duration;

use monitor_core::record::{TaskMessage, TaskStep};
use monitor_core::task::{self as core, TaskIds};
use monitor_core::{Context, Reported};
use serde::Serialize;

use super::{Received, ShowResult, Ticket, Work, json};
use crate::propagation::traceparent_of;

/// Name of a task whose message contains no name.
const UNNAMED: &str = "task";

/// Begins the description of a task that a worker has received.
///
/// If the ticket has no ids, or ids that can't be parsed, the task begins a run of its own. The source location of this call is shown with
/// the errors of the task.
///
/// # Examples
///
/// ```
/// use monitor_client::task::{self, Ticket};
///
/// let size = task::receive(&Ticket::default()).name("render").run(|| "7".parse::<u32>());
/// assert_eq!(size, Ok(7));
/// ```
#[track_caller]
pub fn receive(ticket: &Ticket) -> Receive {
    let message = TaskMessage {
        name: ticket.name.clone().unwrap_or_else(|| UNNAMED.to_owned()),
        queue: ticket.queue.clone(),
        ..TaskMessage::default()
    };
    Receive { is_recorded: crate::enabled(), ticket: ticket.clone(), message, again_after: None, place: Some(Location::caller()) }
}

/// A task that a worker has received from its queue. Created by [`receive`].
///
/// # Examples
///
/// ```
/// use monitor_client::task::{self, Ticket};
///
/// let size = task::receive(&Ticket::default()).name("render").queue("video").run(|| "7".parse::<u32>());
/// assert_eq!(size, Ok(7));
/// ```
#[derive(Debug)]
#[must_use = "nothing is recorded until `run`, `instrument`, `begin`, `accept`, `reject` or `revoke` is called"]
pub struct Receive {
    is_recorded: bool,
    ticket: Ticket,
    message: TaskMessage,
    again_after: Option<(Duration, u32)>,
    /// Source location of the call that receives the task.
    place: Option<&'static Location<'static>>,
}

impl Receive {
    /// Sets the name of the task, for tickets without one.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.message.name = name.into();
        self
    }

    /// Sets the queue that the task was received from.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").queue("video").run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// Sets the id of the task in the queue, for tickets without one.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").uuid("5f0c1d6e").run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.ticket.uuid = Some(uuid.into());
        self
    }

    /// Sets the process that sent the task, if the ids in the ticket are not from a monitored sender.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let sender = Context::new(7, 8).expect("ids are not zero"); // as the queue's own header contains them
    /// let size = task::receive(&Ticket::default()).name("render").parent(sender).run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn parent(mut self, parent: Context) -> Self {
        self.message.parent = parent.process();
        self
    }

    /// Sets the number of earlier attempts, if the queue counts them.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").retries(2).run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn retries(mut self, retries: u32) -> Self {
        self.ticket.retries = retries;
        self
    }

    /// Records the positional arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").args(&("a.mov", 1080)).run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records the named arguments.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let width = serde_json::json!({ "width": 1080 });
    /// let size = task::receive(&Ticket::default()).name("render").kwargs(&width).run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn kwargs<T: Serialize + ?Sized>(mut self, kwargs: &T) -> Self {
        self.message.kwargs = json(self.is_recorded, kwargs);
        self
    }

    /// Removes the source location from the task's errors. For libraries that receive tasks on behalf of a program.
    #[doc(hidden)]
    pub fn nowhere(mut self) -> Self {
        self.place = None;
        self
    }

    /// Reports a failed attempt as one that is retried after `wait`, up to `most` attempts.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let wait = std::time::Duration::from_secs(10);
    /// let size = task::receive(&Ticket::default()).name("render").again_after(wait, 3).run(|| "many".parse::<u32>());
    /// assert!(size.is_err()); // the queue delivers the task again in 10 s
    /// ```
    pub fn again_after(mut self, wait: Duration, most: u32) -> Self {
        self.again_after = Some((wait, most));
        self
    }

    /// Returns the name and the queue of the task.
    #[cfg(feature = "commands")]
    pub(crate) fn about(&self) -> (String, Option<String>) {
        (self.message.name.clone(), self.message.queue.clone())
    }

    /// Reports that the worker has received the task, which may still wait before it starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// // The task waits for a free thread.
    /// assert_eq!(received.run(|| "7".parse::<u32>()), Ok(7));
    /// ```
    pub fn accept(self) -> Received {
        let Receive { is_recorded, mut ticket, message, again_after, place } = self;
        let is_recorded = is_recorded && core::is_told(&message.name);
        let name = if is_recorded { message.name.clone() } else { String::new() };
        let ids = if is_recorded { ids_of(&mut ticket) } else { None };
        if let Some(ids) = &ids {
            core::tell(ids, TaskStep::Received(message));
        }
        Received { ids, ticket, name, again_after, place, result: None }
    }

    /// Records the value that `run` or `instrument` returns in `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").show_result().run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn show_result(self) -> ShowResult {
        self.accept().show_result()
    }

    /// Calls `work` as the task. The task fails if `work` returns an `Err` or panics. Calls made by `work` belong to the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let size = task::receive(&Ticket::default()).name("render").run(|| "7".parse::<u32>());
    /// assert_eq!(size, Ok(7));
    /// ```
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        self.accept().run(work)
    }

    /// Wraps a future as the task. The task fails if the future returns an `Err` or panics, and is cancelled if
    /// the future is dropped before its end.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let size = task::receive(&Ticket::default()).name("render").instrument(async { "7".parse::<u32>() }).await;
    /// assert_eq!(size, Ok(7));
    /// # });
    /// ```
    pub fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> impl Future<Output = F::Output> + use<F, Way> {
        self.accept().instrument(future)
    }

    /// Starts the task. The caller ends it through the returned [`Work`].
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// match std::fs::metadata("/no/such/film") {
    ///     Ok(film) => work.returned(&film.len()),
    ///     Err(error) => work.fail(error),
    /// }
    /// ```
    pub fn begin(self) -> Work {
        self.accept().begin()
    }

    /// Rejects the task. `requeued`: the message returns to its queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// task::receive(&Ticket::default()).name("render").reject(true); // the message returns to its queue
    /// ```
    pub fn reject(self, requeued: bool) {
        self.accept().reject(requeued);
    }

    /// Reports that the task must not be executed any more. `expired`: its expiry time has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// task::receive(&Ticket::default()).name("render").revoke(false);
    /// ```
    pub fn revoke(self, expired: bool) {
        self.accept().revoke(expired);
    }
}

/// Returns the ids of a ticket. Missing ids are created and stored in the ticket for its next attempt.
fn ids_of(ticket: &mut Ticket) -> Option<TaskIds> {
    let context = if let Some(context) = ticket.context() {
        context
    } else {
        let context = core::new_tree()?;
        ticket.traceparent = traceparent_of(context);
        context
    };
    let native_id = ticket.uuid.get_or_insert_with(core::new_native_id).clone();
    Some(TaskIds { context, native_id, attempt: ticket.retries.saturating_add(1) })
}
