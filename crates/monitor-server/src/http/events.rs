//! `POST /api/v1/events`: stores events.

use axum::extract::State;
use axum::{Extension, Json};
use monitor_wire::{Accepted, Batch, Problem};

use super::body::Wire;
use super::params::{NoParams, Strict};
use super::{Answer, App};
use crate::access::{Principal, Scope};
use crate::ingest::Speaker;

/// Stores a batch of events durably; the response is sent after the commit.
///
/// A batch may be sent again, split or rearranged: every event is counted once. `batch-task-changed`, `agent-decided`, `run-skipped` and
/// `run-missed` are accepted only from the token of the agent that they name, and from admins.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    tag = "events",
    request_body(content = Batch, description = "JSON, plain or with `Content-Encoding: zstd`, `gzip` or `deflate`"),
    responses(
        (status = 200, description = "All events up to this number are stored", body = Accepted),
        (status = 400, description = "The body is not a valid batch. If a single event is invalid, `event_number` identifies it", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The event `event_number` is from an agent, and the token belongs neither to this agent nor to an administrator", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body was not received completely in time", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The event `event_number` of an agent is more than a minute ahead of the server's clock, which is at `server_time_us`. Send it again later", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "The batch is too large. Split it", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "The content type or encoding is not supported", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The server is busy or stopping. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_events(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    Strict(NoParams {}): Strict<NoParams>,
    wire: Wire,
) -> Answer<Accepted> {
    let Wire { batch, memory } = wire;
    let accepted = app.ingest.accept_from(&speaker(principal), batch).await?;
    drop(memory);
    Ok(Json(accepted))
}

/// Returns the agents that a caller may report for. The token of an agent has the agent's name.
fn speaker(principal: Option<Principal>) -> Speaker {
    match principal {
        Some(by) if by.scopes.has(Scope::Admin) => Speaker::Admin,
        Some(Principal { name: Some(name), scopes, .. }) if scopes.has(Scope::Agent) => Speaker::Agent(name),
        _ => Speaker::Program,
    }
}
