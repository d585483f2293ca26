//! `GET /api/v1/batch-tasks/rules/next`: the next due times of rules.

use axum::Json;
use axum::extract::State;
use monitor_wire::{NextDues, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Limit, Strict, TimeUs};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::dues::Dues;

/// Default number of due times.
const NEXT: usize = 5;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct RulesParams {
    /// Rules of time, separated by semicolons.
    #[param(example = "30 2 * * 1-5")]
    rules: String,
    /// Time zone of the rules, such as Europe/Berlin (default: zone of the server's machine).
    zone: Option<String>,
    /// Name of the task, which determines the value of `H` (default `task`).
    name: Option<String>,
    /// Maximum number of due times to return (1 to 100, default 5).
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<Limit<100>>,
    /// Only due times after this time, in Unix microseconds (default: now).
    #[param(value_type = Option<u64>)]
    after: Option<TimeUs>,
}

/// Returns the next due times of rules.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/rules/next",
    tag = "batch tasks",
    params(RulesParams),
    responses(
        (status = 200, description = "The next due times", body = NextDues),
        (status = 400, description = "A rule or parameter is invalid", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_next(State(app): State<App>, Strict(params): Strict<RulesParams>) -> Answer<NextDues> {
    let rules: Vec<&str> = params.rules.split(';').map(str::trim).filter(|rule| !rule.is_empty()).collect();
    let dues = Dues::read(&rules, params.zone.as_deref(), params.name.as_deref().unwrap_or("task"))
        .map_err(|detail| ApiError::Parameter { name: "rules".to_owned(), detail: format!("parameter `rules`: {detail}") })?;
    let after_us = params.after.map_or_else(|| app.clock.wall_us(), |after| after.0);
    let due = dues.after(after_us).take(params.limit.map_or(NEXT, |limit| limit.0)).map(|due| dues.show(due)).collect();
    Ok(Json(NextDues { zone: dues.zone().to_owned(), due, at_boot: dues.is_at_boot() }))
}
