//! A minimal in-memory queue; real queues are external programs with the same operations. Operators may add tasks, remove them, and retry
//! ended tasks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use monitor_client::control::{QueuePurge, TaskCall, TaskControl};
use monitor_client::task::{self, Ticket};

/// Its name.
const NAME: &str = "films";
/// Tasks that it knows.
const TASKS: [&str; 2] = ["render", "thumbnail"];
/// Maximum number of ended tasks that are kept for a retry.
const MOST_ENDED: usize = 1_000;

/// A message of the queue.
pub(crate) struct Message {
    pub(crate) film: u32,
    pub(crate) ticket: Ticket,
    /// It is not to be worked on before.
    pub(crate) eta: Option<SystemTime>,
    /// Nor after.
    pub(crate) expires: Option<SystemTime>,
}

#[derive(Default)]
pub(crate) struct Queue {
    messages: Mutex<VecDeque<Message>>,
    changed: Condvar,
    /// Messages whose tasks have ended.
    ended: Mutex<VecDeque<Message>>,
}

impl Queue {
    pub(crate) fn push(&self, message: Message) {
        lock(&self.messages).push_back(message);
        self.changed.notify_one();
    }

    /// Waits for a message; `None` if `is_over` returns true.
    pub(crate) fn pop(&self, is_over: impl Fn() -> bool) -> Option<Message> {
        let mut messages = lock(&self.messages);
        loop {
            if let Some(message) = messages.pop_front() {
                return Some(message);
            }
            if is_over() {
                return None;
            }
            (messages, _) = self.changed.wait_timeout(messages, Duration::from_millis(20)).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Keeps the message of a task that has ended, in case that it is to run again.
    pub(crate) fn ended(&self, message: Message) {
        let mut ended = lock(&self.ended);
        ended.push_back(message);
        if ended.len() > MOST_ENDED {
            ended.pop_front();
        }
    }

    /// Has `monitor call`, `monitor purge`, `monitor retry` and `monitor queue list` reach this queue.
    pub(crate) fn offer(self: &Arc<Self>, control: TaskControl) -> TaskControl {
        let [calls, purges, retries, counts] = std::array::from_fn(|_| self.clone());
        control
            .on_call(move |call| calls.call(&call))
            .on_purge(move |purge| Ok(purges.purge(purge)))
            .on_retry(move |id| retries.retry(id))
            .on_queues(move || Ok(counts.purge(&QueuePurge { count_only: true, ..QueuePurge::default() })))
    }

    fn call(&self, call: &TaskCall) -> Result<String, String> {
        if !TASKS.contains(&call.name.as_str()) {
            return Err(format!("there is no task {:?} here, but: {}", call.name, TASKS.join(", ")));
        }
        if call.queue.as_deref().is_some_and(|queue| queue != NAME) {
            return Err(format!("there is no other queue here than {NAME}"));
        }
        let film = call.args.first().or_else(|| call.kwargs.get("film")).and_then(serde_json::Value::as_u64);
        let film = film.and_then(|film| u32::try_from(film).ok()).ok_or("which film? give its number, as in --args '[7]'")?;
        let ticket = task::send(&call.name).queue(NAME).args(&call.args).kwargs(&call.kwargs).begin();
        self.put(Message { film, ticket, eta: call.not_before(SystemTime::now()), expires: call.expires() })
    }

    /// Adds a task to the queue; returns its id.
    fn put(&self, message: Message) -> Result<String, String> {
        let id = message.ticket.uuid.clone();
        self.push(message);
        id.ok_or_else(|| "it runs, but has no id, as nothing is recorded here".to_owned())
    }

    /// Throws away what waits, or counts it.
    fn purge(&self, purge: &QueuePurge) -> BTreeMap<String, u64> {
        if !purge.is_meant(NAME) {
            return BTreeMap::new();
        }
        let mut messages = lock(&self.messages);
        let count = messages.len() as u64;
        if !purge.count_only {
            // These tasks will not be executed, so report them as revoked.
            messages.drain(..).for_each(|message| task::receive(&message.ticket).revoke(false));
        }
        [(NAME.to_owned(), count)].into()
    }

    /// Sends a task that has ended once more, by a new id: one that was revoked would not be run by its own.
    fn retry(&self, id: &str) -> Result<String, String> {
        let found = lock(&self.ended).iter().rev().find(|message| message.ticket.uuid.as_deref() == Some(id)).map(|message| {
            let name = message.ticket.name.clone().unwrap_or_default();
            (name, message.film)
        });
        let (name, film) = found.ok_or_else(|| format!("no task {id:?} has ended here"))?;
        let ticket = task::send(name).queue(NAME).args(&[film]).begin();
        self.put(Message { film, ticket, eta: None, expires: None })
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
