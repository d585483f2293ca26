//! `/ping/KEY`: pings of heartbeats by external jobs, compatible with Healthchecks. The key is the only credential.
//!
//! `/ping/KEY` ends a run successfully, `/start` starts one, `/fail` and `/EXIT-CODE` end it, and `/log` adds to its log. With `?rid=UUID`
//! the ping belongs to the run of that id, otherwise to the newest one started without an id. Each run is a process of kind `run`, made
//! from events like any other process.

use std::borrow::Cow;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};
use jiff::Timestamp;
use monitor_store::cut::boundary;
use monitor_store::{BatchRunsQuery, HeartbeatRow, PING, RootKey};
use monitor_wire::{
    BatchRun, Error, ErrorKind, Event, Fields, Kind, Outcome, ProcessEnded, ProcessId, ProcessLogged, ProcessStarted, RootId,
    State as RunState, WorkerId, WorkerRef,
};
use percent_encoding::percent_decode_str;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::App;
use super::access::{client, origin, peer};
use super::body::beginning;
use super::problem::ApiError;
use crate::access::{hash, random};

/// Program name of the workers that report the runs of heartbeats.
pub(super) const PROGRAM: &str = "heartbeats";
/// Number of bytes kept of a body. Healthchecks keeps the same number.
const BODY_BYTES: usize = 100_000;
/// Maximum number of lines kept of a body. Of a longer body, the first and the last half of this number are kept.
const LINES: usize = 4_000;
/// Maximum length of a line in bytes. A longer line is split.
const LINE_BYTES: usize = 32_000;
/// Number of lines from the end of the body that the error of a failed run contains.
const TAIL: usize = 20;
/// Number of newest runs that are searched for an open run.
const RUNS: usize = 30;
/// Number of open runs per page when a heartbeat is deleted.
const OPEN: usize = 1_000;
/// Time in microseconds within which a ping with the same `rid` for an ended run counts as a repetition.
const REPEATED_US: u64 = 60_000_000;

/// Meaning of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Success,
    Start,
    Fail,
    Log,
    Exit(i32),
}

/// Text for error messages that lists the allowed suffixes of the key.
const ALLOWED: &str = "nothing, start, fail, log, or an exit code, a whole number of 32 bits";

impl Said {
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::Success,
            "start" => Self::Start,
            "fail" => Self::Fail,
            "log" => Self::Log,
            code => {
                let number: i64 = code.parse().ok().filter(|number: &i64| number.to_string() == code)?;
                // Windows also has unsigned exit codes.
                let unsigned = || u32::try_from(number).ok().map(u32::cast_signed);
                Self::Exit(i32::try_from(number).ok().or_else(unsigned)?)
            }
        })
    }

    fn is_failure(self) -> bool {
        !matches!(self, Self::Success | Self::Start | Self::Log | Self::Exit(0))
    }
}

/// Returns the path of a request for use in logs. It never contains the key of a heartbeat, not even if the path is mistyped.
pub(super) fn shown_path(uri: &Uri) -> &str {
    let decoded = percent_decode_str(uri.path()).decode_utf8_lossy().to_ascii_lowercase();
    if decoded.split('/').any(|part| part == "ping") { "/ping/…" } else { uri.path() }
}

/// Handles a ping.
pub(super) async fn ping(State(app): State<App>, request: Request) -> Response {
    match take(&app, request).await {
        Ok(()) => (StatusCode::OK, [("ping-body-limit", "100000")], "OK").into_response(),
        Err(Refused::NoKey) => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/plain")], "not found").into_response(),
        Err(Refused::Error(error)) => error.into_response(),
    }
}

