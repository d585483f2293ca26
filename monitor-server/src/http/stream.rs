//! `GET /api/v1/stream`: server-sent events.
//!
//! `id` is the event's number, `event` its type, `data` a [`StreamMessage`]. What can't be resumed is one `reset` event: load
//! anew, the stream goes on from its id. While nothing happens a comment tells that the stream lives; it carries an id as well,
//! so that a reader who filters doesn't fall behind.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use http::{HeaderMap, header};
use monitor_wire::{Problem, RootId, StreamMessage};
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::IntoParams;

use super::App;
use super::params::{RootName, Strict, Words};
use super::problem::ApiError;
use crate::live::{Frame, Live, Read};

/// An event is stored a moment before it is on the stream; a reader who has just loaded it waits at most so long.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// Only these types of events, between commas, like `process-started,process-ended`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    types: Words,
    /// Only events of this tree (its id, or its number), and those of workers, which are of no tree.
    #[param(value_type = Option<String>)]
    root: Option<RootName>,
    /// Goes on after this event: an `as_of` or the id of an event; the header `Last-Event-ID` is stronger. Without either, from now on.
    after: Option<u64>,
}

/// Tells what happens, as server-sent events, each once it is stored.
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "stream",
    params(StreamParams, ("Last-Event-ID" = Option<u64>, Header, description = "Goes on after this event")),
    responses(
        (status = 200, description = "`id`: the event's number, `event`: its type or `reset`, `data`: this", body = StreamMessage, content_type = "text/event-stream"),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such tree", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_stream(
    State(app): State<App>,
    headers: HeaderMap,
    Strict(params): Strict<StreamParams>,
) -> Result<Response, ApiError> {
    let root_id = match params.root {
        Some(root) => Some(find(&app, root).await?),
        None => None,
    };
    let after = match headers.get("last-event-id") {
        // A browser sends what it was sent; what is no number was never sent from here.
        Some(id) => Some(id.to_str().ok().and_then(|id| id.trim().parse().ok()).unwrap_or(u64::MAX)),
        None => params.after,
    };
    let after = match after {
        Some(after) => caught_up(&app, after).await?,
        None => app.live.newest(),
    };
    let reader = Reader {
        newest: app.live.watch(),
        live: app.live,
        after,
        filter: Arc::new(Filter { types: params.types.each().into_iter().collect(), root_id }),
        greeted: false,
        heartbeat: app.config.stream_heartbeat,
        last_sent: Instant::now(),
        stopping: app.stopping,
    };
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(reader.into_stream())).into_response())
}

async fn find(app: &App, RootName(root): RootName) -> Result<RootId, ApiError> {
    let page = app.ask(move |store| store.tree(root, 1, None)).await?;
    let asked = match root {
        crate::store::RootKey::Id(id) => id.to_string(),
        crate::store::RootKey::Number(number) => number.to_string(),
    };
    match page {
        Some(page) => Ok(page.root.root_id),
        None => Err(app.no_root(root, &asked).await),
    }
}

/// `after`, once the stream has come to it, if the store has.
async fn caught_up(app: &App, after: u64) -> Result<u64, ApiError> {
    let mut newest = app.live.watch();
    if after > *newest.borrow_and_update() && after <= app.ask(|store| store.workers(1, None)).await?.as_of {
        let _ = tokio::time::timeout(CATCH_UP_TIMEOUT, newest.wait_for(|newest| *newest >= after)).await;
    }
    Ok(after)
}

struct Filter {
    types: HashSet<String>,
    root_id: Option<RootId>,
}

impl Filter {
    fn passes(&self, event_type: &str, of: Option<RootId>) -> bool {
        let is_of_type = self.types.is_empty() || self.types.contains(event_type);
        let is_of_root = self.root_id.is_none_or(|root| of.is_none_or(|of| of == root));
        is_of_type && is_of_root
    }
}

struct Reader {
    live: Live,
    newest: watch::Receiver<u64>,
    after: u64,
    filter: Arc<Filter>,
    greeted: bool,
    heartbeat: Duration,
    last_sent: Instant,
    stopping: CancellationToken,
}

impl Reader {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move {
            let bytes = reader.next().await?;
            reader.last_sent = Instant::now();
            Some((Ok(bytes.into()), reader))
        })
    }

    /// What to send next; nothing when the server stops.
    async fn next(&mut self) -> Option<String> {
        loop {
            if self.stopping.is_cancelled() {
                return None;
            }
            self.newest.mark_unchanged();
            let read = {
                // Encoding takes a while, and others want this thread too.
                let (live, filter, after) = (self.live.clone(), self.filter.clone(), self.after);
                let is_wanted = move |event_type: &str, root: Option<RootId>| filter.passes(event_type, root);
                tokio::task::spawn_blocking(move || live.read(after, is_wanted)).await.ok()?
            };
            let (frames, after) = match read {
                Read::Frames(frames, after) => (frames, after),
                Read::Reset(newest) => {
                    self.after = newest;
                    self.greeted = true;
                    return Some(format!("retry: 1000\nid: {newest}\nevent: reset\ndata: {{\"as_of\":{newest}}}\n\n"));
                }
            };
            if !self.greeted {
                self.greeted = true;
                return Some(format!("retry: 1000\nid: {}\n: connected\n\n", self.after));
            }
            let has_moved = after > self.after;
            self.after = after;
            if !frames.is_empty() {
                return Some(encode(&frames));
            }
            if self.last_sent.elapsed() >= self.heartbeat {
                return Some(format!("id: {}\n: nothing new\n\n", self.after));
            }
            if has_moved {
                // All were filtered out, and there may be many more of them.
                tokio::task::yield_now().await;
            } else {
                tokio::select! {
                    () = self.stopping.cancelled() => return None,
                    _ = self.newest.changed() => {}
                    () = tokio::time::sleep_until(self.last_sent + self.heartbeat) => {}
                }
            }
        }
    }
}

fn encode(frames: &[Frame]) -> String {
    let mut text = String::new();
    for frame in frames {
        // A type unknown here is whatever was sent, and a line break would end its field.
        let event_type = frame.event_type.replace(|c: char| c.is_control(), "\u{fffd}");
        let _ = writeln!(text, "id: {}\nevent: {event_type}\ndata: {}\n", frame.seq, frame.data);
    }
    text
}
