//! Functions that only the program can implement: add tasks to its queue, remove them, count them, and restart.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use monitor_wire::{CallAnswer, Order, PurgeAnswer, QueueLength, QueuePurge, QueuesAnswer, RetryAnswer, RetryLine, TaskCall};
use serde::Serialize;
use serde_json::Value;

use super::TaskControl;

type Call = dyn Fn(TaskCall) -> Result<String, String> + Send + Sync;
type Purge = dyn Fn(&QueuePurge) -> Result<BTreeMap<String, u64>, String> + Send + Sync;
type Retry = dyn Fn(&str) -> Result<String, String> + Send + Sync;
type Restart = dyn Fn() -> Result<(), String> + Send + Sync;
type Lengths = dyn Fn() -> Result<BTreeMap<String, u64>, String> + Send + Sync;

/// The functions that the program has set. Each can be set once.
#[derive(Default)]
pub(super) struct Hooks {
    call: OnceLock<Box<Call>>,
    purge: OnceLock<Box<Purge>>,
    retry: OnceLock<Box<Retry>>,
    lengths: OnceLock<Box<Lengths>>,
    restart: OnceLock<Box<Restart>>,
    pool_restart: OnceLock<Box<Restart>>,
    /// Names of the offered methods. Fixed at the first request.
    methods: OnceLock<Vec<&'static str>>,
}

impl TaskControl {
    /// Sets the function that starts a task by name (`monitor call`): it adds the task to its queue and returns the task's id there.
    /// Without it, `call` is unsupported. Set it before [`register`](Self::register), like [`on_purge`](Self::on_purge) and
    /// [`on_retry`](Self::on_retry). Only the first call has an effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task;
    ///
    /// let control = TaskControl::new(4).from_queues(["video"]).on_call(|call| {
    ///     if call.name != "render" {
    ///         return Err(format!("there is no task {:?} here, but: render", call.name));
    ///     }
    ///     let ticket = task::send(call.name).queue("video").args(&call.args).begin();
    ///     // The message goes into the queue, with the ticket.
    ///     Ok(ticket.uuid.unwrap_or_default())
    /// });
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_call(self, call: impl Fn(TaskCall) -> Result<String, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.call.set(Box::new(call));
        self
    }

    /// Sets the function that discards the waiting tasks of the given queues (`monitor purge`), or only counts them
    /// ([`QueuePurge::count_only`]). It returns the number of tasks of each queue. Without it, `purge` is unsupported.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::{BTreeMap, VecDeque};
    /// use std::sync::{Arc, Mutex};
    ///
    /// use monitor_client::control::TaskControl;
    ///
    /// let queue: Arc<Mutex<VecDeque<String>>> = Arc::default();
    /// let control = TaskControl::new(4).from_queues(["video"]).on_purge(move |purge| {
    ///     let mut queue = queue.lock().unwrap();
    ///     let count = queue.len() as u64;
    ///     if !purge.count_only {
    ///         queue.clear();
    ///     }
    ///     Ok(BTreeMap::from([("video".to_owned(), count)]))
    /// });
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_purge(self, purge: impl Fn(&QueuePurge) -> Result<BTreeMap<String, u64>, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.purge.set(Box::new(purge));
        self
    }

    /// Sets the function that runs an ended task again (`monitor retry`), by its id in the queue. It returns the id of the new attempt.
    /// This should be a new id, because a revoked task is not run under its old one.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    /// use monitor_client::task;
    ///
    /// let control = TaskControl::new(4).on_retry(|id| {
    ///     println!("the task {id} is sent again");
    ///     let ticket = task::send("render").queue("video").begin();
    ///     // The message goes into the queue, with the ticket.
    ///     ticket.uuid.ok_or_else(|| "the task was not sent".to_owned())
    /// });
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_retry(self, retry: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.retry.set(Box::new(retry));
        self
    }

