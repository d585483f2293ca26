//! `GET /api/v1/roots/names`

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
    /// Contains this text, in any case.
    q: Option<String>,
    /// At most so many, 1 to 1000; 50 if not given.
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// The `next_cursor` of the page before, as it is.
    cursor: Option<String>,
}

/// Lists the names of trees, that of the newest tree first, with how many there are of each and its newest ones.
#[utoipa::path(
    get,
    path = "/api/v1/roots/names",
    tag = "trees",
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
