//! `POST /api/v1/batch-tasks/apply`: changes several batch tasks at once.

use axum::extract::State;
use axum::{Extension, Json};
use monitor_store::{Expects, TaskChange, TaskEdit, diff};
use monitor_wire::{BatchApplied, BatchApply, BatchStatus, BatchStep, Problem};

use super::super::commands::Small;
use super::super::params::{NoParams, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::super::{Answer, App};
use super::change::{check_together, read, who};
use crate::access::Principal;

/// Maximum size of a request, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// Adds or changes batch tasks so that they have the given definitions: all of them, or none.
///
/// With `delete`, the server's other tasks are deleted. With `dry_run`, nothing is changed, and the response contains the changes that
/// would be made.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/apply",
    tag = "batch tasks",
    request_body = BatchApply,
    responses(
        (status = 200, description = "The change of each task", body = BatchApplied),
        (status = 400, description = "A definition is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "One of the tasks is defined in a file of an agent", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "A task has been changed since this version", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_apply(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(apply): Small<BatchApply, MAX_BYTES>,
) -> Answer<BatchApplied> {
    let tasks = app.all_tasks().await?;
    let there = |name: &str| tasks.iter().find(|task| task.name == name && task.status != BatchStatus::DELETED);
    let named = |at: usize, error| match error {
        ApiError::Body { detail } => ApiError::Body { detail: format!("tasks.{at}: {detail}") },
        error => error,
    };
    let read = apply.tasks.iter().enumerate().map(|(at, json)| Ok((read(json).map_err(|error| named(at, error))?, json)));
    let read = read.collect::<Result<Vec<_>, ApiError>>()?;
    let who = who(principal);
    let (mut steps, mut changes) = (Vec::new(), Vec::new());
    for (definition, json) in &read {
        let before = there(&definition.name);
        let what = match before {
            None => "add",
            Some(task) if task.definition == **json => "same",
            Some(_) => "change",
        };
        steps.push(BatchStep {
            name: definition.name.clone(),
            what: what.to_owned(),
            version: None,
            diff: diff(before.map(|task| &task.definition), json),
        });
        let expects = before.map_or(Expects::New, |task| Expects::Version(task.version));
        let edit = TaskEdit::Define((*json).clone());
        changes.push(TaskChange { name: definition.name.clone(), who: who.clone(), expects, edit });
    }
    let mut together: Vec<_> = read.iter().map(|(definition, _)| (definition.name.as_str(), Some(definition))).collect();
    if apply.delete {
        let is_left = |task: &&monitor_wire::BatchTask| {
            task.status != BatchStatus::DELETED && task.agent.is_none() && !read.iter().any(|(definition, _)| definition.name == task.name)
        };
        for task in tasks.iter().filter(is_left) {
            steps.push(BatchStep { name: task.name.clone(), what: "delete".to_owned(), version: None, diff: Vec::new() });
            let expects = Expects::Version(task.version);
            changes.push(TaskChange { name: task.name.clone(), who: who.clone(), expects, edit: TaskEdit::Delete });
            together.push((&task.name, None));
        }
    }
    check_together(&tasks, &together, app.clock.wall_us())?;
    if !apply.dry_run {
        for (step, version) in steps.iter_mut().zip(app.change_tasks(changes).await?) {
            step.version = Some(version);
        }
    }
    steps.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(BatchApplied { steps }))
}
