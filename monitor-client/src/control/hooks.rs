//! What only the program can do: put tasks into its queue, take them out, count them, and begin anew.

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

/// What the program has given. Each is given once.
#[derive(Default)]
pub(super) struct Hooks {
    call: OnceLock<Box<Call>>,
    purge: OnceLock<Box<Purge>>,
    retry: OnceLock<Box<Retry>>,
    lengths: OnceLock<Box<Lengths>>,
    restart: OnceLock<Box<Restart>>,
    pool_restart: OnceLock<Box<Restart>>,
    /// Names of what is offered, once somebody has asked for them.
    methods: OnceLock<Vec<&'static str>>,
}

impl TaskControl {
    /// Starts a task by its name when somebody says so (`monitor call`): puts it into its queue, and returns its id there. Without it,
    /// `call` is unsupported. Like [`on_purge`](Self::on_purge) and [`on_retry`](Self::on_retry) it is given before
    /// [`register`](Self::register), and only the first one counts.
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

    /// Throws away what waits in the queues that are meant (`monitor purge`), or only counts it ([`QueuePurge::count_only`]). Returns how
    /// many tasks of each queue that is or would be.
    #[must_use]
    pub fn on_purge(self, purge: impl Fn(&QueuePurge) -> Result<BTreeMap<String, u64>, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.purge.set(Box::new(purge));
        self
    }

    /// Has a task that has ended run again (`monitor retry`), by its id in the queue. Returns the id that it runs by: better a new one, for a
    /// task that was revoked is not run by its own.
    #[must_use]
    pub fn on_retry(self, retry: impl Fn(&str) -> Result<String, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.retry.set(Box::new(retry));
        self
    }

    /// Counts the tasks that wait in each queue, for `monitor queue list`. Without it, a worker tells only what it has received itself.
    #[must_use]
    pub fn on_queues(self, lengths: impl Fn() -> Result<BTreeMap<String, u64>, String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.lengths.set(Box::new(lengths));
        self
    }

    /// Has the program begin anew (`monitor control restart`): it ends so that whoever keeps it running starts it again, or replaces itself.
    /// It is answered first. Without it, `restart` is unsupported.
    #[must_use]
    pub fn on_restart(self, restart: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.restart.set(Box::new(restart));
        self
    }

    /// Has what works on tasks begin anew, while the program goes on (`monitor control pool-restart`): its threads, or the programs that it
    /// has started. Without it, `pool-restart` is unsupported.
    #[must_use]
    pub fn on_pool_restart(self, restart: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        let _ = self.inner.hooks.pool_restart.set(Box::new(restart));
        self
    }
}

impl Hooks {
    /// Names of the methods of a queue's worker that are offered: all but those that only the program can do and doesn't.
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

    /// Does what is the program's to do; none if an order isn't.
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

    /// Adds how many tasks wait to what is known of queues.
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
