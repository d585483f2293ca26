//! `GET /api/openapi.json`

use std::sync::Arc;

use axum::{Extension, Json};
use monitor_wire::StreamMessage;
use utoipa::OpenApi;

use super::Answer;
use super::params::{NoParams, Strict};

/// What no route says by itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Process Monitor",
        description = "Takes events, and shows the trees that they make. Times are Unix microseconds, durations nanoseconds; \
                       errors are `application/problem+json` with a `detail` that says what to do.",
    ),
    tags(
        (name = "events", description = "What monitored programs send"),
        (name = "OpenTelemetry", description = "What OpenTelemetry's SDKs send, as OTLP/HTTP"),
        (name = "trees", description = "Roots and their processes"),
        (name = "statistics", description = "What became of processes, by name and over time"),
        (name = "workers", description = "Who reports"),
        (name = "stream", description = "What happens, while it happens"),
        (name = "access", description = "Who asks, and who changed what"),
        (name = "server", description = "The server itself"),
    ),
    components(schemas(
        StreamMessage,
        super::roots::Sort,
        super::export::ExportFormat, super::logs::Level,
        super::logs::LogOrder,
        super::stats::By,
        super::stats::StatsOrder
    )),
)]
pub(super) struct Api;

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "server",
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn get_openapi(
    Extension(description): Extension<Arc<utoipa::openapi::OpenApi>>,
    Strict(NoParams {}): Strict<NoParams>,
) -> Answer<utoipa::openapi::OpenApi> {
    Ok(Json((*description).clone()))
}
