//! `POST /api/v1/batch-tasks/rehearse`: tries a definition on the actual durations of the last month before it is saved.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use monitor_store::{BatchRunsQuery, Definition as Written, Store, StoreError};
use monitor_tasks::rehearse::{Rehearsal, rehearse};
use monitor_tasks::{Book, Definition, Task};
use monitor_wire::{BatchCrowded, BatchRehearsal, BatchStatus, BatchTask, Problem};
use serde_json::Value;

use super::super::commands::Small;
use super::super::params::{NoParams, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::super::{Answer, App};
use super::agents;
use super::change::read;
use super::dues::timestamp;
use super::tasks::MAX_DEFINITION_BYTES;

/// Simulated time: the last 30 days.
const MONTH_US: u64 = 30 * 86_400_000_000;
/// Maximum number of past runs whose durations are used, newest first.
const RUNS: usize = 1_000;

/// Simulates a definition over the last 30 days.
///
/// The simulated runs take as long as the task's actual runs of that time, in the same sequence. Nothing is saved or started.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/rehearse",
    tag = "batch tasks",
    request_body(content = Object, description = "The definition"),
    responses(
        (status = 200, description = "The simulated result", body = BatchRehearsal),
        (status = 400, description = "The definition is invalid", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_rehearse(
    State(app): State<App>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(definition): Small<Written, MAX_DEFINITION_BYTES>,
) -> Answer<BatchRehearsal> {
    let definition = read(&definition)?;
    let now_us = app.clock.wall_us();
    let from_us = now_us.saturating_sub(MONTH_US);
    let since = timestamp(from_us).unwrap_or_default();
    let wrong = |why: String| ApiError::Body { detail: why };
    let task = Task::new(definition, 1, since, &TimeZone::system()).map_err(wrong)?;
    let tried = app.ask(move |store| {
        let durations = durations(store, &task.definition.name, from_us)?;
        let others = others(store, &task)?;
        let to = timestamp(now_us).unwrap_or_default();
        Ok(shown(rehearse(&task, &durations, &others, since, to), durations.len(), (from_us, now_us)))
    });
    Ok(Json(tried.await?))
}

/// Returns the durations of a task's runs since `from_us`, oldest first.
fn durations(store: &dyn Store, name: &str, from_us: u64) -> Result<Vec<Duration>, StoreError> {
    let query = BatchRunsQuery { task: Some(name.to_owned()), from_us: Some(from_us), limit: RUNS, ..BatchRunsQuery::default() };
    let runs = store.batch_runs(&query)?.runs;
    Ok(runs.iter().rev().filter_map(|run| run.elapsed_ns).map(Duration::from_nanos).collect())
}

/// Returns the other tasks of the agents that a task is for.
fn others(store: &dyn Store, task: &Task) -> Result<Book, StoreError> {
    let on: &[String] = &task.definition.on;
    let is_there = |other: &BatchTask| {
        other.status == BatchStatus::ACTIVE
            && agents(other).iter().any(|agent| if on.is_empty() { agent == super::OWN_AGENT } else { on.contains(agent) })
    };
    let mut book = Book::default();
    for (revision, other) in store.batch_changes(0)?.into_iter().filter(|(_, other)| is_there(other)) {
        let definition = Definition::from_json(Value::Object(other.definition)).ok();
        if let Some(Ok(other)) = definition.map(|definition| Task::new(definition, revision, task.since, &TimeZone::system())) {
            book.put(other);
        }
    }
    Ok(book)
}

fn shown(found: Rehearsal, durations: usize, (from_us, to_us): (u64, u64)) -> BatchRehearsal {
    let Rehearsal { due, starts, overlaps, skipped, longest_wait, overtime, killed, crowded, cut_at } = found;
    BatchRehearsal {
        from_us,
        to_us: cut_at.map_or(to_us, |at| u64::try_from(at.as_microsecond()).unwrap_or_default()),
        durations: durations as u64,
        due: due.into(),
        starts: starts.into(),
        overlaps: overlaps.into(),
        skipped: skipped.into_iter().map(|(reason, count)| (reason.to_owned(), count.into())).collect(),
        longest_wait_ns: u64::try_from(longest_wait.as_nanos()).unwrap_or(u64::MAX),
        overtime: overtime.into(),
        killed: killed.into(),
        crowded: crowded.into_iter().map(|of| BatchCrowded { minute: of.minute, starts: of.starts.into(), hint: of.hint }).collect(),
    }
}
