//! `POST /api/v1/backup`: a copy of the database.

use std::io::{self, Read as _};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use monitor_store::Backup;
use monitor_wire::Problem;
use tokio::task::spawn_blocking;

use super::App;
use super::params::{NoParams, Strict};
use super::problem::ApiError;

/// Number of bytes read from the copy at a time.
const CHUNK: usize = 1 << 20;

/// Returns a consistent copy of the whole database as an `SQLite` file.
///
/// The copy is first made in the data folder, which needs the same amount of free disk space for that time. One copy can be made at a time.
#[utoipa::path(
    post,
    path = "/api/v1/backup",
    tag = "server",
    responses(
        (status = 200, description = "The copy of the database", body = Vec<u8>, content_type = "application/vnd.sqlite3"),
        (status = 503, description = "Another copy is being made, or the disk has too little space", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_backup(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Result<Response, ApiError> {
    let Ok(turn) = app.copying.clone().try_acquire_owned() else {
        let detail = "another copy of the database is being made or sent, and there is one at a time: ask again when that is done";
        return Err(ApiError::TooManyAnswers { detail: detail.to_owned() });
    };
    let store = app.store.clone();
    // `spawn_blocking` continues if the client disconnects. The permit and the copy move through the closure, so they are released by its
    // last owner.
    let made = spawn_blocking(move || Ok::<_, ApiError>((store.backup()?, turn)));
    let (Backup { bytes, media_type, read }, turn) = made.await??;
    // The stream owns the permit and the copy until the last byte is sent or the client disconnects.
    let chunks = stream::unfold((read, turn), |(mut read, turn)| async move {
        let chunk = spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK];
            let length = read.read(&mut chunk)?;
            chunk.truncate(length);
            Ok::<_, io::Error>((chunk, read))
        });
        match chunk.await.map_err(io::Error::other).and_then(|chunk| chunk) {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, read)) => Some((Ok(chunk), (read, turn))),
            // The stream ends early. The client detects that by `Content-Length`.
            Err(_) => None,
        }
    });
    let chunks: stream::BoxStream<'static, Result<Vec<u8>, io::Error>> = Box::pin(chunks);
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_LENGTH, bytes.to_string())];
    Ok((headers, Body::from_stream(chunks)).into_response())
}