/// Reason for refusing a ping.
enum Refused {
    /// The key is unknown or malformed. The response is the same for both.
    NoKey,
    Error(ApiError),
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

async fn take(app: &App, request: Request) -> Result<(), Refused> {
    let now_us = app.clock.wall_us();
    let path = request.uri().path().to_owned();
    let mut parts = path.trim_start_matches("/ping/").splitn(2, '/');
    // The key is looked up by its hash, so that the time of the lookup does not depend on how much of the key is right.
    let key = hash(parts.next().unwrap_or_default());
    let said = Said::read(parts.next().unwrap_or_default());
    let Some(row) = app.ask(move |store| store.heartbeat_of_key(&key, now_us)).await? else {
        if let Some(client) = client(app, peer(&request), request.headers()) {
            let counted = app.paces.unknown_pings.count(client, Instant::now());
            counted.map_err(|wait| ApiError::TooOften { wait, what: "pings with unknown keys" })?;
        }
        return Err(Refused::NoKey);
    };
    let counted = app.paces.pings.count(row.definition.name.clone(), Instant::now());
    counted.map_err(|wait| ApiError::TooOften { wait, what: "pings with this key" })?;
    let Some(said) = said else { return refuse(app, row, &path, now_us).await };
    let rid = rid(request.uri())?;
    let from = from(app, &request);
    let (body, is_cut) = beginning(request, app, BODY_BYTES).await?;
    let ping = Ping { row, said, rid, from, lines: lines(&body, is_cut), now_us };
    let events = ping.events(app).await?;
    if !events.is_empty() {
        app.pings.store(&app.ingest, events).await?;
    }
    Ok(())
}

/// Refuses a ping with a valid key and an invalid suffix. The newest run gets a log line about it, if there is a run.
async fn refuse(app: &App, row: HeartbeatRow, path: &str, now_us: u64) -> Result<(), Refused> {
    let suffix: String = path.trim_start_matches("/ping/").split_once('/').map_or("", |(_, suffix)| suffix).chars().take(80).collect();
    let detail = format!("{suffix:?} can't follow the key of a heartbeat: expected {ALLOWED}");
    let ping = Ping { row, said: Said::Fail, rid: None, from: None, lines: Vec::new(), now_us };
    if let Some(newest) = ping.newest(app, |_| true).await? {
        let logged = ping.logged(&Run::new(newest.run), format!("a ping was refused: {detail}"));
        app.pings.store(&app.ingest, vec![logged]).await?;
    }
    Err(Refused::Error(ApiError::Body { detail }))
}

/// Ends the open runs of a heartbeat that is being deleted, because no ping can end them later.
pub(super) async fn end_open_runs(app: &App, row: HeartbeatRow) -> Result<(), ApiError> {
    let ping = Ping { row, said: Said::Log, rid: None, from: None, lines: Vec::new(), now_us: app.clock.wall_us() };
    let mut query =
        BatchRunsQuery { task: Some(ping.name().to_owned()), outcome: Some(RunState::RUNNING), limit: OPEN, ..BatchRunsQuery::default() };
    let mut events = Vec::new();
    loop {
        let asked = query.clone();
        let page = app.ask(move |store| store.batch_runs(&asked)).await?;
        events.extend(page.runs.iter().filter(|run| run.trigger == PING).map(|run| ping.cancelled(run, "removed")));
        query.cursor = page.next_cursor;
        if query.cursor.is_none() {
            break;
        }
    }
    if !events.is_empty() {
        app.pings.store(&app.ingest, events).await?;
    }
    Ok(())
}

/// Returns the address of the sender, if it is known.
fn from(app: &App, request: &Request) -> Option<String> {
    let headers: &HeaderMap = request.headers();
    origin(app, peer(request), headers).map(|address| address.to_string())
}

/// Returns the run id of a ping, if it has one.
fn rid(uri: &Uri) -> Result<Option<String>, ApiError> {
    let mut rids = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).filter(|(name, _)| name == "rid");
    let Some((_, rid)) = rids.next() else { return Ok(None) };
    let is_digit = |(place, b): (usize, u8)| if [8, 13, 18, 23].contains(&place) { b == b'-' } else { b.is_ascii_hexdigit() };
    if rids.next().is_none() && rid.len() == 36 && rid.bytes().enumerate().all(is_digit) {
        return Ok(Some(rid.to_ascii_lowercase()));
    }
    let detail = "parameter `rid`: expected one UUID, such as 0199a3ce-929d-7e0e-8736-0199a3ce929d, another one for each run".to_owned();
    Err(ApiError::Parameter { name: "rid".to_owned(), detail })
}

