//! `GET /api/v1/stats`, `…/series`, `…/errors` and `…/causes`: statistics.

use axum::Json;
use axum::extract::State;
use monitor_store::{CausesQuery, ErrorsQuery, SeriesQuery, StatsQuery, StatsSort};
use monitor_wire::{CausesPage, ErrorsPage, StatsPage, StatsSeries};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::params::{Limit, Strict, TimeUs};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StatsParams {
    /// Grouping. Only `name` exists, which is the default: one entry per name.
    #[serde(default, rename = "by")]
    #[param(value_type = Option<By>, rename = "by")]
    _by: By,
    /// Only processes that ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Only processes that ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Only processes with exactly this name.
    name: Option<String>,
    /// Text to search for in the names, ignoring case.
    q: Option<String>,
    /// Order, greatest first: `count` (default), `failed`, `total`, `max`, `p50`, `p95`, `p99`; or alphabetically by `name`.
    #[serde(default)]
    #[param(value_type = Option<StatsOrder>)]
    sort: StatsOrder,
    /// Maximum number of names to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Grouping of statistics.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    #[default]
    Name,
}

/// Order of statistics.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StatsOrder {
    /// Number of processes.
    #[default]
    Count,
    /// Number of failures.
    Failed,
    /// Sum of the durations.
    Total,
    /// Longest duration.
    Max,
    /// Median of the durations.
    P50,
    /// 95th percentile of the durations.
    P95,
    /// 99th percentile of the durations.
    P99,
    /// Alphabetical order of the names.
    Name,
}

/// Returns the outcomes and durations of processes by name.
///
/// They are read from stored sums, which are kept when the processes are deleted.
#[utoipa::path(
    get,
    path = "/api/v1/stats",
    tag = "statistics",
    params(StatsParams),
    responses(
        (status = 200, description = "One page", body = StatsPage),
        Unreadable,
    )
)]
pub(super) async fn get_stats(State(app): State<App>, Strict(params): Strict<StatsParams>) -> Answer<StatsPage> {
    let (from_us, to_us) = range(params.from, params.to)?;
    let query = StatsQuery {
        from_us,
        to_us,
        name: params.name,
        text: params.q,
        sort: match params.sort {
            StatsOrder::Count => StatsSort::Count,
            StatsOrder::Failed => StatsSort::Failed,
            StatsOrder::Total => StatsSort::Total,
            StatsOrder::Max => StatsSort::Max,
            StatsOrder::P50 => StatsSort::P50,
            StatsOrder::P95 => StatsSort::P95,
            StatsOrder::P99 => StatsSort::P99,
            StatsOrder::Name => StatsSort::Name,
        },
        limit: params.limit.0,
        cursor: params.cursor,
    };
    Ok(Json(app.ask(move |store| store.stats(&query)).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SeriesParams {
    /// Only processes with exactly this name. Without it, the sum of all names.
    name: Option<String>,
    /// Begin of the range, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// End of the range, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Minimum length of a step in microseconds. `step_us` in the response is the actual length: a minute, 5 or 15 minutes, an hour, 6
    /// hours, a day, 8 or 32 days; for a long range it is longer than requested. Without it, the range has about 200 steps.
    #[param(value_type = Option<u64>)]
    step: Option<TimeUs>,
}

/// Returns outcomes and durations of ended processes over time, in steps.
///
/// Steps without ended processes are omitted.
#[utoipa::path(
    get,
    path = "/api/v1/stats/series",
    tag = "statistics",
    params(SeriesParams),
    responses(
        (status = 200, description = "The outcomes in each step of the period", body = StatsSeries),
        Unreadable,
    )
)]
pub(super) async fn get_series(State(app): State<App>, Strict(params): Strict<SeriesParams>) -> Answer<StatsSeries> {
    let (from_us, to_us) = range(params.from, params.to)?;
    let query = SeriesQuery { from_us, to_us, name: params.name, step_us: params.step.map(|step| step.0) };
    Ok(Json(app.ask(move |store| store.stats_series(&query)).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ErrorsParams {
    /// Only processes that ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Only processes that ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Only processes with exactly this name.
    name: Option<String>,
    /// Maximum number of errors to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
}

/// Lists the most frequent errors.
///
/// Errors of the same name whose messages differ only in numbers, ids and quoted text are counted as one.
#[utoipa::path(
    get,
    path = "/api/v1/stats/errors",
    tag = "statistics",
    params(ErrorsParams),
    responses(
        (status = 200, description = "The errors, most frequent first", body = ErrorsPage),
        Unreadable,
    )
)]
pub(super) async fn get_errors(State(app): State<App>, Strict(params): Strict<ErrorsParams>) -> Answer<ErrorsPage> {
    let (from_us, to_us) = range(params.from, params.to)?;
    let query = ErrorsQuery { from_us, to_us, name: params.name, limit: params.limit.0 };
    Ok(Json(app.ask(move |store| store.stats_errors(&query)).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CausesParams {
    /// Only runs that ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Only runs that ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Maximum number of causes to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
}

/// Lists the errors that runs failed with.
///
/// Errors whose messages differ only in numbers, ids and quoted text are counted as one, whatever the names of the runs. They are read from
/// stored sums by name, which include other processes with the same name as a root.
#[utoipa::path(
    get,
    path = "/api/v1/stats/causes",
    tag = "statistics",
    params(CausesParams),
    responses(
        (status = 200, description = "The causes, most recent first", body = CausesPage),
        Unreadable,
    )
)]
pub(super) async fn get_causes(State(app): State<App>, Strict(params): Strict<CausesParams>) -> Answer<CausesPage> {
    let (from_us, to_us) = range(params.from, params.to)?;
    let query = CausesQuery { from_us, to_us, limit: params.limit.0 };
    Ok(Json(app.ask(move |store| store.stats_causes(&query)).await?))
}

fn range(from: Option<TimeUs>, to: Option<TimeUs>) -> Result<(Option<u64>, Option<u64>), ApiError> {
    let (from, to) = (from.map(|time| time.0), to.map(|time| time.0));
    if let Some((from, to)) = from.zip(to).filter(|(from, to)| from >= to) {
        let detail = format!("parameter `to`: {to} is not after `from`, which is {from}; both are Unix microseconds");
        return Err(ApiError::Parameter { name: "to".to_owned(), detail });
    }
    Ok((from, to))
}
