//! `GET /healthz` and `GET /readyz`

use axum::Json;
use axum::extract::State;
use monitor_wire::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::params::{NoParams, Strict};
use super::problem::ApiError;
use super::{Answer, App};
use crate::ingest::IngestError;

/// That the server works.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`; a server that can't take events or read its database answers with an error.
    status: &'static str,
    /// Version of the server.
    version: &'static str,
}

/// Answers when the server takes events and can read its database.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    responses(
        (status = 200, description = "The server works", body = Health),
        (status = 503, description = "It stores no events now, and why", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "It can't read its database", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_health(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Health> {
    take_events(&app)?;
    // Beside the readers' queue: a server that answers many searches is well.
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || store.probe()).await??;
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// Answers when the server stores events, without a look into its database: for whoever chooses a server to send to.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    responses(
        (status = 200, description = "Events are stored", body = Health),
        (status = 503, description = "It stores no events now, and why", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_ready(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Health> {
    take_events(&app)?;
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// Fails while events are not stored.
fn take_events(app: &App) -> Result<(), ApiError> {
    if app.stopping.is_cancelled() || !app.ingest.is_alive() {
        return Err(IngestError::Stopped.into());
    }
    app.ingest.trouble().map_or(Ok(()), |cause| Err(ApiError::Shut { cause: cause.to_string() }))
}
