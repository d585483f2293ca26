//! The worker's side: a layer that records and controls the tasks of a worker.

use std::fmt;
use std::sync::Arc;

use apalis_core::task::ExecutionContext;
use futures_util::future::BoxFuture;
use monitor_client::commands::{Order, TaskSource as _};
use monitor_client::control::TaskControl;
use monitor_client::task::Receive;
use tower_layer::Layer;

use crate::carried;
use crate::service::TaskService;
use crate::show::{Hidden, Show, Shown, TakesArgs};
use crate::watch::Watch;

/// Records every task of a worker as a process of kind `task`, below its sender. See
/// [`MonitorExt::monitored`](crate::MonitorExt::monitored).
///
/// The name is the one given by the sender, otherwise the worker's ([`named`](Self::named)), otherwise the type name of the arguments.
///
/// | end of the attempt in the worker | recorded outcome of the task |
/// |---|---|
/// | returns | succeeded |
/// | fails, and its `max_attempts` aren't used up; `RetryAfterError`, `DeferredError` | retried |
/// | fails; `AbortError` | failed, with the error and its sources |
/// | panics | failed, with the panic |
/// | is dropped before its end | cancelled |
/// | is prevented by a [`TaskControl`] | revoked, or returned to its queue |
pub struct WorkerLayer<A = Hidden, R = Hidden> {
    pub(crate) about: Arc<About>,
    pub(crate) args: A,
    pub(crate) result: R,
    pub(crate) watch: Arc<Watch>,
}

/// Settings for all tasks of a worker.
#[derive(Clone, Default)]
pub(crate) struct About {
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) control: Option<TaskControl>,
    /// Stores the number of lost attempts of a task, if its queue does not count them.
    losses: Option<Arc<NoteLosses>>,
}

type NoteLosses = dyn Fn(String, u32) -> BoxFuture<'static, ()> + Send + Sync;

impl WorkerLayer {
    /// Creates a layer that records no arguments and results, and controls nothing.
    pub fn new() -> Self {
        Self { about: Arc::default(), args: Hidden, result: Hidden, watch: Arc::default() }
    }
}

impl Default for WorkerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<A, R> WorkerLayer<A, R> {
    /// Sets the name of the tasks, for senders that do not set one.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        self.with(|about| about.name = Some(name.into()))
    }

    /// Sets the name of the worker's queue, which apalis' tasks do not contain.
    #[must_use]
    pub fn queue(self, queue: impl Into<String>) -> Self {
        self.with(|about| about.queue = Some(queue.into()))
    }

    /// Declares that the worker takes its tasks from this queue in Redis. Sets name and queue, and counts attempts that were lost together
    /// with their workers.
    #[cfg(feature = "redis")]
    #[must_use]
    pub fn redis<Args, Conn>(self, queue: &crate::RedisQueue<Args, Conn>) -> Self
    where
        Args: Send + Sync + 'static,
        Conn: apalis_redis::ConnectionLike + Send + Sync + Clone + 'static,
    {
        let noting = queue.clone();
        let named = self.named(queue.task()).queue(queue.queue());
        named.with(|about| about.losses = Some(Arc::new(move |id, losses| Box::pin(noting.clone().note_losses(id, losses)))))
    }

    /// Puts the worker under this control: rate limits, time limits, the pool, pauses, revoked tasks, shutdown. The worker then runs as
    /// many tasks at a time as the control's pool has places, monitored or not, and fetches no more from its queue than it has places for.
    /// Several workers of a program can share a control.
    #[must_use]
    pub fn control(self, control: &TaskControl) -> Self {
        self.with(|about| about.control = Some(control.clone()))
    }

    /// Records the arguments as converted by this function, unless the sender recorded them. A JSON object represents named arguments.
    #[must_use]
    pub fn show_args<F>(self, show: F) -> WorkerLayer<Shown<F>, R> {
        WorkerLayer { args: Shown(show), about: self.about, result: self.result, watch: self.watch }
    }

    /// Records the result of a task as converted by this function.
    #[must_use]
    pub fn show_result<F>(self, show: F) -> WorkerLayer<A, Shown<F>> {
        WorkerLayer { result: Shown(show), about: self.about, args: self.args, watch: self.watch }
    }

    fn with(mut self, change: impl FnOnce(&mut About)) -> Self {
        change(Arc::make_mut(&mut self.about));
        self
    }

    /// Stores the number of lost attempts, if another attempt of this task was lost.
    pub(crate) fn note_losses(&self, task: &ExecutionContext) -> Option<BoxFuture<'static, ()>> {
        let note = self.about.losses.as_ref()?;
        let (losses, is_new) = carried::losses(task, true);
        is_new.then(|| Some(note(task.task_id()?.to_string(), losses))).flatten()
    }

    /// Starts recording a received task.
    pub(crate) fn receive<Args>(&self, task: &ExecutionContext, args: &Args) -> Receive
    where
        A: Show<Args>,
    {
        let about = &self.about;
        let (losses, _) = carried::losses(task, about.losses.is_some());
        let name = || about.name.clone().unwrap_or_else(short_name::<Args>);
        let mut receive = carried::receive(task, carried::retries(task, losses), name, about.queue.clone());
        if monitor_client::enabled()
            && let Some(shown) = self.args.show(args)
        {
            receive = receive.args_of(&shown);
        }
        receive
    }
}

/// Returns the name of a type without path and generic parameters.
fn short_name<T>() -> String {
    let name = std::any::type_name::<T>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name).to_owned()
}

impl<A: Clone, R: Clone> Clone for WorkerLayer<A, R> {
    fn clone(&self) -> Self {
        Self { about: self.about.clone(), args: self.args.clone(), result: self.result.clone(), watch: self.watch.clone() }
    }
}

impl<A, R> fmt::Debug for WorkerLayer<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let About { name, queue, control, .. } = &*self.about;
        f.debug_struct("WorkerLayer").field("name", name).field("queue", queue).field("control", control).finish_non_exhaustive()
    }
}

impl<S, A: Clone, R: Clone> Layer<S> for WorkerLayer<A, R> {
    type Service = TaskService<S, A, R>;

    fn layer(&self, inner: S) -> Self::Service {
        if let About { control: Some(control), queue: Some(queue), .. } = &*self.about {
            // Fails only if there are a thousand queues.
            let _ = control.handle(Order::AddConsumer { queue: queue.clone() });
        }
        TaskService { inner, layer: self.clone(), was_full: false }
    }
}
