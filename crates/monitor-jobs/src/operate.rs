//! Applies the operations of users to a job: stop, skip, continue, confirm, refuse and retry.
//!
//! The page shows the operations that these rules permit (`possible` in `monitor-web/app/src/model/jobs.ts`), so a change here needs one there.

use std::collections::HashSet;

use monitor_wire::{HostStatus, JobOperate, JobOperation, JobStatus};

use crate::draft::{Draft, StepHead};
use crate::plan::Transition;
use crate::state::{HostRun, JobState};

/// Reason why an operation isn't possible now, with the operations that are possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(pub String);

/// Returns the changes that an operation of a user causes.
///
/// # Errors
/// If the operation isn't possible in the current state of the job.
pub fn operate(now_us: u64, job: &JobState, operation: &JobOperate) -> Result<Vec<Transition>, Refusal> {
    let mut draft = Draft::new(now_us, job);
    let step = match operation.step_id {
        Some(id) => job.steps.iter().position(|step| step.id == id).ok_or_else(|| {
            let ids: Vec<String> = job.steps.iter().map(|step| step.id.to_string()).collect();
            Refusal(format!("The job {} has no step {id}. Its steps are {}.", job.id, ids.join(", ")))
        })?,
        None => draft.current().or(job.steps.len().checked_sub(1)).ok_or_else(|| Refusal("The job has no steps.".to_owned()))?,
    };
    let decides = matches!(operation.operation, JobOperation::Confirm | JobOperation::Refuse | JobOperation::Stop);
    if is_unconfirmed(draft.step(0)) && !decides {
        return Err(refusal(&draft, step, "changed"));
    }
    let is_retry = matches!(operation.operation, JobOperation::RetryFailed | JobOperation::RetryNotStarted | JobOperation::RetryAll);
    if !operation.hosts.is_empty() && !is_retry {
        return Err(Refusal("Only retries apply to single hosts. Leave `hosts` out.".to_owned()));
    }
    match operation.operation {
        JobOperation::Stop => stop(&mut draft, step)?,
        JobOperation::Skip => skip(&mut draft, step)?,
        JobOperation::Continue | JobOperation::Ignore => proceed(&mut draft, step, operation.operation)?,
        JobOperation::Confirm | JobOperation::Refuse => confirm(&mut draft, step, operation.operation)?,
        JobOperation::RetryFailed | JobOperation::RetryNotStarted | JobOperation::RetryAll => retry(&mut draft, step, operation)?,
    }
    Ok(draft.transitions)
}

/// Stops the current step: ends the hosts that wait, and marks the others, so that the next plan sends stops to their agents.
fn stop(draft: &mut Draft<'_>, step: usize) -> Result<(), Refusal> {
    if draft.status.is_finished() || draft.status == JobStatus::STOPPING || draft.current() != Some(step) {
        return Err(refusal(draft, step, "stopped"));
    }
    if is_unconfirmed(draft.step(step)) {
        return confirm(draft, step, JobOperation::Refuse);
    }
    draft.set_job(JobStatus::STOPPING);
    draft.set_step(step, JobStatus::STOPPING);
    draft.end_waiting(step, HostStatus::STOPPED, "The job was stopped before this host began.");
    for host in draft.positions(step) {
        let run = draft.host(step, host);
        // A host that was lost may still run the script when it returns.
        if run.status.is_open() || (run.status == HostStatus::UNREACHABLE && run.ordered_us.is_some()) {
            draft.set_host(step, host, HostRun { is_stopping: true, not_before_us: None, ..run.clone() });
        }
    }
    Ok(())
}

fn skip(draft: &mut Draft<'_>, step: usize) -> Result<(), Refusal> {
    let status = draft.step(step).status;
    let has_ended = matches!(status, JobStatus::FAILED | JobStatus::STOPPED | JobStatus::CONFIRMATION_REFUSED);
    let is_waiting = status == JobStatus::WAITING && !matches!(draft.status, JobStatus::STOPPING);
    let is_asked = waits_for_user(status) && draft.active(step).is_empty();
    if !has_ended && !is_waiting && !is_asked {
        return Err(refusal(draft, step, "skipped"));
    }
    draft.set_step(step, JobStatus::SKIPPED);
    draft.end_waiting(step, HostStatus::JOB_TIME_OVER, "A user skipped the step before this host began.");
    if !is_waiting {
        go_on(draft, step);
    }
    Ok(())
}

/// Continues with the next batch or, after failures, with the next step.
fn proceed(draft: &mut Draft<'_>, step: usize, operation: JobOperation) -> Result<(), Refusal> {
    match draft.step(step).status {
        status if waits_for_user(status) => next_batch(draft, step),
        JobStatus::FAILED => {
            draft.set_step(step, JobStatus::ERROR_IGNORED);
            go_on(draft, step);
        }
        _ if operation == JobOperation::Ignore => return Err(refusal(draft, step, "ignored")),
        _ => return Err(refusal(draft, step, "continued")),
    }
    Ok(())
}

fn confirm(draft: &mut Draft<'_>, step: usize, operation: JobOperation) -> Result<(), Refusal> {
    if !waits_for_user(draft.step(step).status) {
        return Err(refusal(draft, step, if operation == JobOperation::Confirm { "confirmed" } else { "refused" }));
    }
    if operation == JobOperation::Confirm {
        next_batch(draft, step);
    } else if !draft.active(step).is_empty() {
        return Err(refusal(draft, step, "refused"));
    } else {
        draft.set_step(step, JobStatus::CONFIRMATION_REFUSED);
        draft.end_waiting(step, HostStatus::JOB_TIME_OVER, "A user refused to continue before this host began.");
    }
    Ok(())
}

