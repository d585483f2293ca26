//! `/api/v1/batch-tasks`, `/{name}`, `/{name}/versions`: batch tasks.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode, header};
use monitor_store::{BatchTasksQuery, Definition, Expects, TaskChange, TaskEdit, diff};
use monitor_wire::{AgentOrder, BatchTask, BatchTasksPage, BatchVersions, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::access::DeedWords;
use super::super::commands::Small;
use super::super::params::{Limit, NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::{NotTaken, Unreadable};
use super::super::{Answer, App};
use super::change::{check_together, read, who};
use super::{dues, no_task};
use crate::access::Principal;

/// Maximum size of a definition, in bytes.
pub(super) const MAX_DEFINITION_BYTES: usize = 1 << 20;
/// Number of next due times in the response about a single task.
const NEXT: usize = 5;
/// Maximum number of characters of a change in the audit log.
const AUDITED: usize = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct TasksParams {
    /// Only tasks whose names contain this text.
    q: Option<String>,
    /// Maximum number of tasks to return (1 to 200, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200)]
    limit: Limit<200>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists batch tasks by name, each with its next due time and its newest runs.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks",
    tag = "batch tasks",
    params(TasksParams),
    responses(
        (status = 200, description = "One page", body = BatchTasksPage),
        Unreadable,
    )
)]
pub(in super::super) async fn get_tasks(State(app): State<App>, Strict(params): Strict<TasksParams>) -> Answer<BatchTasksPage> {
    let now_us = app.clock.wall_us();
    let query = BatchTasksQuery { text: params.q, limit: params.limit.0, cursor: params.cursor };
    let page = app.ask(move |store| {
        let mut page = store.batch_tasks(&query)?;
        let agents = store.batch_agents()?;
        page.tasks.iter_mut().for_each(|task| dues::fill(task, now_us, 1, &agents));
        Ok(page)
    });
    Ok(Json(page.await?))
}

/// Returns a batch task with its next five due times.
///
/// `ETag` is its version, for use in `If-Match`.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}",
    tag = "batch tasks",
    params(("name" = String, Path, description = "Name of the task")),
    responses(
        (status = 200, description = "The task", body = BatchTask),
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_task(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Response, ApiError> {
    Ok(shown(task(&app, path.text("name")).await?))
}

pub(super) async fn task(app: &App, name: &str) -> Result<BatchTask, ApiError> {
    let mut task = app.batch_task(name).await?;
    let agents = app.ask(monitor_store::BatchQueries::batch_agents).await?;
    dues::fill(&mut task, app.clock.wall_us(), NEXT, &agents);
    Ok(task)
}

pub(super) fn shown(task: BatchTask) -> Response {
    ([(header::ETAG, format!("\"{}\"", task.version))], Json(task)).into_response()
}

/// Adds a batch task.
///
/// The body is its definition, as described in docs/reference/definitions.md. The error lists all mistakes of the definition, one per line.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks",
    tag = "batch tasks",
    request_body(content = Object, description = "The definition"),
    responses(
        (status = 201, description = "The new task", body = BatchTask),
        (status = 400, description = "The definition is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is already in use", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_task(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(definition): Small<Definition, MAX_DEFINITION_BYTES>,
) -> Result<Response, ApiError> {
    let read = read(&definition)?;
    check_together(&app.all_tasks().await?, &[(&read.name, Some(&read))], app.clock.wall_us())?;
    let response = change(&app, who(principal), &read.name, Expects::New, TaskEdit::Define(definition)).await?;
    Ok((StatusCode::CREATED, response).into_response())
}

/// Replaces the definition of a batch task.
///
/// `If-Match` is the version that the change is based on. To restore an older version, send its definition.
#[utoipa::path(
    put,
    path = "/api/v1/batch-tasks/{name}",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("If-Match" = String, Header, description = "Version of the task that is replaced, such as `\"3\"`, or `*` for any version"),
    ),
    request_body(content = Object, description = "The definition"),
    responses(
        (status = 200, description = "The changed task", body = BatchTask),
        (status = 400, description = "The definition is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task is defined in a file of an agent, and this agent is connected", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The task has been changed since this version", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn put_task(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    headers: HeaderMap,
    Strict(NoParams {}): Strict<NoParams>,
    Small(definition): Small<Definition, MAX_DEFINITION_BYTES>,
) -> Result<Response, ApiError> {
    let name = path.text("name");
    let before = app.batch_task(name).await?;
    let expects = if_match(&headers)?.unwrap_or(Expects::Version(before.version));
    let read = read(&definition)?;
    if read.name != name {
        let detail = format!("name: the task is {name}, and the definition names {}: a task can't be renamed", read.name);
        return Err(ApiError::Body { detail });
    }
    check_together(&app.all_tasks().await?, &[(name, Some(&read))], app.clock.wall_us())?;
    change(&app, who(principal), name, expects, TaskEdit::Define(definition)).await
}

/// Deletes a batch task. Its runs and versions are still listed.
///
/// A task that a file of an agent defines can be deleted only while that agent is not connected to the server. When the agent connects
/// again, it announces the task again.
#[utoipa::path(
    delete,
    path = "/api/v1/batch-tasks/{name}",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        ("If-Match" = Option<String>, Header, description = "Version of the task, such as `\"3\"`. If it is set, only this version is deleted"),
    ),
    responses(
        (status = 204, description = "The task is deleted"),
        (status = 400, description = "Another task starts this task at its end", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The task is defined in a file of an agent", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The task has been changed since this version", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn delete_task(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    headers: HeaderMap,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<StatusCode, ApiError> {
    let name = path.text("name");
    let before = app.batch_task(name).await?;
    let expects = if headers.contains_key(header::IF_MATCH) { if_match(&headers)? } else { None };
    check_together(&app.all_tasks().await?, &[(name, None)], app.clock.wall_us())?;
    let expects = expects.unwrap_or(Expects::Version(before.version));
    let edit = match before.agent {
        Some(agent) if !app.commands.has_channel(&AgentOrder::worker(&agent)) => TaskEdit::DeleteOfGone(agent),
        _ => TaskEdit::Delete,
    };
    let change = TaskChange { name: name.to_owned(), who: who(principal), expects, edit };
    app.change_tasks(vec![change]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the newest versions of a batch task, newest first, each with its differences from the previous one. Also works for deleted tasks.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/{name}/versions",
    tag = "batch tasks",
    params(("name" = String, Path, description = "Name of the task")),
    responses(
        (status = 200, description = "The versions of the task", body = BatchVersions),
        (status = 404, description = "The task has never existed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_versions(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<BatchVersions> {
    let name = path.text("name").to_owned();
    let asked = name.clone();
    let versions = app.ask(move |store| store.batch_versions(&asked)).await?;
    if versions.is_empty() { Err(no_task(&name)) } else { Ok(Json(BatchVersions { versions })) }
}

/// Changes a task and responds with the changed task. The audit log contains the differences.
pub(super) async fn change(app: &App, who: String, name: &str, expects: Expects, edit: TaskEdit) -> Result<Response, ApiError> {
    let what = match &edit {
        TaskEdit::Define(definition) => {
            let asked = name.to_owned();
            let before = app.ask(move |store| store.batch_task(&asked)).await?;
            diff(before.as_ref().map(|task| &task.definition), definition).join("; ")
        }
        TaskEdit::Pause(Some(until_us)) => format!("until {until_us}"),
        _ => String::new(),
    };
    let change = TaskChange { name: name.to_owned(), who, expects, edit };
    let versions = app.change_tasks(vec![change]).await?;
    let mut response = shown(task(app, name).await?);
    let version = versions.first().copied().unwrap_or_default();
    let what = format!("version {version} {}", what.chars().take(AUDITED).collect::<String>()).trim_end().to_owned();
    response.extensions_mut().insert(DeedWords { what, outcome: "done".to_owned() });
    Ok(response)
}

/// Returns the version that a change is based on. `None` for `*`, which matches any version.
fn if_match(headers: &HeaderMap) -> Result<Option<Expects>, ApiError> {
    let detail = "the header `If-Match` is the task's version, as `GET /api/v1/batch-tasks/{name}` tells it, like \"3\"; or `*`";
    let wrong = || ApiError::Parameter { name: "If-Match".to_owned(), detail: detail.to_owned() };
    let text = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()).ok_or_else(wrong)?.trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    number.parse().map(|version| Some(Expects::Version(version))).map_err(|_| wrong())
}
