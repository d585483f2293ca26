//! `GET /api/v1/stats`, `…/series`, `…/errors` and `…/causes`

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
    /// `name`, which is the default and all there is: one entry per name.
    #[serde(default, rename = "by")]
    #[param(value_type = Option<By>, rename = "by")]
    _by: By,
    /// Of what ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Of what ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Of exactly this name.
    name: Option<String>,
    /// Of names that contain this text, in any case.
    q: Option<String>,
    /// The greatest first: `count` (by default), `failed`, `total`, `max`, `p50`, `p95`, `p99`; or by `name`, from A to Z.
    #[serde(default)]
    #[param(value_type = Option<StatsOrder>)]
    sort: StatsOrder,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// What statistics are grouped by.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum By {
    /// By name.
    #[default]
    Name,
}

/// In which order.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum StatsOrder {
    /// By how many there are.
    #[default]
    Count,
    /// By how many failed.
    Failed,
    /// By all durations together.
    Total,
    /// By the longest.
    Max,
    /// By the median.
    P50,
    /// By the 95th percentile.
    P95,
    /// By the 99th percentile.
    P99,
    /// By name.
    Name,
}

/// Tells what became of processes, by name: how many ended how, and how long they took. From sums, which outlive the processes.
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
    /// Of exactly this name; of all names together if not given.
    name: Option<String>,
    /// From this time on, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Up to this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// How long a step is at least, in microseconds; the answer's `step_us` says how long it is: a minute, 5 or 15, an hour, 6 hours, a
    /// day, 8 or 32 days, and longer than asked for where the range is long. If not given, about 200 steps make up the range.
    #[param(value_type = Option<u64>)]
    step: Option<TimeUs>,
}

/// Tells what ended when and how long it took, step by step. Steps without any are left out.
#[utoipa::path(
    get,
    path = "/api/v1/stats/series",
    tag = "statistics",
    params(SeriesParams),
    responses(
        (status = 200, description = "The steps", body = StatsSeries),
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
    /// Of what ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Of what ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// Of exactly this name.
    name: Option<String>,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
}

/// Tells the most frequent errors: those of one name whose messages differ only in numbers, ids and what is quoted are one.
#[utoipa::path(
    get,
    path = "/api/v1/stats/errors",
    tag = "statistics",
    params(ErrorsParams),
    responses(
        (status = 200, description = "The most frequent first", body = ErrorsPage),
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
    /// Of what ended at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    from: Option<TimeUs>,
    /// Of what ended before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    to: Option<TimeUs>,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
}

/// Tells what runs failed by: those whose messages differ only in numbers, ids and what is quoted are one, whatever their names. From sums,
/// of processes that are called like a root.
#[utoipa::path(
    get,
    path = "/api/v1/stats/causes",
    tag = "statistics",
    params(CausesParams),
    responses(
        (status = 200, description = "What was there last comes first", body = CausesPage),
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
