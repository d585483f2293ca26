//! What waits for the writer, bounded in bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monitor_wire::Accepted;
use tokio::sync::oneshot;

use super::IngestError;
use crate::packed::Packed;

/// About so many events become one transaction: more gain nothing and make the first ones wait.
const MAX_EVENTS: usize = 20_000;

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

/// The queue between those who bring batches and the writer.
pub(super) struct Queue {
    max_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    bytes: usize,
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
    Nothing,
    /// Nothing, and nothing will come.
    End,
}

impl Queue {
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

    /// All that waits, up to one transaction's worth; waits at most `timeout` for it.
    pub(super) fn take(&self, timeout: Duration) -> Taken {
        let is_idle = |state: &mut State| state.jobs.is_empty() && !state.is_stopped;
        let (mut state, _) = self.changed.wait_timeout_while(self.lock(), timeout, is_idle).unwrap_or_else(PoisonError::into_inner);
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
        let forgotten = std::mem::take(&mut state.jobs);
        drop(state);
        drop(forgotten);
    }
}
