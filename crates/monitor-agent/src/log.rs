//! Logs decisions and the ends of runs.

use monitor_tasks::{Action, Dues, EndReason, RunId};

use crate::verdict::RunVerdict;

/// Logs an action.
pub(crate) fn action(action: &Action) {
    match action {
        Action::Start { run } => tracing::info!(run = %run.id, trigger = run.trigger.word(), attempt = run.attempt, "starts a run"),
        Action::Queue { run, reason, not_before, blocked_by } => {
            let blocked_by = blocked_by.as_ref().map(RunId::to_string);
            tracing::info!(run = %run.id, reason = reason.word(), %not_before, blocked_by, "a run waits");
        }
        Action::Retry { of, run, not_before } => {
            tracing::info!(run = %run.id, %of, attempt = run.attempt, %not_before, "a run is tried again");
        }
        Action::Kill { run, reason, replaced_by } => {
            let replaced_by = replaced_by.as_ref().map(RunId::to_string);
            tracing::warn!(%run, reason = reason.word(), replaced_by, "ends a run");
        }
        Action::Overtime { run, since } => tracing::warn!(%run, %since, "a run takes longer than its timeout, and runs on"),
        Action::Skip { task, version, dues, reason, blocked_by, .. } => {
            let Dues { first, last, count } = dues;
            let blocked_by = blocked_by.as_ref().map(RunId::to_string);
            tracing::warn!(task, version, %first, %last, count, reason = reason.word(), blocked_by, "due times are skipped");
        }
        Action::Missed { task, version, dues, reason, run } => {
            let Dues { first, last, count } = dues;
            let run = run.as_ref().map(RunId::to_string);
            tracing::warn!(task, version, %first, %last, count, reason = reason.word(), run, "due times were missed");
        }
    }
}

/// Logs the end of a run.
pub(crate) fn ended(run: &RunId, verdict: &RunVerdict) {
    let (outcome, result_code) = (verdict.outcome.word(), verdict.result_code);
    match &verdict.words {
        None => tracing::info!(%run, outcome, result_code, "a run has ended"),
        Some(words) => {
            let reason = verdict.reason.map(EndReason::word);
            tracing::warn!(%run, outcome, result_code, reason, why = visible(words), "a run has failed");
        }
    }
}

/// Replaces control characters in the output of a command.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
