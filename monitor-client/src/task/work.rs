//! A task that is being executed, and the number of such tasks.

use std::borrow::Cow;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use monitor_core::{Context, CurrentGuard, Process, Value};
use serde::Serialize;

use super::{Ticket, json};

/// A task that is being executed. Returned by [`Receive::begin`](super::Receive::begin).
///
/// If it is dropped without another call, the task has failed if the thread panics at that time, and succeeded otherwise.
///
/// It can be sent to another thread, so it is not the current process by itself. Calls become its children while the guard of
/// [`enter`](Self::enter) exists.
///
/// # Examples
///
/// ```
/// use monitor_client::task::{self, Ticket};
///
/// let work = task::receive(&Ticket::default()).name("render").begin();
/// work.field("frames", 24);
/// std::thread::spawn(move || work.succeed()).join().unwrap();
/// ```
#[derive(Debug)]
#[must_use = "the task ends as soon as it is dropped"]
pub struct Work {
    pub(super) process: Option<Process>,
    pub(super) ticket: Ticket,
    pub(super) _counted: Counted,
}

impl Work {
    /// Returns the context under which other processes can be started, by [`Context::enter`]. `None` if nothing is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::Context;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// let context = work.context();
    /// std::thread::spawn(move || {
    ///     let _current = context.map(Context::enter);
    ///     // Calls at this point belong to the task.
    /// });
    /// ```
    pub fn context(&self) -> Option<Context> {
        self.process.as_ref().and_then(Process::context)
    }

    /// Makes the task current on this thread until the guard is dropped. Calls made during this time become its children.
    /// Returns `None` if nothing is recorded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// let current = work.enter();
    /// // Calls at this point belong to the task.
    /// drop(current);
    /// work.returned(&24);
    /// ```
    #[must_use = "the task stops being current as soon as the guard is dropped"]
    pub fn enter(&self) -> Option<CurrentGuard> {
        self.context().map(Context::enter)
    }

    /// Sets a field, or replaces its value.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.field("frames", 24);
    /// work.succeed();
    /// ```
    pub fn field(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        if let Some(process) = &self.process {
            process.field(key, value);
        }
    }

    /// Ends the attempt as succeeded.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.succeed();
    /// ```
    pub fn succeed(self) {
        if let Some(process) = self.process {
            process.succeed();
        }
    }

    /// Ends the attempt as succeeded, with a result.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.returned(&24);
    /// ```
    pub fn returned<T: Serialize + ?Sized>(mut self, result: &T) {
        if let Some(run) = self.process.as_mut().and_then(Process::task)
            && let Some(json) = json(true, result)
        {
            run.returns(json);
        }
        self.succeed();
    }

    /// Ends the task as failed, without another attempt.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.fail("the film is damaged");
    /// ```
    pub fn fail<'e, E: Into<Box<dyn Error + 'e>>>(self, error: E) {
        if let Some(process) = self.process {
            process.fail(error);
        }
    }

    /// Ends this attempt as failed and announces the next one for `eta`. The caller sends the returned ticket.
    ///
    /// # Examples
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
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.reject(true); // the message returns to its queue
    /// ```
    pub fn reject(mut self, requeued: bool) {
        if let Some(run) = self.process.as_mut().and_then(Process::task) {
            run.reject(requeued);
        }
        self.cancel();
    }

    /// Ends the attempt as cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let work = task::receive(&Ticket::default()).name("render").begin();
    /// work.cancel();
    /// ```
    pub fn cancel(self) {
        if let Some(process) = self.process {
            process.cancel();
        }
    }
}

static ACTIVE: AtomicU64 = AtomicU64::new(0);
static PROCESSED: AtomicU64 = AtomicU64::new(0);

/// Counts a task as active while it exists, and as processed when it is dropped.
#[derive(Debug)]
pub(super) struct Counted(bool);

impl Counted {
    pub(super) fn begin(is_recorded: bool) -> Self {
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
