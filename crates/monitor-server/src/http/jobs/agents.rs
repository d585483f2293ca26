//! Routes of agents for jobs: `/api/v1/agents/{name}/job-orders`, `/job-reports` and `/job-output`.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use http::StatusCode;
use monitor_wire::{JobOrders, JobReports, JobRunKey, Problem};
use serde::Deserialize;
use utoipa::{IntoParams, IntoResponses};

use super::super::batch::is_agent;
use super::super::body::beginning;
use super::super::commands::Small;
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::{NotTaken, Unreadable};
use super::super::{Answer, App};
use crate::access::Principal;

/// Maximum size of a body with reports, in bytes.
const MAX_REPORTS_BYTES: usize = 1 << 20;
/// Maximum size of a part of output, in bytes.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// Responses to an agent that is not the named one.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
enum NotYours {
    #[response(
        status = 403,
        description = "The token is another agent's, or the run is none of this agent's host",
        content_type = "application/problem+json"
    )]
    Forbidden(Problem),
}

/// Returns the agent that the path names, if the caller is that agent.
fn agent(principal: Option<&Principal>, path: &PathParts) -> Result<String, ApiError> {
    let name = path.text("name").to_owned();
    if is_agent(principal, &name) {
        return Ok(name);
    }
    let detail = format!("the jobs of the agent {name:?} are for a token of that name, of scope `agent`: the token's name is the agent's");
    Err(ApiError::Forbidden { detail })
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct JobOrdersParams {
    /// Maximum time to wait for an order, in milliseconds, up to 60,000. The server may answer earlier. With 0 or without it, the response is
    /// immediate.
    #[serde(default)]
    #[param(value_type = Option<u64>, maximum = 60_000)]
    wait_ms: Option<u64>,
}

/// Returns the orders for an agent: scripts to run, and runs to end.
///
/// The request counts as contact: a host is online while its agent fetches orders. An order is repeated until the agent has reported that it is
/// accepted or refused.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{name}/job-orders",
    tag = "jobs",
    params(("name" = String, Path, description = "The agent"), JobOrdersParams),
    responses((status = 200, description = "The orders", body = JobOrders), Unreadable, NotYours)
)]
pub(in super::super) async fn get_job_orders(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(params): Strict<JobOrdersParams>,
) -> Answer<JobOrders> {
    let agent = agent(principal.as_ref(), &path)?;
    let wait = Duration::from_millis(params.wait_ms.unwrap_or_default());
    Ok(Json(app.jobs.orders(&agent, wait).await?))
}

/// Stores the reports of an agent.
///
/// Reports that the server already has change nothing.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{name}/job-reports",
    tag = "jobs",
    params(("name" = String, Path, description = "The agent")),
    request_body = JobReports,
    responses((status = 204, description = "They are stored"), Unreadable, NotYours, NotTaken)
)]
pub(in super::super) async fn post_reports(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(JobReports { reports }): Small<JobReports, MAX_REPORTS_BYTES>,
) -> Result<StatusCode, ApiError> {
    let agent = agent(principal.as_ref(), &path)?;
    app.jobs.report(&agent, &reports).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct JobOutputParams {
    /// Number of the job.
    job: u64,
    /// Number of the step.
    step: u64,
    /// Number of the host.
    host: u64,
    /// Number of the attempt.
    attempt: u32,
    /// Tree of the run's job. Output of another job, which had the same number before a restore of the server, is ignored.
    root_id: Option<String>,
    /// Position of the first byte in the output.
    offset: u64,
}

/// Stores a part of the output of a run.
#[utoipa::path(
    post,
    path = "/api/v1/agents/{name}/job-output",
    tag = "jobs",
    params(("name" = String, Path, description = "The agent"), JobOutputParams),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The bytes, up to 1 MiB"),
    responses(
        (status = 204, description = "It is stored"),
        Unreadable,
        NotYours,
        (status = 404, description = "No such job", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The part begins after the end of the stored output, the output would be too long, or the run is not one of this agent", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "It is too large", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_output(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(params): Strict<JobOutputParams>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let agent = agent(principal.as_ref(), &path)?;
    let JobOutputParams { job, step, host, attempt, root_id, offset } = params;
    let (bytes, is_cut) = beginning(request, &app, MAX_OUTPUT_BYTES).await?;
    if is_cut {
        return Err(ApiError::TooLarge { limit: MAX_OUTPUT_BYTES, when: "" });
    }
    app.jobs.put_output(&agent, JobRunKey { job, step, host, attempt }, root_id.as_deref(), offset, bytes).await?;
    Ok(StatusCode::NO_CONTENT)
}
