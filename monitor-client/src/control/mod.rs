//! Control of queue tasks by `monitor control`, the page and `POST /api/v1/commands`, for programs that read their tasks from a queue
//! themselves.
//!
//! A [`TaskControl`] keeps the settings made by operators: the start rates and time limits of tasks by name, the number of concurrent tasks, a
//! pause, the queues, and the revoked tasks. The worker passes each task through it:
//! 1. [`TaskControl::accept`] returns a [`Held`] task.
//! 2. [`Held::start`] or [`Held::ready`] waits until the task may start, and returns a [`Turn`].
//! 3. [`Turn::run`] or [`Turn::instrument`] executes the task. Its [`Permit`] shows if the task must end.
//!
//! # Examples
//!
//! ```
//! use monitor_client::control::TaskControl;
//! use monitor_client::task::{self, Ticket};
//!
//! let control = TaskControl::new(4).from_queues(["video"]).register();
//!
//! // In each thread of the worker:
//! # let mut queue = vec![Ticket { name: Some("render".to_owned()), ..Ticket::default() }];
//! # let render = || Ok::<u64, std::io::Error>(7);
//! while !control.is_stopping() {
//!     let Some(ticket) = queue.pop() else { break };          // from one of `control.queues()`
//!     let held = control.accept(task::receive(&ticket));
//!     match held.start() {                                    // waits for its turn
//!         Ok(turn) => drop(turn.run(|_permit| render())),
//!         Err(why) => eprintln!("not run: {why}"),            // revoked; or the worker ends: put it back
//!     }
//! }
//! ```
//!
//! A program that can add tasks to its queue by name, discard waiting tasks, or run a task again sets functions for `monitor call`,
//! `monitor purge` and `monitor retry`: [`TaskControl::on_call`], [`on_purge`](TaskControl::on_purge), [`on_retry`](TaskControl::on_retry).
//! A program that can restart sets [`on_restart`](TaskControl::on_restart) and [`on_pool_restart`](TaskControl::on_pool_restart).
//!
//! Methods that change something are executed only if `MONITOR_COMMANDS` allows it. A program that forks
//! creates the [`TaskControl`] in the child.

mod alarms;
mod hooks;
mod limits;
mod run;
mod state;
mod turn;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use monitor_wire::{Fields, Order};
pub use monitor_wire::{QueuePurge, TaskCall};
use serde_json::Value;

use self::alarms::Alarms;
use self::hooks::Hooks;
use self::limits::Bounds;
#[cfg(feature = "ship")]
pub(crate) use self::limits::Timed;
pub use self::run::Stop;
use self::state::State;
pub use self::turn::{Held, Permit, Turn};
use crate::commands::{self, TaskSource};

/// The operators' settings for this worker, and its tasks. Clones share the same state.
///
/// # Examples
///
/// ```
/// use monitor_client::control::TaskControl;
///
/// let control = TaskControl::new(4).from_queues(["video"]);
/// let same = control.clone();
/// assert_eq!(same.size(), 4);
/// assert_eq!(same.queues(), ["video"]);
/// ```
#[derive(Clone)]
pub struct TaskControl {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Notified when something has changed for tasks that wait for their turn.
    turn: Condvar,
    alarms: Arc<Alarms>,
    listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
    conf: OnceLock<Value>,
    hooks: Hooks,
}

