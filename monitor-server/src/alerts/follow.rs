//! Tasks that alerts start: asked of agents by durable commands, as somebody would ask who runs a task by hand.

use std::sync::Arc;

use monitor_alerts::Order;
use monitor_wire::{BatchStatus, BatchTask, CommandRequest, CommandTo, Fields};
use serde_json::{Value, json};

use super::{Alerts, blocking};
use crate::commands::{Caller, Commands};

/// Name of an agent's program: with the agent's name for its host it is the agent's name as a worker.
const PROGRAM: &str = "monitor-agent";
/// Name of the agent that runs tasks which name none.
const OWN_AGENT: &str = "local";
/// An order waits so long for its agent, in microseconds: 10 minutes.
const WAITS_US: u64 = 600_000_000;

impl Alerts {
    /// Asks the agents for these runs. Whether they come to pass is seen by the runs.
    pub(super) async fn follow(&self, orders: Vec<Order>) {
        for order in orders {
            let (store, name) = (self.parts.store.clone(), order.task.clone());
            let Ok(task) = blocking(move || store.batch_task(&name)).await else { continue };
            let Some(task) = task.filter(|task| task.status != BatchStatus::DELETED) else {
                tracing::warn!(alert = order.alert, task = order.task, "an alert is to start a task that isn't there");
                continue;
            };
            let until_us = self.parts.clock.wall_us() + WAITS_US;
            let request = request(&order, &task, until_us);
            // The same order is done once, however often it is asked for.
            let key = Some(format!("alert-{}-{}", order.alert, self.parts.clock.wall_us()));
            tokio::spawn(ask(self.parts.commands.clone(), Caller { name: by(&order), key }, request, order));
        }
    }
}

async fn ask(commands: Arc<Commands>, caller: Caller, request: CommandRequest, order: Order) {
    if let Err(error) = commands.ask(caller, request).await {
        tracing::warn!(alert = order.alert, task = order.task, "an alert could not start a task: {error}");
    }
}

/// Who asks, as the run shows it: by this it is known that an alert started it.
fn by(order: &Order) -> String {
    format!("alert {}", order.alert)
}

fn request(order: &Order, task: &BatchTask, until_us: u64) -> CommandRequest {
    let arguments = json!({"task": order.task, "args": [], "by": by(order)});
    let arguments: Fields = serde_json::from_value(arguments).unwrap_or_default();
    let workers = agents(order, task).iter().map(|agent| format!("{PROGRAM}@{agent}")).collect();
    let to = CommandTo { workers, glob: None };
    CommandRequest { method: "run".to_owned(), arguments, to, until_us: Some(until_us), ..CommandRequest::default() }
}

/// The agent that ran what is repeated; else those that the task is for.
fn agents(order: &Order, task: &BatchTask) -> Vec<String> {
    if let Some(agent) = order.agent.as_ref().filter(|_| order.repeats.is_some()).or(task.agent.as_ref()) {
        return vec![agent.clone()];
    }
    let on = task.definition.get("on").and_then(Value::as_array);
    let named: Vec<String> = on.into_iter().flatten().filter_map(|agent| agent.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![OWN_AGENT.to_owned()] } else { named }
}
