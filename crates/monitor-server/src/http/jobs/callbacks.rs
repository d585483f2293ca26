//! Callbacks of a job: `GET /api/v1/jobs/{id}/callbacks`.

use axum::Json;
use axum::extract::State;
use monitor_wire::CallbacksPage;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Limit, PathParts, Strict};
use super::super::{Answer, App};
use super::NoJob;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct CallbacksParams {
    /// Only deliveries with a smaller number: `next` of the page before.
    before: Option<u64>,
    /// Maximum number of deliveries, 1 to 200. Default: 50.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 200, default = 50)]
    limit: Limit<200>,
}

/// Lists the callbacks of a job and their deliveries, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}/callbacks",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the job"), CallbacksParams),
    responses((status = 200, description = "A page of deliveries", body = CallbacksPage), NoJob)
)]
pub(in super::super) async fn get_callbacks(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<CallbacksParams>,
) -> Answer<CallbacksPage> {
    let CallbacksParams { before, limit: Limit(limit) } = params;
    Ok(Json(app.jobs.callbacks(path.read("id")?, before, limit).await?))
}
