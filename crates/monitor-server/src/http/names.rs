//! `GET /api/v1/roots/names`: names of runs.

use axum::Json;
use axum::extract::State;
use monitor_wire::RootNamesPage;
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, Strict};
use super::refusals::Unreadable;
use super::{Answer, App};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct NamesParams {
    /// Text to search for in the name, ignoring case.
    q: Option<String>,
    /// Maximum number of names to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists the names of runs, each with its number of runs and the newest of them.
///
/// The name of the newest run comes first.
#[utoipa::path(
    get,
    path = "/api/v1/roots/names",
    tag = "runs",
    params(NamesParams),
    responses(
        (status = 200, description = "One page", body = RootNamesPage),
        Unreadable,
    )
)]
pub(super) async fn get_names(State(app): State<App>, Strict(params): Strict<NamesParams>) -> Answer<RootNamesPage> {
    let NamesParams { q, limit, cursor } = params;
    Ok(Json(app.ask(move |store| store.root_names(q.as_deref(), limit.0, cursor.as_deref())).await?))
}
