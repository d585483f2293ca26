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

use std::borrow::Cow;
use std::error::Error;
use std::panic::Location;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use monitor_core::record::{TaskMessage, TaskStep};
use monitor_core::task::{self as core, ResultSlot, TaskIds, TaskRun};
use monitor_core::{Context, CurrentGuard, Process, ProcessBuilder, Reported, Value};
use serde::{Deserialize, Serialize};

use crate::propagation::{context_of_traceparent, traceparent_of};

/// Name of a task whose message contains no name.
const UNNAMED: &str = "task";

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

/// Begins the description of a task to send. Its parent is the current process.
pub fn send(name: impl Into<String>) -> MessageBuilder {
    let message = TaskMessage { name: name.into(), ..TaskMessage::default() };
    MessageBuilder { is_recorded: crate::enabled(), message, uuid: None, retries: 0 }
}

/// Builder of a task to send.
#[derive(Debug)]
#[must_use = "nothing is told until `begin` is called"]
pub struct MessageBuilder {
    is_recorded: bool,
    message: TaskMessage,
    uuid: Option<String>,
    retries: u32,
}

impl MessageBuilder {
    /// Sets the queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// Sets the exchange that the message is sent to, for queues with exchanges.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.message.exchange = Some(exchange.into());
        self
    }

    /// Sets the routing key.
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.message.routing_key = Some(key.into());
        self
    }

    /// Sets the id of the task in the queue. By default, the task gets a new id.
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.uuid = Some(uuid.into());
        self
    }

    /// Records the positional arguments.
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records the named arguments.
    pub fn kwargs<T: Serialize + ?Sized>(mut self, kwargs: &T) -> Self {
        self.message.kwargs = json(self.is_recorded, kwargs);
        self
    }

    /// Sets the time before which the task must not start.
    pub fn eta(mut self, eta: SystemTime) -> Self {
        self.message.eta = Some(eta);
        self
    }

    /// Sets the time after which the task must not start.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.message.expires = Some(expires);
        self
    }

    /// Reports the task as sent and returns its ticket for the message.
    pub fn begin(self) -> Ticket {
        let MessageBuilder { is_recorded: _, message, uuid, retries } = self;
        let mut ticket = Ticket { uuid, name: Some(message.name.clone()), queue: message.queue.clone(), retries, ..Ticket::default() };
        if let Some((context, parent)) = core::new_ids(&message.name) {
            ticket.traceparent = traceparent_of(context);
            let native_id = ticket.uuid.get_or_insert_with(core::new_native_id).clone();
            core::tell(&TaskIds { context, native_id, attempt: 1 }, TaskStep::Sent(TaskMessage { parent, ..message }));
        }
        ticket
    }
}

/// Begins the description of a task that a worker has received. If the ticket has no ids, or ids that can't be parsed, the task begins a
/// tree of its own. The source location of this call is shown with the errors of the task.
#[track_caller]
pub fn receive(ticket: &Ticket) -> Receive {
    let message = TaskMessage {
        name: ticket.name.clone().unwrap_or_else(|| UNNAMED.to_owned()),
        queue: ticket.queue.clone(),
        ..TaskMessage::default()
    };
    Receive { is_recorded: crate::enabled(), ticket: ticket.clone(), message, again_after: None, place: Some(Location::caller()) }
}

/// A task that a worker has received from its queue.
#[derive(Debug)]
#[must_use = "nothing is told until `run`, `instrument`, `begin`, `accept`, `reject` or `revoke` is called"]
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
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.message.name = name.into();
        self
    }

    /// Sets the queue that the task was received from.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// Sets the id of the task in the queue, for tickets without one.
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.ticket.uuid = Some(uuid.into());
        self
    }

    /// Sets the process that sent the task, if the ids in the ticket are not from a monitored sender.
    pub fn parent(mut self, parent: Context) -> Self {
        self.message.parent = parent.process();
        self
    }

    /// Sets the number of earlier attempts, if the queue counts them.
    pub fn retries(mut self, retries: u32) -> Self {
        self.ticket.retries = retries;
        self
    }

    /// Records the positional arguments.
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records the named arguments.
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
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        self.accept().run(work)
    }

    /// Wraps a future as the task. The task fails if the future returns an `Err` or panics, and is cancelled if
    /// the future is dropped before its end.
    pub fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> impl Future<Output = F::Output> + use<F, Way> {
        self.accept().instrument(future)
    }

    /// Starts the task. The caller ends it through the returned [`Work`].
    pub fn begin(self) -> Work {
        self.accept().begin()
    }

    /// Rejects the task. `requeued`: the message returns to its queue.
    pub fn reject(self, requeued: bool) {
        self.accept().reject(requeued);
    }

    /// Reports that the task must not be executed any more. `expired`: its expiry time has passed.
    pub fn revoke(self, expired: bool) {
        self.accept().revoke(expired);
    }
}

