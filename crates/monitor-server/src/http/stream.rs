//! `GET /api/v1/stream`: live events as server-sent events, or over a WebSocket on upgrade. `docs/reference/events.md` describes each event and
//! message.
//!
//! If events that a client missed are neither in memory nor in the log of events, the client gets one `reset` message. It must load its
//! data again; the stream continues after the id of the message. When there are no events, the server sends a message at an interval to
//! show that the connection is alive. This message also has an id, so that a client which filters does not fall behind.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, Stream};
use http::{HeaderMap, Uri, header};
use monitor_store::RootKey;
use monitor_wire::{Kind, Problem, ProcessId, RootId, StreamMessage};
use serde::{Deserialize, Deserializer, de};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::connections::Busy;
use super::params::{RootName, RootNames, Strict, Words};
use super::problem::ApiError;
use super::refusals::Unreadable;
use crate::alerts::Firing;
use crate::commands::Watched;
use crate::live::{Format, Live, Next, Pattern, Piece, Subscription, Wanted, WantedTypes, WantedWorker};

/// Maximum time to wait until an event that the client has already loaded arrives in the stream. Events are stored shortly before they are
/// published in the stream.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a message that a client sends over a WebSocket. The server ignores such messages.
const MAX_SAID_BYTES: usize = 4 << 10;
/// Size of a WebSocket's write buffer.
const MAX_UNSENT_BYTES: usize = 16 << 10;
/// Maximum number of kinds in a filter.
const MOST_KINDS: usize = 100;
/// Maximum length of a task id in a filter, in bytes.
const LONGEST_TASK_ID: usize = 1_000;
/// Maximum time for sending the close message of a WebSocket.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// Comma-separated types of events, such as `process-started,process-ended`, or globs, such as `task-*`; at most 100.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    types: Words,
    /// Only events of these runs (comma-separated ids or numbers, at most 100), and events of workers, which belong to no run.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    root: RootNames,
    /// `roots`: for each run that `root` doesn't name, only the newest of several events that are sent together, with the run's root as its
    /// only model. Intended for lists of runs. Not possible with `process`, `worker`, `name`, `kind` or `task`.
    #[param(inline)]
    subject: Option<Subject>,
    /// Only events of this process.
    process: Option<ProcessId>,
    /// Only events that this worker sent, and events about processes that it runs: its id, or a glob for its name `program@host` or
    /// `program@host:pid`, such as `render@*`.
    #[param(value_type = Option<String>)]
    worker: Option<WantedWorker>,
    /// Only events of processes with exactly this name.
    name: Option<String>,
    /// Only events of processes of these comma-separated kinds, at most 100: `root`, `script`, `run`, `task` …
    #[serde(default)]
    #[param(value_type = Option<String>)]
    kind: Words,
    /// Only events of the queue task with this id in its queue, at most 1,000 bytes.
    task: Option<String>,
    /// Continues after this event: an `as_of` or the id of an event, as far back as the log of events reaches. The header `Last-Event-ID`
    /// has precedence. Without either, the stream begins with the next event.
    after: Option<u64>,
    /// Maximum number of missed events to send. If the client missed more, it gets a `reset`. Intended for clients that can load their data
    /// faster than they can read the events.
    within: Option<u64>,
    /// Also sends the number of firing alerts, the newest of them, and a version that increases with each change of an alert, a message, a
    /// silence, a rule or a heartbeat: `{"firing", "newest", "version"}` as `alerts`, at once and after each change. The message is not an
    /// event and has no id.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    alerts: bool,
}

impl<'de> Deserialize<'de> for WantedWorker {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        if !Pattern::is_one(&text) && !text.contains('@') {
            return Err(de::Error::custom("expected an id (32 lower-case hex digits), or a name or glob like `render@*`"));
        }
        Pattern::read(&text).map(Self::Named).map_err(de::Error::custom)
    }
}

/// Subject of a client's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    /// Runs, by their roots.
    Roots,
}

