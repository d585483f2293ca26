//! Redis queues of apalis for operators: implements `monitor call`, `monitor purge`, `monitor retry` and `monitor queue list`.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use apalis_core::task::builder::TaskBuilder;
use apalis_core::task::metadata::MetadataStore;
use apalis_core::task::task_id::TaskId;
use apalis_redis::{Config, ConnectionLike, RedisStorage};
use monitor_client::control::{QueuePurge, TaskCall, TaskControl};
use redis::Script;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::{Outgoing, carried};

/// Maximum number of tasks removed at once, because Redis is blocked during a script.
const AT_ONCE: usize = 500;

/// Removes waiting tasks from the queue, first the due tasks, then the scheduled tasks. Returns id and metadata of each.
///
/// Keys: list of due tasks, set of scheduled tasks, arguments, prefix of the metadata.
const TAKE_OUT: &str = r"
local most = tonumber(ARGV[1])
local ids = redis.call('lrange', KEYS[1], 0, most - 1)
if #ids > 0 then
    redis.call('ltrim', KEYS[1], #ids, -1)
else
    ids = redis.call('zrange', KEYS[2], 0, most - 1)
    if #ids > 0 then redis.call('zremrangebyrank', KEYS[2], 0, #ids - 1) end
end
local gone = {}
for _, id in ipairs(ids) do
    local key = KEYS[4] .. ':' .. id
    table.insert(gone, {id, redis.call('hgetall', key)})
    redis.call('hdel', KEYS[3], id)
    redis.call('del', key)
end
return gone
";

/// A Redis queue whose tasks have one name. Operators can start, purge and rerun its tasks.
///
/// ```no_run
/// use apalis_redis::{Config, RedisStorage};
/// use monitor_apalis::RedisQueue;
/// use monitor_client::control::TaskControl;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let connection = apalis_redis::connect("redis://127.0.0.1/").await?;
/// let storage = RedisStorage::<u32>::new(connection).with_config(Config::default().queue("video"));
/// let control = RedisQueue::new("render", &storage).offer(TaskControl::new(4)).register();
/// # let _ = control;
/// # Ok(())
/// # }
/// ```
///
/// - `monitor call render --args '[7]'` pushes a task. Its argument is the single positional argument, a list of several, or an object of
///   named arguments. apalis has no expiry time for tasks, so `--expires` is refused.
/// - `monitor purge` removes tasks that are due or scheduled, and records them as revoked.
/// - `monitor retry ID` pushes the arguments of an ended task again with a new id, as long as Redis has them.
/// - `monitor queue list` counts the waiting tasks.
pub struct RedisQueue<Args, Conn>
where
    Conn: ConnectionLike + Send + Sync + Clone + 'static,
{
    task: String,
    storage: RedisStorage<Args, Conn>,
}

impl<Args, Conn> Clone for RedisQueue<Args, Conn>
where
    Conn: ConnectionLike + Send + Sync + Clone + 'static,
{
    fn clone(&self) -> Self {
        Self { task: self.task.clone(), storage: self.storage.clone() }
    }
}

impl<Args, Conn> fmt::Debug for RedisQueue<Args, Conn>
where
    Conn: ConnectionLike + Send + Sync + Clone + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisQueue").field("task", &self.task).field("queue", &self.queue()).finish_non_exhaustive()
    }
}

