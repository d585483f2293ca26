//! The keys that sign orders: `/api/v1/jobs/key`. `monitor agent join` and `monitor agent trust` store the public keys on a host, which then
//! accepts orders; `monitor host rotate-key` replaces the key.

use axum::Json;
use axum::extract::State;
use monitor_wire::JobKeys;

use super::super::params::{NoParams, Strict};
use super::super::{Answer, App};

/// Returns the public keys that orders are signed with, the current one first.
#[utoipa::path(get, path = "/api/v1/jobs/key", tag = "jobs", responses((status = 200, description = "The keys", body = JobKeys)))]
pub(in super::super) async fn get_key(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<JobKeys> {
    Ok(Json(app.jobs.public_keys()))
}

/// Replaces the key that orders are signed with. The former key signs for another day.
#[utoipa::path(post, path = "/api/v1/jobs/key", tag = "jobs", responses((status = 200, description = "The keys", body = JobKeys)))]
pub(in super::super) async fn post_key(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<JobKeys> {
    let jobs = app.jobs.clone();
    Ok(Json(tokio::task::spawn_blocking(move || jobs.rotate_key()).await??))
}
