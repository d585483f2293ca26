//! `POST /api/v1/backup`

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header;
use monitor_wire::Problem;
use tokio::task::spawn_blocking;

use super::App;
use super::access::Admin;
use super::params::{NoParams, Strict};
use super::problem::ApiError;

/// So many bytes are read from the copy at once.
const CHUNK: usize = 1 << 20;
/// How a copy is called in the data folder while it is sent.
const PREFIX: &str = "backup-";

/// A copy of the whole database as it is at one moment, an `SQLite` file. It is made in the data folder first, which takes as much
/// space again for a while; one at a time.
#[utoipa::path(
    post,
    path = "/api/v1/backup",
    tag = "server",
    responses(
        (status = 200, description = "The copy", body = Vec<u8>, content_type = "application/vnd.sqlite3"),
        (status = 503, description = "Another copy is being made", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_backup(State(app): State<App>, _: Admin, Strict(NoParams {}): Strict<NoParams>) -> Result<Response, ApiError> {
    let Ok(turn) = app.copying.clone().try_acquire_owned() else { return Err(ApiError::Busy) };
    let path = app.config.data.join(format!("{PREFIX}{}.db", crate::server::now_us()));
    let copy = Copy { path: path.clone(), _turn: turn };
    let (bytes, file) = app
        .ask(move |store| {
            let bytes = store.backup(&path)?;
            let file = File::open(&path).map_err(|source| crate::store::StoreError::Disk { action: "read", path, source })?;
            Ok((bytes, file))
        })
        .await?;
    // Held until the last byte is sent, or nobody reads any more.
    let chunks = stream::unfold((file, copy), |(mut file, copy)| async move {
        let read = spawn_blocking(move || {
            let mut chunk = vec![0; CHUNK];
            let length = io::Read::read(&mut file, &mut chunk)?;
            chunk.truncate(length);
            Ok::<_, io::Error>((chunk, file))
        });
        match read.await.map_err(io::Error::other).and_then(|read| read) {
            Ok((chunk, _)) if chunk.is_empty() => None,
            Ok((chunk, file)) => Some((Ok(chunk), (file, copy))),
            // Whoever reads learns by its length that it breaks off.
            Err(_) => None,
        }
    });
    let chunks: stream::BoxStream<'static, Result<Vec<u8>, io::Error>> = Box::pin(chunks);
    let headers = [(header::CONTENT_TYPE, "application/vnd.sqlite3".to_owned()), (header::CONTENT_LENGTH, bytes.to_string())];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// A copy in the data folder, removed when it is sent.
struct Copy {
    path: PathBuf,
    _turn: tokio::sync::OwnedSemaphorePermit,
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Removes what a server left that died while it sent a copy.
pub(crate) fn remove_leftovers(data: &Path) {
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
