//! Hosts that jobs run on: `/api/v1/hosts`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monitor_wire::{HostsChanged, HostsPut, ManagedHosts, Problem};

use super::commands::Small;
use super::params::{NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::NotTaken;
use super::{Answer, App};
use crate::jobs::{MOST_HOSTS, mistakes_of_host};

/// Maximum size of a body, in bytes.
const MAX_BYTES: usize = 8 << 20;

/// Lists all hosts by name.
///
/// An agent that connects is a host by itself.
#[utoipa::path(
    get,
    path = "/api/v1/hosts",
    tag = "jobs",
    responses((status = 200, description = "All of them", body = ManagedHosts))
)]
pub(super) async fn get_hosts(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<ManagedHosts> {
    Ok(Json(ManagedHosts { hosts: app.jobs.hosts().await?, file_problem: app.jobs.file_problem() }))
}

/// Adds hosts, or replaces the settings of hosts with the same names.
#[utoipa::path(
    put,
    path = "/api/v1/hosts",
    tag = "jobs",
    request_body = HostsPut,
    responses(
        (status = 200, description = "Names of the hosts", body = HostsChanged),
        (status = 400, description = "The hosts have mistakes, a line each", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "A host comes from the file of hosts", body = Problem, content_type = "application/problem+json"),
        NotTaken,
    )
)]
pub(super) async fn put_hosts(
    State(app): State<App>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(put): Small<HostsPut, MAX_BYTES>,
) -> Answer<HostsChanged> {
    let mut mistakes: Vec<String> = put
        .hosts
        .iter()
        .enumerate()
        .flat_map(|(place, host)| mistakes_of_host(host).into_iter().map(move |(key, why)| format!("hosts.{place}.{key}: {why}")))
        .collect();
    let mut names = std::collections::HashSet::new();
    for (place, host) in put.hosts.iter().enumerate().filter(|(_, host)| !names.insert(&host.name)) {
        mistakes.push(format!("hosts.{place}.name: {:?} is given twice", host.name));
    }
    if put.hosts.len() > MOST_HOSTS {
        mistakes.push(format!("hosts: {} are too many: give at most {MOST_HOSTS}", put.hosts.len()));
    }
    if !mistakes.is_empty() {
        return Err(ApiError::Body { detail: mistakes.join("\n") });
    }
    let names: Vec<String> = put.hosts.iter().map(|host| host.name.clone()).collect();
    let are_added = app.jobs.put_hosts(put.hosts).await?;
    let (added, changed): (Vec<_>, Vec<_>) = names.into_iter().zip(are_added).partition(|(_, is_added)| *is_added);
    let only_names = |hosts: Vec<(String, bool)>| hosts.into_iter().map(|(name, _)| name).collect();
    Ok(Json(HostsChanged { added: only_names(added), changed: only_names(changed) }))
}

/// Removes a host. Its jobs keep their data.
#[utoipa::path(
    delete,
    path = "/api/v1/hosts/{id}",
    tag = "jobs",
    params(("id" = u64, Path, description = "Number of the host")),
    responses(
        (status = 204, description = "It is gone"),
        (status = 400, description = "The number can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such host", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The host comes from the file of hosts", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_host(
    State(app): State<App>,
    path: PathParts,
    Strict(NoParams {}): Strict<NoParams>,
) -> Result<StatusCode, ApiError> {
    let id = path.read("id")?;
    if app.jobs.remove_host(id).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(ApiError::Missing { detail: format!("there is no host {id}: `GET /api/v1/hosts` lists those that there are") })
}