/// Sends events as soon as they are stored.
///
/// They are sent as server-sent events, or on upgrade over a WebSocket as JSON texts `{"id", "event", "data"}`.
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "stream",
    params(StreamParams, ("Last-Event-ID" = Option<u64>, Header, description = "Number of the last event that the client has received. The stream continues after it")),
    responses(
        (status = 101, description = "The connection is now a WebSocket, as requested by `Upgrade: websocket`"),
        (status = 200, description = "`id`: the event's number, `event`: its type or `reset`, `data`: this", body = StreamMessage, content_type = "text/event-stream"),
        Unreadable,
        (status = 404, description = "The run does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many clients read the stream. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_stream(
    State(app): State<App>,
    uri: Uri,
    headers: HeaderMap,
    Extension(busy): Extension<Busy>,
    Strict(params): Strict<StreamParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let wants_upgrade = headers.contains_key(header::UPGRADE);
    // Browsers let any page open a WebSocket to any host and read the messages; only `Origin` shows which site the page belongs to.
    if wants_upgrade && headers.contains_key(header::ORIGIN) {
        app.guard.check_same(&uri, &headers)?;
    }
    let upgrade = wants_upgrade.then_some(upgrade).transpose().map_err(|rejection| ApiError::Parameter {
        name: "Upgrade".to_owned(),
        detail: format!("this is no WebSocket: {}", rejection.body_text()),
    })?;
    let turn = turn(&app)?;
    let each_root = params.subject == Some(Subject::Roots);
    let wrong = |name: &str, why: String| ApiError::Parameter { name: name.to_owned(), detail: format!("parameter `{name}`: {why}") };
    let kinds: BTreeSet<Kind> = params.kind.each().into_iter().collect();
    let (process_id, worker, name, task) = (params.process, params.worker, params.name, params.task);
    if each_root && (process_id.is_some() || worker.is_some() || name.is_some() || task.is_some() || !kinds.is_empty()) {
        return Err(wrong("subject", "`roots` can't be combined with `process`, `worker`, `name`, `kind` or `task`".to_owned()));
    }
    if kinds.len() > MOST_KINDS {
        return Err(wrong("kind", format!("{} kinds: give at most {MOST_KINDS}", kinds.len())));
    }
    if task.as_ref().is_some_and(|task| task.len() > LONGEST_TASK_ID) {
        return Err(wrong("task", format!("no task has an id of more than {LONGEST_TASK_ID} bytes")));
    }
    let types = WantedTypes::read(params.types.each::<String>()).map_err(|why| wrong("types", why))?;
    let mut roots = BTreeSet::new();
    for root in params.root.0 {
        match (find(&app, root).await, root) {
            (Ok(root), _) => _ = roots.insert(root),
            // A list of runs continues without a run that was deleted or has not begun yet.
            (Err(ApiError::NoRoot { .. } | ApiError::Gone { .. }), RootName(RootKey::Id(root))) if each_root => _ = roots.insert(root),
            (Err(ApiError::NoRoot { .. } | ApiError::Gone { .. }), RootName(RootKey::Number(_))) if each_root => {}
            (Err(error), _) => return Err(error),
        }
    }
    let after = match headers.get("last-event-id") {
        // A browser repeats the last id it received. A value that is not a number never came from this server, so the client must load its
        // data again.
        Some(id) => Some(id.to_str().ok().and_then(|id| id.trim().parse().ok()).unwrap_or(u64::MAX)),
        None => params.after,
    };
    let after = match after {
        Some(after) => after,
        // Events up to the newest stored one count as past: their senders may already have the acknowledgement, although the stream has not
        // published them yet.
        None => as_of(&app).await?,
    };
    let after = caught_up(&app, after).await?;
    let wanted = Wanted { types, roots, each_root, process_id, worker, name, kinds, task };
    let mut reader = Reader::new(&app, wanted, after, turn);
    reader.within = params.within.unwrap_or(u64::MAX);
    reader.firing = params.alerts.then(|| app.alerts.firing()).map(|mut firing| {
        firing.mark_changed();
        firing
    });
    if let Some(upgrade) = upgrade {
        return Ok(reader.upgraded(upgrade, busy, texts));
    }
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(reader.into_stream())).into_response())
}

/// Sends events over a WebSocket until either side closes it or the client's token or login ends. As for any response, a client that
/// doesn't read in time is disconnected.
async fn by_socket(reader: Reader, mut socket: WebSocket, busy: Busy, texts: fn(&Bytes) -> Vec<Message>) {
    let evicted = busy.evicted();
    let close = tokio::select! {
        close = tell(reader, &mut socket, texts) => close,
        () = evicted.cancelled() => Some(CloseFrame { code: close_code::POLICY, reason: "the token or login has ended".into() }),
    };
    if close.is_some() {
        // A client that doesn't read its messages need not receive the close message.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, socket.send(Message::Close(close))).await;
    }
    drop(busy);
}

