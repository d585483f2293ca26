//! `POST /api/v1/events`

use axum::Json;
use axum::extract::State;
use monitor_wire::{Accepted, Batch, Problem};

use super::body::Wire;
use super::params::{NoParams, Strict};
use super::{Answer, App};

/// Takes a batch; the answer means that it is stored durably. A batch may be sent again, split, or cut anew: every event counts once.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    tag = "events",
    request_body(content = Batch, description = "JSON, plain or with `Content-Encoding: zstd`, `gzip` or `deflate`"),
    responses(
        (status = 200, description = "All events up to this number are stored", body = Accepted),
        (status = 400, description = "Not a batch; `event_number` where one event is at fault", body = Problem, content_type = "application/problem+json"),
        (status = 408, description = "The body stopped coming", body = Problem, content_type = "application/problem+json"),
        (status = 413, description = "Too large: split it", body = Problem, content_type = "application/problem+json"),
        (status = 415, description = "Another type or encoding than is read", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Busy or stopping: send it again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_events(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>, wire: Wire) -> Answer<Accepted> {
    let Wire { batch, memory } = wire;
    let accepted = app.ingest.accept(batch).await?;
    drop(memory);
    Ok(Json(accepted))
}
