//! Queue in front of the writer thread, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use monitor_store::packed::Packed;
use monitor_store::{Changes, Intake};
use monitor_wire::Accepted;
use tokio::sync::oneshot;

use super::IngestError;

/// Approximate maximum number of events in a transaction. Larger transactions gain nothing and make the first batches wait.
const MAX_EVENTS: usize = 20_000;

/// Period over which the rate of events is averaged.
const RATE_OVER: Duration = Duration::from_secs(10);

/// Waiting batch, with the channel for its result.
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

/// Other work for the writer thread, done between two transactions.
pub(super) type Task = Box<dyn FnOnce(&dyn Intake, &dyn Fn(Changes)) + Send>;

/// Queue between the senders of batches and the writer thread.
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
    /// Numbers of events taken in the past [`RATE_OVER`], with the time of each.
    taken: VecDeque<(Instant, usize)>,
    is_stopped: bool,
}

/// Reason for refusing a job.
pub(super) enum Full {
    Busy,
    Stopped,
}

/// Next work for the writer thread.
pub(super) enum Taken {
    Jobs(Vec<Job>),
    Task(Task),
    Nothing,
    /// The queue is empty and stopped.
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
    /// Returns the number of events taken per second.
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

    /// True if a job of at least `bytes` bytes would be refused now.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        let state = self.lock();
        !state.jobs.is_empty() && state.bytes.saturating_add(bytes) > self.max_bytes
    }

    /// Returns the number of waiting jobs and their size in bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.jobs.len(), state.bytes)
    }

    /// Adds a job. If no other job waits, it is accepted whatever its size.
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

    /// Adds a task.
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

    /// Waits up to `timeout` for work and takes it. With `after_jobs`, a task comes first. Otherwise the waiting batches come first, up to
    /// the size of a transaction.
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

    /// Refuses new work. The writer thread still takes the work that waits.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.changed.notify_all();
    }

    /// Refuses new work and drops the work that waits. Dropping the channels of the results makes the senders return an error.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        state.bytes = 0;
        let forgotten = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.tasks));
        drop(state);
        drop(forgotten);
    }
}
