//! `POST /api/v1/alerts/{alert}/ack` and `/resolve`: handling of alerts.

use axum::extract::State;
use axum::{Extension, Json};
use monitor_wire::{Alert, Problem};

use super::super::batch::who;
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::{no_alert, show};
use crate::access::Principal;

/// Acknowledges an alert: a person is handling it.
///
/// Reminders and escalation to further recipients stop.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{alert}/ack",
    tag = "alerts",
    params(("alert" = u64, Path, description = "Number of the alert", example = 1)),
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 404, description = "The alert does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The alert is resolved", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_ack(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<Alert> {
    let (id, by) = (number(&path)?, who(principal));
    let is_done = app.alerts.acknowledge(id, &by).await?;
    done(&app, &path, id, is_done).await
}

/// Resolves an alert that is known to be over.
///
/// Everyone who was notified of the alert is notified of its end.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/{alert}/resolve",
    tag = "alerts",
    params(("alert" = u64, Path, description = "Number of the alert", example = 1)),
    responses(
        (status = 200, description = "The alert", body = Alert),
        (status = 404, description = "The alert does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The alert is already resolved", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn post_resolve(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<Alert> {
    let (id, by) = (number(&path)?, who(principal));
    let is_done = app.alerts.resolve(id, &by).await?;
    done(&app, &path, id, is_done).await
}

fn number(path: &PathParts) -> Result<u64, ApiError> {
    path.text("alert").parse().map_err(|_| no_alert(path.text("alert")))
}

async fn done(app: &App, path: &PathParts, id: u64, is_done: bool) -> Answer<Alert> {
    let alert = app.ask(move |store| store.alert(id)).await?.ok_or_else(|| no_alert(path.text("alert")))?;
    if !is_done {
        return Err(ApiError::Conflict { detail: format!("alert {id} is over: nothing is left to be done about it") });
    }
    Ok(Json(show::alert(alert)))
}
