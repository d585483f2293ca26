//! What waits for the writer, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monitor_store::packed::Packed;
use monitor_store::{Changes, Intake};
use monitor_wire::Accepted;
use tokio::sync::oneshot;

use super::IngestError;

/// About so many events become one transaction: more gain nothing and make the first ones wait.
const MAX_EVENTS: usize = 20_000;

/// The rate of events is a mean over so long.
const RATE_OVER: Duration = Duration::from_secs(10);

/// A batch that waits, and who waits for it.
pub(super) struct Job {
    pub batch: Arc<Packed>,
    pub answer: oneshot::Sender<Result<Accepted, IngestError>>,
    bytes: usize,
}

impl Job {
    pub(super) fn new(batch: Packed, answer: oneshot::Sender<Result<Accepted, IngestError>>) -> Self {
        Self { bytes: batch.bytes, batch: Arc::new(batch), answer }
    }
}

/// Something else that the writer is to do, between two transactions.
pub(super) type Task = Box<dyn FnOnce(&dyn Intake, &dyn Fn(Changes)) + Send>;

/// The queue between those who bring batches and the writer.
pub(super) struct Queue {
    max_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    tasks: VecDeque<Task>,
    bytes: usize,
    /// When how many events were taken, in the past [`RATE_OVER`].
    taken: VecDeque<(Instant, usize)>,
    is_stopped: bool,
}

/// Why a job can't wait.
pub(super) enum Full {
    Busy,
    Stopped,
}

/// What the writer finds.
pub(super) enum Taken {
    Jobs(Vec<Job>),
    Task(Task),
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl State {
    fn forget_taken(&mut self, now: Instant) {
        while self.taken.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > RATE_OVER) {
            self.taken.pop_front();
        }
    }
}

impl Queue {
    /// Events taken per second.
    pub(super) fn events_per_second(&self) -> f64 {
        let mut state = self.lock();
        state.forget_taken(Instant::now());
        let events: usize = state.taken.iter().map(|(_, events)| events).sum();
        events as f64 / RATE_OVER.as_secs_f64()
    }

    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a job that takes at least so many bytes would be refused now.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        let state = self.lock();
        !state.jobs.is_empty() && state.bytes.saturating_add(bytes) > self.max_bytes
    }

    /// How many jobs wait, and how many bytes they take.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.jobs.len(), state.bytes)
    }

    /// Lets a job wait; a lone one always may, however large.
    pub(super) fn push(&self, job: Job) -> Result<(), Full> {
        let mut state = self.lock();
        if state.is_stopped {
            return Err(Full::Stopped);
        }
        if !state.jobs.is_empty() && state.bytes.saturating_add(job.bytes) > self.max_bytes {
            return Err(Full::Busy);
        }
        state.bytes += job.bytes;
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Lets a task wait.
    pub(super) fn push_task(&self, task: Task) -> Result<(), Full> {
        let mut state = self.lock();
        if state.is_stopped {
            return Err(Full::Stopped);
        }
        state.tasks.push_back(task);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// A task, after a transaction if `after_jobs`; else all batches that wait, up to one transaction's worth. Waits at most `timeout`.
    pub(super) fn take(&self, timeout: Duration, after_jobs: bool) -> Taken {
        let is_idle = |state: &mut State| state.jobs.is_empty() && state.tasks.is_empty() && !state.is_stopped;
        let (mut state, _) = self.changed.wait_timeout_while(self.lock(), timeout, is_idle).unwrap_or_else(PoisonError::into_inner);
        if (after_jobs || state.jobs.is_empty())
            && let Some(task) = state.tasks.pop_front()
        {
            return Taken::Task(task);
        }
        let (mut jobs, mut events) = (Vec::new(), 0);
        while let Some(job) = state.jobs.front() {
            events += job.batch.len();
            if !jobs.is_empty() && events > MAX_EVENTS {
                break;
            }
            let job = state.jobs.pop_front().expect("just looked at");
            state.bytes -= job.bytes;
            jobs.push(job);
        }
        if !jobs.is_empty() {
            let now = Instant::now();
            state.forget_taken(now);
            state.taken.push_back((now, jobs.iter().map(|job| job.batch.len()).sum()));
        }
        match (jobs.is_empty(), state.is_stopped) {
            (false, _) => Taken::Jobs(jobs),
            (true, true) => Taken::End,
            (true, false) => Taken::Nothing,
        }
    }

    /// Takes no more; what waits is still to be taken.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Takes no more and forgets what waits, whose senders learn that nobody will answer.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.bytes = 0;
        let forgotten = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.tasks));
        drop(state);
        drop(forgotten);
    }
}
