//! `GET /api/v1/agents/{name}/book`: the batch tasks of an agent.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use monitor_store::{Store, StoreError};
use monitor_wire::{AgentBook, AgentKnown, BatchStatus, BatchTask, BookTask, KnownTask, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::super::refusals::Unreadable;
use super::super::{Answer, App};
use super::{agents, is_agent};
use crate::access::Principal;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct BookParams {
    /// `revision` that the agent has. 0 or a missing value requests all tasks.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    after: Option<u64>,
    /// Maximum time to wait for a change, in milliseconds, up to 60,000. With 0 or without it, the response is immediate.
    #[serde(default)]
    #[param(value_type = Option<u64>, maximum = 60_000)]
    wait_ms: Option<u64>,
    /// `true` adds pauses and decided due times, for an agent that has lost its database. Only without `after`; the response is then
    /// immediate.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    known: Option<bool>,
}

/// Returns the tasks of an agent that have changed since a revision.
///
/// An agent sends a token of scope `agent` with its own name. With `wait_ms`, the request waits for a change, so that the agent learns of
/// it at once.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{name}/book",
    tag = "batch tasks",
    params(("name" = String, Path, description = "Name of the agent"), BookParams),
    responses(
        (status = 200, description = "The tasks of the agent", body = AgentBook),
        Unreadable,
        (status = 403, description = "The token belongs to another agent", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in super::super) async fn get_book(
    State(app): State<App>,
    Extension(principal): Extension<Option<Principal>>,
    path: PathParts,
    Strict(params): Strict<BookParams>,
) -> Answer<AgentBook> {
    let name = path.text("name").to_owned();
    if !is_agent(principal.as_ref(), &name) {
        let detail = format!(
            "only a token with the agent's name {name:?} and the scope `agent` receives its tasks: create one with `monitor token create {name} --scope agent`"
        );
        return Err(ApiError::Forbidden { detail });
    }
    let mut after = params.after.unwrap_or_default();
    let wants_known = params.known == Some(true) && after == 0;
    let wait = if wants_known { Duration::ZERO } else { Duration::from_millis(params.wait_ms.unwrap_or_default()) };
    let patience = app.clock.sleep(wait);
    tokio::pin!(patience);
    loop {
        // The subscription comes before the query, so that a change between the query and the wait is not missed.
        let mut changed = app.books.subscribe();
        let book = app.book(&name, after, wants_known).await?;
        if !book.tasks.is_empty() || wait.is_zero() {
            return Ok(Json(book));
        }
        after = book.revision;
        tokio::select! {
            _ = changed.changed() => {}
            () = &mut patience => return Ok(Json(book)),
            () = app.stopping.cancelled() => return Ok(Json(book)),
        }
    }
}

impl App {
    /// Returns the tasks of an agent that have changed since a revision, and on request its pauses and decided due times.
    async fn book(&self, name: &str, after: u64, wants_known: bool) -> Result<AgentBook, ApiError> {
        let agent = name.to_owned();
        let (changes, known) = self
            .ask(move |store| {
                let changes = store.batch_changes(after)?;
                let known = wants_known.then(|| known(store, &agent, &changes)).transpose()?;
                Ok((changes, known))
            })
            .await?;
        let revision = changes.last().map_or(after, |(revision, _)| *revision);
        let tasks = changes.into_iter().filter_map(|(_, task)| {
            let is_for = task.agent.is_none() && is_of(&task, name);
            // With `after` 0 the agent has no tasks to remove, so deleted tasks are omitted. Deleted tasks of its own files are included,
            // so that the agent announces them again.
            let is_own = task.status == BatchStatus::DELETED && task.agent.as_deref() == Some(name);
            (is_for || is_own || after > 0).then(|| BookTask {
                status: if is_for { task.status.clone() } else { BatchStatus::DELETED },
                definition: if is_for { task.definition } else { serde_json::Map::new() },
                name: task.name,
                version: task.version,
                until_us: task.until_us.filter(|_| is_for),
                changed_us: task.changed_us,
            })
        });
        Ok(AgentBook { revision, tasks: tasks.collect(), known })
    }
}

/// True if a task belongs to this agent: a file of the agent defines it, or the server keeps it for the agent.
fn is_of(task: &BatchTask, agent: &str) -> bool {
    task.status != BatchStatus::DELETED && agents(task).iter().any(|of| of == agent)
}

/// Reads the state of an agent and of its tasks.
fn known(store: &dyn Store, name: &str, changes: &[(u64, BatchTask)]) -> Result<AgentKnown, StoreError> {
    let agent = store.batch_agents()?.into_iter().find(|agent| agent.name == name);
    let tasks = changes.iter().map(|(_, task)| task).filter(|task| is_of(task, name)).map(|task| {
        let decided = store.batch_decided(&task.name, name)?;
        Ok(KnownTask {
            name: task.name.clone(),
            version: task.version,
            status: task.status.clone(),
            until_us: task.until_us,
            changed_us: task.changed_us,
            from_us: decided.from_us,
            decided: decided.dues,
        })
    });
    Ok(AgentKnown { agent, tasks: tasks.collect::<Result<_, StoreError>>()? })
}