/// Sends all events. Returns the close message, if the other side is still connected.
async fn tell(mut reader: Reader, socket: &mut WebSocket, texts: fn(&Bytes) -> Vec<Message>) -> Option<CloseFrame> {
    loop {
        let told = tokio::select! {
            told = reader.next() => told,
            said = socket.recv() => match said {
                // axum answers pings. All other messages are ignored.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return None,
            },
        };
        let Some(told) = told else {
            return Some(CloseFrame { code: close_code::RESTART, reason: "the server stops".into() });
        };
        reader.last_sent = Instant::now();
        let mut texts = futures_util::stream::iter(texts(&told).into_iter().map(Ok));
        if let Err(error) = socket.send_all(&mut texts).await {
            tracing::debug!(%error, "a reader of the stream is gone");
            return None;
        }
    }
}

/// Returns the permit of a reader.
pub(super) fn turn(app: &App) -> Result<OwnedSemaphorePermit, ApiError> {
    app.subscribers.clone().try_acquire_owned().map_err(|_| ApiError::TooManyReaders { limit: app.config.max_subscribers })
}

async fn find(app: &App, RootName(root): RootName) -> Result<RootId, ApiError> {
    let found = app.ask(move |store| store.root(root)).await?;
    let asked = match root {
        RootKey::Id(id) => id.to_string(),
        RootKey::Number(number) => number.to_string(),
    };
    match found {
        Some(root) => Ok(root.root_id),
        None => Err(app.no_root(root, &asked).await),
    }
}

/// Returns the number of the newest stored event.
async fn as_of(app: &App) -> Result<u64, ApiError> {
    Ok(app.ask(|store| store.workers(1, None)).await?.as_of)
}

/// Returns `after`. If that event is stored, it first waits until the stream has published it.
async fn caught_up(app: &App, after: u64) -> Result<u64, ApiError> {
    let mut newest = app.live.watch();
    if after > *newest.borrow_and_update() && after <= as_of(app).await? {
        let _ = tokio::time::timeout(CATCH_UP_TIMEOUT, newest.wait_for(|newest| *newest >= after)).await;
    }
    Ok(after)
}

/// A message of the stream that is not an event.
#[derive(Debug, Clone, Copy)]
enum Note {
    /// The stream begins after this event.
    Greeting(u64),
    /// The reader has to load its data again. The stream continues after this event.
    Reset(u64),
    /// No event up to this number passes the client's filter.
    Nothing(u64),
    /// The alerts that are firing.
    Alerts(Firing),
}

/// Client that reads the stream.
pub(super) struct Reader {
    live: Live,
    subscription: Subscription,
    format: Format,
    after: u64,
    /// Maximum number of missed events to send; beyond it, the client gets a `reset`.
    within: u64,
    /// Firing alerts, if the client subscribed to them.
    firing: Option<watch::Receiver<Firing>>,
    greeted: bool,
    heartbeat: Duration,
    last_sent: Instant,
    stopping: CancellationToken,
    /// Permit for the one piece that a client may hold in memory at a time.
    hand: Arc<Semaphore>,
    /// Task that keeps notifying the workers that a client is watching them.
    _watching: Option<AbortOnDropHandle<()>>,
    _turn: OwnedSemaphorePermit,
}

/// Piece being sent to a client. It is held until the socket has consumed all of it.
struct Held {
    piece: Arc<Piece>,
    _hand: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        (*self.piece).as_ref()
    }
}

impl Reader {
    /// Creates a reader of the wanted events after a number, as server-sent events.
    pub(super) fn new(app: &App, wanted: Wanted, after: u64, turn: OwnedSemaphorePermit) -> Self {
        Self {
            _watching: Watched::of(&wanted).map(|watched| app.commands.watch_on(watched)),
            subscription: app.live.subscribe(wanted),
            live: app.live.clone(),
            format: Format::Events,
            after,
            within: u64::MAX,
            firing: None,
            hand: Arc::new(Semaphore::new(1)),
            greeted: false,
            heartbeat: app.config.stream_heartbeat,
            last_sent: Instant::now(),
            stopping: app.stopping.clone(),
            _turn: turn,
        }
    }

    /// Responds by a WebSocket with the messages that `texts` makes of lines of JSON.
    pub(super) fn upgraded(mut self, upgrade: WebSocketUpgrade, busy: Busy, texts: fn(&Bytes) -> Vec<Message>) -> Response {
        self.format = Format::Lines;
        let upgrade = upgrade.max_message_size(MAX_SAID_BYTES).max_frame_size(MAX_SAID_BYTES);
        let upgrade = upgrade.read_buffer_size(MAX_SAID_BYTES).write_buffer_size(MAX_UNSENT_BYTES);
        upgrade.on_upgrade(move |socket| by_socket(self, socket, busy, texts))
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        futures_util::stream::unfold(self, |mut reader| async move {
            let bytes = reader.next().await?;
            reader.last_sent = Instant::now();
            Some((Ok(bytes), reader))
        })
    }

