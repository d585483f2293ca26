//! The sender's side.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apalis_core::backend::{BackendConfig, TaskSink, TaskSinkError};
use apalis_core::task::Task;
use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::task_id::{GenerateId, TaskId};
use monitor_client::task::{self, Ticket};
use serde::Serialize;
use serde_json::Value;

use crate::carried::Carried;
use crate::show::{TakesArgs, json};

/// Prepares sending a task. The task is a process below the current process, from now until its last attempt has ended.
///
/// ```
/// use apalis_core::backend::memory::MemoryStorage;
/// use apalis_core::task::builder::TaskBuilder;
///
/// # #[derive(Debug, Clone)]
/// struct Film { title: String }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// # let mut storage = MemoryStorage::new();
/// let film = TaskBuilder::new(Film { title: "七武士".to_owned() }).run_in_seconds(10);
/// let id = monitor_apalis::send("render", film)
///     .queue("video")
///     .show_args(|film| serde_json::json!({ "title": film.title }))
///     .to(&mut storage)
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn send<Args>(name: impl Into<String>, task: TaskBuilder<Args>) -> Outgoing<Args> {
    Outgoing { name: name.into(), queue: None, shown: None, task: task.build() }
}

/// A task to be sent.
#[derive(Debug)]
#[must_use = "nothing is sent until `to` is called"]
pub struct Outgoing<Args> {
    name: String,
    queue: Option<String>,
    shown: Option<Value>,
    task: Task<Args>,
}

impl<Args> Outgoing<Args> {
    /// Sets the name of the queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// Records the arguments as converted by this function; a JSON object represents named arguments. By default, no arguments are
    /// recorded.
    pub fn show_args<V: Serialize>(mut self, show: impl FnOnce(&Args) -> V) -> Self {
        if monitor_client::enabled() {
            self.shown = Some(json(&show(&self.task.args)));
        }
        self
    }

    /// Pushes the task and returns its id, which is generated if it has none.
    ///
    /// A task rejected by its idempotency key stays recorded as sent, because the queue does not report the rejection.
    ///
    /// # Errors
    /// Errors of the storage. The task is recorded as rejected.
    pub async fn to<B, Kind>(self, storage: &mut B) -> Result<TaskId, TaskSinkError<B::Error>>
    where
        B: TaskSink<Args, Kind> + BackendConfig<Args = Args, Kind = Kind, Id: GenerateId>,
    {
        let id = self.task.task_id().cloned().unwrap_or_else(B::Id::generate);
        let (task, ticket) = self.begin(&id);
        storage.push_task(task).await.inspect_err(|_| ticket.iter().for_each(Ticket::reject))?;
        Ok(id)
    }

    /// Records the task as sent and returns it for pushing by other means, for example in bulk. `id` becomes its id.
    pub fn into_task(self, id: &TaskId) -> Task<Args> {
        self.begin(id).0
    }

    fn begin(self, id: &TaskId) -> (Task<Args>, Option<Ticket>) {
        let Self { name, queue, shown, task } = self;
        let mut task = task.into_builder().task_id(id.clone()).build();
        if !monitor_client::enabled() {
            return (task, None);
        }
        let mut message = task::send(name).uuid(id.to_string());
        if let Some(queue) = queue.or_else(|| task.queue().map(ToString::to_string)) {
            message = message.queue(queue);
        }
        if let Some(shown) = shown {
            message = message.args_of(&shown);
        }
        if let Some(eta) = task.run_at().and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at))).filter(|at| *at > SystemTime::now())
        {
            message = message.eta(eta);
        }
        let carried = Carried(message.begin());
        let Ok(()) = task.inject_metadata(&carried);
        (task, Some(carried.0))
    }
}
