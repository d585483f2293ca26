//! `GET` and `POST /api/v1/alerts/hushes`, and `DELETE /api/v1/alerts/hushes/{hush}`: snoozes and maintenance windows.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use monitor_alerts::HushKind;
use monitor_store::AlertsChange;
use monitor_wire::{Hush, HushRequest, Hushes, Problem};

use super::super::batch::who;
use super::super::commands::Small;
use super::super::params::{NoParams, PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::NotTaken;
use super::super::{Answer, App};
use crate::access::Principal;

/// Maximum duration of a silence, in microseconds: 90 days.
const LONGEST_US: u64 = 90 * 86_400 * 1_000_000;
/// Maximum length of a reason, in bytes.
const LONGEST_WHY: usize = 1_000;
/// Maximum size of a request, in bytes.
const MAX_BYTES: usize = 16 << 10;

/// Lists the snoozes and maintenance windows that have not ended.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/hushes",
    tag = "alerts",
    responses((status = 200, description = "The silences", body = Hushes))
)]
pub(in super::super) async fn get_hushes(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Hushes> {
    Ok(Json(Hushes { hushes: hushes(&app).await? }))
}

async fn hushes(app: &App) -> Result<Vec<Hush>, ApiError> {
    let now_us = app.clock.wall_us();
    let hushes = app.ask(move |store| store.hushes(now_us)).await?;
    let show = |(id, of): (u64, monitor_alerts::Hush)| Hush {
        id,
        scope: of.scope,
        from_us: of.from_us,
        until_us: of.until_us,
        who: of.who,
        why: of.why,
        kind: of.kind.to_string(),
    };
    Ok(hushes.into_iter().map(show).collect())
}

/// Starts a snooze or a maintenance window: no notifications are sent about the alerts it covers.
///
/// Notifications about recoveries are still sent. Alerts that still fire at the end of the silence are sent then.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/hushes",
    tag = "alerts",
    request_body = HushRequest,
    responses(
        (status = 200, description = "The silences that have not ended", body = Hushes),
        (status = 400, description = "The request is invalid", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(in super::super) async fn post_hush(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(request): Small<HushRequest, MAX_BYTES>,
) -> Answer<Hushes> {
    let wrong = |detail: String| ApiError::Body { detail };
    monitor_alerts::Hush::check_scope(&request.scope).map_err(|expected| wrong(format!("scope: {expected}")))?;
    let length = monitor_duration::read(&request.length).map_err(|expected| wrong(format!("for: {:?}: {expected}", request.length)))?;
    let length_us = u64::try_from(length.as_micros()).ok().filter(|us| (1..=LONGEST_US).contains(us));
    let length_us = length_us.ok_or_else(|| wrong("for: more than 0s and at most 90d is expected".to_owned()))?;
    if request.why.as_ref().is_some_and(|why| why.len() > LONGEST_WHY) {
        return Err(wrong(format!("why: at most {LONGEST_WHY} bytes are expected")));
    }
    let now_us = app.clock.wall_us();
    let from_us = request.from_us.unwrap_or(now_us);
    if from_us > now_us + LONGEST_US {
        return Err(wrong("from_us: a time within the next 90 days is expected".to_owned()));
    }
    let kind = if request.maintenance { HushKind::Maintenance } else { HushKind::Snooze };
    let hush =
        monitor_alerts::Hush { scope: request.scope, from_us, until_us: from_us + length_us, who: who(principal), why: request.why, kind };
    app.alerts.change(AlertsChange { hushes: vec![hush], ..AlertsChange::default() }).await?;
    Ok(Json(Hushes { hushes: hushes(&app).await? }))
}

/// Ends a silence now, so that notifications are sent about alerts that still fire.
#[utoipa::path(
    delete,
    path = "/api/v1/alerts/hushes/{hush}",
    tag = "alerts",
    params(("hush" = u64, Path, description = "Number of the silence", example = 1)),
    responses(
        (status = 204, description = "The silence has ended"),
        (status = 404, description = "The silence does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn delete_hush(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<StatusCode, ApiError> {
    let id = path.text("hush").parse::<u64>().ok();
    let known = hushes(&app).await?;
    let Some(id) = id.filter(|id| known.iter().any(|hush| hush.id == *id)) else {
        return Err(ApiError::Missing {
            detail: "there is no such hush: `GET /api/v1/alerts/hushes` lists those that there are".to_owned(),
        });
    };
    app.alerts.change(AlertsChange { ended_hushes: vec![id], ..AlertsChange::default() }).await?;
    app.alerts.wake_now().await;
    Ok(StatusCode::NO_CONTENT)
}
