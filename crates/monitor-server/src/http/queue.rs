//! `GET /api/v1/queue-tasks`, `/types`, `/{uuid}`, `/{uuid}/result` and `GET /api/v1/queues`: queue tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use monitor_store::queue::{Search, counts_by};
use monitor_store::{ProcessesQuery, QueueQueries, QueueSort, QueueTasksQuery};
use monitor_wire::{
    Phase, Problem, Process, Queue, QueueCounts, QueueTaskResult, QueueTasksPage, QueueTypes, Queues, State as ProcessState,
};
use serde::{Deserialize, Deserializer, de};
use tokio::time::Instant;
use utoipa::IntoParams;

use super::batch::orders::Orderer;
use super::params::{Limit, NoParams, Offset, PathParts, Strict, TimeUs, Words};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};

/// Maximum time that a request waits for a result.
const LONGEST_WAIT_MS: u64 = 60_000;
/// Maximum time that a request waits for a task that is still unknown. A worker can confirm the start of a task before its events about the
/// task reach the server.
const LONGEST_UNKNOWN: Duration = Duration::from_secs(10);
/// Maximum time spent on examining tasks for one page.
const LONGEST_SEARCH: Duration = Duration::from_secs(1);
/// Interval at which a waiting request checks for the result.
const LOOKS_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QueueTasksParams {
    /// Order: `name`, `state`, `received`, `started` or `runtime`, descending with a preceding `-` (default `-received`).
    #[serde(default)]
    #[param(value_type = Option<String>, example = "-runtime")]
    sort: Sort,
    /// Only tasks with exactly this name.
    #[serde(rename = "type")]
    #[param(example = "video.render")]
    name: Option<String>,
    /// Only tasks that this worker executes or received last: its id (32 lower-case hex digits), its name (`program@host` or
    /// `program@host:pid`), its host, or a glob for its name. Several workers can have the same name.
    #[param(example = "render@build-7")]
    worker: Option<String>,
    /// Comma-separated states: `pending`, `running`, `succeeded`, `failed`, `cancelled`, `lost`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "failed,lost")]
    state: Words,
    /// Comma-separated phases: `sent`, `received`, `started`, `succeeded`, `failed`, `rejected`, `requeued`, `revoked`, `retried`.
    #[serde(default)]
    #[param(value_type = Option<String>, example = "retried")]
    phase: Words,
    /// Only tasks of this queue.
    #[param(example = "video")]
    queue: Option<String>,
    /// Only tasks received at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    received_after: Option<TimeUs>,
    /// Only tasks received before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    received_before: Option<TimeUs>,
    /// Only tasks started at this time or later, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_after: Option<TimeUs>,
    /// Only tasks started before this time, in Unix microseconds.
    #[param(value_type = Option<u64>)]
    started_before: Option<TimeUs>,
    /// Search expression: words, `name:`, `id:`, `state:`, `worker:`, `args:`, `kwargs:key=value`, `result:`, `error:`, quotes, `and`,
    /// `or`, `not`, brackets.
    #[param(example = "name:render and not error:\"no disk\"")]
    q: Option<String>,
    /// Maximum number of tasks to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// Number of tasks to skip, counted from `cursor`.
    #[serde(default)]
    #[param(value_type = Option<u32>)]
    offset: Offset,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Order of queue tasks: the field, and true if descending.
#[derive(Debug)]
struct Sort(QueueSort, bool);

impl Default for Sort {
    fn default() -> Self {
        Self(QueueSort::Received, true)
    }
}

impl<'de> Deserialize<'de> for Sort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (word, is_descending) = text.strip_prefix('-').map_or((text.trim_start_matches(['+', ' ']), false), |word| (word, true));
        let sort = match word {
            "name" => QueueSort::Name,
            "state" => QueueSort::State,
            "received" => QueueSort::Received,
            "started" => QueueSort::Started,
            "runtime" => QueueSort::Runtime,
            _ => return Err(de::Error::custom("no such order")),
        };
        Ok(Self(sort, is_descending))
    }
}

