//! Observes the worker that a layer belongs to, and its waiting tasks.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::Waker;

use apalis_core::worker::context::WorkerContext;
use apalis_core::worker::event::Event;

/// State of a worker.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    worker: OnceLock<WorkerContext>,
    /// Wakers of tasks that wait for their turn. They are returned to the queue when the worker ends.
    waiting: Mutex<Vec<Waker>>,
}

impl Watch {
    pub(crate) fn hears(&self, worker: &WorkerContext, event: &Event) {
        self.knows(worker);
        if matches!(event, Event::Stop | Event::Exit) {
            let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    pub(crate) fn knows(&self, worker: &WorkerContext) {
        self.worker.get_or_init(|| worker.clone());
    }

    /// Stops the worker after its running tasks.
    pub(crate) fn stop(&self) {
        if let Some(worker) = self.worker.get().filter(|worker| worker.is_running() || worker.is_paused()) {
            // Fails only for a worker that never started.
            let _ = worker.stop();
        }
    }

    /// Returns true if the worker is ending. Otherwise registers `waker` for the end.
    pub(crate) fn is_ending(&self, waker: &Waker) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.worker.get().is_some_and(WorkerContext::is_shutting_down) {
            return true;
        }
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
        false
    }
}
