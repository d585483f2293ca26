//! `POST /api/v1/batch-tasks/{name}/run` and `/kill`: orders for agents, as durable commands.

use axum::extract::State;
use axum::{Extension, Json};
use http::HeaderMap;
use monitor_wire::{BatchKillRequest, BatchRunRequest, Command, CommandRequest, CommandTo, Fields, Problem};
use serde_json::json;

use super::super::commands::{Small, idempotency_key};
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::agents;
use super::change::who;
use crate::access::Principal;
use crate::commands::Caller;

/// Name of an agent's program: with the agent's name for its host it is the agent's name as a worker.
const PROGRAM: &str = "monitor-agent";
/// An order waits so long for its agent, in microseconds: 10 minutes.
const WAITS_US: u64 = 600_000_000;
/// The largest order, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// Asks the agents of a batch task to run it now, whatever its rules say. The command waits for an agent that is away for ten minutes.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/run",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "The task"),
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 255 visible characters; the request is repeated with the same one"),
    ),
    request_body = BatchRunRequest,
    responses(
        (status = 200, description = "What became of the command", body = Command),
        (status = 400, description = "It can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such task", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The Idempotency-Key is that of another request", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "It is no JSON, or compressed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_run(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    headers: HeaderMap,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<BatchRunRequest, MAX_BYTES>,
) -> Answer<Command> {
    let name = path.text("name");
    let arguments = json!({"task": name, "args": request.args});
    order(&app, principal, &headers, name, "run", arguments).await
}

/// Asks the agents of a batch task to end its runs, or one of them.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/kill",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "The task"),
        ("Idempotency-Key" = Option<String>, Header, description = "Up to 255 visible characters; the request is repeated with the same one"),
    ),
    request_body = BatchKillRequest,
    responses(
        (status = 200, description = "What became of the command", body = Command),
        (status = 400, description = "It can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such task", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The Idempotency-Key is that of another request", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "It is no JSON, or compressed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_kill(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    headers: HeaderMap,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<BatchKillRequest, MAX_BYTES>,
) -> Answer<Command> {
    let name = path.text("name");
    if let Some(run) = request.run.as_ref().filter(|run| run.rsplit_once('@').is_none_or(|(task, _)| task != name)) {
        return Err(ApiError::Body { detail: format!("run: {run:?} is no run of {name}, such as {name}@20261121T023000Z.1") });
    }
    let what = request.run.unwrap_or_else(|| name.to_owned());
    order(&app, principal, &headers, name, "kill", json!({"what": what, "now": request.now})).await
}

async fn order(
    app: &App,
    principal: Option<Principal>,
    headers: &HeaderMap,
    name: &str,
    method: &str,
    arguments: serde_json::Value,
) -> Answer<Command> {
    let task = app.batch_task(name).await?;
    let by = who(principal);
    let mut arguments: Fields = serde_json::from_value(arguments).unwrap_or_default();
    arguments.insert("by".to_owned(), by.clone().into());
    let key = idempotency_key(headers)?;
    let request = CommandRequest {
        method: method.to_owned(),
        arguments,
        to: CommandTo { workers: agents(&task).iter().map(|agent| format!("{PROGRAM}@{agent}")).collect(), glob: None },
        until_us: Some(app.clock.wall_us() + WAITS_US),
        ..CommandRequest::default()
    };
    Ok(Json(app.commands.ask(Caller { name: by, key }, request).await?))
}
