//! Computes the changes of a job that the report of an agent causes.
//!
//! A host can be unreachable, lost or not stopped although its script still runs or has ended. A later report replaces such a status. If all hosts of
//! a failed step have then succeeded, the step succeeds, and its job too if no other step is left.

use monitor_wire::{HostStatus, JobReport, JobReportEvent, JobStatus};

use crate::draft::Draft;
use crate::plan::Transition;
use crate::state::{HostRun, JobState};

/// Maximum number of characters of a tag. An agent can send any text.
const MOST_TAG: usize = 255;
/// Maximum number of characters of a reason.
const MOST_REASON: usize = 2_000;

/// Returns the changes that a report of an agent causes. A report that was applied before causes none, nor does one of an earlier attempt, unless the
/// current attempt depends on it.
#[must_use]
pub fn report(now_us: u64, job: &JobState, report: &JobReport) -> Vec<Transition> {
    let key = report.key;
    let step = job.steps.iter().position(|step| step.id == key.step);
    let host = job.targets.iter().position(|target| target.host_id == Some(key.host));
    let (Some(step), Some(host), true) = (step, host, key.job == job.id) else { return Vec::new() };
    let Some(before) = job.steps[step].hosts.get(host) else { return Vec::new() };
    let before = if is_of_former(before, report) {
        // The order of this attempt must not start the script: the reports of the former attempt are about it.
        &HostRun { runs_as: Some(key.attempt), ordered_us: before.ordered_us.or(Some(now_us)), ..before.clone() }
    } else {
        before
    };
    if before.running_attempt() != key.attempt || before.ordered_us.is_none() {
        return Vec::new();
    }
    let Some(run) = changed(now_us, before, report) else { return Vec::new() };
    let mut draft = Draft::new(now_us, job);
    let is_corrected = !before.status.is_open() && run.status != before.status;
    draft.set_host(step, host, run);
    if is_corrected {
        correct(&mut draft, step);
    }
    draft.transitions
}

/// Returns true if a report shows that a former attempt was accepted, of those of which at most one may run.
fn is_of_former(before: &HostRun, report: &JobReport) -> bool {
    let is_former = before.since > 0 && (before.since..before.attempt).contains(&report.key.attempt);
    is_former && before.accepted_us.is_none() && report.event.shows_acceptance()
}

/// Returns the new state of a host, or `None` if the report changes nothing: it is a repetition, or the status of the host is final.
fn changed(now_us: u64, before: &HostRun, report: &JobReport) -> Option<HostRun> {
    let is_open = before.status.is_open();
    if !is_open && !is_provisional(before.status) {
        return None;
    }
    let mut run = before.clone();
    match &report.event {
        JobReportEvent::Accepted => {
            if run.accepted_us.is_some() {
                return None;
            }
            accept(&mut run, now_us);
        }
        JobReportEvent::Started { interpreter } => {
            if run.started_us.is_some() {
                return None;
            }
            accept(&mut run, now_us);
            run.started_us = Some(report.at_us);
            if is_open {
                run.status = HostStatus::RUNNING;
                run.reason = interpreter.as_ref().map(|name| format!("The interpreter of the script is missing, so {name} runs it."));
            }
        }
        JobReportEvent::Ended { status, exit_code, reason, tag, output_bytes, omitted_bytes } => {
            let (status, wrong) = reported(*status);
            if status == before.status {
                return None;
            }
            if matches!(status, HostStatus::REFUSED | HostStatus::JOB_TIME_OVER) {
                run.not_before_us = None;
            } else {
                accept(&mut run, now_us);
            }
            run.status = status;
            run.is_corrected |= !is_open;
            run.ended_us = Some(report.at_us);
            run.exit_code = *exit_code;
            run.reason =
                wrong.or_else(|| reason.clone()).or_else(|| before.reason.clone().filter(|_| is_open && before.started_us.is_some()));
            run.tag.clone_from(tag);
            (run.output_bytes, run.omitted_bytes) = (*output_bytes, *omitted_bytes);
        }
        JobReportEvent::NotStopped { reason } => {
            if !is_open || !run.is_stopping {
                return None;
            }
            run.status = HostStatus::NOT_STOPPED;
            run.ended_us = Some(report.at_us);
            run.reason = Some(reason.clone());
        }
    }
    shorten(&mut run.tag, MOST_TAG);
    shorten(&mut run.reason, MOST_REASON);
    Some(run)
}

fn shorten(text: &mut Option<String>, most: usize) {
    if let Some(text) = text
        && let Some((end, _)) = text.char_indices().nth(most)
    {
        text.truncate(end);
    }
}

/// Records that the agent has the order. The script may have run, so the order is not retried automatically.
fn accept(run: &mut HostRun, now_us: u64) {
    run.accepted_us.get_or_insert(now_us);
    if run.not_before_us.take().is_some() {
        run.reason = None;
    }
}

/// Returns true for the statuses of a host whose end was not observed. A later report replaces them.
pub(crate) fn is_provisional(status: HostStatus) -> bool {
    matches!(status, HostStatus::UNREACHABLE | HostStatus::LOST | HostStatus::NOT_STOPPED)
}

/// Returns the status to store for a reported one. If an agent can't report that status, returns `LOST` and the reason.
fn reported(status: HostStatus) -> (HostStatus, Option<String>) {
    let is_of_server = status.is_open()
        || matches!(status, HostStatus::NO_SUCH_HOST | HostStatus::SUCCEEDED_BEFORE | HostStatus::NO_AGENT | HostStatus::UNREACHABLE);
    if is_of_server {
        let reason = format!("The agent has reported status {}, which is no end of a script.", status.0);
        return (HostStatus::LOST, Some(reason));
    }
    (status, None)
}

/// Sets a failed step to succeeded if all its hosts have succeeded now, and then its job.
fn correct(draft: &mut Draft<'_>, step: usize) {
    let has_failed = matches!(draft.step(step).status, JobStatus::FAILED | JobStatus::ERROR_IGNORED);
    if has_failed && draft.has_succeeded(step) {
        draft.set_step(step, JobStatus::SUCCEEDED);
        // Steps that were discarded begin only when a user continues the job.
        if draft.status.is_finished() && draft.current().is_none() {
            let status = draft.passed_status();
            draft.set_job(status);
        }
    }
}
