//! Pauses of tasks and agents. A pause is not part of a task's definition: the server pauses the tasks it keeps, and an agent pauses the
//! tasks that its files define.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use monitor_store::{BatchQueries, Expects, TaskEdit};
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{AgentOrder, BatchAgents, BatchPause, BatchStatus, BatchTask, CommandLine, CommandStatus, Problem};

use super::super::access::DeedWords;
use super::super::commands::{Keyed, Small};
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::super::{Answer, App};
use super::dues::timestamp;
use super::orders::{Ordered, Orderer, order, send};
use super::tasks::{change, shown, task};

/// Maximum size of a pause, in bytes.
const MAX_BYTES: usize = 1_024;
/// Maximum time to wait for the agent's report of a pause. After it, the response is 202.
const HEARD: Duration = Duration::from_secs(5);
/// Interval at which the store is checked for the agent's report.
const LOOK: Duration = Duration::from_millis(50);

/// Pauses a batch task: its rules start nothing, and each due time is reported as skipped.
///
/// A task that a file defines is paused by its agent, and the pause remains in effect when the file changes.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/pause",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        Keyed,
    ),
    request_body = BatchPause,
    responses(
        (status = 200, description = "The schedules are paused", body = BatchTask),
        (status = 202, description = "The task is defined in a file of its agent, which is not connected. It is paused if the agent connects within ten minutes", body = BatchTask),
        (status = 400, description = "The body is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The agent refuses the request", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_pause(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(pause): Small<BatchPause, MAX_BYTES>,
) -> Result<Response, ApiError> {
    check(&app, pause)?;
    let name = path.text("name");
    match app.batch_task(name).await?.agent {
        Some(agent) => at_agent(&app, by, &agent, name, Some(pause)).await,
        None => change(&app, by.into_caller().name, name, Expects::Anything, TaskEdit::Pause(pause.until_us)).await,
    }
}

/// Resumes a batch task.
#[utoipa::path(
    post,
    path = "/api/v1/batch-tasks/{name}/resume",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the task"),
        Keyed,
    ),
    responses(
        (status = 200, description = "The schedules are resumed", body = BatchTask),
        (status = 202, description = "The task is defined in a file of its agent, which is not connected. It is resumed if the agent connects within ten minutes", body = BatchTask),
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The agent refuses the request", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_resume(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Response, ApiError> {
    let name = path.text("name");
    match app.batch_task(name).await?.agent {
        Some(agent) => at_agent(&app, by, &agent, name, None).await,
        None => change(&app, by.into_caller().name, name, Expects::Anything, TaskEdit::Resume).await,
    }
}

/// Pauses an agent: it starts no due run of any task until the given time, or until it is resumed.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{name}/pause",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the agent"),
        Keyed,
    ),
    request_body = BatchPause,
    responses(Ordered)
)]
pub(in super::super) async fn post_agent_pause(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(pause): Small<BatchPause, MAX_BYTES>,
) -> Result<Response, ApiError> {
    check(&app, pause)?;
    let agent = known_agent(&app, path.text("name")).await?;
    Ok(order(&app, by, &[agent], &AgentOrder::Pause { task: None, until: until(pause) }).await)
}

/// Resumes an agent, so that it starts due runs again.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{name}/resume",
    tag = "batch tasks",
    params(
        ("name" = String, Path, description = "Name of the agent"),
        Keyed,
    ),
    responses(Ordered)
)]
pub(in super::super) async fn post_agent_resume(
    State(app): State<App>,
    by: Orderer,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<Response, ApiError> {
    let agent = known_agent(&app, path.text("name")).await?;
    Ok(order(&app, by, &[agent], &AgentOrder::Resume { task: None }).await)
}

/// Lists the known agents, each with its last decided due time and its pause.
#[utoipa::path(
    get,
    path = "/api/v1/agents",
    tag = "batch tasks",
    responses((status = 200, description = "The agents", body = BatchAgents))
)]
pub(in super::super) async fn get_agents(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<BatchAgents> {
    Ok(Json(BatchAgents { agents: app.ask(BatchQueries::batch_agents).await? }))
}

/// Returns the name if an agent of this name is known.
async fn known_agent(app: &App, name: &str) -> Result<String, ApiError> {
    let agents = app.ask(BatchQueries::batch_agents).await?;
    if agents.iter().any(|agent| agent.name == name) {
        return Ok(name.to_owned());
    }
    let hint = did_you_mean(name, agents.iter().map(|agent| agent.name.as_str()));
    let name: String = name.chars().take(100).collect();
    Err(ApiError::Missing { detail: format!("there is no agent {name:?}{hint}: `GET /api/v1/agents` lists those that there are") })
}

fn check(app: &App, pause: BatchPause) -> Result<(), ApiError> {
    let now_us = app.clock.wall_us();
    match pause.until_us.filter(|until| *until <= now_us || *until > monitor_wire::MAX_TIME_US) {
        Some(until_us) => Err(ApiError::Body { detail: format!("until_us: {until_us} is no time to come, in Unix microseconds") }),
        None => Ok(()),
    }
}

/// Formats the end of a pause as RFC 3339.
fn until(pause: BatchPause) -> Option<String> {
    pause.until_us.and_then(timestamp).map(|until| until.to_string())
}

/// Orders an agent to pause or resume a task that one of its files defines, and waits until the agent has reported it.
async fn at_agent(app: &App, by: Orderer, agent: &str, name: &str, pause: Option<BatchPause>) -> Result<Response, ApiError> {
    let task = Some(name.to_owned());
    let order = match pause {
        Some(pause) => AgentOrder::Pause { task, until: until(pause) },
        None => AgentOrder::Resume { task },
    };
    let (command, what) = send(app, by, &[agent.to_owned()], &order).await;
    let outcome = command.as_ref().ok().and_then(|command| command.lines.first()).map(|line| line.status.to_string());
    let answer = match command {
        Ok(command) => paused(app, agent, name, pause, command.lines.first()).await,
        Err(error) => Err(error),
    };
    Ok(DeedWords { what, outcome: outcome.unwrap_or_default() }.recorded(answer))
}

/// Responds with the task once the agent, which replied this line, has reported the change.
async fn paused(
    app: &App,
    agent: &str,
    name: &str,
    pause: Option<BatchPause>,
    line: Option<&CommandLine>,
) -> Result<impl IntoResponse + use<>, ApiError> {
    if let Some(line) = line.filter(|line| line.status == CommandStatus::REFUSED) {
        return Err(ApiError::Conflict { detail: format!("the agent {agent:?} refuses: {}", line.error.clone().unwrap_or_default()) });
    }
    let is_so = |task: &BatchTask| match pause {
        Some(pause) => task.status == BatchStatus::PAUSED && task.until_us == pause.until_us,
        None => task.status == BatchStatus::ACTIVE,
    };
    let mut found = task(app, name).await?;
    if line.is_some_and(|line| line.status == CommandStatus::OK) {
        let mut left = HEARD;
        while !is_so(&found) && !left.is_zero() {
            app.clock.sleep(LOOK).await;
            left = left.saturating_sub(LOOK);
            found = task(app, name).await?;
        }
    }
    let status = if is_so(&found) { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, shown(found)))
}
