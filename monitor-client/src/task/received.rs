//! A task that a worker has received and not started yet.

use std::panic::Location;
use std::time::Duration;

use monitor_core::record::TaskStep;
use monitor_core::task::{self as core, ResultSlot, TaskIds, TaskRun};
use monitor_core::{Process, ProcessBuilder, Reported};
use serde::Serialize;

use super::work::Counted;
use super::{Ticket, Work, json};

/// A task that a worker has received and not started yet. Returned by [`Receive::accept`](super::Receive::accept).
///
/// # Examples
///
/// ```
/// use monitor_client::task::{self, Ticket};
///
/// let received = task::receive(&Ticket::default()).name("render").accept();
/// assert_eq!(received.run(|| "7".parse::<u32>()), Ok(7));
/// ```
#[derive(Debug)]
#[must_use = "the task waits until `run`, `instrument`, `begin`, `reject` or `revoke` is called"]
pub struct Received {
    pub(super) ids: Option<TaskIds>,
    pub(super) ticket: Ticket,
    pub(super) name: String,
    pub(super) again_after: Option<(Duration, u32)>,
    pub(super) place: Option<&'static Location<'static>>,
    /// Slot for the result. `None` if the result is not recorded.
    pub(super) result: Option<ResultSlot>,
}

impl Received {
    /// Records the value that `run` or `instrument` returns in `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// assert_eq!(received.show_result().run(|| "7".parse::<u32>()), Ok(7)); // 7 is recorded
    /// ```
    pub fn show_result(self) -> ShowResult {
        ShowResult(self)
    }

    /// Calls `work` as the task. The task fails if `work` returns an `Err` or panics. Calls made by `work` belong to the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// assert_eq!(received.run(|| "7".parse::<u32>()), Ok(7));
    /// ```
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce() -> R) -> R {
        let _counted = Counted::begin(self.ids.is_some());
        match self.builder() {
            Some(builder) => builder.run(|_| work()),
            None => work(),
        }
    }

    /// Wraps a future as the task. The task fails if the future returns an `Err` or panics, and is cancelled if
    /// the future is dropped before its end.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let size = received.instrument(async { "7".parse::<u32>() }).await;
    /// assert_eq!(size, Ok(7));
    /// # });
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// received.begin().succeed();
    /// ```
    pub fn begin(self) -> Work {
        let counted = Counted::begin(self.ids.is_some());
        let ticket = self.ticket.clone();
        Work { process: self.builder().map(ProcessBuilder::begin), ticket, _counted: counted }
    }

    /// Rejects the task. `requeued`: the message returns to its queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// received.reject(true); // the message returns to its queue
    /// ```
    pub fn reject(self, requeued: bool) {
        self.tell(TaskStep::Rejected { requeued });
    }

    /// Reports that the task must not be executed any more. `expired`: its expiry time has passed.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// received.revoke(true); // it has expired
    /// ```
    pub fn revoke(self, expired: bool) {
        self.tell(TaskStep::Revoked { expired });
    }

    /// Returns the id of the task in the queue, and its process.
    #[cfg(feature = "commands")]
    pub(crate) fn ids(&self) -> (Option<String>, Option<monitor_core::Context>) {
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

/// A received task whose result will be recorded. Returned by [`Received::show_result`].
///
/// # Examples
///
/// ```
/// use monitor_client::task::{self, Ticket};
///
/// let received = task::receive(&Ticket::default()).name("render").accept();
/// assert_eq!(received.show_result().run(|| "7".parse::<u32>()), Ok(7));
/// ```
#[derive(Debug)]
#[must_use = "the task waits until `run` or `instrument` is called"]
pub struct ShowResult(Received);

impl ShowResult {
    /// Calls `work` as the task, like [`Received::run`], and records the value that it returns in `Ok`.
    ///
    /// # Errors
    ///
    /// Returns the error of `work` unchanged.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// assert_eq!(received.show_result().run(|| "7".parse::<u32>()), Ok(7));
    /// ```
    pub fn run<T: Serialize, E, Way>(self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E>
    where
        Result<T, E>: Reported<Way>,
    {
        let (received, slot) = self.with_slot();
        received.run(|| shown(work(), slot))
    }

    /// Wraps a future as the task, like [`Received::instrument`], and records the value that it returns in `Ok`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let received = task::receive(&Ticket::default()).name("render").accept();
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let size = received.show_result().instrument(async { "7".parse::<u32>() }).await;
    /// assert_eq!(size, Ok(7));
    /// # });
    /// ```
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
