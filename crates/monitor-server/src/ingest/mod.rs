//! The way in: batches wait in a bounded queue for the one thread that writes them, and are answered once they are durable.

mod check;
mod queue;
mod speaker;
#[cfg(test)]
mod tests;
mod trouble;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use monitor_store::packed::{Limits, Packed};
use monitor_store::{Changes, Intake, StoreError};
use monitor_wire::Accepted;
use tokio::sync::oneshot;

use self::queue::{Full, Job, Queue};
pub use self::speaker::Speaker;
use self::trouble::Trouble;
use crate::clock::Clock;

/// How much may wait for the writer, decoded, unless it is set otherwise.
pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

/// Takes batches. Dropped, it stores what waits and then ends; that blocks.
pub struct Ingest {
    queue: Arc<Queue>,
    limits: Limits,
    batches: AtomicU64,
    events: AtomicU64,
    trouble: Arc<Trouble>,
    clock: Clock,
    writer: Option<JoinHandle<()>>,
}

/// How to take batches.
pub struct Settings {
    /// How much may wait for the writer, decoded.
    pub queue_bytes: usize,
    /// What events may hold.
    pub limits: Limits,
    /// The server's clock.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_bytes: DEFAULT_QUEUE_BYTES, limits: Limits::default(), clock: Clock::system() }
    }
}

/// What came in since the server began, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Batches that are stored.
    pub batches: u64,
    /// Batches that were told to come again.
    pub refused: u64,
    /// Batches that wait.
    pub waiting: u64,
    /// How much they are, decoded.
    pub waiting_bytes: u64,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// Too much waits already: the same batch may be taken in a moment.
    #[error("too much waits to be stored")]
    Busy,
    /// One event can't be; without it the batch may be taken.
    #[error("event {number}: {message}")]
    Event {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        message: String,
    },
    /// One event reports for an agent that the sender is not.
    #[error(
        "event {number}, `{event_type}`, is of {}: only a token of scope `agent` and of that name may send it, or one of scope `admin`; \
         make one on the server's machine with `monitor token create NAME --scope agent`",
        agent.as_ref().map_or_else(|| "no agent".to_owned(), |agent| format!("the agent {agent:?}"))
    )]
    OtherAgent {
        /// Its number.
        number: u64,
        /// Its type.
        event_type: String,
        /// The agent that it names.
        agent: Option<String>,
    },
    /// One event is dated ahead of the server.
    #[error(
        "event {number}, `{event_type}`, is dated {} s ahead of the server's clock, which is at {server_time_us} \
         (Unix microseconds): set the clock of the agent's machine or of the server right, and send the batch again",
        (time_us - server_time_us) / 1_000_000
    )]
    Ahead {
        /// Its number.
        number: u64,
        /// Its type.
        event_type: String,
        /// Its time in Unix microseconds.
        time_us: u64,
        /// The server's time in Unix microseconds.
        server_time_us: u64,
    },
    /// Nothing can be stored now, and why.
    #[error("{0}")]
    Shut(Arc<str>),
    /// The store failed; nothing of the batch is stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops, or its writer broke off.
    #[error("batches are no longer taken")]
    Stopped,
}

impl Ingest {
    /// Begins to take batches. `publish` is told of changes, in order, once they are durable.
    pub fn start(store: Arc<dyn Intake>, publish: impl Fn(Changes) + Send + 'static) -> Self {
        Self::start_with(store, publish, Settings::default())
    }

    /// As [`Ingest::start`], with settings.
    pub fn start_with(store: Arc<dyn Intake>, publish: impl Fn(Changes) + Send + 'static, settings: Settings) -> Self {
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let (taken, limits, trouble) = (queue.clone(), settings.limits, Arc::new(Trouble::default()));
        let (known, clock) = (trouble.clone(), settings.clock.clone());
        let run = move || writer::run(&*store, &publish, &taken, &known, &settings.clock);
        let writer = std::thread::Builder::new().name("monitor-writer".to_owned()).spawn(run);
        // Without a thread nothing can ever be taken: the queue says so to everyone who asks.
        let writer = writer.inspect_err(|error| tracing::error!(%error, "could not start the writer thread")).ok();
        if writer.is_none() {
            queue.stop();
        }
        Self { queue, limits, batches: AtomicU64::new(0), events: AtomicU64::new(0), trouble, clock, writer }
    }