/// A task that a worker has received and not started yet.
#[derive(Debug)]
#[must_use = "the task waits until `run`, `instrument`, `begin`, `reject` or `revoke` is called"]
pub struct Received {
    ids: Option<TaskIds>,
    ticket: Ticket,
    name: String,
    again_after: Option<(Duration, u32)>,
    place: Option<&'static Location<'static>>,
    /// Slot for the result. `None` if the result is not recorded.
    result: Option<ResultSlot>,
}

impl Received {
    /// Records the value that `run` or `instrument` returns in `Ok`.
    pub fn show_result(self) -> ShowResult {
        ShowResult(self)
    }

    /// Calls `work` as the task. The task fails if `work` returns an `Err` or panics. Calls made by `work` belong to the task.
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        let _counted = Counted::begin(self.ids.is_some());
        match self.builder() {
            Some(builder) => builder.run(|_| work()),
            None => work(),
        }
    }

    /// Wraps a future as the task. The task fails if the future returns an `Err` or panics, and is cancelled if
    /// the future is dropped before its end.
    pub fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> impl Future<Output = F::Output> + use<F, Way> {
        let is_recorded = self.ids.is_some();
        let builder = self.builder();
        async move {
            let _counted = Counted::begin(is_recorded);
            match builder {
                Some(builder) => builder.instrument(future).await,
                None => future.await,
            }
        }
    }

    /// Starts the task. The caller ends it through the returned [`Work`].
    pub fn begin(self) -> Work {
        let counted = Counted::begin(self.ids.is_some());
        let ticket = self.ticket.clone();
        Work { process: self.builder().map(ProcessBuilder::begin), ticket, _counted: counted }
    }

    /// Rejects the task. `requeued`: the message returns to its queue.
    pub fn reject(self, requeued: bool) {
        self.tell(TaskStep::Rejected { requeued });
    }

    /// Reports that the task must not be executed any more. `expired`: its expiry time has passed.
    pub fn revoke(self, expired: bool) {
        self.tell(TaskStep::Revoked { expired });
    }

    /// Returns the id of the task in the queue, and its process.
    #[cfg(feature = "commands")]
    pub(crate) fn ids(&self) -> (Option<String>, Option<Context>) {
        (self.ticket.uuid.clone(), self.ids.as_ref().map(|ids| ids.context))
    }

    fn tell(&self, step: TaskStep) {
        if let Some(ids) = &self.ids {
            core::tell(ids, step);
        }
    }

    /// Builder of the attempt's process. `None` if the task is not recorded.
    fn builder(self) -> Option<ProcessBuilder> {
        let TaskIds { context, native_id, attempt } = self.ids?;
        let mut run = TaskRun::new(native_id);
        if let Some((wait, most)) = self.again_after {
            run.again_after(wait, most);
        }
        if let Some(result) = self.result {
            run.returns_by(result);
        }
        Some(Process::of_task(self.name, run, self.place).root().again(context, attempt))
    }
}

/// A received task whose result will be recorded.
#[derive(Debug)]
#[must_use = "the task waits until `run` or `instrument` is called"]
pub struct ShowResult(Received);

impl ShowResult {
    /// Calls `work` as the task, like [`Received::run`], and records the value that it returns in `Ok`.
    ///
    /// # Errors
    /// The error of `work`.
    pub fn run<T: Serialize, E, Way>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        Result<T, E>: Reported<Way>,
    {
        let (received, slot) = self.with_slot();
        received.run(|| shown(work(), slot))
    }

    /// Wraps a future as the task, like [`Received::instrument`], and records the value that it returns in `Ok`.
    pub fn instrument<T: Serialize, E, Way, F>(self, future: F) -> impl Future<Output = Result<T, E>> + use<T, E, Way, F>
    where
        F: Future<Output = Result<T, E>>,
        Result<T, E>: Reported<Way>,
    {
        let (received, slot) = self.with_slot();
        received.instrument(async { shown(future.await, slot) })
    }

    fn with_slot(mut self) -> (Received, Option<ResultSlot>) {
        self.0.result = self.0.ids.is_some().then(ResultSlot::default);
        let slot = self.0.result.clone();
        (self.0, slot)
    }
}

