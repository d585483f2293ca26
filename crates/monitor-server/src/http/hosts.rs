//! Hosts that jobs run on: `/api/v1/hosts`.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use monitor_wire::{HostDefinition, HostsChanged, HostsPut, ManagedHosts, Problem};

use super::commands::Small;
use super::params::{NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::NotTaken;
use super::{Answer, App};
use crate::jobs::MOST_HOSTS;

/// Maximum size of a body, in bytes.
const MAX_BYTES: usize = 8 << 20;
/// Maximum length of a tag, value or group, in bytes.
const MAX_WORD_BYTES: usize = 255;
/// Maximum number of tags and of groups of a host.
const MOST_WORDS: usize = 100;

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
    Ok(Json(ManagedHosts { hosts: app.jobs.hosts().await? }))
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
        NotTaken,
    )
)]
pub(super) async fn put_hosts(
    State(app): State<App>,
    Strict(NoParams {}): Strict<NoParams>,
    Small(put): Small<HostsPut, MAX_BYTES>,
) -> Answer<HostsChanged> {
    let mut mistakes: Vec<String> = put.hosts.iter().enumerate().flat_map(|(place, host)| mistakes(place, host)).collect();
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

/// Returns all mistakes of a host, each with its path.
fn mistakes(place: usize, host: &HostDefinition) -> Vec<String> {
    let mut mistakes = Vec::new();
    let mut wrong = |key: &str, why: String| mistakes.push(format!("hosts.{place}.{key}: {why}"));
    let short = |text: &str| text.chars().take(80).collect::<String>();
    // As for tokens, because an agent has the name of its token.
    let is_name = |name: &str| (1..=64).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || ".-_@".contains(c));
    if !is_name(&host.name) {
        wrong("name", format!("{:?} can't be a name: use 1 to 64 letters, digits and `.`, `-`, `_`, `@`", short(&host.name)));
    }
    if let Some(ip) = host.ip.as_deref().filter(|ip| ip.parse::<std::net::Ipv4Addr>().is_err()) {
        wrong("ip", format!("{:?} is no IPv4 address, such as 10.0.0.7", short(ip)));
    }
    if let Some(ip) = host.ipv6.as_deref().filter(|ip| ip.parse::<std::net::Ipv6Addr>().is_err()) {
        wrong("ipv6", format!("{:?} is no IPv6 address, such as fd00::7", short(ip)));
    }
    let is_word = |text: &str| {
        !text.is_empty() && text.len() <= MAX_WORD_BYTES && !text.contains([',', '=', '!']) && !text.contains(char::is_control)
    };
    for name in host.tags.keys().filter(|name| !is_word(name)) {
        wrong(
            "tags",
            format!("{:?} can't be a tag: use up to {MAX_WORD_BYTES} bytes without commas, `=`, `!` and control characters", short(name)),
        );
    }
    for (name, value) in host.tags.iter().filter(|(_, value)| !value.is_empty() && !is_word(value)) {
        wrong(
            &format!("tags.{}", short(name)),
            format!("{:?} can't be a value: use up to {MAX_WORD_BYTES} bytes without commas", short(value)),
        );
    }
    for group in host.groups.iter().filter(|group| !is_word(group)) {
        wrong("groups", format!("{:?} can't be a group: use up to {MAX_WORD_BYTES} bytes without commas", short(group)));
    }
    for (key, count) in [("tags", host.tags.len()), ("groups", host.groups.len())] {
        if count > MOST_WORDS {
            wrong(key, format!("{count} are too many: give at most {MOST_WORDS}"));
        }
    }
    mistakes
}