/// Splits a body of arbitrary content into lines.
fn lines(body: &[u8], is_cut: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(body);
    let mut lines: Vec<Cow<'_, str>> = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while rest.len() > LINE_BYTES {
            let (begin, end) = rest.split_at(boundary(rest, LINE_BYTES));
            lines.push(begin.into());
            rest = end;
        }
        lines.push(rest.into());
    }
    if lines.len() > LINES {
        let left_out = lines.len() - LINES;
        let said = format!("[{left_out} lines were left out: of a ping {LINES} are kept]");
        lines.splice(LINES / 2..LINES / 2 + left_out, [said.into()]);
    }
    if is_cut {
        lines.push(format!("[the rest was left out: of a ping {BODY_BYTES} bytes are kept]").into());
    }
    lines.into_iter().map(Cow::into_owned).collect()
}

/// Parsed ping.
struct Ping {
    row: HeartbeatRow,
    said: Said,
    rid: Option<String>,
    from: Option<String>,
    lines: Vec<String>,
    now_us: u64,
}

/// Run that a ping refers to.
struct Run {
    native_id: String,
    /// Start time, if it is known and the run has not ended.
    started_us: Option<u64>,
}

impl Run {
    fn new(native_id: String) -> Self {
        Self { native_id, started_us: None }
    }

    /// Returns the ids of the run's root and process, which are derived from the native id.
    fn ids(&self) -> (RootId, ProcessId) {
        ids(&self.native_id)
    }
}

/// Returns the ids of the root and the process of a heartbeat's run.
pub(super) fn ids(native_id: &str) -> (RootId, ProcessId) {
    let digest = Sha256::digest([PROGRAM.as_bytes(), native_id.as_bytes()].concat());
    let (id, rest) = digest.split_first_chunk::<8>().expect("8 of 32 bytes");
    let (root, _) = rest.split_first_chunk::<16>().expect("16 of 24 bytes");
    let none_is_zero = "a digest of zeros is not found";
    (RootId::new(u128::from_be_bytes(*root)).expect(none_is_zero), ProcessId::new(u64::from_be_bytes(*id)).expect(none_is_zero))
}

impl Ping {
    fn name(&self) -> &str {
        &self.row.definition.name
    }

    /// Returns the events that the ping causes.
    async fn events(&self, app: &App) -> Result<Vec<Event>, ApiError> {
        let mut events = Vec::new();
        let run = match (&self.rid, self.said) {
            (Some(rid), _) => match self.run_of(app, format!("{}@{rid}", self.name())).await? {
                Some(run) => run,
                // The ping is a repetition.
                None => return Ok(events),
            },
            (None, Said::Start) => {
                if let Some(open) = self.newest(app, |run| run.outcome == RunState::RUNNING).await? {
                    // No ping can end the open run after the new one has started.
                    events.push(self.cancelled(&open, "started-again"));
                }
                self.new_run()?
            }
            (None, Said::Log) => {
                let Some(newest) = self.newest(app, |_| true).await? else {
                    let detail = "the heartbeat has no run yet to which this could be added: ping its address with /start first".to_owned();
                    return Err(ApiError::Conflict { detail });
                };
                Run { native_id: newest.run, started_us: newest.started_us }
            }
            (None, _) => match self.newest(app, |run| run.outcome == RunState::RUNNING).await? {
                Some(open) => Run { native_id: open.run, started_us: open.started_us },
                None => self.new_run()?,
            },
        };
        let is_new = run.started_us.is_none();
        if is_new && self.said != Said::Log {
            events.push(self.started(&run));
        }
        events.extend(self.lines.iter().map(|line| self.logged(&run, line.clone())));
        if !matches!(self.said, Said::Start | Said::Log) {
            events.push(self.ended(&run));
        }
        Ok(events)
    }

    /// Returns the end event of a run that no ping can end any more.
    fn cancelled(&self, run: &BatchRun, reason: &str) -> Event {
        let (root, id) = ids(&run.run);
        let mut ended = ProcessEnded::new(root, id, self.now_us, Outcome::CANCELLED);
        (ended.reason, ended.worker) = (Some(reason.to_owned()), Some(self.worker()));
        Event::ProcessEnded(ended)
    }

