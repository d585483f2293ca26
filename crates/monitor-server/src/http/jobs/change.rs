//! Handlers that start, preview and operate jobs: `POST /api/v1/jobs` and `POST /api/v1/jobs/{id}/operate`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use monitor_wire::{Job, JobOperate, JobPreview, JobRequest, JobStarted, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::App;
use super::super::access::DeedWords;
use super::super::commands::Small;
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::NoJob;
use crate::access::Principal;
use crate::jobs::shown;

/// Maximum size of a request, in bytes.
const MAX_BYTES: usize = 8 << 20;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct StartParams {
    /// `true` starts nothing, and returns the hosts that can run the job, and those that can't with the reasons.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    preview: Option<bool>,
}

/// Starts a job: runs scripts on hosts.
///
/// A caller without the scope `admin` needs a grant for all of the job's hosts and its account, as shown by `GET /api/v1/me`.
/// Within 24 hours, requests with the same `request_id` start one job. Requests of which the first is still in progress count as well.
#[utoipa::path(
    post,
    path = "/api/v1/jobs",
    tag = "jobs",
    params(StartParams),
    request_body = JobRequest,
    responses(
        (status = 201, description = "The job, which begins at once", body = JobStarted),
        (status = 200, description = "The job that an earlier request with this `request_id` has started (`JobStarted`), or the preview", body = JobPreview),
        (status = 400, description = "The request has mistakes, a line each with its path", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_job(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(params): Strict<StartParams>,
    Small(request): Small<JobRequest, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let caller = app.job_caller(principal).await?;
    if params.preview == Some(true) {
        let preview = app.jobs.preview(request, &caller).await?;
        let outcome = format!("hosts that can run it: {}; hosts that can't: {}", preview.able.len(), preview.unable.len());
        return Ok(DeedWords { what: "preview".to_owned(), outcome }.recorded(Json(preview)));
    }
    let started = app.jobs.start(request, caller).await?;
    let what = format!("job {}", started.job_id);
    let (status, outcome) = if started.is_repeated { (StatusCode::OK, "was started before") } else { (StatusCode::CREATED, "started") };
    let outcome = std::iter::once(outcome).chain(started.warnings.iter().map(String::as_str)).collect::<Vec<_>>().join("; ");
    Ok(DeedWords { what, outcome }.recorded((status, Json(started))))
}

/// Stops, retries or continues a job.
///
/// A caller without the scope `admin` needs a grant for all of the job's hosts and its account.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/operate",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job")),
    request_body = JobOperate,
    responses(
        (status = 200, description = "The job after the operation", body = Job),
        NoJob,
        (status = 409, description = "The operation isn't possible now", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_operate(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(operate): Small<JobOperate, MAX_BYTES>,
) -> Result<Response, ApiError> {
    let id = path.read("id")?;
    let what = serde_json::to_string(&operate).unwrap_or_default();
    let caller = app.job_caller(principal).await?;
    let job = app.jobs.operate(id, operate, &caller).await?;
    let words = DeedWords { what, outcome: format!("job {id} is {}", job.status.as_str()) };
    Ok(words.recorded(Json(shown(&job)).into_response()))
}
