//! Tasks of a queue: one program sends them, another one receives them and works on them, and each is shown as one process of the kind
//! `task`, from the moment it was sent to its last attempt.
//!
//! What was sent is named by a [`Ticket`], which goes along in the message, by whatever queue. The receiver tells what becomes of it.
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
//! Arguments and results are recorded only where the program says so, by [`MessageBuilder::args`] and [`Work::returned`].
//! Who receives a message a second time, because the worker that had it died, says so by [`Receive::retries`].

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

/// Name of a task whose message doesn't say it.
const UNNAMED: &str = "task";

/// A task on its way, for its message. Empty but for its name and queue if the sender isn't monitored; the receiver takes it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ticket {
    /// Its id in the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The process that the task is, as a W3C `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Name of the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The queue that it goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// How often it was tried before.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Ticket {
    /// The same task for its next attempt.
    #[must_use]
    pub fn next(&self) -> Self {
        Ticket { retries: self.retries.saturating_add(1), ..self.clone() }
    }

    /// The process that the task is; none if its sender isn't monitored.
    pub fn context(&self) -> Option<Context> {
        context_of_traceparent(self.traceparent.as_deref()?)
    }

    /// Tells that the queue didn't take the task after all: nobody will receive it, and it is shown as rejected.
    pub fn reject(&self) {
        if let (Some(context), Some(native_id)) = (self.context(), self.uuid.clone()) {
            let ids = TaskIds { context, native_id, attempt: self.retries.saturating_add(1) };
            core::tell(&ids, TaskStep::Rejected { requeued: false });
        }
    }
}

/// Begins to describe a task that is being sent. Its parent is what runs here and now.
pub fn send(name: impl Into<String>) -> MessageBuilder {
    let message = TaskMessage { name: name.into(), ..TaskMessage::default() };
    MessageBuilder { is_recorded: crate::enabled(), message, uuid: None, retries: 0 }
}

/// A task that is about to be sent.
#[derive(Debug)]
#[must_use = "nothing is told until `begin` is called"]
pub struct MessageBuilder {
    is_recorded: bool,
    message: TaskMessage,
    uuid: Option<String>,
    retries: u32,
}

impl MessageBuilder {
    /// The queue that it goes through.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// The exchange that it is sent to, where the queue has such.
    pub fn exchange(mut self, exchange: impl Into<String>) -> Self {
        self.message.exchange = Some(exchange.into());
        self
    }

    /// The key that it is routed by.
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.message.routing_key = Some(key.into());
        self
    }

    /// Its id in the queue, where the queue gives one; else it gets a new one.
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.uuid = Some(uuid.into());
        self
    }

    /// Records its arguments by position.
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records its arguments by name.
    pub fn kwargs<T: Serialize + ?Sized>(mut self, kwargs: &T) -> Self {
        self.message.kwargs = json(self.is_recorded, kwargs);
        self
    }

    /// It is not to be started before.
    pub fn eta(mut self, eta: SystemTime) -> Self {
        self.message.eta = Some(eta);
        self
    }

    /// It is not to be started after.
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.message.expires = Some(expires);
        self
    }

    /// Tells that it is sent, and gives its ticket for the message.
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

/// Begins to describe a task that a worker has received. A ticket without ids, or with ids that can't be read, begins a tree of its own.
/// The place of this call is shown with the errors of the task.
#[track_caller]
pub fn receive(ticket: &Ticket) -> Receive {
    let message = TaskMessage {
        name: ticket.name.clone().unwrap_or_else(|| UNNAMED.to_owned()),
        queue: ticket.queue.clone(),
        ..TaskMessage::default()
    };
    Receive { is_recorded: crate::enabled(), ticket: ticket.clone(), message, again_after: None, place: Some(Location::caller()) }
}

/// A task that a worker has taken from its queue.
#[derive(Debug)]
#[must_use = "nothing is told until `run`, `instrument`, `begin`, `accept`, `reject` or `revoke` is called"]
pub struct Receive {
    is_recorded: bool,
    ticket: Ticket,
    message: TaskMessage,
    again_after: Option<(Duration, u32)>,
    /// Where the program receives it.
    place: Option<&'static Location<'static>>,
}

