//! `GET /api/v1/agents/{name}/book`

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use monitor_wire::{AgentBook, BatchStatus, BookTask, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::{agents, agents_own, is_agent};
use crate::access::Principal;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct BookParams {
    /// The `revision` that the agent has; 0, or not given, for all of its tasks.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    after: Option<u64>,
    /// Waits for a change at most so many milliseconds, up to 60,000; 0, or not given, for not at all.
    #[serde(default)]
    #[param(value_type = Option<u64>, maximum = 60_000)]
    wait_ms: Option<u64>,
}

/// The tasks of an agent that were changed after a revision. An agent asks with a token of scope `agent` that has its name. With `wait_ms` the
/// answer waits for a change, so that an agent holds it at once.
#[utoipa::path(
    get,
    path = "/api/v1/agents/{name}/book",
    tag = "batch tasks",
    params(("name" = String, Path, description = "The agent"), BookParams),
    responses(
        (status = 200, description = "Its tasks", body = AgentBook),
        (status = 400, description = "A parameter can't be read", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is another agent's", body = Problem, content_type = "application/problem+json"),
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
        return Err(ApiError::Forbidden { detail: agents_own("the tasks", &name) });
    }
    let mut after = params.after.unwrap_or_default();
    let wait = Duration::from_millis(params.wait_ms.unwrap_or_default());
    let patience = app.clock.sleep(wait);
    tokio::pin!(patience);
    loop {
        // Before it is looked, so that no change falls between looking and waiting.
        let mut changed = app.books.subscribe();
        let book = app.book(&name, after).await?;
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
    /// The tasks of an agent that were changed after a revision.
    async fn book(&self, name: &str, after: u64) -> Result<AgentBook, ApiError> {
        let changes = self.ask(move |store| store.batch_changes(after)).await?;
        let revision = changes.last().map_or(after, |(revision, _)| *revision);
        let tasks = changes.into_iter().filter_map(|(_, task)| {
            let is_for = task.status != BatchStatus::DELETED && task.agent.is_none() && agents(&task).iter().any(|agent| agent == name);
            // An agent without tasks has none to forget, but announces those of its own files again that were deleted here.
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
        Ok(AgentBook { revision, tasks: tasks.collect() })
    }
}
