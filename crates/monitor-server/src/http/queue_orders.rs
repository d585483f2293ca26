//! `POST /api/v1/queue-tasks`, `/revoke` and `/retry`: orders to workers about queue tasks.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use monitor_wire::{
    CallAnswer, Command, CommandLine, CommandRequest, CommandStatus, CommandTo, Fields, Order, OrderError, Problem, QueueCallRequest,
    QueueCalled, QueueRetried, QueueRetryRequest, QueueRevokeRequest, RetryAnswer, RetryLine,
};
use serde_json::json;

use super::App;
use super::access::DeedWords;
use super::batch::orders::Orderer;
use super::commands::{Keyed, Small, outcome};
use super::params::{NoParams, Strict};
use super::problem::ApiError;
use super::refusals::{NotAllowed, NotTaken};

/// Maximum size of a request, in bytes.
const MAX_BYTES: usize = 768 << 10;
/// Default time to wait for the workers' replies.
const DEFAULT_TIMEOUT_MS: u64 = 5_000;

/// Starts a queue task by its name.
///
/// An online worker that offers the task puts it into its queue; with `queue`, a worker that consumes that queue. Requests with the same
/// `Idempotency-Key` start one task, however often they are sent.
#[utoipa::path(
    post,
    path = "/api/v1/queue-tasks",
    tag = "queues",
    params(Keyed),
    request_body = QueueCallRequest,
    responses(
        (status = 201, description = "The task is in its queue", body = QueueCalled),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No online worker supports the task, or the worker refused it, and nothing was started. Or the `Idempotency-Key` belongs to another request", body = Problem, content_type = "application/problem+json"),
        NotTaken,
        (status = 504, description = "The worker did not answer in time. It may have started the task", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_call(
    State(app): State<App>,
    by: Orderer,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<QueueCallRequest, MAX_BYTES>,
) -> Response {
    let what = DeedWords::of_order("call", &request.arguments(), &request.to);
    let called = call(&app, by, request).await;
    let done = called.as_ref().map(|called| format!("done: {} by {}", called.uuid, called.worker)).unwrap_or_default();
    DeedWords { what, outcome: done }.recorded(called.map(|called| (StatusCode::CREATED, Json(called))))
}

async fn call(app: &App, by: Orderer, request: QueueCallRequest) -> Result<QueueCalled, ApiError> {
    let command = ask(app, by, "call", request.arguments(), request.to, request.timeout_ms).await?;
    let Some(line) = command.lines.into_iter().next() else {
        return Err(ApiError::Conflict { detail: "nobody was asked to start it: nothing was started".to_owned() });
    };
    let CommandLine { worker_id, name: worker, status, value, error, .. } = line;
    match status.as_str() {
        "ok" => match value.and_then(|value| serde_json::from_value::<CallAnswer>(value).ok()) {
            Some(CallAnswer { uuid }) => Ok(QueueCalled { uuid, worker, worker_id, command: command.id }),
            None => Err(ApiError::Unanswered {
                detail: format!("the worker {worker} did it, and did not answer with the `uuid` of the task: look for it among the newest"),
            }),
        },
        "unanswered" | "gone" => Err(ApiError::Unanswered {
            detail: format!(
                "the worker {worker} did not answer in {} ms: the task may have been started; `GET /api/v1/queue-tasks` lists the newest. The \
                 same request with another Idempotency-Key, or with none, starts another one",
                command.timeout_ms
            ),
        }),
        other => Err(ApiError::Conflict {
            detail: format!("nothing was started: the worker {worker} answered {other}: {}", error.unwrap_or_default()),
        }),
    }
}

/// Revokes queue tasks by their ids: they are not executed, or end if they are running.
///
/// The order is sent to all online workers, and to workers that connect within three hours.
#[utoipa::path(
    post,
    path = "/api/v1/queue-tasks/revoke",
    tag = "queues",
    params(Keyed),
    request_body = QueueRevokeRequest,
    responses(
        (status = 200, description = "The result, with a line for each worker", body = Command),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 409, description = "The `Idempotency-Key` belongs to another request", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_revoke(
    State(app): State<App>,
    by: Orderer,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<QueueRevokeRequest, MAX_BYTES>,
) -> Response {
    let QueueRevokeRequest { ids, terminate, timeout_ms } = request;
    let mut arguments = Fields::from([("ids".to_owned(), json!(ids))]);
    if terminate {
        arguments.insert("terminate".to_owned(), true.into());
    }
    let to = CommandTo::default();
    let what = DeedWords::of_order("revoke", &arguments, &to);
    let command = ask(&app, by, "revoke", arguments, to, timeout_ms).await;
    let done = command.as_ref().map(outcome).unwrap_or_default();
    DeedWords { what, outcome: done }.recorded(command.map(Json))
}

/// Runs ended queue tasks again, by their ids.
///
/// Each order goes to one worker that offers the task, by preference to the one that executed it last. The worker replies with the id of
/// the new execution, or with the reason for refusing.
#[utoipa::path(
    post,
    path = "/api/v1/queue-tasks/retry",
    tag = "queues",
    params(Keyed),
    request_body = QueueRetryRequest,
    responses(
        (status = 200, description = "The result for each task", body = QueueRetried),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        NotAllowed,
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "No online worker supports the request, or the `Idempotency-Key` belongs to another request", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_retry(
    State(app): State<App>,
    by: Orderer,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<QueueRetryRequest, MAX_BYTES>,
) -> Response {
    let QueueRetryRequest { ids, to, timeout_ms } = request;
    let arguments = Fields::from([("ids".to_owned(), json!(ids))]);
    let what = DeedWords::of_order("retry", &arguments, &to);
    let retried = ask(&app, by, "retry", arguments, to, timeout_ms).await.map(|command| retried(ids, &command));
    let again = |retried: &QueueRetried| retried.tasks.iter().filter(|task| task.uuid.is_some()).count();
    let done = retried.as_ref().map(|all| format!("done: {} of {} run again", again(all), all.tasks.len())).unwrap_or_default();
    DeedWords { what, outcome: done }.recorded(retried.map(Json))
}

/// Builds the result of each task from the workers' replies.
fn retried(ids: Vec<String>, command: &Command) -> QueueRetried {
    let mut answered: HashMap<String, RetryLine> = HashMap::new();
    let mut unanswered = Vec::new();
    for line in &command.lines {
        let value = line.value.clone().filter(|_| line.status == CommandStatus::OK);
        match value.and_then(|value| serde_json::from_value::<RetryAnswer>(value).ok()) {
            Some(answer) => answered.extend(answer.tasks.into_iter().map(|task| (task.id.clone(), task))),
            None => unanswered.push(format!("{}: {} {}", line.name, line.status, line.error.as_deref().unwrap_or_default())),
        }
    }
    let why = unanswered.join("; ").trim_end().to_owned();
    let why = if why.is_empty() { "the worker that was asked said nothing of it".to_owned() } else { why };
    let mut tasks: Vec<RetryLine> = Vec::new();
    for id in ids {
        if !tasks.iter().any(|task| task.id == id) {
            let line = answered.remove(&id);
            tasks.push(line.unwrap_or_else(|| RetryLine { id, uuid: None, error: Some(why.clone()) }));
        }
    }
    QueueRetried { tasks, command: command.id }
}

async fn ask(app: &App, by: Orderer, method: &str, arguments: Fields, to: CommandTo, timeout_ms: Option<u64>) -> Result<Command, ApiError> {
    app.commands.check_allowed(method)?;
    let wrong = |OrderError { argument, detail }| ApiError::Parameter { detail: format!("`{argument}`: {detail}"), name: argument };
    Order::read(method, &arguments).map_err(wrong)?;
    let timeout_ms = Some(timeout_ms.unwrap_or(DEFAULT_TIMEOUT_MS));
    let request = CommandRequest { method: method.to_owned(), arguments, to, timeout_ms, ..CommandRequest::default() };
    Ok(app.commands.ask(by.into_caller(), request).await?)
}
