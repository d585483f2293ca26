//! Decides which changes of a job cause a callback.

use monitor_wire::{JobCallback, StepCallback};

use crate::plan::Transition;
use crate::report::is_provisional;
use crate::state::{HostRun, JobState, StepState};

/// Returns the body of the callback for changes of a job, or `None` if the job has no callback address, or no status of the job or a step
/// changes and no late report corrects a host. `job` is the state before the changes, and `root_id` is the id of its tree.
#[must_use]
pub fn callback(root_id: String, job: &JobState, changes: &[Transition]) -> Option<JobCallback> {
    job.request.callback_url.as_ref()?;
    let (mut status, mut corrected, mut time_us) = (job.status, false, 0);
    let before: Vec<_> = job.steps.iter().map(|step| step.status).collect();
    let mut steps = before.clone();
    for change in changes {
        match change {
            Transition::Job { status: new, at_us } => (status, time_us) = (*new, *at_us),
            Transition::Step { step, status: new, at_us, .. } => {
                time_us = *at_us;
                if let Some(status) = steps.get_mut(*step) {
                    *status = *new;
                }
            }
            Transition::Host { step, host, run, at_us } => {
                time_us = *at_us;
                let before = job.steps.get(*step).and_then(|step| step.hosts.get(*host));
                corrected |= before.is_some_and(|before| is_correction(before, run));
            }
        }
    }
    if status == job.status && steps == before && !corrected {
        return None;
    }
    let step = |(step, status): (&StepState, _)| StepCallback { step_instance_id: step.id, status };
    Some(JobCallback {
        job_instance_id: job.id,
        name: job.request.name.clone().unwrap_or_default(),
        root_id,
        status,
        step_instances: job.steps.iter().zip(steps).map(step).collect(),
        corrected,
        time_us,
    })
}

/// True if a late report replaces the outcome of a host whose end was not observed. A retry is no correction.
fn is_correction(before: &HostRun, run: &HostRun) -> bool {
    run.is_corrected && is_provisional(before.status) && !run.status.is_open() && run.status != before.status
}
