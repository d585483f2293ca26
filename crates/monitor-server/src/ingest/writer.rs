//! The single thread that writes to the store.

use std::sync::Arc;
use std::time::Duration;

use monitor_store::packed::Packed;
use monitor_store::{Changes, Intake, StoreError};
use monitor_wire::Accepted;
use tokio::sync::oneshot;

use super::IngestError;
use super::queue::{Job, Queue, Taken};
use super::trouble::Trouble;
use crate::clock::Clock;

/// Interval of the checks that batches can be stored.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Writes until the queue ends.
pub(super) fn run(store: &dyn Intake, publish: &dyn Fn(Changes), queue: &Queue, trouble: &Trouble, clock: &Clock) {
    // If the writer thread panics, the waiting senders get an error.
    let _abandon = Abandon(queue);
    let mut checked_us = clock.wall_us();
    let mut after_jobs = false;
    look(store, trouble);
    loop {
        // Batches and tasks alternate, so that neither delays the other for long.
        match queue.take(CHECK_EVERY, std::mem::take(&mut after_jobs)) {
            Taken::Jobs(jobs) => {
                write(store, publish, trouble, jobs, clock.wall_us());
                after_jobs = true;
            }
            Taken::Task(task) => task(store, publish),
            Taken::Nothing => {}
            Taken::End => break,
        }
        let now_us = clock.wall_us();
        // The absolute difference is used so that setting the clock back does not stop the checks.
        if now_us.abs_diff(checked_us) >= CHECK_EVERY.as_micros() as u64 {
            checked_us = now_us;
            look(store, trouble);
        }
    }
}

/// Checks that batches can be stored, and updates `trouble`.
fn look(store: &dyn Intake, trouble: &Trouble) {
    match store.look(trouble.cause().is_none()) {
        Ok(()) => trouble.end(),
        Err(error) => drop(trouble.begin(&error)),
    }
}

/// Logs a failure. A temporary failure is logged when it begins and when it ends, and not for each attempt.
fn failed(trouble: &Trouble, error: &StoreError, what: &str) {
    if error.is_passing() {
        trouble.begin(error);
    } else {
        tracing::error!(error = error as &dyn std::error::Error, "could not {what}");
    }
}

/// Stores jobs in one transaction. If it fails, each batch is stored in a transaction of its own, so that an invalid batch does not affect
/// the others.
fn write(store: &dyn Intake, publish: &dyn Fn(Changes), trouble: &Trouble, jobs: Vec<Job>, now_us: u64) {
    let (batches, answers): (Vec<Arc<Packed>>, Vec<_>) = jobs.into_iter().map(|job| (job.batch, job.answer)).unzip();
    match store.append(&batches, now_us) {
        Ok(changes) => {
            for (batch, answer) in batches.iter().zip(answers) {
                answer_with(answer, trouble, Ok(batch));
            }
            tell(publish, changes);
        }
        Err(error) => {
            if batches.len() > 1 && !error.is_passing() {
                tracing::warn!(error = &error as &dyn std::error::Error, "a transaction failed, its batches are tried one by one");
            }
            let mut first = Some(error).filter(|_| batches.len() == 1);
            for (batch, answer) in batches.iter().zip(answers) {
                let result = first.take().map_or_else(|| store.append(std::slice::from_ref(batch), now_us), Err);
                match result {
                    Ok(changes) => {
                        answer_with(answer, trouble, Ok(batch));
                        tell(publish, changes);
                    }
                    Err(error) => answer_with(answer, trouble, Err(error)),
                }
            }
        }
    }
}

fn answer_with(answer: oneshot::Sender<Result<Accepted, IngestError>>, trouble: &Trouble, result: Result<&Arc<Packed>, StoreError>) {
    if let Err(error) = &result {
        failed(trouble, error, "store a batch");
    }
    // The sender may have gone away.
    let _ = answer.send(result.map(|batch| Accepted { accepted: batch.last_number() }).map_err(IngestError::Store));
}

pub(super) fn tell(publish: &dyn Fn(Changes), changes: Changes) {
    if changes.count() > 0 {
        publish(changes);
    }
}

struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
