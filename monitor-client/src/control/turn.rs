//! A task from its arrival at the worker to its end.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Instant, SystemTime};

use monitor_core::Reported;

use super::run::{Run, Stop};
use super::state::{Entry, Step, micros};
use super::{Inner, TaskControl};
use crate::task::{Received, Work};

/// A received task that waits for its turn. Returned by [`TaskControl::accept`].
///
/// `monitor inspect reserved` lists it, or `monitor inspect scheduled` before its earliest start.
///
/// # Examples
///
/// ```
/// use monitor_client::control::TaskControl;
/// use monitor_client::task::{self, Ticket};
///
/// let control = TaskControl::new(4);
/// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
/// let held = control.accept(task::receive(&ticket));
/// let turn = held.start().expect("the task was not revoked");
/// turn.run(|_permit| println!("the task is executed"));
/// ```
#[must_use = "the task waits until `start` or `ready` is called"]
pub struct Held {
    pub(super) listed: Listed,
    pub(super) received: Received,
}

/// Entry of a task in the list. Dropping it removes the entry.
pub(super) struct Listed {
    pub(super) inner: Arc<Inner>,
    pub(super) id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.inner.state().remove(self.id);
        self.inner.changed();
    }
}

impl Held {
    /// Sets the earliest start of the task.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let held = control.accept(task::receive(&ticket)).not_before(std::time::SystemTime::now());
    /// held.start().expect("the task was not revoked").run(|_permit| println!("the task is executed"));
    /// ```
    pub fn not_before(self, eta: SystemTime) -> Self {
        if let Some(task) = self.listed.inner.state().entry(self.listed.id) {
            task.eta = Some(eta);
        }
        self
    }

    /// Blocks until the task may start: after its earliest start, the end of a pause, and its rate limit,
    /// and with a free place in the pool.
    ///
    /// # Errors
    ///
    /// Returns an error if the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// match control.accept(task::receive(&ticket)).start() {
    ///     Ok(turn) => turn.run(|_permit| println!("the task is executed")),
    ///     Err(why) => println!("the task is not executed: {why}"),
    /// }
    /// ```
    pub fn start(self) -> Result<Turn, Stop> {
        let inner = self.listed.inner.clone();
        let mut state = inner.state();
        loop {
            let until = match state.step(self.listed.id) {
                Step::Go(run) => {
                    drop(state);
                    return Ok(self.begins(run));
                }
                Step::Never(why) => {
                    drop(state);
                    return Err(self.never(why));
                }
                Step::Wait(until) => until,
            };
            state = inner.wait(state, until);
        }
    }

    /// Waits like [`start`](Self::start), asynchronously.
    ///
    /// # Errors
    ///
    /// Returns an error if the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// match control.accept(task::receive(&ticket)).ready().await {
    ///     Ok(turn) => turn.instrument(async {}).await.expect("the task was not stopped"),
    ///     Err(why) => println!("the task is not executed: {why}"),
    /// }
    /// # });
    /// ```
    pub async fn ready(self) -> Result<Turn, Stop> {
        self.ready_unless(|_| false).await
    }

    /// Waits like [`ready`](Self::ready), and returns the task to its queue when `is_ending` returns true. `is_ending` is called at every
    /// poll and can keep the waker to wake the task.
    ///
    /// # Errors
    ///
    /// Returns an error if the task must not run. It is then reported as revoked, or as returned to its queue if the worker ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let is_ending = std::sync::atomic::AtomicBool::new(true);
    /// let held = control.accept(task::receive(&ticket));
    /// let turn = held.ready_unless(|_waker| is_ending.load(std::sync::atomic::Ordering::Relaxed)).await;
    /// assert!(turn.is_err()); // the worker ends, and the task returns to its queue
    /// # });
    /// ```
    pub async fn ready_unless(self, is_ending: impl Fn(&Waker) -> bool) -> Result<Turn, Stop> {
        let inner = self.listed.inner.clone();
        let step = poll_fn(|cx| {
            if is_ending(cx.waker()) {
                return Poll::Ready(Err(Stop::Shutdown));
            }
            let mut state = inner.state();
            let until = match state.step(self.listed.id) {
                Step::Go(run) => return Poll::Ready(Ok(run)),
                Step::Never(why) => return Poll::Ready(Err(why)),
                Step::Wait(until) => until,
            };
            state.wake_later(cx.waker());
            drop(state);
            if let Some(until) = until {
                inner.alarm(until);
            }
            Poll::Pending
        });
        match step.await {
            Ok(run) => Ok(self.begins(run)),
            Err(why) => Err(self.never(why)),
        }
    }

    fn begins(self, run: Arc<Run>) -> Turn {
        if let Some(hard) = run.hard {
            self.listed.inner.alarm(hard);
        }
        Turn { received: self.received, permit: Permit { run, _listed: self.listed } }
    }

    fn never(self, why: Stop) -> Stop {
        match why {
            Stop::Revoked => self.received.revoke(false),
            _ => self.received.reject(true),
        }
        why
    }
}

/// A task that may start now.
///
/// # Examples
///
/// ```
/// use monitor_client::control::TaskControl;
/// use monitor_client::task::{self, Ticket};
///
/// let control = TaskControl::new(4);
/// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
/// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
/// let size = turn.run(|_permit| "7".parse::<u32>());
/// assert_eq!(size, Ok(7));
/// ```
#[must_use = "the task begins when `run`, `instrument` or `begin` is called"]
pub struct Turn {
    received: Received,
    permit: Permit,
}

