//! Orders to agents, sent as durable commands: run a task, run it again, end runs.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::request::Parts;
use monitor_store::BatchRunsQuery;
use monitor_tasks::RunId;
use monitor_wire::{AgentOrder, BatchEnd, BatchKillRequest, BatchRun, BatchRunRequest, Command, CommandRequest, Problem};
use utoipa::IntoResponses;

use super::super::App;
use super::super::access::DeedWords;
use super::super::commands::{Keyed, Small, idempotency_key, outcome};
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::change::who;
use super::{agents, no_task};
use crate::access::Principal;
use crate::commands::Caller;

/// Time that an order waits for its agent, in microseconds: 10 minutes.
const WAITS_US: u64 = 600_000_000;
/// Time that a response waits for agents that are connected, in milliseconds. For other agents it waits for the default time of commands.
const ANSWERED_MS: u64 = 10_000;
/// Maximum size of an order, in bytes.
pub(super) const MAX_BYTES: usize = 64 << 10;

/// Caller of an order, with its `Idempotency-Key`.
pub(in super::super) struct Orderer(Caller);

impl Orderer {
    pub(super) fn caller(&self) -> &Caller {
        &self.0
    }

    pub(in super::super) fn into_caller(self) -> Caller {
        self.0
    }
}

impl FromRequestParts<App> for Orderer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        let name = who(parts.extensions.get::<Option<Principal>>().cloned().flatten());
        Ok(Self(Caller::server(name, idempotency_key(&parts.headers)?)))
    }
}

/// Responses to an order.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Ordered {
    #[response(
        status = 200,
        description = "The command, with a line for each agent. The line of an agent that is not connected is `waiting`"
    )]
    Done(Command),
    #[response(status = 400, description = "The request is invalid", content_type = "application/problem+json")]
    Unreadable(Problem),
    #[response(status = 404, description = "The task, run or agent does not exist", content_type = "application/problem+json")]
    Missing(Problem),
    #[response(status = 409, description = "The `Idempotency-Key` belongs to another request", content_type = "application/problem+json")]
    OtherKey(Problem),
    #[response(status = 413, description = "The body is too large", content_type = "application/problem+json")]
    TooLarge(Problem),
    #[response(status = 415, description = "The body is not JSON, or is compressed", content_type = "application/problem+json")]
    NoJson(Problem),
}

/// Runs a batch task now, independently of its rules.
///
/// The command is sent to the task's agents. It waits for up to ten minutes for an agent that is not connected.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/run",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        Keyed,
    ),
    request_body = BatchRunRequest,
    responses(Ordered)
)]
pub(in super::super) async fn post_run(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<BatchRunRequest, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let name = path.text("name");
    let agents = app.agents_of(name).await?;
    Ok(order(&app, by, &agents, &AgentOrder::Run { task: name.to_owned(), args: request.args }).await)
}

/// Ends all runs of a batch task, or one of them.
///
/// The command is sent to the task's agents.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/kill",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        Keyed,
    ),
    request_body = BatchKillRequest,
    responses(Ordered)
)]
pub(in super::super) async fn post_kill(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<BatchKillRequest, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let name = path.text("name");
    if let Some(run) = request.run.as_ref().filter(|run| run.rsplit_once('@').is_none_or(|(task, _)| task != name)) {
        return Err(ApiError::Body { detail: format!("run: {run:?} is no run of {name}, such as {name}@20261121T023000Z.1") });
    }
    let agents = app.agents_of(name).await?;
    let what = request.run.unwrap_or_else(|| name.to_owned());
    Ok(order(&app, by, &agents, &AgentOrder::Kill { what, now: request.now }).await)
}

/// Ends a run.
///
/// The command is sent to the run's agent.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/runs/{id}/kill",
    tag = "batch tasks",
    params(
        ("id" = String, Path, description = "Id of the run, such as `gold@20261121T023000Z.1`"),
        Keyed,
    ),
    request_body = BatchEnd,
    responses(Ordered)
)]
pub(in super::super) async fn post_end(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<BatchEnd, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let run = path.text("id");
    let agents = app.agents_of_run(run).await?;
    Ok(order(&app, by, &agents, &AgentOrder::Kill { what: run.to_owned(), now: request.now }).await)
}

/// Runs the task of a run once more, now, with the arguments of that run.
///
/// The command is sent to the run's agent.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/runs/{id}/rerun",
    tag = "batch tasks",
    params(
        ("id" = String, Path, description = "Id of the run, such as `gold@20261121T023000Z.1`"),
        Keyed,
    ),
    responses(Ordered)
)]
pub(in super::super) async fn post_rerun(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Response, ApiError> {
    let run = path.text("id");
    let agents = app.agents_of_run(run).await?;
    Ok(order(&app, by, &agents, &AgentOrder::Rerun { run: run.to_owned(), as_it_was: false }).await)
}

/// Sends an order to agents and records it in the audit log.
pub(super) async fn order(app: &App, by: Orderer, agents: &[String], order: &AgentOrder) -> Response {
    let (command, what) = send(app, by, agents, order).await;
    let outcome = command.as_ref().map(outcome).unwrap_or_default();
    DeedWords { what, outcome }.recorded(command.map(Json))
}

/// Sends an order to agents. Also returns its description for the audit log.
pub(super) async fn send(app: &App, Orderer(by): Orderer, agents: &[String], order: &AgentOrder) -> (Result<Command, ApiError>, String) {
    let until_us = app.clock.wall_us() + WAITS_US;
    let are_there = agents.iter().all(|agent| app.commands.has_channel(&AgentOrder::worker(agent)));
    let timeout_ms = are_there.then_some(ANSWERED_MS);
    let request = CommandRequest { until_us: Some(until_us), timeout_ms, ..order.request(Some(&by.name), agents) };
    let what = DeedWords::of_order(order.name(), &request.arguments, &request.to);
    (app.commands.ask(by, request).await.map_err(ApiError::from), what)
}

impl App {
    /// Returns the agents of an existing task.
    pub(super) async fn agents_of(&self, task: &str) -> Result<Vec<String>, ApiError> {
        Ok(agents(&self.batch_task(task).await?))
    }

    /// Returns the agent of a run, or the agents of its task if none has reported the run yet.
    pub(super) async fn agents_of_run(&self, run: &str) -> Result<Vec<String>, ApiError> {
        let id: RunId = run.parse().map_err(|_| no_run(run))?;
        let (task, due_us) = (id.task.clone(), u64::try_from(id.due.as_microsecond()).unwrap_or_default());
        let query = BatchRunsQuery {
            task: Some(task.clone()),
            from_us: Some(due_us),
            to_us: Some(due_us + 1),
            limit: 1_000,
            ..BatchRunsQuery::default()
        };
        let runs: Vec<BatchRun> = self.ask(move |store| Ok(store.batch_runs(&query)?.runs)).await?;
        match runs.into_iter().find(|found| found.run == run).and_then(|found| found.agent) {
            Some(agent) => Ok(vec![agent]),
            None => self.agents_of(&task).await.map_err(|_| no_task(&task)),
        }
    }
}

fn no_run(run: &str) -> ApiError {
    let run: String = run.chars().take(200).collect();
    ApiError::Missing {
        detail: format!("{run:?} is no id of a run, such as gold@20261121T023000Z.1: `GET /api/v1/batch-tasks/runs` lists runs"),
    }
}