/// Stores the value returned in `Ok` in the slot.
fn shown<T: Serialize, E>(returned: Result<T, E>, slot: Option<ResultSlot>) -> Result<T, E> {
    if let (Ok(value), Some(slot)) = (&returned, slot) {
        slot.get_or_init(|| json(true, value).unwrap_or_default());
    }
    returned
}

/// A task that is being executed. If it is dropped without another call, it has failed if the thread panics at
/// that time, and succeeded otherwise.
///
/// It can be sent to another thread, so it isn't current by itself. Calls become its children while the
/// guard of [`enter`](Self::enter) exists.
#[derive(Debug)]
#[must_use = "the task ends as soon as it is dropped"]
pub struct Work {
    process: Option<Process>,
    ticket: Ticket,
    _counted: Counted,
}

impl Work {
    /// Returns the context under which other processes can be started, by [`Context::enter`]. `None` if nothing is recorded.
    pub fn context(&self) -> Option<Context> {
        self.process.as_ref().and_then(Process::context)
    }

    /// Makes the task current on this thread until the guard is dropped. Calls made during this time become its children.
    /// Returns `None` if nothing is recorded.
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// let current = work.enter();
    /// // what is called here belongs to the task
    /// drop(current);
    /// work.returned(&24);
    /// ```
    #[must_use = "the task stops being current as soon as the guard is dropped"]
    pub fn enter(&self) -> Option<CurrentGuard> {
        self.context().map(Context::enter)
    }

    /// Sets a field, or replaces its value.
    pub fn field(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        if let Some(process) = &self.process {
            process.field(key, value);
        }
    }

    /// Ends the attempt as succeeded.
    pub fn succeed(self) {
        if let Some(process) = self.process {
            process.succeed();
        }
    }

    /// Ends the attempt as succeeded, with a result.
    pub fn returned<T: Serialize + ?Sized>(mut self, result: &T) {
        if let Some(run) = self.process.as_mut().and_then(Process::task)
            && let Some(json) = json(true, result)
        {
            run.returns(json);
        }
        self.succeed();
    }

    /// Ends the task as failed, without another attempt.
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(self, error: E) {
        if let Some(process) = self.process {
            process.fail(error);
        }
    }

    /// Ends this attempt as failed and announces the next one for `eta`. The caller sends the returned ticket.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// if let Err(error) = std::fs::read("/no/such/film") {
    ///     let again = work.retry(&error, SystemTime::now() + Duration::from_secs(10));
    ///     assert_eq!(again.retries, 1);
    /// }
    /// ```
    pub fn retry<'e, E: Into<Box<dyn Error + 'e>>>(mut self, error: E, eta: SystemTime) -> Ticket {
        if let Some(run) = self.process.as_mut().and_then(Process::task) {
            run.again_at(eta);
        }
        let next = self.ticket.next();
        self.fail(error);
        next
    }

    /// Rejects the task after its start. `requeued`: the message returns to its queue.
    pub fn reject(mut self, requeued: bool) {
        if let Some(run) = self.process.as_mut().and_then(Process::task) {
            run.reject(requeued);
        }
        self.cancel();
    }

    /// Ends the attempt as cancelled.
    pub fn cancel(self) {
        if let Some(process) = self.process {
            process.cancel();
        }
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

/// Serializes a value as JSON. If that fails, returns the reason instead.
fn json<T: Serialize + ?Sized>(is_recorded: bool, value: &T) -> Option<String> {
    is_recorded.then(|| serde_json::to_string(value).unwrap_or_else(|error| format!("(no JSON: {error})")))
}

static ACTIVE: AtomicU64 = AtomicU64::new(0);
static PROCESSED: AtomicU64 = AtomicU64::new(0);

/// Counts a task as active while it exists, and as processed when it is dropped.
#[derive(Debug)]
struct Counted(bool);

impl Counted {
    fn begin(is_recorded: bool) -> Self {
        if is_recorded {
            ACTIVE.fetch_add(1, Relaxed);
        }
        Counted(is_recorded)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0 {
            PROCESSED.fetch_add(1, Relaxed);
            ACTIVE.fetch_sub(1, Relaxed);
        }
    }
}

/// Returns the number of tasks that this program executes and has executed. `None` if it never executed one.
#[cfg(feature = "ship")]
pub(crate) fn counts() -> Option<(u64, u64)> {
    let (active, processed) = (ACTIVE.load(Relaxed), PROCESSED.load(Relaxed));
    (active > 0 || processed > 0).then_some((active, processed))
}
