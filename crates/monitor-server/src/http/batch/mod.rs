//! Batch tasks: `/api/v1/batch-tasks` and `/api/v1/agents/{name}/book`. The server stores tasks and sends orders to agents; it never starts
//! a command itself.

pub(super) mod apply;
pub(super) mod book;
mod change;
pub(super) mod day;
mod dues;
pub(super) mod explain;
pub(super) mod log;
pub(super) mod orders;
pub(super) mod pause;
pub(super) mod publications;
pub(super) mod rehearse;
pub(super) mod rules;
pub(super) mod runs;
pub(super) mod tasks;

use monitor_wire::BatchTask;

pub(super) use self::change::who;
use super::App;
use super::problem::ApiError;
use crate::access::{Principal, Scope};

/// Name of the agent that runs tasks without an explicit agent.
const OWN_AGENT: &str = "local";

/// Returns the agents that a task is for.
fn agents(task: &BatchTask) -> Vec<String> {
    if let Some(agent) = &task.agent {
        return vec![agent.clone()];
    }
    let on = task.definition.get("on").and_then(serde_json::Value::as_array);
    let named: Vec<String> = on.into_iter().flatten().filter_map(|agent| agent.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![OWN_AGENT.to_owned()] } else { named }
}

/// True if the caller is the agent itself, by a token with its name, or an admin.
pub(super) fn is_agent(principal: Option<&Principal>, agent: &str) -> bool {
    principal.is_some_and(|by| by.scopes.has(Scope::Admin) || (by.scopes.has(Scope::Agent) && by.name.as_deref() == Some(agent)))
}

fn no_task(name: &str) -> ApiError {
    let name: String = name.chars().take(100).collect();
    ApiError::Missing { detail: format!("there is no batch task {name:?}: `GET /api/v1/batch-tasks` lists those that there are") }
}

impl App {
    /// Returns an existing task.
    async fn batch_task(&self, name: &str) -> Result<BatchTask, ApiError> {
        let asked = name.to_owned();
        let task = self.ask(move |store| store.batch_task(&asked)).await?;
        task.filter(|task| task.status != monitor_wire::BatchStatus::DELETED).ok_or_else(|| no_task(name))
    }
}
