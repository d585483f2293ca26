//! Jobs as types of the API.

use std::collections::BTreeMap;

use monitor_jobs::{JobState, batch_sizes};
use monitor_store::JobRow;
use monitor_wire::{HostStatus, Job, JobStep};

use super::ids;

/// Returns a job with all its hosts.
pub(crate) fn shown(job: &JobState) -> Job {
    let counts: Vec<_> = job.steps.iter().map(|step| counted(step.hosts.iter().map(|run| (run.status, 1)))).collect();
    with_counts(job, counts)
}

/// Returns a job of a list.
pub(crate) fn shown_row(row: &JobRow) -> Job {
    with_counts(&row.job, row.counts.iter().map(|counts| counted(counts.iter().copied())).collect())
}

fn counted(statuses: impl Iterator<Item = (HostStatus, u32)>) -> BTreeMap<u16, u32> {
    let mut counts = BTreeMap::new();
    for (status, count) in statuses {
        *counts.entry(status.0).or_default() += count;
    }
    counts
}

fn with_counts(job: &JobState, counts: Vec<BTreeMap<u16, u32>>) -> Job {
    let steps = job.steps.iter().zip(&job.request.steps).zip(counts).map(|((step, request), counts)| {
        // Hosts that can't start are in no batch.
        let is_in_batch = |status: &u16| ![HostStatus::NO_SUCH_HOST.0, HostStatus::NO_AGENT.0].contains(status);
        let hosts: u32 = counts.iter().filter(|(status, _)| is_in_batch(status)).map(|(_, count)| count).sum();
        let batches = u32::try_from(batch_sizes(job.request.rolling.as_ref(), hosts as usize).len()).unwrap_or(u32::MAX).max(1);
        JobStep {
            step_id: step.id,
            name: request.name.clone().unwrap_or_default(),
            status: step.status,
            attempt: step.attempt,
            batch: [step.batches.clamp(1, batches), batches],
            started_us: step.started_us,
            ended_us: step.ended_us,
            counts,
        }
    });
    Job {
        job_id: job.id,
        name: job.request.name.clone().unwrap_or_default(),
        root_id: ids::root_of(job).to_string(),
        status: job.status,
        by: job.by.clone(),
        follows: job.follows,
        followed_by: job.followed_by,
        account: job.request.account.clone(),
        warnings: job.warnings.clone(),
        created_us: job.created_us,
        started_us: job.started_us,
        ended_us: job.ended_us,
        steps: steps.collect(),
    }
}