    /// Sets the function that counts the waiting tasks of each queue, for `monitor queue list`. Without it, a worker reports
    /// only the tasks that it has received.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::collections::BTreeMap;
    ///
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).on_queues(|| Ok(BTreeMap::from([("video".to_owned(), 17)])));
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_queues(self, lengths: impl Fn() -> Result<BTreeMap<String, u64>, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.lengths.set(Box::new(lengths));
        self
    }

    /// Sets the function that restarts the program (`monitor control restart`). It ends the program so that its supervisor starts it again,
    /// or replaces the process. The reply is sent before the function is called. Without it, `restart` is unsupported.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).on_restart(|| std::process::exit(75)); // the supervisor starts it again
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_restart(self, restart: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.restart.set(Box::new(restart));
        self
    }

    /// Sets the function that restarts the threads or child programs that execute tasks, while the program continues (`monitor control
    /// pool-restart`). Without it, `pool-restart` is unsupported.
    ///
    /// # Examples
    ///
    /// ```
    /// use monitor_client::control::TaskControl;
    ///
    /// let control = TaskControl::new(4).on_pool_restart(|| Err("the pool is busy".to_owned()));
    /// # let _ = control;
    /// ```
    #[must_use]
    pub fn on_pool_restart(self, restart: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.pool_restart.set(Box::new(restart));
        self
    }
}

impl Hooks {
    /// Returns the names of the offered methods: all except those whose function is not set.
    pub(super) fn methods(&self) -> &[&'static str] {
        self.methods.get_or_init(|| {
            let is_offered = |method: &&str| match *method {
                "call" => self.call.get().is_some(),
                "purge" => self.purge.get().is_some(),
                "retry" => self.retry.get().is_some(),
                "restart" => self.restart.get().is_some(),
                "pool-restart" => self.pool_restart.get().is_some(),
                _ => true,
            };
            Order::METHODS.into_iter().filter(is_offered).collect()
        })
    }

    /// Executes an order that needs a function of the program. `None` for all other orders.
    pub(super) fn handle(&self, order: &Order) -> Option<Result<Value, String>> {
        Some(match order {
            Order::Call(call) => match self.call.get() {
                Some(start) => start(call.clone()).map(|uuid| answer(&CallAnswer { uuid })),
                None => Err(not_offered("call")),
            },
            Order::Purge(purge) => match self.purge.get() {
                Some(throw) => throw(purge).map(|counts| answer(&PurgeAnswer::of(counts))),
                None => Err(not_offered("purge")),
            },
            Order::Retry { ids } => match self.retry.get() {
                Some(again) => Ok(answer(&RetryAnswer { tasks: ids.iter().map(|id| line(id, again)).collect() })),
                None => Err(not_offered("retry")),
            },
            Order::Restart => begin_anew("restart", self.restart.get().map(|restart| &**restart)),
            Order::PoolRestart => begin_anew("pool_restart", self.pool_restart.get().map(|restart| &**restart)),
            _ => return None,
        })
    }

    /// Adds the numbers of waiting tasks to the known queues.
    pub(super) fn queues(&self, mut known: Vec<QueueLength>) -> Result<Value, String> {
        let lengths = self.lengths.get().map(|lengths| lengths()).transpose()?.unwrap_or_default();
        for (name, waiting) in lengths {
            let waiting = Some(waiting);
            match known.iter_mut().find(|queue| queue.name == name) {
                Some(queue) => queue.waiting = waiting,
                None => known.push(QueueLength { name, waiting, ..QueueLength::default() }),
            }
        }
        Ok(answer(&QueuesAnswer { queues: known }))
    }
}

fn line(id: &str, again: &Retry) -> RetryLine {
    let (uuid, error) = match again(id) {
        Ok(uuid) => (Some(uuid), None),
        Err(error) => (None, Some(error)),
    };
    RetryLine { id: id.to_owned(), uuid, error }
}

fn begin_anew(hook: &str, restart: Option<&Restart>) -> Result<Value, String> {
    let restart = restart.ok_or_else(|| not_offered(hook))?;
    restart().map(|()| serde_json::json!({ "restarted": true }))
}

fn answer(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}

fn not_offered(method: &str) -> String {
    format!("this program doesn't say how (`TaskControl::on_{method}`)")
}
