//! Tasks that alerts start: asked of agents by durable commands, as somebody would ask who runs a task by hand.
//!
//! What is to be started is stored with the decision that it be. The command is given at least once and always under the same key, of which
//! there is one command at most: whoever is killed between the command and the note that it was given finds the command there.

use monitor_alerts::{Decision, Note, Order};
use monitor_store::{AlertsChange, DeliveryState, FollowUp, FollowUpAttempt};
use monitor_wire::{AgentOrder, BatchStatus, BatchTask, CommandRequest};
use serde_json::Value;

use super::outbox::pause;
use super::{Alerts, blocking};
use crate::commands::{Caller, CommandError};
use crate::ingest::IngestError;

/// Name of the agent that runs tasks which name none.
pub(super) const OWN_AGENT: &str = "local";
/// An order waits so long for its agent, in microseconds: 10 minutes.
const WAITS_US: u64 = 600_000_000;
/// An answer of the agent is waited for so long, which is as short as may be: what becomes of the run is seen by the run.
const WAIT_MS: u64 = 10;
/// So many orders are given at a time.
const AT_ONCE: usize = 100;

impl Alerts {
    /// Asks agents for the runs that alerts start. Whether they come to pass is seen by the runs.
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

    /// Asks for one run. Returns what was done, in words.
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
            // The task is for other agents by now.
            Err(CommandError::OtherKey(_)) => Ok("it was asked for before".to_owned()),
            Err(error) => {
                Err(Refusal { is_final: matches!(error, CommandError::Parameter { .. }), why: monitor_http::with_causes(&error) })
            }
        })
    }
}

/// Why an agent could not be asked.
struct Refusal {
    why: String,
    /// To try again does no good.
    is_final: bool,
}

/// Who asks, as the run shows it: by this it is known that an alert started it.
fn by(order: &Order) -> String {
    format!("alert {}", order.alert)
}

/// The command, which is the same however often it is made.
fn request(order: &Order, task: &BatchTask) -> CommandRequest {
    let sent = match order.repeats.clone() {
        Some(run) => AgentOrder::Rerun { run, as_it_was: true },
        None => AgentOrder::Run { task: order.task.clone(), args: Vec::new() },
    };
    let until_us = Some(order.time_us.saturating_add(WAITS_US));
    CommandRequest { until_us, timeout_ms: Some(WAIT_MS), ..sent.request(Some(&by(order)), &agents(order, task)) }
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