    fn new_run(&self) -> Result<Run, ApiError> {
        let time = Timestamp::from_microsecond(self.now_us as i64).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
        Ok(Run::new(format!("{}@{time}.{}", self.name(), random(4)?)))
    }

    /// Returns the run of a `rid`, or `None` if the ping is a repetition. A `rid` that is used again after the end of its run means a new run.
    async fn run_of(&self, app: &App, first: String) -> Result<Option<Run>, ApiError> {
        let (root, id) = ids(&first);
        let Some(known) = app.ask(move |store| store.process(RootKey::Id(root), id)).await? else { return Ok(Some(Run::new(first))) };
        let later = if known.ended_us.is_some() { self.later_run_of(app, &first).await? } else { None };
        let (native_id, started_us, ended_us) = match later {
            Some(run) => (run.run, run.started_us, run.ended_us),
            None => (first.clone(), known.started_us, known.ended_us),
        };
        Ok(match ended_us {
            Some(ended) if self.said != Said::Log && self.is_repeated(ended) => None,
            // Runs of one `rid` start more than a minute apart, so that the time alone makes the id unique.
            Some(_) if self.said != Said::Log => Some(Run::new(format!("{first}~{}", self.now_us))),
            _ => Some(Run { native_id, started_us }),
        })
    }

    /// Returns the newest run of a `rid` after its first one.
    async fn later_run_of(&self, app: &App, first: &str) -> Result<Option<BatchRun>, ApiError> {
        let prefix = format!("{first}~");
        let query = BatchRunsQuery { task: Some(self.name().to_owned()), limit: RUNS, ..BatchRunsQuery::default() };
        let runs = app.ask(move |store| store.batch_runs(&query)).await?.runs;
        Ok(runs.into_iter().find(|run| run.trigger == PING && run.run.starts_with(&prefix)))
    }

    /// Returns true if a ping belongs to a run with this end, because a client may send each ping several times.
    fn is_repeated(&self, ended_us: u64) -> bool {
        self.now_us < ended_us.saturating_add(REPEATED_US)
    }

    /// Returns the newest run that was started without a `rid` and for which `is_so` returns true.
    async fn newest(&self, app: &App, is_so: fn(&BatchRun) -> bool) -> Result<Option<BatchRun>, ApiError> {
        let query = BatchRunsQuery { task: Some(self.name().to_owned()), limit: RUNS, ..BatchRunsQuery::default() };
        let page = app.ask(move |store| store.batch_runs(&query)).await?;
        let is_without_rid = |run: &BatchRun| run.trigger == PING && run.run.rsplit_once('@').is_some_and(|(_, rest)| rest.contains('.'));
        Ok(page.runs.into_iter().find(|run| is_without_rid(run) && is_so(run)))
    }

    /// Returns the worker of the events: the machine of the job, if it is known.
    fn worker(&self) -> WorkerRef {
        let hostname = self.row.definition.agent.clone().unwrap_or_else(|| "elsewhere".to_owned());
        let (root, _) = ids(&hostname);
        WorkerRef { id: WorkerId::new(root.get()).expect("it is no root of zeros"), hostname, pid: 0, program: PROGRAM.to_owned() }
    }

    fn started(&self, run: &Run) -> Event {
        let (root, id) = run.ids();
        let definition = &self.row.definition;
        let fields = [
            ("task.name", Some(json!(definition.name))),
            ("task.version", Some(json!(1))),
            ("task.due_us", Some(json!(self.now_us))),
            ("task.trigger", Some(json!(PING))),
            ("task.agent", definition.agent.as_ref().map(|agent| json!(agent))),
            ("ping.from", self.from.as_ref().map(|from| json!(from))),
        ];
        let mut started = ProcessStarted::new(root, id, self.now_us, Kind::RUN, definition.name.clone());
        started.fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect();
        started.timeout_ms = (self.said == Said::Start).then_some(definition.timeout_ms.unwrap_or(definition.grace_ms));
        started.native_id = Some(run.native_id.clone());
        started.worker = Some(self.worker());
        Event::ProcessStarted(started)
    }

