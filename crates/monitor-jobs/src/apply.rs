//! Applies a change to a job. The engine and every store use this function, so that all have the same state.

use monitor_wire::JobStatus;

use crate::plan::Transition;
use crate::state::JobState;

/// Applies a change to a job. A change of a step or host that the job doesn't have is ignored.
pub fn apply(job: &mut JobState, transition: &Transition) {
    match transition {
        Transition::Job { status, at_us } => {
            times(*status, *at_us, false, &mut job.started_us, &mut job.ended_us);
            job.status = *status;
        }
        Transition::Step { step, status, attempt, batches, at_us } => {
            let Some(step) = job.steps.get_mut(*step) else { return };
            times(*status, *at_us, *attempt != step.attempt, &mut step.started_us, &mut step.ended_us);
            (step.status, step.attempt, step.batches) = (*status, *attempt, *batches);
        }
        Transition::Host { step, host, run, .. } => {
            if let Some(kept) = job.steps.get_mut(*step).and_then(|step| step.hosts.get_mut(*host)) {
                kept.clone_from(run);
            }
        }
    }
}

/// Sets the times of a job or step. Correcting the status of something that has ended doesn't change the time of its end.
fn times(status: JobStatus, at_us: u64, is_new_attempt: bool, started: &mut Option<u64>, ended: &mut Option<u64>) {
    if status == JobStatus::WAITING || is_new_attempt {
        (*started, *ended) = (None, None);
    }
    if status == JobStatus::RUNNING {
        started.get_or_insert(at_us);
    }
    if status.is_finished() {
        ended.get_or_insert(at_us);
    } else {
        *ended = None;
    }
}
