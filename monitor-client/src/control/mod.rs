//! Tasks of a queue under control: what `monitor control`, the page and `POST /api/v1/commands` may say of them to a worker, for programs
//! that take their tasks from a queue by themselves.
//!
//! A [`TaskControl`] keeps what operators have said: limits of how often tasks of a name begin and how long they take, how many run at
//! once, a pause, the queues, and which tasks were revoked. The worker asks it before it runs a task.
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
//! A program that can put tasks into its queue by name, throw away what waits there, or have a task run again, says how, and `monitor call`,
//! `monitor purge` and `monitor retry` do it: [`TaskControl::on_call`], [`on_purge`](TaskControl::on_purge), [`on_retry`](TaskControl::on_retry).
//! One that can begin anew says how by [`on_restart`](TaskControl::on_restart) and [`on_pool_restart`](TaskControl::on_pool_restart).
//!
//! What changes something is done where `MONITOR_COMMANDS` allows it. A program that forks makes it in the child.

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

/// What operators have said to this worker, and the tasks that it has. Clones are the same one.
#[derive(Clone)]
pub struct TaskControl {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// Something has changed for those who wait for their turn.
    turn: Condvar,
    alarms: Arc<Alarms>,
    listener: OnceLock<Box<dyn Fn() + Send + Sync>>,
    conf: OnceLock<Value>,
    hooks: Hooks,
}

impl TaskControl {
    /// A pool that works on so many tasks at once, one at least.
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self::with_bounds(Bounds { min: size, max: size })
    }

    /// A pool that works on as many tasks at once as there are, between these.
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

    /// The queues that the worker takes tasks from, until somebody says otherwise.
    #[must_use]
    pub fn from_queues(self, queues: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.inner.state().queues = queues.into_iter().map(Into::into).collect();
        self
    }

    /// Settings of the worker, shown by `conf`. What is called password, token, secret or key in them is masked.
    #[must_use]
    pub fn conf(self, conf: Value) -> Self {
        let _ = self.inner.conf.set(conf);
        self
    }

    /// Answers for the tasks of this program from now on, unless another source does.
    #[must_use]
    pub fn register(self) -> Self {
        commands::register_source(self.clone());
        self
    }

    /// Calls `listener` whenever somebody has said something: the queues may be others, or the worker is to end. Only the first one is called.
    pub fn on_change(&self, listener: impl Fn() + Send + Sync + 'static) {
        let _ = self.inner.listener.set(Box::new(listener));
    }

    /// The queues to take tasks from.
    pub fn queues(&self) -> Vec<String> {
        self.inner.state().queues.clone()
    }

    /// Returns true if the worker is to end: it takes no more tasks.
    pub fn is_stopping(&self) -> bool {
        self.inner.state().is_stopping
    }

    /// How many tasks may run at once now.
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

    /// Waits until something has changed, or a moment has come.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        let Some(until) = until else { return self.turn.wait(state).unwrap_or_else(PoisonError::into_inner) };
        let wait = until.saturating_duration_since(Instant::now());
        self.turn.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Has all who wait for their turn look again.
    fn changed(&self) {
        let wakers = std::mem::take(&mut self.state().wakers);
        self.turn.notify_all();
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Looks at this moment who is to go on, and who is to end.
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