    /// Accepts a batch of a sender that reports for no agent. See [`Ingest::accept_from`].
    ///
    /// # Errors
    /// As [`Ingest::accept_from`].
    pub async fn accept(&self, batch: impl Into<Packed>) -> Result<Accepted, IngestError> {
        self.accept_from(&Speaker::Program, batch).await
    }

    /// Accepts a batch and waits until it is stored durably.
    ///
    /// # Errors
    /// If the batch can't be accepted now ([`IngestError::Busy`]), one of its events is invalid or not the sender's to report, or the
    /// store fails.
    pub async fn accept_from(&self, speaker: &Speaker, batch: impl Into<Packed>) -> Result<Accepted, IngestError> {
        if let Some(cause) = self.shut() {
            return Err(IngestError::Shut(cause));
        }
        let mut batch = batch.into();
        check::check(&batch)?;
        let now_us = self.clock.wall_us();
        speaker::check(speaker, &batch, now_us)?;
        speaker::limit_times(&mut batch, now_us);
        let most = self.limits.event_bytes;
        batch.cut(&self.limits).map_err(|(number, size)| IngestError::Event {
            number,
            message: format!("it takes about {size} bytes, and an event may take {most} (the server's setting `max-event-bytes`)"),
        })?;
        // Here and not on the writer's thread, for which all batches wait.
        batch.write_for_log();
        let events = batch.len() as u64;
        let (answer, answered) = oneshot::channel();
        self.queue.push(Job::new(batch, answer)).map_err(|full| match full {
            Full::Busy => {
                self.trouble.refuse();
                IngestError::Busy
            }
            Full::Stopped => IngestError::Stopped,
        })?;
        let answer = answered.await.unwrap_or(Err(IngestError::Stopped));
        match &answer {
            Ok(_) => {
                self.batches.fetch_add(1, Ordering::Relaxed);
                self.events.fetch_add(events, Ordering::Relaxed);
            }
            Err(IngestError::Store(error)) if error.is_passing() => self.trouble.refuse(),
            Err(_) => {}
        }
        answer
    }

    /// Lets the writer do something else between two transactions, and waits for it. What it changed is published in order.
    ///
    /// # Errors
    /// If the store fails, or the server stops.
    pub async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&dyn Intake) -> Result<(T, Changes), StoreError> + Send + 'static,
    ) -> Result<T, IngestError> {
        let (answer, answered) = oneshot::channel();
        let task = move |store: &dyn Intake, publish: &dyn Fn(Changes)| {
            let result = change(store).map(|(result, changes)| {
                writer::tell(publish, changes);
                result
            });
            // Who went away doesn't need the answer.
            let _ = answer.send(result);
        };
        self.queue.push_task(Box::new(task)).map_err(|_| IngestError::Stopped)?;
        Ok(answered.await.map_err(|_| IngestError::Stopped)??)
    }

    /// Number of events that were taken and answered since the server began.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Events that were taken to be stored in the past ten seconds, per second.
    pub fn events_per_second(&self) -> f64 {
        self.queue.events_per_second()
    }

    /// Whether a batch of so many bytes, compressed, would be refused now: then it needn't be read.
    pub fn is_busy(&self, bytes: usize) -> bool {
        let is_full = self.queue.is_full(bytes);
        if is_full {
            self.trouble.refuse();
        }
        is_full
    }

    /// Why a batch would be refused now whatever is in it, if that is so: then it needn't be read.
    pub fn shut(&self) -> Option<Arc<str>> {
        self.trouble.shut().inspect(|_| self.trouble.refuse())
    }

    /// Why batches can't be stored now, if that is so.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.cause()
    }

    /// Why batches can't be stored now, if that is because the disk has no room.
    pub(crate) fn full(&self) -> Option<Arc<str>> {
        self.trouble.full()
    }

    /// What came, and what waits.
    pub fn figures(&self) -> Figures {
        let (waiting, waiting_bytes) = self.queue.waiting();
        Figures {
            batches: self.batches.load(Ordering::Relaxed),
            refused: self.trouble.refused(),
            waiting: waiting as u64,
            waiting_bytes: waiting_bytes as u64,
        }
    }

    /// Whether the writer lives.
    pub fn is_alive(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| !writer.is_finished())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.queue.stop();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer broke off");
        }
    }
}