fn next_batch(draft: &mut Draft<'_>, step: usize) {
    let head = draft.step(step);
    // A job that a user must confirm before it begins has no batch yet. The plan begins its first one.
    let batches = if head.batches == 0 { 0 } else { head.batches + 1 };
    draft.set_head(step, StepHead { status: JobStatus::RUNNING, batches, ..head });
    draft.set_job(JobStatus::RUNNING);
}

/// Continues the job after a step that was passed by a decision of a user.
fn go_on(draft: &mut Draft<'_>, step: usize) {
    draft.restore_after(step);
    draft.set_job(JobStatus::RUNNING);
}

/// Begins a new attempt of a step. Its batches begin again from the first one; hosts that had succeeded are left out.
fn retry(draft: &mut Draft<'_>, step: usize, operate: &JobOperate) -> Result<(), Refusal> {
    let head = draft.step(step);
    let is_idle = !matches!(head.status, JobStatus::WAITING | JobStatus::RUNNING | JobStatus::STOPPING | JobStatus::DISCARDED);
    let later = || step + 1..draft.job.steps.len();
    let is_latest = later().all(|later| matches!(draft.step(later).status, JobStatus::WAITING | JobStatus::DISCARDED));
    if !is_idle || !is_latest {
        return Err(refusal(draft, step, "retried"));
    }
    let selected: HashSet<u64> = operate.hosts.iter().copied().collect();
    let known: HashSet<u64> = draft.job.targets.iter().filter_map(|target| target.host_id).collect();
    if let Some(id) = operate.hosts.iter().find(|id| !known.contains(id)) {
        return Err(Refusal(format!("The job {} has no host {id}.", draft.job.id)));
    }
    let is_selected = |host: &usize| {
        let run = draft.host(step, *host);
        let Some(id) = draft.job.targets[*host].host_id else { return false };
        let is_meant = selected.is_empty() || selected.contains(&id);
        is_meant && !run.status.is_open() && {
            match operate.operation {
                JobOperation::RetryAll => true,
                JobOperation::RetryNotStarted => !run.status.is_success() && run.accepted_us.is_none() && !run.may_have_run,
                _ => !run.status.is_success(),
            }
        }
    };
    let hosts: HashSet<usize> = draft.positions(step).filter(is_selected).collect();
    if hosts.is_empty() {
        let (none, instead) = match operate.operation {
            JobOperation::RetryAll => ("No host of the step has ended", ""),
            JobOperation::RetryNotStarted => (
                "Each of these hosts has accepted its order, now or in a former attempt whose end is unknown",
                " `retry-failed` and `retry-all` are possible.",
            ),
            _ => ("None of these hosts has failed", " `retry-all` is possible."),
        };
        return Err(Refusal(format!("{none}, so there is nothing to retry.{instead}")));
    }
    let is_first_start = operate.operation == JobOperation::RetryNotStarted;
    draft.begin_attempt(step, &hosts, |run| if is_first_start { run.next_attempt() } else { run.next_attempt().again() });
    go_on(draft, step);
    Ok(())
}

/// True if a rule demands a confirmation of the job before its first step begins, and there is none. After a refusal, nothing can begin it:
/// a retry or a skipped step would be a way around the rule.
fn is_unconfirmed(first: StepHead) -> bool {
    first.batches == 0 && matches!(first.status, JobStatus::NEEDS_USER | JobStatus::CONFIRMATION_REFUSED)
}

fn waits_for_user(status: JobStatus) -> bool {
    matches!(status, JobStatus::NEEDS_USER | JobStatus::NEXT_BATCH)
}

/// Names the state of the step, and the operations that are possible.
fn refusal(draft: &Draft<'_>, step: usize, what: &str) -> Refusal {
    let status = draft.step(step).status;
    let has_later_begun = (step + 1..draft.job.steps.len())
        .any(|later| !matches!(draft.step(later).status, JobStatus::WAITING | JobStatus::DISCARDED | JobStatus::SKIPPED));
    let possible = match status {
        _ if is_unconfirmed(draft.step(0)) && draft.status.is_finished() => "The job was refused before it began. Start a new one.",
        _ if is_unconfirmed(draft.step(0)) => "`confirm`, `refuse` and `stop` are possible.",
        _ if has_later_begun => "A later step has begun, so only that one can be changed.",
        JobStatus::WAITING if draft.status == JobStatus::STOPPING => "Wait until the job has stopped.",
        JobStatus::WAITING => "`skip` is possible.",
        JobStatus::RUNNING => "`stop` is possible.",
        JobStatus::STOPPING => "Wait until its hosts have ended.",
        JobStatus::NEEDS_USER | JobStatus::NEXT_BATCH if !draft.active(step).is_empty() => {
            "A host of a later batch runs its script already, because it had accepted the order of a former attempt. `continue`, `stop` and retries are \
             possible."
        }
        JobStatus::NEEDS_USER | JobStatus::NEXT_BATCH => "`continue`, `refuse`, `skip`, `stop` and retries are possible.",
        JobStatus::FAILED => "`ignore`, `skip` and retries are possible.",
        JobStatus::STOPPED | JobStatus::CONFIRMATION_REFUSED => "`skip` and retries are possible.",
        JobStatus::DISCARDED => "Continue or retry the step that has failed before it.",
        _ => "`retry-all` is possible.",
    };
    let Draft { job, .. } = draft;
    Refusal(format!(
        "The step {} of the job {} can't be {what}, because its status is {} ({}). {possible}",
        job.steps[step].id,
        job.id,
        status.0,
        status.as_str()
    ))
}