    /// Returns the next message, or `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.next_of_all()).await.flatten()
    }

    async fn next_of_all(&mut self) -> Option<Bytes> {
        let hand = self.hand.clone().acquire_owned().await.ok()?;
        loop {
            let skipped = self.live.skip(self.after, &mut self.subscription);
            let (piece, after) = if let Some(newest) = skipped {
                (None, newest)
            } else {
                let newest = self.live.newest();
                let next = if newest.saturating_sub(self.after) > self.within {
                    Next::Reset(newest)
                } else {
                    self.live.next(&self.subscription, self.after, self.format).await?
                };
                match next {
                    Next::Piece(piece) => {
                        let until = piece.until();
                        (Some(piece).filter(|piece| !piece.is_empty()), until)
                    }
                    Next::Reset(newest) => {
                        self.after = newest;
                        self.greeted = true;
                        return Some(self.format.note(Note::Reset(newest)));
                    }
                }
            };
            if !self.greeted {
                self.greeted = true;
                return Some(self.format.note(Note::Greeting(self.after)));
            }
            if let Some(firing) = self.firing.as_mut().filter(|firing| firing.has_changed().unwrap_or_default()) {
                return Some(self.format.note(Note::Alerts(*firing.borrow_and_update())));
            }
            let has_moved = after > self.after;
            self.after = after;
            if let Some(piece) = piece {
                return Some(Bytes::from_owner(Held { piece, _hand: hand }));
            }
            if self.last_sent.elapsed() >= self.heartbeat {
                return Some(self.format.note(Note::Nothing(self.after)));
            }
            if has_moved && skipped.is_none() {
                // All events of the piece were filtered out, and many more pieces may follow, so other tasks get a turn.
                tokio::task::yield_now().await;
            } else {
                let (firing, subscription) = (&mut self.firing, &mut self.subscription);
                let news = async {
                    tokio::select! {
                        () = subscription.called() => {}
                        () = changed(firing) => {}
                    }
                };
                let _ = tokio::time::timeout_at(self.last_sent + self.heartbeat, news).await;
            }
        }
    }
}

/// Waits until the set of firing alerts changes.
async fn changed(firing: &mut Option<watch::Receiver<Firing>>) {
    if let Some(firing) = firing
        && firing.changed().await.is_ok()
    {
        // The change stays marked as unseen, and the next iteration sends it.
        return firing.mark_changed();
    }
    std::future::pending::<()>().await;
}

impl Format {
    fn note(self, note: Note) -> Bytes {
        let text = match (self, note) {
            (Self::Events, Note::Greeting(at)) => format!("retry: 1000\nid: {at}\n: connected\n\n"),
            (Self::Events, Note::Reset(at)) => format!("retry: 1000\nid: {at}\nevent: reset\ndata: {{\"as_of\":{at}}}\n\n"),
            (Self::Events, Note::Nothing(at)) => format!("id: {at}\n: nothing new\n\n"),
            (Self::Events, Note::Alerts(Firing { count, newest, version })) => {
                format!("event: alerts\ndata: {{\"firing\":{count},\"newest\":{newest},\"version\":{version}}}\n\n")
            }
            (Self::Lines, Note::Alerts(Firing { count, newest, version })) => {
                format!(r#"{{"event":"alerts","data":{{"firing":{count},"newest":{newest},"version":{version}}}}}"#)
            }
            (Self::Lines, Note::Greeting(at)) => format!(r#"{{"id":{at},"event":"connected"}}"#),
            (Self::Lines, Note::Reset(at)) => format!(r#"{{"id":{at},"event":"reset","data":{{"as_of":{at}}}}}"#),
            (Self::Lines, Note::Nothing(at)) => format!(r#"{{"id":{at},"event":"heartbeat"}}"#),
        };
        text.into()
    }
}

/// Splits a message into the texts of a WebSocket, one per line.
fn texts(told: &Bytes) -> Vec<Message> {
    let lines = told.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.filter_map(|line| Utf8Bytes::try_from(told.slice_ref(line)).ok()).map(Message::Text).collect()
}
