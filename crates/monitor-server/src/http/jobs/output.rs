//! Output of a script on a host: `GET /api/v1/jobs/{id}/hosts/{host}/output`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use monitor_jobs::HostRun;
use monitor_wire::{JobRunKey, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::App;
use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::{NoJob, follow, step_of};

/// Default and maximum of the number of bytes in an answer.
const DEFAULT_BYTES: u64 = 1 << 20;
const MAX_BYTES: u64 = 16 << 20;
/// Header with the number of bytes of the whole output.
const TOTAL: &str = "monitor-output-bytes";

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct OutputParams {
    /// Number of the step. By default, the last one that has begun.
    step: Option<u64>,
    /// Number of the attempt. By default, the latest one.
    attempt: Option<u32>,
    /// Number of bytes to skip.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    offset: Option<u64>,
    /// Maximum number of bytes, up to 16 MiB. Default: 1 MiB.
    #[serde(default)]
    #[param(value_type = Option<u64>, maximum = 16_777_216)]
    limit: Option<u64>,
    /// True to send the output as it arrives, until the script has ended. `limit` doesn't apply.
    #[serde(default)]
    follow: bool,
}

/// Returns the output of a script on a host, as its bytes.
///
/// The header `Monitor-Output-Bytes` has the number of bytes of the whole output so far.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/hosts/{host}/output",
    tag = "jobs",
    params(
        ("id" = u64, Path, description = "Number of the job"),
        ("host" = String, Path, description = "Number of the host, or its name"),
        OutputParams,
    ),
    responses(
        (status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"),
        NoJob,
        (status = 503, description = "Too many clients follow jobs or read the stream. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_output(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<OutputParams>,
) -> Result<Response, ApiError> {
    let (job, name) = (app.jobs.job(path.read("id")?).await?, path.text("host"));
    let step = step_of(&job, params.step)?;
    let number = name.parse().ok();
    let place = job.targets.iter().position(|target| target.name == name || (number.is_some() && target.host_id == number));
    let place = place.ok_or_else(|| {
        let found: String = name.chars().take(80).collect();
        ApiError::Missing { detail: format!("job {} has no host {found:?}: `GET /api/v1/jobs/{}/hosts` lists its hosts", job.id, job.id) }
    })?;
    let attempt = params.attempt.or_else(|| job.steps[step].hosts.get(place).map(HostRun::running_attempt)).unwrap_or(1);
    if params.follow
        && let Some(host) = job.targets[place].host_id
    {
        let key = JobRunKey { job: job.id, step: job.steps[step].id, host, attempt };
        return follow::output(app, key, params.offset.unwrap_or_default());
    }
    let limit = params.limit.unwrap_or(DEFAULT_BYTES).min(MAX_BYTES);
    let room = app.answers.room(limit as usize).await?;
    let (bytes, total) = match job.targets[place].host_id {
        Some(host) => {
            let key = JobRunKey { job: job.id, step: job.steps[step].id, host, attempt };
            app.jobs.output(key, params.offset.unwrap_or_default(), limit).await?
        }
        None => (Vec::new(), 0),
    };
    Ok((
        [(header::CONTENT_TYPE, "application/octet-stream".to_owned()), (header::HeaderName::from_static(TOTAL), total.to_string())],
        room.body(bytes),
    )
        .into_response())
}
