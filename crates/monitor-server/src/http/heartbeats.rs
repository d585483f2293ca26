//! Heartbeats: `/api/v1/heartbeats`, `/{name}`, `/{name}/roll`.

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use monitor_store::{HeartbeatEdit, HeartbeatQueries};
use monitor_wire::{Heartbeat, HeartbeatDefinition, HeartbeatKey, HeartbeatRoll, Heartbeats, Problem};

use super::batch::who;
use super::commands::Small;
use super::params::{NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::NotTaken;
use super::{Answer, App};
use crate::access::{Principal, hash, random};
use crate::heartbeats::{mistakes, shown_with_runs};

/// Maximum size of a definition, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Default time during which the previous key remains valid after a roll, in milliseconds: a day.
const OVERLAP_MS: u64 = 86_400_000;
/// Maximum of that time, in milliseconds: 30 days.
const LONGEST_OVERLAP_MS: u64 = 30 * 86_400_000;
/// Maximum number of heartbeats.
const MOST: usize = 10_000;

/// Lists all heartbeats by name.
#[utoipa::path(
    get,
    path = "/api/v1/heartbeats",
    tag = "heartbeats",
    responses((status = 200, description = "The heartbeats", body = Heartbeats))
)]
pub(super) async fn get_heartbeats(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<Heartbeats> {
    let now_us = app.clock.wall_us();
    let heartbeats = app.ask(move |store| store.heartbeats()?.into_iter().map(|row| shown_with_runs(store, row, now_us)).collect());
    Ok(Json(Heartbeats { heartbeats: heartbeats.await? }))
}

/// Adds a heartbeat and returns its key.
///
/// The server stores only a hash, so the key cannot be read again.
#[utoipa::path(
    post,
    path = "/api/v1/heartbeats",
    tag = "heartbeats",
    request_body = HeartbeatDefinition,
    responses(
        (status = 201, description = "The key of the heartbeat", body = HeartbeatKey),
        (status = 400, description = "The definition is invalid. The error lists all mistakes, one per line", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The name is already in use", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_heartbeat(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(definition): Small<HeartbeatDefinition, MAX_BYTES>,
) -> Result<(StatusCode, Json<HeartbeatKey>), ApiError> {
    check(&definition)?;
    let (key, name) = (new_key()?, definition.name.clone());
    let is_task = {
        let name = name.clone();
        app.ask(move |store| Ok((store.batch_task(&name)?.is_some(), store.heartbeats()?.len()))).await?
    };
    let conflict = |detail| Err(ApiError::Conflict { detail });
    match is_task {
        // Runs of the task and of the heartbeat would be listed under one name.
        (true, _) => return conflict(format!("there is, or was, a batch task {name:?}: choose another name")),
        (_, MOST..) => return conflict(format!("there are {MOST} heartbeats, which is all that there may be: delete one")),
        _ => {}
    }
    let crontab = definition.crontab();
    let edit = HeartbeatEdit::Add { definition, key_hash: hash(&key), who: who(principal) };
    if !app.change_heartbeat(edit).await? {
        return conflict(format!("there is a heartbeat {name:?} already: change that one, or roll its key"));
    }
    Ok((StatusCode::CREATED, Json(app.told(name, key, crontab, None))))
}

/// Changes when a heartbeat is expected. Its key and its history are kept.
#[utoipa::path(
    put,
    path = "/api/v1/heartbeats/{name}",
    tag = "heartbeats",
    params(("name" = String, Path, description = "Name of the heartbeat")),
    request_body = HeartbeatDefinition,
    responses(
        (status = 200, description = "The changed heartbeat", body = Heartbeat),
        (status = 400, description = "The definition is invalid. The error lists all mistakes, one per line", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The heartbeat does not exist", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn put_heartbeat(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(definition): Small<HeartbeatDefinition, MAX_BYTES>,
) -> Answer<Heartbeat> {
    let name = path.text("name").to_owned();
    check(&definition)?;
    if definition.name != name {
        let detail = format!("name: the heartbeat is {name:?}, and the definition names {:?}: it can't be renamed", definition.name);
        return Err(ApiError::Body { detail });
    }
    if !app.change_heartbeat(HeartbeatEdit::Define(definition)).await? {
        return Err(none(&name));
    }
    let now_us = app.clock.wall_us();
    let wanted = name.clone();
    let found = app.ask(move |store| {
        let row = store.heartbeats()?.into_iter().find(|row| row.definition.name == wanted);
        row.map(|row| shown_with_runs(store, row, now_us)).transpose()
    });
    Ok(Json(found.await?.ok_or_else(|| none(&name))?))
}

/// Deletes a heartbeat. Its runs are still listed.
#[utoipa::path(
    delete,
    path = "/api/v1/heartbeats/{name}",
    tag = "heartbeats",
    params(("name" = String, Path, description = "Name of the heartbeat")),
    responses(
        (status = 204, description = "The heartbeat is deleted"),
        (status = 404, description = "The heartbeat does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_heartbeat(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<StatusCode, ApiError> {
    let name = path.text("name").to_owned();
    let row = app.ask(HeartbeatQueries::heartbeats).await?.into_iter().find(|row| row.definition.name == name);
    let row = row.ok_or_else(|| none(&name))?;
    // The open runs end before the heartbeat is deleted. If the server is killed in between, the heartbeat is still there and can be
    // deleted again.
    super::ping::end_open_runs(&app, row.clone()).await?;
    if !app.change_heartbeat(HeartbeatEdit::Delete(name.clone())).await? {
        return Err(none(&name));
    }
    // A ping may have started a run in between.
    super::ping::end_open_runs(&app, row).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Replaces the key of a heartbeat and returns the new one.
///
/// The previous key remains valid for some time, so that jobs can be given the new one. The server stores only a hash of the new key, so it
/// cannot be read again.
#[utoipa::path(
    post,
    path = "/api/v1/heartbeats/{name}/roll",
    tag = "heartbeats",
    params(("name" = String, Path, description = "Name of the heartbeat")),
    request_body = HeartbeatRoll,
    responses(
        (status = 200, description = "The new key", body = HeartbeatKey),
        (status = 400, description = "The body is invalid", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "The heartbeat does not exist", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn post_roll(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
    Small(roll): Small<HeartbeatRoll, 1_024>,
) -> Answer<HeartbeatKey> {
    let name = path.text("name").to_owned();
    let overlap_ms = roll.overlap_ms.unwrap_or(OVERLAP_MS);
    if overlap_ms > LONGEST_OVERLAP_MS {
        return Err(ApiError::Body { detail: format!("overlap_ms: {overlap_ms} ms is more than 30 days") });
    }
    let (key, until_us) = (new_key()?, app.clock.wall_us() + overlap_ms * 1_000);
    let edit = HeartbeatEdit::Roll { name: name.clone(), key_hash: hash(&key), until_us };
    if !app.change_heartbeat(edit).await? {
        return Err(none(&name));
    }
    let row = app.ask(HeartbeatQueries::heartbeats).await?.into_iter().find(|row| row.definition.name == name);
    let crontab = row.ok_or_else(|| none(&name))?.definition.crontab();
    Ok(Json(app.told(name, key, crontab, Some(until_us).filter(|_| overlap_ms > 0))))
}

fn check(definition: &HeartbeatDefinition) -> Result<(), ApiError> {
    let mistakes = mistakes(definition);
    if mistakes.is_empty() { Ok(()) } else { Err(ApiError::Body { detail: mistakes.join("\n") }) }
}

fn none(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::Missing { detail: format!("there is no heartbeat {name:?}: `GET /api/v1/heartbeats` lists those that there are") }
}

/// Returns 128 random bits, written like a UUID.
fn new_key() -> Result<String, ApiError> {
    let hex = random(16)?;
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

impl App {
    async fn change_heartbeat(&self, edit: HeartbeatEdit) -> Result<bool, ApiError> {
        let clock = self.clock.clone();
        let is_done = self.ingest.change(move |store| store.change_heartbeat(edit, clock.wall_us())).await?;
        if is_done {
            self.alerts.tell_changed();
        }
        Ok(is_done)
    }

    /// Builds the response that contains a new key.
    fn told(&self, name: String, key: String, crontab: String, old_key_until_us: Option<u64>) -> HeartbeatKey {
        let path = format!("/ping/{key}");
        let url = self.config.public_url.as_ref().map(|url| format!("{}{path}", url.as_str().trim_end_matches('/')));
        HeartbeatKey { name, key, path, url, old_key_until_us, crontab }
    }
}
