//! `GET /api/v1/roots/{root}/export`

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use monitor_store::{Queries, RootKey, TreeColumns};
use monitor_wire::Problem;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::params::{PathParts, Repeated, RootName, RootNames, Strict};
use super::problem::ApiError;
use super::refusals::NoTree;
use crate::export::{self, Format};
use crate::report::{self, DEFAULT_BYTES, Options, ReportError};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportParams {
    /// `json` (the default), `ndjson`, `perfetto` (also for Chrome), `otlp`, `junit` (test results) or `html`.
    #[serde(default)]
    #[param(value_type = Option<ExportFormat>)]
    format: ExportFormat,
    /// With `html`: another run, by its id or number, that the file shows next to this run.
    #[param(value_type = Option<String>)]
    compare: Option<RootName>,
    /// With `html`: up to 100 more runs to include in the file, by their ids or numbers, separated by commas.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    with: RootNames,
    /// With `html`: processes whose names match this pattern have neither log lines nor fields in the file. `*`, `?`, `[a-z]` and `{a,b}`
    /// mean the same as in a shell. It may be given up to 100 times, with at most 1,000 bytes each.
    #[serde(default)]
    #[param(value_type = Option<Vec<String>>, max_items = 100)]
    redact: Repeated,
    /// With `html`: maximum size of the file in bytes, without the page's own code; 20971520 if not given, and at most the server's
    /// `max-answer-bytes`. Log lines are left out until it fits.
    bytes: Option<u64>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportFormat {
    #[default]
    Json,
    Ndjson,
    Perfetto,
    Otlp,
    Junit,
    Html,
}

impl ExportParams {
    /// Refuses parameters that only `format=html` accepts.
    fn refuse_those_of_html(&self) -> Result<(), ApiError> {
        let given = [
            ("compare", self.compare.is_some()),
            ("with", !self.with.0.is_empty()),
            ("redact", !self.redact.0.is_empty()),
            ("bytes", self.bytes.is_some()),
        ];
        let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) else { return Ok(()) };
        let detail = format!("parameter `{name}`: only `format=html` takes it");
        Err(ApiError::Parameter { name: name.to_owned(), detail })
    }
}

/// Exports a whole run in a format for other programs.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/export",
    tag = "runs",
    params(("root" = String, Path, description = "Id or number of the run"), ExportParams),
    responses(
        (status = 200, description = "The run, sent while it is read from the database. An answer that breaks off is incomplete", content((Object = "application/json"), (String = "application/x-ndjson"), (String = "application/xml"), (String = "text/html"))),
        NoTree,
        (status = 413, description = "With `html`: the processes exceed `bytes` or the server's `max-answer-bytes`, even without logs", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many exports are running. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_export(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<ExportParams>,
) -> Result<Response, ApiError> {
    if params.format != ExportFormat::Html {
        params.refuse_those_of_html()?;
    }
    let turn = app.exporting.clone().try_acquire_owned().map_err(|_| ApiError::TooManyAnswers {
        detail: "others export as many trees as are written at a time: ask again after the seconds in `Retry-After`".to_owned(),
    })?;
    if params.format == ExportFormat::Html {
        return html(&app, &path, params, turn).await;
    }
    let outline = app.ask_root(&path, Queries::outline).await?;
    let (format, ending, content_type) = match params.format {
        ExportFormat::Json => (Format::Json, "json", "application/json"),
        ExportFormat::Ndjson => (Format::Ndjson, "ndjson", "application/x-ndjson"),
        ExportFormat::Perfetto => (Format::Perfetto, "perfetto.json", "application/json"),
        ExportFormat::Otlp => (Format::Otlp, "otlp.json", "application/json"),
        ExportFormat::Html => unreachable!("it is written above"),
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

/// Returns the run, and the other runs of the parameters, as one HTML file. The file is built in memory, because its beginning contains counts
/// of the rest.
async fn html(app: &App, path: &PathParts, params: ExportParams, turn: OwnedSemaphorePermit) -> Result<Response, ApiError> {
    let max_bytes = params.bytes.map_or(DEFAULT_BYTES, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    // It is in memory as a whole.
    let max_bytes = max_bytes.min(app.config.max_answer_bytes);
    let patterns = params.redact.0.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>();
    let options = patterns.and_then(|patterns| Options::new(patterns, max_bytes, app.clock.wall_us()));
    let options =
        options.map_err(|error| ApiError::Parameter { name: "redact".to_owned(), detail: format!("parameter `redact`: {error}") })?;
    let root = app.ask_root(path, Queries::root).await?;
    let mut runs = vec![RootKey::Id(root.root_id)];
    let mut count = root.counts.total();
    let options = if params.compare.is_some() { options.compared() } else { options };
    for RootName(other) in params.compare.into_iter().chain(params.with.0) {
        let asked = match other {
            RootKey::Id(id) => id.to_string(),
            RootKey::Number(number) => number.to_string(),
        };
        let Some(root) = app.ask(move |store| store.root(other)).await? else { return Err(app.no_root(other, &asked).await) };
        runs.push(RootKey::Id(root.root_id));
        count += root.counts.total();
    }
    let bytes = TreeColumns::bytes_of(usize::try_from(count).unwrap_or(usize::MAX)).saturating_add(max_bytes);
    let held = app.answers.room(bytes).await?;
    let written = app.ask(move |store| {
        let _turn = turn;
        Ok(report::write(store, &runs, &options))
    });
    let html = match written.await? {
        Ok(Some(html)) => html,
        // It was deleted meanwhile.
        Ok(None) => return Err(app.no_root(RootKey::Id(root.root_id), path.text("root")).await),
        Err(ReportError::Store(error)) => return Err(error.into()),
        Err(error @ ReportError::TooLarge { .. }) => return Err(ApiError::TooMuch { detail: error.to_string() }),
        Err(error @ ReportError::NoPage(_)) => return Err(ApiError::Missing { detail: error.to_string() }),
    };
    let file = format!("attachment; filename=\"{}.html\"", root.root_id);
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_DISPOSITION, &file)];
    Ok((headers, held.body(html.into_bytes())).into_response())
}
