//! Path of batches into the store. Batches wait in a bounded queue for the single writer thread, and are acknowledged after they are stored
//! durably.

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

/// Default limit on the memory of waiting batches, decoded.
pub const DEFAULT_QUEUE_BYTES: usize = 64 << 20;

/// Accepts batches. Dropping it stores the waiting batches and joins the writer thread, which blocks.
pub struct Ingest {
    queue: Arc<Queue>,
    limits: Limits,
    batches: AtomicU64,
    events: AtomicU64,
    trouble: Arc<Trouble>,
    clock: Clock,
    writer: Option<JoinHandle<()>>,
}

/// Settings of an [`Ingest`].
pub struct Settings {
    /// Limit on the memory of waiting batches, decoded.
    pub queue_bytes: usize,
    /// Limits on the size of events.
    pub limits: Limits,
    /// The server's clock.
    pub clock: Clock,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue_bytes: DEFAULT_QUEUE_BYTES, limits: Limits::default(), clock: Clock::system() }
    }
}

/// Counts since the server started, and the current queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// Number of stored batches.
    pub batches: u64,
    /// Number of batches that were refused and must be sent again.
    pub refused: u64,
    /// Number of waiting batches.
    pub waiting: u64,
    /// Size of the waiting batches, decoded.
    pub waiting_bytes: u64,
}

/// Reason for refusing a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The queue is full. The same batch may be accepted soon.
    #[error("too much waits to be stored")]
    Busy,
    /// An event is invalid. The batch may be accepted without it.
    #[error("event {number}: {message}")]
    Event {
        /// Number of the event.
        number: u64,
        /// Mistake.
        message: String,
    },
    /// An event reports for an agent that the sender is not.
    #[error(
        "event {number}, `{event_type}`, is of {}: only a token of scope `agent` and of that name may send it, or one of scope `admin`; \
         make one on the server's machine with `monitor token create NAME --scope agent`",
        agent.as_ref().map_or_else(|| "no agent".to_owned(), |agent| format!("the agent {agent:?}"))
    )]
    OtherAgent {
        /// Number of the event.
        number: u64,
        /// Type of the event.
        event_type: String,
        /// Agent that the event names.
        agent: Option<String>,
    },
    /// The time of an event is ahead of the server's clock.
    #[error(
        "event {number}, `{event_type}`, is dated {} s ahead of the server's clock, which is at {server_time_us} \
         (Unix microseconds): set the clock of the agent's machine or of the server right, and send the batch again",
        (time_us - server_time_us) / 1_000_000
    )]
    Ahead {
        /// Number of the event.
        number: u64,
        /// Type of the event.
        event_type: String,
        /// Time of the event in Unix microseconds.
        time_us: u64,
        /// Server's time in Unix microseconds.
        server_time_us: u64,
    },
    /// Nothing can be stored now. Contains the cause.
    #[error("{0}")]
    Shut(Arc<str>),
    /// The store failed. Nothing of the batch is stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server is stopping, or its writer thread panicked.
    #[error("batches are no longer taken")]
    Stopped,
}

impl Ingest {
    /// Starts the writer thread. `publish` is called with the changes, in order, after they are durable.
    pub fn start(store: Arc<dyn Intake>, publish: impl Fn(Changes) + Send + 'static) -> Self {
        Self::start_with(store, publish, Settings::default())
    }

    /// Like [`Ingest::start`], with settings.
    pub fn start_with(store: Arc<dyn Intake>, publish: impl Fn(Changes) + Send + 'static, settings: Settings) -> Self {
        let queue = Arc::new(Queue::new(settings.queue_bytes));
        let (taken, limits, trouble) = (queue.clone(), settings.limits, Arc::new(Trouble::default()));
        let (known, clock) = (trouble.clone(), settings.clock.clone());
        let run = move || writer::run(&*store, &publish, &taken, &known, &settings.clock);
        let writer = std::thread::Builder::new().name("monitor-writer".to_owned()).spawn(run);
        // Without a writer thread nothing can be stored. The stopped queue returns an error to all senders.
        let writer = writer.inspect_err(|error| tracing::error!(%error, "could not start the writer thread")).ok();
        if writer.is_none() {
            queue.stop();
        }
        Self { queue, limits, batches: AtomicU64::new(0), events: AtomicU64::new(0), trouble, clock, writer }
    }

    /// Accepts a batch of a sender that reports for no agent. See [`Ingest::accept_from`].
    ///
    /// # Errors
    /// Same as [`Ingest::accept_from`].
    pub async fn accept(&self, batch: impl Into<Packed>) -> Result<Accepted, IngestError> {
        self.accept_from(&Speaker::Program, batch).await
    }

    /// Accepts a batch and waits until it is stored durably.
    ///
    /// # Errors
    /// Returns an error if the batch can't be accepted now ([`IngestError::Busy`]), one of its events is invalid or not the sender's to
    /// report, or the store fails.
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
        // Done here and not on the writer thread, which all batches share.
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

    /// Runs `change` on the writer thread between two transactions and waits for its result. Its changes are published in order with all
    /// others.
    ///
    /// # Errors
    /// Returns an error if the store fails or the server is stopping.
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
            // The caller may have gone away.
            let _ = answer.send(result);
        };
        self.queue.push_task(Box::new(task)).map_err(|_| IngestError::Stopped)?;
        Ok(answered.await.map_err(|_| IngestError::Stopped)??)
    }

    /// Returns the number of stored events since the server started.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns the number of events per second that the writer thread took from the queue in the past ten seconds.
    pub fn events_per_second(&self) -> f64 {
        self.queue.events_per_second()
    }

    /// True if a batch of `bytes` compressed bytes would be refused now, so that its body need not be read.
    pub fn is_busy(&self, bytes: usize) -> bool {
        let is_full = self.queue.is_full(bytes);
        if is_full {
            self.trouble.refuse();
        }
        is_full
    }

    /// Returns the reason if any batch would be refused now, so that its body need not be read.
    pub fn shut(&self) -> Option<Arc<str>> {
        self.trouble.shut().inspect(|_| self.trouble.refuse())
    }

    /// Returns the reason if batches can't be stored now.
    pub fn trouble(&self) -> Option<Arc<str>> {
        self.trouble.cause()
    }

    /// Returns the reason if batches can't be stored now because the disk is full.
    pub(crate) fn full(&self) -> Option<Arc<str>> {
        self.trouble.full()
    }

    /// Returns the counts and the current queue.
    pub fn figures(&self) -> Figures {
        let (waiting, waiting_bytes) = self.queue.waiting();
        Figures {
            batches: self.batches.load(Ordering::Relaxed),
            refused: self.trouble.refused(),
            waiting: waiting as u64,
            waiting_bytes: waiting_bytes as u64,
        }
    }

    /// True if the writer thread is running.
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
