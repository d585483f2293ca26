//! `GET /healthz` and `GET /readyz`: health checks.

use axum::Json;
use axum::extract::State;
use monitor_wire::Problem;
use serde::Serialize;
use utoipa::ToSchema;

use super::params::{NoParams, Strict};
use super::problem::ApiError;
use super::{Answer, App};
use crate::ingest::IngestError;

/// Confirmation that the server works.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`. A server that can't store events or read its database responds with an error.
    status: &'static str,
    /// Version of the server.
    version: &'static str,
}

/// Checks that the server stores events and can read its database.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    responses(
        (status = 200, description = "The server stores and reads data", body = Health),
        (status = 503, description = "The server can't store events at present, with the reason", body = Problem, content_type = "application/problem+json"),
        (status = 500, description = "The server can't read its database", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_health(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Health> {
    take_events(&app)?;
    // Bypasses the queue of readers, so that a server that is busy with many searches still counts as healthy.
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || store.probe()).await??;
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// Checks that the server stores events, without reading its database. Intended for load balancers.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    responses(
        (status = 200, description = "The server stores events", body = Health),
        (status = 503, description = "The server can't store events at present, with the reason", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_ready(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Health> {
    take_events(&app)?;
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// Returns an error while events are not stored.
fn take_events(app: &App) -> Result<(), ApiError> {
    if app.stopping.is_cancelled() || !app.ingest.is_alive() {
        return Err(IngestError::Stopped.into());
    }
    app.ingest.trouble().map_or(Ok(()), |cause| Err(ApiError::Shut { cause: cause.to_string() }))
}