impl<Args, Conn> RedisQueue<Args, Conn>
where
    Args: Serialize + DeserializeOwned + Send + Sync + Unpin + 'static,
    Conn: ConnectionLike + Send + Sync + Clone + Unpin + 'static,
{
    /// Creates a queue for a storage whose tasks have this name.
    pub fn new(task: impl Into<String>, storage: &RedisStorage<Args, Conn>) -> Self {
        Self { task: task.into(), storage: storage.clone() }
    }

    /// Registers `call`, `purge`, `retry` and counting with a control. Must be called before [`TaskControl::register`].
    ///
    /// # Panics
    /// If called outside of a tokio runtime, which is needed for requests to Redis.
    #[must_use]
    pub fn offer(self, control: TaskControl) -> TaskControl {
        let runtime = Handle::current();
        // Operators' orders are executed on separate threads outside of the runtime.
        let [calls, purges, retries, counts] = std::array::from_fn(|_| (runtime.clone(), self.clone()));
        control
            .on_call(move |call| calls.0.block_on(calls.1.clone().call(call)))
            .on_purge(move |purge| purges.0.block_on(purges.1.clone().purge(purge)))
            .on_retry(move |id| retries.0.block_on(retries.1.clone().retry(id)))
            .on_queues(move || counts.0.block_on(counts.1.clone().purge(&QueuePurge { count_only: true, ..QueuePurge::default() })))
    }

    fn config(&self) -> &Config {
        self.storage.get_config()
    }

    async fn call(self, call: TaskCall) -> Result<String, String> {
        let (task, queue) = (self.task.clone(), self.queue());
        if call.name != task {
            return Err(format!("there is no task {:?} here, but: {task}", call.name));
        }
        if call.queue.as_ref().is_some_and(|asked| *asked != queue) {
            return Err(format!("there is no other queue here than {queue}"));
        }
        if call.expires_us.is_some() {
            return Err("tasks of apalis have no time after which they are not started".to_owned());
        }
        let not_before = call.not_before(SystemTime::now()).and_then(|moment| moment.duration_since(UNIX_EPOCH).ok());
        let shown = arguments(call)?;
        let args = serde_json::from_value::<Args>(shown.clone()).map_err(|error| format!("these are not its arguments: {error}"))?;
        let mut builder = TaskBuilder::new(args);
        if let Some(moment) = not_before {
            // Redis stores seconds. Round up, so that the task does not start too early.
            builder = builder.run_at_timestamp(moment.as_secs() + u64::from(moment.subsec_nanos() > 0));
        }
        self.push(crate::send(task, builder).show_args(move |_| shown)).await
    }

    async fn retry(mut self, id: &str) -> Result<String, String> {
        let config = self.config().clone();
        let meta = format!("{}:{id}", config.job_meta_hash());
        let mut asks = redis::pipe();
        asks.sismember(config.done_jobs_set(), id).sismember(config.dead_jobs_set(), id);
        asks.hget(config.job_data_hash(), id).hget(meta, carried::NAME);
        let answered = asks.query_async(self.storage.get_connection()).await.map_err(|error| unanswered(&error))?;
        let (is_done, is_dead, args, name): (bool, bool, Option<Vec<u8>>, Option<String>) = answered;
        if !is_done && !is_dead {
            return Err(format!("no task {id:?} has ended in the queue {}", self.queue()));
        }
        let args = args.ok_or("Redis has its arguments no more")?;
        let args = serde_json::from_slice(&args).map_err(|error| format!("its arguments can't be read: {error}"))?;
        let name = name.unwrap_or_else(|| self.task.clone());
        self.push(crate::send(name, TaskBuilder::new(args))).await
    }

    async fn push(mut self, task: Outgoing<Args>) -> Result<String, String> {
        let queue = self.queue();
        let sent = task.queue(queue).to(&mut self.storage).await;
        sent.map(|id| id.to_string()).map_err(|error| error.to_string())
    }

    /// Purges or counts the waiting tasks.
    async fn purge(mut self, purge: &QueuePurge) -> Result<BTreeMap<String, u64>, String> {
        let queue = self.queue();
        if !purge.is_meant(&queue) {
            return Ok(BTreeMap::new());
        }
        let config = self.config().clone();
        let (due, later) = (config.active_jobs_list(), config.scheduled_jobs_set());
        let connection = self.storage.get_connection();
        let mut lengths = redis::pipe();
        lengths.llen(&due).zcard(&later);
        let (now, then): (u64, u64) = lengths.query_async(connection).await.map_err(|error| unanswered(&error))?;
        let (waiting, mut gone) = (now + then, 0);
        if purge.count_only {
            return Ok([(queue, waiting)].into());
        }
        let script = Script::new(TAKE_OUT);
        // Tasks pushed during the purge are kept, so that it always ends.
        while gone < waiting {
            let most = AT_ONCE.min(usize::try_from(waiting - gone).unwrap_or(AT_ONCE));
            let mut take = script.key(&due);
            take.key(&later).key(config.job_data_hash()).key(config.job_meta_hash()).arg(most);
            let taken: Vec<(String, HashMap<String, String>)> =
                take.invoke_async(self.storage.get_connection()).await.map_err(|error| unanswered(&error))?;
            if taken.is_empty() {
                break;
            }
            gone += taken.len() as u64;
            for (id, metadata) in taken {
                self.tell_revoked(&id, metadata);
            }
        }
        Ok([(queue, gone)].into())
    }

    /// Records that a task was revoked.
    fn tell_revoked(&self, id: &str, metadata: HashMap<String, String>) {
        let attempts = metadata.get("attempts").and_then(|attempts| attempts.parse().ok()).unwrap_or(0);
        let task = TaskBuilder::new(()).task_id(TaskId::from_string(id)).attempt(attempts).with_metadata(MetadataStore::from_map(metadata));
        let task = task.build();
        let retries = carried::retries(task.ctx(), carried::losses(task.ctx(), false).0);
        carried::receive(task.ctx(), retries, || self.task.clone(), Some(self.queue())).revoke(false);
    }
}

impl<Args, Conn> RedisQueue<Args, Conn>
where
    Conn: ConnectionLike + Send + Sync + Clone + 'static,
{
    pub(crate) fn queue(&self) -> String {
        self.storage.get_config().queue.to_string()
    }

    pub(crate) fn task(&self) -> &str {
        &self.task
    }

    /// Stores the number of lost attempts for the next worker. If Redis fails, the count is one too low.
    pub(crate) async fn note_losses(mut self, id: String, losses: u32) {
        let key = format!("{}:{id}", self.storage.get_config().job_meta_hash());
        let mut set = redis::cmd("HSET");
        let _: Result<(), _> = set.arg(key).arg(carried::LOSSES).arg(losses).query_async(self.storage.get_connection()).await;
    }
}

/// Converts the arguments of a call: a single positional argument, a list of several, or an object of named arguments.
fn arguments(TaskCall { mut args, kwargs, .. }: TaskCall) -> Result<Value, String> {
    match (args.len(), kwargs.is_empty()) {
        (0, true) => Ok(Value::Null),
        (0, false) => Ok(serde_json::to_value(kwargs).unwrap_or_default()),
        (1, true) => Ok(args.remove(0)),
        (_, true) => Ok(Value::Array(args)),
        (_, false) => Err("a task of apalis has one argument: give it by position, or as an object by name".to_owned()),
    }
}

fn unanswered(error: &redis::RedisError) -> String {
    format!("Redis did not do it: {error}")
}
