//! `GET /api/v1/status`: the state of the server.

use axum::Json;
use axum::extract::State;
use monitor_store::{BatchQueries, Queries};
use monitor_wire::{Problem, Status};

use super::params::{NoParams, Strict};
use super::{Answer, App};
use crate::retention::Jump;

/// Returns an overview of the server.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "server",
    responses(
        (status = 200, description = "The version of the server, and the size of its data", body = Status),
        (status = 500, description = "The database failed", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_status(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Status> {
    let status = app.ask(Queries::status).await?;
    let agents = app.ask(BatchQueries::batch_agents).await?.into_iter();
    let ruleset = app.alerts.rules();
    let (retention, figures) = (app.config.keeps(), app.ingest.figures());
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        wire: monitor_wire::VERSION,
        schemas: crate::schemas(),
        started_us: app.started_us,
        can_tell: !ruleset.settings.channels.is_empty(),
        alert_mistakes: ruleset.mistakes.clone(),
        queue_bytes: figures.waiting_bytes,
        refused_batches: figures.refused,
        clock_jump: app.ages.jump().map(Jump::told),
        hindered_agents: agents.filter(|agent| !agent.mistakes.is_empty() || agent.pause_at(app.clock.wall_us()).is_some()).collect(),
        duties: app.board.told(),
        trouble: app.ingest.trouble().map(|cause| cause.to_string()),
        events_per_second: app.ingest.events_per_second(),
        retention: retention.to_string(),
        keeps: retention.rules.iter().map(monitor_store::retention::Rule::told).collect(),
        keeps_bytes: retention.size,
        ..status
    }))
}