impl Receive {
    /// Its name, where the ticket doesn't say it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.message.name = name.into();
        self
    }

    /// The queue that it came through.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.message.queue = Some(queue.into());
        self
    }

    /// Its id in the queue, where the ticket doesn't say it.
    pub fn uuid(mut self, uuid: impl Into<String>) -> Self {
        self.ticket.uuid = Some(uuid.into());
        self
    }

    /// The process that it was sent by, where the ticket's ids weren't made by a sender that is monitored.
    pub fn parent(mut self, parent: Context) -> Self {
        self.message.parent = parent.process();
        self
    }

    /// How often it was tried before, where the queue counts that.
    pub fn retries(mut self, retries: u32) -> Self {
        self.ticket.retries = retries;
        self
    }

    /// Records its arguments by position.
    pub fn args<T: Serialize + ?Sized>(mut self, args: &T) -> Self {
        self.message.args = json(self.is_recorded, args);
        self
    }

    /// Records its arguments by name.
    pub fn kwargs<T: Serialize + ?Sized>(mut self, kwargs: &T) -> Self {
        self.message.kwargs = json(self.is_recorded, kwargs);
        self
    }

    /// No place in the program's source is shown with its errors, because a library receives the tasks.
    #[doc(hidden)]
    pub fn nowhere(mut self) -> Self {
        self.place = None;
        self
    }

    /// An attempt that fails is told as one that is tried again so much later, until there were `most` attempts.
    pub fn again_after(mut self, wait: Duration, most: u32) -> Self {
        self.again_after = Some((wait, most));
        self
    }

    /// Its name, and the queue that it came through.
    #[cfg(feature = "commands")]
    pub(crate) fn about(&self) -> (String, Option<String>) {
        (self.message.name.clone(), self.message.queue.clone())
    }

    /// Tells that the worker has it, where it still waits for its turn.
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

    /// Records what `run` or `instrument` returns in `Ok`.
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

    /// Calls `work` as the task. An `Err` or a panic is its failure, and what is called belongs to it.
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        self.accept().run(work)
    }

    /// Makes the task of a future: it is cancelled if it is dropped before its end. An `Err` or a panic is its failure.
    pub fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> impl Future<Output = F::Output> + use<F, Way> {
        self.accept().instrument(future)
    }

    /// Starts to work on it, by hand.
    pub fn begin(self) -> Work {
        self.accept().begin()
    }

    /// Refuses it; `requeued`: it goes back into its queue.
    pub fn reject(self, requeued: bool) {
        self.accept().reject(requeued);
    }

    /// It is not to be done any more; `expired`: it is too late for it.
    pub fn revoke(self, expired: bool) {
        self.accept().revoke(expired);
    }
}

/// A task that a worker has received, and that waits there for its turn.
#[derive(Debug)]
#[must_use = "the task waits until `run`, `instrument`, `begin`, `reject` or `revoke` is called"]
pub struct Received {
    ids: Option<TaskIds>,
    ticket: Ticket,
    name: String,
    again_after: Option<(Duration, u32)>,
    place: Option<&'static Location<'static>>,
    /// Where its result will be, if it is recorded.
    result: Option<ResultSlot>,
}

impl Received {
    /// Records what `run` or `instrument` returns in `Ok`.
    pub fn show_result(self) -> ShowResult {
        ShowResult(self)
    }

