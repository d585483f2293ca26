//! `GET /api/v1/roots/{root}/export`

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use monitor_store::Queries;
use monitor_wire::Problem;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::params::{PathParts, Strict};
use super::problem::ApiError;
use super::refusals::NoTree;
use crate::export::{self, Format};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportParams {
    /// `json` (the default), `ndjson`, `perfetto` (also for Chrome), `otlp` or `junit` (test results).
    #[serde(default)]
    #[param(value_type = Option<ExportFormat>)]
    format: ExportFormat,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportFormat {
    #[default]
    Json,
    Ndjson,
    Perfetto,
    Otlp,
    Junit,
}

/// Writes a whole tree in a form in which it can be taken elsewhere.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/export",
    tag = "trees",
    params(("root" = String, Path, description = "The tree: its id, or its number"), ExportParams),
    responses(
        (status = 200, description = "The tree, as it is read; an answer that breaks off is not whole", content((Object = "application/json"), (String = "application/x-ndjson"), (String = "application/xml"))),
        NoTree,
        (status = 503, description = "Too many are exported: again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_export(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<ExportParams>,
) -> Result<Response, ApiError> {
    let turn = app.exporting.clone().try_acquire_owned().map_err(|_| ApiError::TooManyAnswers {
        detail: "others export as many trees as are written at a time: ask again after the seconds in `Retry-After`".to_owned(),
    })?;
    let outline = app.ask_root(&path, Queries::outline).await?;
    let (format, ending, content_type) = match params.format {
        ExportFormat::Json => (Format::Json, "json", "application/json"),
        ExportFormat::Ndjson => (Format::Ndjson, "ndjson", "application/x-ndjson"),
        ExportFormat::Perfetto => (Format::Perfetto, "perfetto.json", "application/json"),
        ExportFormat::Otlp => (Format::Otlp, "otlp.json", "application/json"),
        ExportFormat::Junit => (Format::Junit, "junit.xml", "application/xml"),
    };
    let file = format!("attachment; filename=\"{}.{ending}\"", outline.root.root_id);
    // A few pieces wait for the socket; the one who writes waits then, with no snapshot of the store.
    let (send, receive) = mpsc::channel::<io::Result<Bytes>>(4);
    let store = app.store.clone();
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut piece = |text: String| text.is_empty() || send.blocking_send(Ok(text.into())).is_ok();
        if let Err(error) = export::write(&*store, &outline, format, &mut piece) {
            tracing::error!(error = &error as &dyn std::error::Error, "an export broke off");
            let _ = send.blocking_send(Err(io::Error::other(error)));
        }
    });
    let body = Body::from_stream(futures_util::stream::unfold(receive, |mut receive| async {
        receive.recv().await.map(|piece| (piece, receive))
    }));
    Ok(([(header::CONTENT_TYPE, content_type), (header::CONTENT_DISPOSITION, &file)], body).into_response())
}