impl TaskControl {
    /// Creates the control of a pool that runs up to `size` tasks at once. The minimum is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// assert_eq!(TaskControl::new(4).size(), 4);
    /// assert_eq!(TaskControl::new(0).size(), 1);
    /// ```
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self::with_bounds(Bounds { min: size, max: size })
    }

    /// Creates the control of a pool that runs all available tasks at once, within `min` and `max`.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::autoscaled(2, 8);
    /// assert!((2..=8).contains(&control.size()));
    /// ```
    pub fn autoscaled(min: usize, max: usize) -> Self {
        let max = max.max(1);
        Self::with_bounds(Bounds { min: min.min(max), max })
    }

    fn with_bounds(pool: Bounds) -> Self {
        let inner = Inner {
            state: Mutex::new(State::new(pool)),
            turn: Condvar::new(),
            alarms: Arc::default(),
            listener: OnceLock::new(),
            conf: OnceLock::new(),
            hooks: Hooks::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Sets the queues that the worker reads tasks from. Operators can change them.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).from_queues(["video", "audio"]);
    /// assert_eq!(control.queues(), ["video", "audio"]);
    /// ```
    #[must_use]
    pub fn from_queues(self, queues: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.inner.state().queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the settings that `conf` shows. Values named password, token, secret or key are masked.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).conf(serde_json::json!({ "prefetch": 16, "password": "shown as masked" }));
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn conf(self, conf: Value) -> Self {
        let _ = self.inner.conf.set(conf);
        self
    }

    /// Registers this control as the source that answers for the program's tasks, unless there already is one.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).register();
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn register(self) -> Self {
        commands::register_source(self.clone());
        self
    }

    /// Calls `listener` after every order, which may have changed the queues or stopped the worker. Only the first listener is called.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).from_queues(["video"]);
    /// let (wake, woken) = std::sync::mpsc::channel();
    /// control.on_change(move || drop(wake.send(())));
    /// assert!(woken.try_recv().is_err()); // no order was received yet
    /// ```
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        let _ = self.inner.listener.set(Box::new(listener));
    }

    /// Returns the queues to read tasks from.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).from_queues(["video"]);
    /// for queue in control.queues() {
    ///     println!("read a task from {queue}");
    /// }
    /// ```
    pub fn queues(&self) -> Vec<String> {
        self.inner.state().queues.clone()
    }

    /// Returns true if the worker must end and not accept more tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4);
    /// assert!(!control.is_stopping());
    /// ```
    pub fn is_stopping(&self) -> bool {
        self.inner.state().is_stopping
    }

    /// Returns the current maximum number of concurrent tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// assert_eq!(TaskControl::new(4).size(), 4);
    /// ```
    pub fn size(&self) -> usize {
        self.inner.state().size(Instant::now())
    }
}

impl TaskSource for TaskControl {
    fn methods(&self) -> &[&str] {
        self.inner.hooks.methods()
    }

    fn handle(&self, order: Order) -> Result<Value, String> {
        if let Some(answered) = self.inner.hooks.handle(&order) {
            return answered;
        }
        if order == Order::Queues {
            let known = self.inner.state().lengths();
            return self.inner.hooks.queues(known);
        }
        let (answer, ended) = self.inner.state().handle(order)?;
        for run in ended {
            run.end();
        }
        self.inner.changed();
        if let Some(listener) = self.inner.listener.get() {
            listener();
        }
        Ok(answer)
    }

    fn stats(&self) -> Fields {
        let now = Instant::now();
        let mut state = self.inner.state();
        let queues = state.queues.clone().into();
        [("pool", state.pool(now)), ("limits", state.limits(now)), ("queues", queues)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    fn conf(&self) -> Value {
        self.inner.conf.get().cloned().unwrap_or_default()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed, or until `until`.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        let Some(until) = until else { return self.turn.wait(state).unwrap_or_else(PoisonError::into_inner) };
        let wait = until.saturating_duration_since(Instant::now());
        self.turn.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes all tasks that wait for their turn.
    fn changed(&self) {
        let wakers = std::mem::take(&mut self.state().wakers);
        self.turn.notify_all();
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Sets an alarm: at `moment`, ends runs that exceed their hard time limit and wakes the waiting tasks.
    fn alarm(self: &Arc<Self>, moment: Instant) {
        let inner = Arc::downgrade(self);
        self.alarms.at(moment, move || {
            let Some(inner) = inner.upgrade() else { return ControlFlow::Break(()) };
            let (overdue, next) = inner.state().overdue(Instant::now());
            for run in overdue {
                run.note(Stop::TimeLimit);
                run.end();
            }
            inner.changed();
            ControlFlow::Continue(next)
        });
    }
}

impl fmt::Debug for TaskControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskControl").field(&self.inner.state()).finish()
    }
}
