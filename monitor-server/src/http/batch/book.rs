//! `GET /api/v1/agents/{name}/book`

use axum::extract::State;
use axum::{Extension, Json};
use monitor_wire::{AgentBook, BatchStatus, BookTask, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::params::{PathParts, Strict};
use super::super::problem::ApiError;
use super::super::{Answer, App};
use super::agents;
use crate::access::{Principal, Scope};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct BookParams {
    /// The `revision` that the agent has; 0, or not given, for all of its tasks.
    #[serde(default)]
    #[param(value_type = Option<u64>)]
    after: Option<u64>,
}

/// The tasks of an agent that were changed after a revision. An agent asks with a token of scope `agent` that has its name.
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
    let is_own = principal.is_some_and(|by| by.scopes.has(Scope::Admin) || by.name.as_ref() == Some(&name));
    if !is_own {
        let detail = format!("the book of {name:?} is told to a token of that name, of scope `agent`: the token's name is the agent's");
        return Err(ApiError::Forbidden { detail });
    }
    let after = params.after.unwrap_or_default();
    let changes = app.ask(move |store| store.batch_changes(after)).await?;
    let revision = changes.last().map_or(after, |(revision, _)| *revision);
    let tasks = changes.into_iter().map(|(_, task)| task).filter(|task| task.agent.is_none()).filter_map(|task| {
        let is_for = task.status != BatchStatus::DELETED && agents(&task).contains(&name);
        // Whoever has nothing has nothing to forget.
        (is_for || after > 0).then(|| BookTask {
            status: if is_for { task.status.clone() } else { BatchStatus::DELETED },
            definition: if is_for { task.definition } else { serde_json::Map::new() },
            name: task.name,
            version: task.version,
            until_us: task.until_us.filter(|_| is_for),
            changed_us: task.changed_us,
        })
    });
    Ok(Json(AgentBook { revision, tasks: tasks.collect() }))
}
