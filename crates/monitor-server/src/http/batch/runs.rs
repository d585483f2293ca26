//! `GET /api/v1/batch-tasks/runs`: runs of batch tasks.

use axum::Json;
use axum::extract::State;
use monitor_store::BatchRunsQuery;
use monitor_wire::BatchRunsPage;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{Limit, Strict, TimeUs};
use super::super::refusals::Unreadable;
use super::super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct RunsParams {
    /// Only runs of this task.
    task: Option<String>,
    /// Only runs that were due at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Only runs that were due before this time.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Only runs that ended with this exit code.
    exit_code: Option<i32>,
    /// Only runs in this state: `succeeded`, `failed`, `cancelled`, `running`, `pending`, `lost`.
    outcome: Option<String>,
    /// Only runs of this agent.
    agent: Option<String>,
    /// Maximum number of runs to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists runs of batch tasks, latest due time first.
///
/// Runs are listed for 400 days, even if retention has deleted their processes.
#[utoipa::path(
    get,
    path = "/api/v1/batch-tasks/runs",
    tag = "batch tasks",
    params(RunsParams),
    responses(
        (status = 200, description = "One page", body = BatchRunsPage),
        Unreadable,
    )
)]
pub(in super::super) async fn get_runs(State(app): State<App>, Strict(params): Strict<RunsParams>) -> Answer<BatchRunsPage> {
    let query = BatchRunsQuery {
        task: params.task,
        from_us: params.from.map(|from| from.0),
        to_us: params.to.map(|to| to.0),
        exit_code: params.exit_code,
        outcome: params.outcome.map(Into::into),
        agent: params.agent,
        limit: params.limit.0,
        cursor: params.cursor,
    };
    Ok(Json(app.ask(move |store| store.batch_runs(&query)).await?))
}
