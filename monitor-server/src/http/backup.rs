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
use super::params::{NoParams, Strict};
use super::problem::ApiError;
use crate::store::StoreError;

/// So many bytes are read from the copy at once.
const CHUNK: usize = 1 << 20;
/// How a copy is called in the data folder while it is made and sent: as nobody calls a file by hand, with the time in between.
const NAME: (&str, &str) = (".sending-", ".db");

/// A copy of the whole database as it is at one moment, an `SQLite` file. It is made in the data folder first, which takes as much
/// space again for a while; one at a time.
#[utoipa::path(
    post,
    path = "/api/v1/backup",
    tag = "server",
    responses(
        (status = 200, description = "The copy", body = Vec<u8>, content_type = "application/vnd.sqlite3"),
        (status = 503, description = "Another copy is being made, or there is no room for one", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn post_backup(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Result<Response, ApiError> {
    let Ok(turn) = app.copying.clone().try_acquire_owned() else {
        let detail = "another copy of the database is being made or sent, and there is one at a time: ask again when that is done";
        return Err(ApiError::TooManyAnswers { detail: detail.to_owned() });
    };
    let path = app.config.data.join(format!("{}{}{}", NAME.0, app.clock.wall_us(), NAME.1));
    let copy = Copy { path, _turn: turn };
    let (bytes, file, copy) = app
        .ask(move |store| {
            // It goes on if the client goes: the turn and the file are given back by whoever has the copy last.
            let bytes = store.backup(&copy.path)?;
            let disk = |source| StoreError::Disk { action: "read", path: copy.path.clone(), source };
            let file = File::open(&copy.path).map_err(disk)?;
            Ok((bytes, file, copy))
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

/// Removes what a server left that died while it made or sent a copy.
pub(crate) fn remove_leftovers(data: &Path) {
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        if !entry.file_name().to_str().is_some_and(is_ours) {
            continue;
        }
        let path = entry.path();
        match std::fs::remove_file(&path) {
            Ok(()) => tracing::info!(path = %path.display(), "removed a copy that was not sent to its end"),
            Err(error) => tracing::warn!(%error, path = %path.display(), "could not remove a copy that was not sent to its end"),
        }
    }
}

/// Whether a file is such a copy, or what `SQLite` puts beside one.
fn is_ours(name: &str) -> bool {
    let digits = |name: &str| {
        let (digits, beside) = name.strip_prefix(NAME.0)?.split_once(NAME.1)?;
        let beside = beside.strip_prefix(".part").unwrap_or(beside);
        Some(matches!(beside, "" | "-journal" | "-wal" | "-shm") && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    digits(name).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_server_left_is_its_own() {
        for (name, expected) in [
            (".sending-1763600000123456.db", true),
            (".sending-1763600000123456.db.part", true),
            (".sending-1763600000123456.db.part-journal", true),
            (".sending-1763600000123456.db-wal", true),
            ("backup-2026-11-20.db", false),
            (".sending-.db", false),
            (".sending-2026-11-20.db", false),
            (".sending-1.db.old", false),
            ("sending-1.db", false),
            ("monitor.db", false),
        ] {
            assert_eq!(is_ours(name), expected, "{name}");
        }
    }
}