/// Lists queue tasks.
///
/// The search for one page ends after 1 s. The page can then contain fewer tasks than `limit`, or none, and its `next_cursor` continues the
/// search. `examined` is the number of tasks that were examined for the page.
#[utoipa::path(
    get,
    path = "/api/v1/queue-tasks",
    tag = "queues",
    params(QueueTasksParams),
    responses(
        (status = 200, description = "One page", body = QueueTasksPage),
        (status = 400, description = "A parameter is invalid. For a mistake in `q`, the error contains the column", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_queue_tasks(State(app): State<App>, Strict(params): Strict<QueueTasksParams>) -> Answer<QueueTasksPage> {
    let search = params.q.as_deref().map(Search::read).transpose();
    let search = search.map_err(|mistake| ApiError::Parameter { name: "q".to_owned(), detail: format!("parameter `q`, {mistake}") })?;
    let time = |time: Option<TimeUs>| time.map(|time| time.0);
    let workers = match params.worker {
        Some(name) => app.workers_named("worker", name).await?,
        None => Vec::new(),
    };
    let query = QueueTasksQuery {
        sort: params.sort.0,
        is_descending: params.sort.1,
        name: params.name,
        workers,
        states: params.state.each_of("state", &[ProcessState::KNOWN, &[ProcessState::RETRYING]].concat())?,
        phases: params.phase.each_of("phase", Phase::KNOWN)?,
        queue: params.queue,
        received: (time(params.received_after), time(params.received_before)),
        started: (time(params.started_after), time(params.started_before)),
        search,
        offset: params.offset.0,
        limit: params.limit.0,
        cursor: params.cursor,
        max_time: Some(LONGEST_SEARCH),
    };
    Ok(Json(app.ask(move |store| store.queue_tasks(&query)).await?))
}

/// Counts queue tasks by name and state.
#[utoipa::path(
    get,
    path = "/api/v1/queue-tasks/types",
    tag = "queues",
    responses((status = 200, description = "All names", body = QueueTypes))
)]
pub(super) async fn get_queue_types(State(app): State<App>, Strict(NoParams {}): Strict<NoParams>) -> Answer<QueueTypes> {
    let counts = app.ask(QueueQueries::queue_counts).await?;
    Ok(Json(QueueTypes { types: counts_by(&counts, |count| &count.name) }))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct QueuesParams {
    /// Requests the numbers of the online workers, and waits up to this number of milliseconds for their replies (10 to 60,000). Without it,
    /// no worker receives a request.
    #[serde(default)]
    #[param(value_type = Option<u32>, maximum = 60000, example = 1000)]
    timeout: Timeout,
}

/// Counts queue tasks by queue and state.
///
/// With a `timeout`, the server also requests the number of tasks that wait in the queues from the online workers.
#[utoipa::path(
    get,
    path = "/api/v1/queues",
    tag = "queues",
    params(QueuesParams),
    responses(
        (status = 200, description = "All queues", body = Queues),
        Unreadable,
        (status = 403, description = "The caller is not allowed to send commands, or the server's setting `commands` forbids them", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_queues(State(app): State<App>, by: Orderer, Strict(params): Strict<QueuesParams>) -> Answer<Queues> {
    let counts = app.ask(QueueQueries::queue_counts).await?;
    let counts = counts_by(&counts, |count| &count.queue);
    let stored = counts.into_iter().map(|QueueCounts { name, states }| (name.clone(), Queue { name, states, workers: Vec::new() }));
    let mut queues: BTreeMap<String, Queue> = stored.collect();
    if params.timeout.0 > 0 {
        app.commands.check_allowed("queues")?;
        for told in app.commands.queues(&by.into_caller().name, params.timeout.0).await? {
            let new = || Queue { name: told.0.clone(), states: BTreeMap::new(), workers: Vec::new() };
            queues.entry(told.0.clone()).or_insert_with(new).workers.push(told.1);
        }
    }
    Ok(Json(Queues { queues: queues.into_values().collect() }))
}

/// Returns a queue task with its attempts.
///
/// If several tasks have the same id, it returns the newest.
#[utoipa::path(
    get,
    path = "/api/v1/queue-tasks/{uuid}",
    tag = "queues",
    params(("uuid" = String, Path, description = "Id of the task in its queue", example = "8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b")),
    responses(
        (status = 200, description = "The task", body = Process),
        Unreadable,
        (status = 404, description = "The task does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_queue_task(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Process> {
    Ok(Json(app.task_of(path.text("uuid")).await?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ResultParams {
    /// Number of milliseconds to wait for the end of the task (0 to 60,000). Without it, the response is immediate.
    #[serde(default)]
    #[param(value_type = Option<u32>, maximum = 60000, example = 30000)]
    timeout: Timeout,
}

#[derive(Debug, Default)]
struct Timeout(u64);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ms = text.parse().ok().filter(|ms| *ms <= LONGEST_WAIT_MS);
        ms.map(Self).ok_or_else(|| de::Error::custom(format!("expected a whole number from 0 to {LONGEST_WAIT_MS}")))
    }
}

/// Returns the result of a queue task, or its error.
///
/// With a `timeout`, the request waits for the end of the task; for a task that is still unknown, it waits at most 10 s.
#[utoipa::path(
    get,
    path = "/api/v1/queue-tasks/{uuid}/result",
    tag = "queues",
    params(("uuid" = String, Path, description = "Id of the task in its queue", example = "8a1c7f0e5d3b4e6f9a2b1c0d9e8f7a6b"), ResultParams),
    responses(
        (status = 200, description = "The result. `ended` is false if the task had not ended within the time", body = QueueTaskResult),
        Unreadable,
        (status = 404, description = "The task does not exist, and was not sent within the time", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_queue_result(
    State(app): State<App>,
    path: PathParts,
    Strict(params): Strict<ResultParams>,
) -> Answer<QueueTaskResult> {
    let uuid = path.text("uuid");
    let (begun, wait) = (Instant::now(), Duration::from_millis(params.timeout.0));
    let deadline = begun + wait;
    loop {
        let task = match app.task_of(uuid).await {
            Err(ApiError::Missing { .. }) if begun.elapsed() < wait.min(LONGEST_UNKNOWN) => {
                tokio::time::sleep_until(deadline.min(Instant::now() + LOOKS_EVERY)).await;
                continue;
            }
            found => found?,
        };
        let is_open = [ProcessState::PENDING, ProcessState::RUNNING, ProcessState::RETRYING].contains(&task.state);
        if !is_open || Instant::now() >= deadline {
            let has_succeeded = task.state == ProcessState::SUCCEEDED;
            let (phase, result, traceback) = match task.task {
                Some(task) => (Some(task.phase), task.result, task.traceback),
                None => (None, None, None),
            };
            return Ok(Json(QueueTaskResult {
                uuid: uuid.to_owned(),
                name: task.name,
                state: task.state,
                phase,
                ended: !is_open,
                has_result: result.is_some(),
                result,
                error: task.error.map(|error| error.message),
                // After a success, the traceback is that of an earlier attempt.
                traceback: traceback.filter(|_| !has_succeeded),
            }));
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + LOOKS_EVERY)).await;
    }
}

impl App {
    /// Returns the newest task with this id in its queue.
    async fn task_of(&self, uuid: &str) -> Result<Process, ApiError> {
        // The search has no condition on the kind. The sender and the receiver of a task report its kind, and neither may have done so: of
        // some tasks only later events are known.
        let query = ProcessesQuery { native_id: Some(uuid.to_owned()), limit: 100, ..ProcessesQuery::default() };
        let found = self.ask(move |store| store.processes(&query)).await?.processes.into_iter().find(|process| process.task.is_some());
        found.ok_or_else(|| {
            let found: String = uuid.chars().take(80).collect();
            ApiError::Missing { detail: format!("there is no task {found:?}: `GET /api/v1/queue-tasks` lists those that there are") }
        })
    }
}