impl Turn {
    /// Calls `work` as the task. The task fails if `work` returns an `Err` or panics. Long work should check the permit or
    /// `cancel::requested()` to see if the task must end.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
    /// let frames = turn.run(|permit| {
    ///     for frame in 0..100 {
    ///         if permit.stopped().is_some() {
    ///             return Err("the task was stopped");
    ///         }
    ///         println!("frame {frame}");
    ///     }
    ///     Ok(100)
    /// });
    /// assert_eq!(frames, Ok(100));
    /// ```
    pub fn run<R: Reported<Way>, Way>(self, work: impl FnOnce(&Permit) -> R) -> R {
        let permit = self.permit;
        self.received.run(|| work(&permit))
    }

    /// Runs a future as the task. If the task must end, the future is dropped and the task is cancelled.
    ///
    /// # Errors
    ///
    /// Returns an error if the task had to end before the future was ready. The error is the reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let turn = control.accept(task::receive(&ticket)).ready().await.expect("the task was not revoked");
    /// let size = turn.instrument(async { "7".parse::<u32>() }).await;
    /// assert_eq!(size, Ok(Ok(7)));
    /// # });
    /// ```
    pub async fn instrument<F: Future<Output: Reported<Way>>, Way>(self, future: F) -> Result<F::Output, Stop> {
        let permit = self.permit;
        permit.run.until_stopped(self.received.instrument(future)).await
    }

    /// Starts the task. The caller ends it through [`Work`]. The permit is its place in the pool.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
    /// let (work, _permit) = turn.begin();
    /// work.succeed();
    /// ```
    pub fn begin(self) -> (Work, Permit) {
        (self.received.begin(), self.permit)
    }
}

/// A place in the pool, which is free again when the permit is dropped.
///
/// # Examples
///
/// ```
/// use monitor_client::control::TaskControl;
/// use monitor_client::task::{self, Ticket};
///
/// let control = TaskControl::new(4);
/// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
/// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
/// turn.run(|permit| assert_eq!(permit.stopped(), None));
/// ```
#[must_use = "the place in the pool is free again once the permit is dropped"]
pub struct Permit {
    run: Arc<Run>,
    _listed: Listed,
}

impl Permit {
    /// Returns the reason why the task must end. `None` if it may continue.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
    /// turn.run(|permit| match permit.stopped() {
    ///     Some(why) => println!("{why}: clean up and return"),
    ///     None => println!("continue"),
    /// });
    /// ```
    pub fn stopped(&self) -> Option<Stop> {
        self.run.stopped().or_else(|| {
            let is_over = self.run.hard.is_some_and(|hard| Instant::now() >= hard);
            is_over.then_some(Stop::TimeLimit)
        })
    }

    /// Polls work of the task until it is ready or the task must end. In the latter case, the future is dropped.
    ///
    /// # Errors
    ///
    /// Returns an error if the task had to end before the future was ready. The error is the reason.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let turn = control.accept(task::receive(&ticket)).ready().await.expect("the task was not revoked");
    /// let (work, permit) = turn.begin();
    /// match permit.until_stopped(async { 7 }).await {
    ///     Ok(size) => work.returned(&size),
    ///     Err(why) => work.fail(why),
    /// }
    /// # });
    /// ```
    pub async fn until_stopped<F: Future>(&self, work: F) -> Result<F::Output, Stop> {
        self.run.until_stopped(work).await
    }

    /// Returns true if the task has exceeded its soft time limit and should end by itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let turn = control.accept(task::receive(&ticket)).start().expect("the task was not revoked");
    /// turn.run(|permit| {
    ///     if permit.is_late() {
    ///         println!("finish soon: the hard time limit follows");
    ///     }
    /// });
    /// ```
    pub fn is_late(&self) -> bool {
        self.run.is_late()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.run.close();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.received).finish()
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Turn").field(&self.received).finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.run).finish()
    }
}

impl TaskControl {
    /// Polls if the worker can accept one more task of this queue, or of any queue for `None`.
    ///
    /// It can if it reads from the queue, is neither paused nor ending, and has fewer tasks than may run at once. The caller is woken after
    /// every change, even if this method returned `Ready`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    ///
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).from_queues(["video"]);
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// poll_fn(|cx| control.poll_room(Some("video"), cx)).await;
    /// println!("receive a task from the queue");
    /// # });
    /// ```
    pub fn poll_room(&self, queue: Option<&str>, cx: &mut task::Context<'_>) -> Poll<()> {
        let (has_room, until) = {
            let mut state = self.inner.state();
            state.wake_later(cx.waker());
            state.room(queue, Instant::now())
        };
        if has_room {
            return Poll::Ready(());
        }
        if let Some(until) = until {
            self.inner.alarm(until);
        }
        Poll::Pending
    }

    /// Accepts a received task: reports it as received, and lists it until it starts.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task::{self, Ticket};
    ///
    /// let control = TaskControl::new(4);
    /// let ticket = Ticket { name: Some("render".to_owned()), ..Ticket::default() };
    /// let held = control.accept(task::receive(&ticket));
    /// held.start().expect("the task was not revoked").run(|_permit| println!("the task is executed"));
    /// ```
    pub fn accept(&self, receive: crate::task::Receive) -> Held {
        let (name, queue) = receive.about();
        let received = receive.accept();
        let (uuid, context) = received.ids();
        let task = Entry { uuid, name, queue, context, received_us: micros(SystemTime::now()), eta: None, run: None };
        let id = self.inner.state().add(task);
        Held { listed: Listed { inner: self.inner.clone(), id }, received }
    }
}
