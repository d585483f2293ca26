//! Runs of tasks that alerts start. Agents get durable commands for them, like those of a user who runs a task by hand.
//!
//! An order for a run is stored in the same transaction as the decision. The command is sent at least once and always with the same key, so
//! that at most one command exists: if the server is killed between sending the command and recording that, the repeated command finds the
//! first one.

use monitor_alerts::{Decision, Note, Order};
use monitor_store::{AlertsChange, DeliveryState, FollowUp, FollowUpAttempt};
use monitor_wire::{AgentOrder, BatchStatus, BatchTask, CommandRequest};
use serde_json::Value;

use super::outbox::pause;
use super::{Alerts, blocking};
use crate::commands::{Caller, CommandError};
use crate::ingest::IngestError;

/// Name of the agent that runs tasks without an explicit agent.
pub(super) const OWN_AGENT: &str = "local";
/// Time that an order waits for its agent, in microseconds: 10 minutes.
const WAITS_US: u64 = 600_000_000;
/// Time to wait for the agent's reply. It is as short as possible, because the result is reported by the run itself.
const WAIT_MS: u64 = 10;
/// Maximum number of orders sent at a time.
const AT_ONCE: usize = 100;

impl Alerts {
    /// Sends the due orders for runs to the agents. The runs themselves report their results.
    pub(super) async fn follow_due(&self) -> Result<(), IngestError> {
        let (store, now_us) = (self.parts.store.clone(), self.parts.clock.wall_us());
        for FollowUp { order, attempts } in blocking(move || store.follow_ups_due(now_us, AT_ONCE)).await? {
            let asked = self.ask_for(&order).await?;
            let now_us = self.parts.clock.wall_us();
            let (state, answer) = match asked {
                Ok(command) => (DeliveryState::Sent, command),
                Err(Refusal { why, is_final }) => (if is_final { DeliveryState::Undelivered } else { DeliveryState::Waiting }, why),
            };
            let what = match state {
                DeliveryState::Sent => Some((Decision::Followed, format!("{}: {answer}", order.task))),
                DeliveryState::Undelivered => Some((Decision::NotFollowed, format!("{}: {answer}", order.task))),
                DeliveryState::Waiting => None,
            };
            let note = what.map(|(what, detail)| {
                let rule = order.rule.clone();
                Note { alert: order.alert, sign: 0, time_us: now_us, rule, what, who: None, detail: Some(detail) }
            });
            let next_us = now_us + pause(attempts).as_micros() as u64;
            let followed = vec![FollowUpAttempt { alert: order.alert, state, next_us, answer }];
            self.change(AlertsChange { followed, notes: note.into_iter().collect(), ..AlertsChange::default() }).await?;
        }
        Ok(())
    }

    /// Sends the command for one run. Returns a description of the result.
    async fn ask_for(&self, order: &Order) -> Result<Result<String, Refusal>, IngestError> {
        let (store, name) = (self.parts.store.clone(), order.task.clone());
        let task = blocking(move || store.batch_task(&name)).await?;
        let Some(task) = task.filter(|task| task.status != BatchStatus::DELETED) else {
            return Ok(Err(Refusal { why: "there is no such task".to_owned(), is_final: true }));
        };
        if self.parts.clock.wall_us() >= order.time_us.saturating_add(WAITS_US) {
            return Ok(Err(Refusal { why: "its agent could not be asked for it within 10 minutes".to_owned(), is_final: true }));
        }
        let caller = Caller::server(by(order), Some(format!("follow-up-{}", order.alert)));
        Ok(match self.parts.commands.ask(caller, request(order, &task)).await {
            Ok(command) => Ok(format!("command {} asks for it", command.id.map(|id| id.to_string()).unwrap_or_default())),
            // The task has been moved to other agents, and the command with this key was sent to the former agents.
            Err(CommandError::OtherKey(_)) => Ok("it was asked for before".to_owned()),
            Err(error) => {
                Err(Refusal { is_final: matches!(error, CommandError::Parameter { .. }), why: monitor_http::with_causes(&error) })
            }
        })
    }
}

/// Reason why a command could not be sent.
struct Refusal {
    why: String,
    /// True if another attempt would fail too.
    is_final: bool,
}

/// Returns the name of the caller as recorded in the run. It marks the run as started by an alert.
fn by(order: &Order) -> String {
    format!("alert {}", order.alert)
}

/// Creates the command. It is the same for each attempt.
fn request(order: &Order, task: &BatchTask) -> CommandRequest {
    let sent = match order.repeats.clone() {
        Some(run) => AgentOrder::Rerun { run, as_it_was: true },
        None => AgentOrder::Run { task: order.task.clone(), args: Vec::new() },
    };
    let until_us = Some(order.time_us.saturating_add(WAITS_US));
    CommandRequest { until_us, timeout_ms: Some(WAIT_MS), ..sent.request(Some(&by(order)), &agents(order, task)) }
}

/// Returns the agent that executed the run to repeat, or else the agents that the task is for.
fn agents(order: &Order, task: &BatchTask) -> Vec<String> {
    if let Some(agent) = order.agent.as_ref().filter(|_| order.repeats.is_some()).or(task.agent.as_ref()) {
        return vec![agent.clone()];
    }
    let on = task.definition.get("on").and_then(Value::as_array);
    let named: Vec<String> = on.into_iter().flatten().filter_map(|agent| agent.as_str().map(str::to_owned)).collect();
    if named.is_empty() { vec![OWN_AGENT.to_owned()] } else { named }
}
