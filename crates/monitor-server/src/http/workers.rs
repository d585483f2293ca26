//! `GET /api/v1/workers` and `GET /api/v1/workers/{id}`: workers.

use axum::Json;
use axum::extract::State;
use monitor_store::{Store, StoreError};
use monitor_tasks::reading::did_you_mean;
use monitor_wire::{Problem, Worker, WorkerId, WorkersPage};
use serde::Deserialize;
use utoipa::IntoParams;

use super::params::{Limit, NoParams, PathParts, Strict};
use super::problem::ApiError;
use super::refusals::Unreadable;
use super::{Answer, App};
use crate::commands::Watched;
use crate::live::{Pattern, WantedWorker};

/// Number of workers read from the store at a time.
const PAGE: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WorkersParams {
    /// Maximum number of workers to return (1 to 1000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 1000)]
    limit: Limit<1000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists the workers, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/workers",
    tag = "workers",
    params(WorkersParams),
    responses(
        (status = 200, description = "One page", body = WorkersPage),
        Unreadable,
    )
)]
pub(super) async fn get_workers(State(app): State<App>, Strict(params): Strict<WorkersParams>) -> Answer<WorkersPage> {
    Ok(Json(app.ask(move |store| store.workers(params.limit.0, params.cursor.as_deref())).await?))
}

/// Returns a worker.
#[utoipa::path(
    get,
    path = "/api/v1/workers/{id}",
    tag = "workers",
    params(("id" = WorkerId, Path, description = "Id of the worker")),
    responses(
        (status = 200, description = "The worker", body = Worker),
        Unreadable,
        (status = 404, description = "The worker does not exist", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_worker(State(app): State<App>, path: PathParts, Strict(NoParams {}): Strict<NoParams>) -> Answer<Worker> {
    let id = path.read("id")?;
    app.commands.watch_once(Watched::Worker(WantedWorker::Id(id)));
    let worker = app.ask(move |store| store.worker(id)).await?;
    worker.map(Json).ok_or(ApiError::NoWorker { id })
}

impl App {
    /// Returns the workers with this id, name (with or without `:pid`) or host, or whose names match this glob. `parameter` is the name of
    /// the parameter for the error if there are none.
    pub(super) async fn workers_named(&self, parameter: &str, text: String) -> Result<Vec<WorkerId>, ApiError> {
        if let Ok(id) = text.parse() {
            return Ok(vec![id]);
        }
        let wrong = |why: String| ApiError::Parameter { name: parameter.to_owned(), detail: format!("parameter `{parameter}`: {why}") };
        let pattern = if Pattern::is_one(&text) { Some(Pattern::read(&text).map_err(wrong)?) } else { None };
        let all = self.ask(all_workers).await?;
        let is_meant = |worker: &Worker| {
            let plain = format!("{}@{}", worker.program, worker.hostname);
            let names = [format!("{plain}:{}", worker.pid), plain, worker.hostname.clone()];
            names.iter().any(|name| pattern.as_ref().map_or(*name == text, |pattern| pattern.matches(name)))
        };
        let found: Vec<_> = all.iter().filter(|worker| is_meant(worker)).map(|worker| worker.id).collect();
        if found.is_empty() {
            let names: Vec<_> = all.iter().map(|worker| format!("{}@{}", worker.program, worker.hostname)).collect();
            let known = names.iter().map(String::as_str).chain(all.iter().map(|worker| &*worker.hostname));
            let near = did_you_mean(&text, known);
            let found: String = text.chars().take(80).collect();
            let expected = "expected the id of a worker (32 lower-case hex digits), its name like `render@build-7`, or its host";
            return Err(wrong(format!("there is no worker {found:?}{near}; {expected}")));
        }
        Ok(found)
    }
}

fn all_workers(store: &dyn Store) -> Result<Vec<Worker>, StoreError> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store.workers(PAGE, cursor.as_deref())?;
        all.extend(page.workers);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(all);
        }
    }
}
