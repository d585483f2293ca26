//! Jobs and their hosts: `GET /api/v1/jobs`, `/{id}`, `/{id}/request`, `/{id}/hosts` and `/{id}/wait`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::ACCEPT;
use monitor_store::{JobHostsQuery, JobsQuery};
use monitor_wire::{HostStatus, Job, JobHostsPage, JobRequest, JobStatus, JobsPage, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Limit, NoParams, PathParts, Strict, TimeUs};
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::{NoJob, follow};
use crate::jobs::{shown, shown_row};

/// Longest time that a request waits for the end of a job.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct JobsParams {
    /// `open` for jobs that have not ended, `ended` for the others.
    state: Option<JobsState>,
    /// Only jobs with this status, a number.
    #[param(value_type = Option<u8>)]
    status: Option<JobStatus>,
    /// Only jobs that run on this host: its name, or its number.
    host: Option<String>,
    /// Only jobs whose name contains this text.
    name: Option<String>,
    /// Only jobs that were created at or after this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Only jobs with a smaller number: `next` of the page before.
    before: Option<u64>,
    /// Maximum number of jobs, 1 to 200. Default: 50.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit<200>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) enum JobsState {
    Open,
    Ended,
}

/// Lists jobs, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "jobs",
    params(JobsParams),
    responses((status = 200, description = "A page of jobs", body = JobsPage), Unreadable)
)]
pub(in super::super) async fn get_jobs(State(app): State<App>, Strict(params): Strict<JobsParams>) -> Answer<JobsPage> {
    let JobsParams { state, status, host, name, from, before, limit: Limit(limit) } = params;
    let host = match host {
        Some(host) => Some(host_number(&app, &host).await?),
        None => None,
    };
    let is_open = state.map(|state| state == JobsState::Open);
    // One more than requested, which shows whether there is another page.
    let query = JobsQuery { status, is_open, name, host, from_us: from.map(|TimeUs(from)| from), before, limit: limit + 1 };
    let rows = app.jobs.list(query).await?;
    let jobs: Vec<Job> = rows.iter().take(limit).map(shown_row).collect();
    let next = jobs.last().map(|job| job.job_id).filter(|_| rows.len() > limit);
    Ok(Json(JobsPage { jobs, next }))
}

/// Returns the number of the host with this name or number.
async fn host_number(app: &App, text: &str) -> Result<u64, ApiError> {
    let hosts = app.jobs.hosts().await?;
    let named = hosts.iter().find(|host| host.definition.name == text).map(|host| host.id);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        let found: String = text.chars().take(80).collect();
        let detail = format!("parameter `host`: there is no host {found:?}: `GET /api/v1/hosts` lists those that there are");
        ApiError::Parameter { name: "host".to_owned(), detail }
    })
}

/// Returns a job.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job")),
    responses((status = 200, description = "As it stands", body = Job), NoJob)
)]
pub(in super::super) async fn get_job(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Job> {
    Ok(Json(shown(&app.jobs.job(path.read("id")?).await?)))
}

/// Returns the request that has started a job, with its defaults.
///
/// It can be sent again. Its id, its callback address, and sensitive arguments and variables are left out.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/request",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job")),
    responses((status = 200, description = "The request", body = JobRequest), NoJob)
)]
pub(in super::super) async fn get_request(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<JobRequest> {
    Ok(Json(app.jobs.job(path.read("id")?).await?.request.to_show()))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct JobHostsParams {
    /// Only hosts in this step, a number. Without it, each host is listed once for each step.
    step: Option<u64>,
    /// Only hosts with this status, a number.
    #[param(value_type = Option<u16>)]
    status: Option<HostStatus>,
    /// Only hosts with this tag.
    tag: Option<String>,
    /// Only hosts after this position: `next` of the page before.
    after: Option<u64>,
    /// Maximum number of hosts, 1 to 1,000. Default: 50.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000, default = 50)]
    limit: Limit<1_000>,
}

/// Lists the hosts of a job, in the order of steps and targets.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/hosts",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job"), JobHostsParams),
    responses((status = 200, description = "A page of hosts", body = JobHostsPage), NoJob)
)]
pub(in super::super) async fn get_job_hosts(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<JobHostsParams>,
) -> Answer<JobHostsPage> {
    let JobHostsParams { step, status, tag, after, limit: Limit(limit) } = params;
    let job = path.read("id")?;
    let state = app.jobs.job(job).await?;
    if step.is_some() {
        super::step_of(&state, step)?;
    }
    let mut rows = app.jobs.job_hosts(JobHostsQuery { job, step, status, tag, after, limit: limit + 1 }).await?;
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().map(|(place, _)| *place).filter(|_| is_more);
    Ok(Json(JobHostsPage { hosts: rows.into_iter().map(|(_, host)| host).collect(), next }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct WaitParams {
    /// Maximum time to wait, in milliseconds, up to 600,000. Default: 60,000.
    #[serde(default)]
    #[param(value_type = Option<u64>, maximum = 600_000)]
    timeout_ms: Option<u64>,
    /// Maximum time to wait as a number of intervals, like a client that polls. Default: 5.
    polls: Option<u32>,
    /// Length of an interval, such as `20s`, which is also the default.
    interval: Option<String>,
}

impl WaitParams {
    fn wait(&self) -> Result<Duration, ApiError> {
        let wrong = |name: &str, why: String| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}`: {why}") };
        let wait = match self {
            Self { polls: None, interval: None, timeout_ms } => Duration::from_millis(timeout_ms.unwrap_or(60_000)),
            Self { timeout_ms: Some(_), .. } => return Err(wrong("timeout_ms", "give it or `polls` and `interval`".to_owned())),
            Self { polls, interval, .. } => {
                let interval = interval.as_deref().unwrap_or("20s");
                let interval = monitor_duration::read_positive(interval).map_err(|error| wrong("interval", error.to_string()))?;
                interval.saturating_mul(polls.unwrap_or(5))
            }
        };
        if wait > LONGEST_WAIT {
            let name = if self.timeout_ms.is_some() { "timeout_ms" } else { "polls" };
            return Err(wrong(name, "one request waits for at most 10 minutes: repeat it".to_owned()));
        }
        Ok(wait)
    }
}

/// Waits until a job has ended, or the time is over. The job's `status` shows which.
///
/// With `Accept: text/event-stream`, the answer is a stream of server-sent events: `event: job` with the job as its `data`, now and after each
/// change. It ends with the job. The time to wait doesn't apply.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/wait",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job"), WaitParams),
    responses(
        (status = 200, description = "As it stands then", content((Job = "application/json"), (Job = "text/event-stream"))),
        NoJob,
        (status = 503, description = "Too many clients follow jobs or read the stream. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_wait(
    State(app): State<App>,
    path: PathParts,
    headers: HeaderMap,
    Strict(params): Strict<WaitParams>,
) -> Result<Response, ApiError> {
    let (id, wait) = (path.read("id")?, params.wait()?);
    app.jobs.job(id).await?;
    let accepts_events =
        headers.get_all(ACCEPT).iter().any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/event-stream")));
    if accepts_events {
        return follow::events(app, id);
    }
    Ok(Json(shown(&app.jobs.wait(id, wait).await?)).into_response())
}