    /// Calls `work` as the task. An `Err` or a panic is its failure, and what is called belongs to it.
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        let _counted = Counted::begin(self.ids.is_some());
        match self.builder() {
            Some(builder) => builder.run(|_| work()),
            None => work(),
        }
    }

    /// Makes the task of a future: it is cancelled if it is dropped before its end. An `Err` or a panic is its failure.
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

    /// Starts to work on it, by hand.
    pub fn begin(self) -> Work {
        let counted = Counted::begin(self.ids.is_some());
        let ticket = self.ticket.clone();
        Work { process: self.builder().map(ProcessBuilder::begin), ticket, _counted: counted }
    }

    /// Refuses it; `requeued`: it goes back into its queue.
    pub fn reject(self, requeued: bool) {
        self.tell(TaskStep::Rejected { requeued });
    }

    /// It is not to be done any more; `expired`: it is too late for it.
    pub fn revoke(self, expired: bool) {
        self.tell(TaskStep::Revoked { expired });
    }

    /// Its id in the queue, and the process that it is.
    #[cfg(feature = "commands")]
    pub(crate) fn ids(&self) -> (Option<String>, Option<Context>) {
        (self.ticket.uuid.clone(), self.ids.as_ref().map(|ids| ids.context))
    }

    fn tell(&self, step: TaskStep) {
        if let Some(ids) = &self.ids {
            core::tell(ids, step);
        }
    }

    /// The process of an attempt, as it is to be started.
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
    /// Calls `work` as the task, like [`Received::run`], and records what it returns in `Ok`.
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

    /// Makes the task of a future, like [`Received::instrument`], and records what it returns in `Ok`.
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

/// Puts what was returned in `Ok` into the slot.
fn shown<T: Serialize, E>(returned: Result<T, E>, slot: Option<ResultSlot>) -> Result<T, E> {
    if let (Ok(value), Some(slot)) = (&returned, slot) {
        slot.get_or_init(|| json(true, value).unwrap_or_default());
    }
    returned
}

/// A task that is being worked on. It has succeeded if it is dropped without another call, or failed if the thread panics at that time.
///
/// It may be sent to another thread, and so isn't current: only what is called while the guard of [`enter`](Self::enter) lives becomes its child.
#[derive(Debug)]
#[must_use = "the task ends as soon as it is dropped"]
pub struct Work {
    process: Option<Process>,
    ticket: Ticket,
    _counted: Counted,
}

impl Work {
    /// What others can be started under, by [`Context::enter`]. `None` when nothing is recorded.
    pub fn context(&self) -> Option<Context> {
        self.process.as_ref().and_then(Process::context)
    }

    /// Makes it current on this thread until the guard is dropped: what is called becomes its child. Returns `None` when nothing is recorded.
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

    /// Sets a field, or sets it anew.
    pub fn field(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        if let Some(process) = &self.process {
            process.field(key, value);
        }
    }

    /// It succeeded.
    pub fn succeed(self) {
        if let Some(process) = self.process {
            process.succeed();
        }
    }

    /// It succeeded, and this is what it returned.
    pub fn returned<T: Serialize + ?Sized>(mut self, result: &T) {
        if let Some(run) = self.process.as_mut().and_then(Process::task)
            && let Some(json) = json(true, result)
        {
            run.returns(json);
        }
        self.succeed();
    }

    /// It failed for good.
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(self, error: E) {
        if let Some(process) = self.process {
            process.fail(error);
        }
    }

    /// This attempt failed, and another one is to come at that time: send its ticket.
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

    /// It is refused after it had begun; `requeued`: it goes back into its queue.
    pub fn reject(mut self, requeued: bool) {
        if let Some(run) = self.process.as_mut().and_then(Process::task) {
            run.reject(requeued);
        }
        self.cancel();
    }

    /// It was ended before it was done.
    pub fn cancel(self) {
        if let Some(process) = self.process {
            process.cancel();
        }
    }
}

/// The ids of a ticket; what it lacks is made, and kept in the ticket for its next attempt.
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

/// A value as JSON; of one that can't be written, why.
fn json<T: Serialize + ?Sized>(is_recorded: bool, value: &T) -> Option<String> {
    is_recorded.then(|| serde_json::to_string(value).unwrap_or_else(|error| format!("(no JSON: {error})")))
}

static ACTIVE: AtomicU64 = AtomicU64::new(0);
static PROCESSED: AtomicU64 = AtomicU64::new(0);

/// Counts a task while it is worked on.
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

/// How many tasks this program works on, and how many it has worked on; none if it never did.
#[cfg(feature = "ship")]
pub(crate) fn counts() -> Option<(u64, u64)> {
    let (active, processed) = (ACTIVE.load(Relaxed), PROCESSED.load(Relaxed));
    (active > 0 || processed > 0).then_some((active, processed))
}