    fn logged(&self, run: &Run, message: String) -> Event {
        let (root_id, id) = run.ids();
        let level = if self.said.is_failure() { "error" } else { "info" }.to_owned();
        Event::ProcessLogged(ProcessLogged {
            root_id,
            id,
            time_us: self.now_us,
            level,
            message,
            target: None,
            stream: None,
            fields: Fields::new(),
            attempt: 1,
            worker: Some(self.worker()),
            native_id: None,
            links: Vec::new(),
        })
    }

    fn ended(&self, run: &Run) -> Event {
        let (root, id) = run.ids();
        let outcome = if self.said.is_failure() { Outcome::FAILED } else { Outcome::SUCCEEDED };
        let mut ended = ProcessEnded::new(root, id, self.now_us, outcome);
        let elapsed_us = self.now_us.saturating_sub(run.started_us.unwrap_or(self.now_us));
        ended.elapsed_ns = Some(elapsed_us.saturating_mul(1_000));
        if let Said::Exit(code) = self.said {
            (ended.exit_code, ended.reason) = (Some(code), Some("exited".to_owned()));
        }
        ended.error = self.said.is_failure().then(|| self.error());
        ended.worker = Some(self.worker());
        Event::ProcessEnded(ended)
    }

    fn error(&self) -> Error {
        let last = self.lines.iter().rev().find(|line| !line.trim().is_empty());
        let (kind, message) = match self.said {
            Said::Exit(code) => (ErrorKind::EXIT, format!("exit code {code}")),
            _ => (ErrorKind::ERROR, last.map_or("the job told that it failed", |line| line.trim()).to_owned()),
        };
        let tail = self.lines[self.lines.len().saturating_sub(TAIL)..].join("\n");
        let tail = Some(tail).filter(|tail| !tail.is_empty());
        Error { kind, type_name: None, message, chain: Vec::new(), source: None, code: None, tail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_has_the_key_of_a_heartbeat() {
        let shown = |path: &str| shown_path(&path.parse().unwrap()).to_owned();
        for path in ["/ping/abc", "/ping/abc/start?rid=x", "//ping/abc", "/%70ing/abc", "/api/ping/abc", "/PING/abc", "/ping//abc/1/2"] {
            assert_eq!(shown(path), "/ping/…", "{path}");
        }
        for path in ["/tasks", "/api/v1/heartbeats/ping-1/roll", "/pings"] {
            assert_eq!(shown(path), path);
        }
    }

    #[test]
    fn a_ping_accepts_a_fixed_set_of_words_and_exit_codes() {
        for (text, expected) in [
            ("", Some(Said::Success)),
            ("start", Some(Said::Start)),
            ("fail", Some(Said::Fail)),
            ("log", Some(Said::Log)),
            ("0", Some(Said::Exit(0))),
            ("255", Some(Said::Exit(255))),
            ("256", Some(Said::Exit(256))),
            ("-1", Some(Said::Exit(-1))),
            ("-2147483648", Some(Said::Exit(i32::MIN))),
            ("3221225786", Some(Said::Exit(-1_073_741_510))),
            ("4294967296", None),
            ("-2147483649", None),
            ("-0", None),
            ("+1", None),
            ("0x1", None),
            ("0000", None),
            ("Start", None),
            ("start/", None),
            ("１", None),
        ] {
            assert_eq!(Said::read(text), expected, "{text}");
        }
    }

    #[test]
    fn a_body_becomes_lines_within_bounds() {
        assert_eq!(lines(b"one\r\ntwo\n\n\xffthree\0", false), ["one", "two", "", "\u{fffd}three\0"]);
        assert_eq!(lines(b"", true).len(), 1, "what was left out is said");
        let many = lines("x\n".repeat(50_000).as_bytes(), false);
        assert_eq!((many.len(), many[LINES / 2].as_str()), (LINES + 1, "[46000 lines were left out: of a ping 4000 are kept]"));
        let long = lines("ä".repeat(50_000).as_bytes(), false);
        assert!(long.len() == 4 && long.iter().all(|line| line.len() <= LINE_BYTES) && long.concat().chars().count() == 50_000);
    }
}
