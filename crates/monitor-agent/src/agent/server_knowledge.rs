//! Recovery of pauses and decisions from the server, for an agent whose database and mark are lost, or whose folder is new.
//!
//! The agent requests its last decisions and pauses from the server. Two things wait for the answer:
//!
//! - The agent's own events. They contain no pause, and would replace the pause that the server has. They wait until the server has answered,
//!   without a time limit.
//! - Tasks from files, so that a paused task doesn't start. They wait for [`PATIENCE`] at most. If the server can't be reached, they start
//!   without the answer, and the pauses follow when it arrives.
//!
//! The answer is stored in one transaction before the events are sent. Therefore the agent may be killed at any time: it sends the request
//! again, and gets the same answer. tests/agent/known.rs covers it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use monitor_tasks::plan::lost;
use monitor_tasks::{Paused, Plan, Task};
use monitor_wire::{AgentKnown, BatchAgent, BatchStatus, KnownTask};

use super::Agent;
use crate::data;
use crate::log;
use crate::rebuilt::{Known, Origin, REBUILT, Rebuilt, at};

/// Maximum time that tasks from files wait for the first answer of the server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// A task from a file that started before the server had answered.
struct Late {
    task: Task,
    /// The pause from now on.
    paused: Option<Paused>,
    is_paused_now: bool,
}

impl Agent {
    /// Takes over the server's answer, if the agent has requested it. Returns false if the answer can't be stored now.
    pub(super) fn take_known(&mut self, known: Option<AgentKnown>) -> bool {
        let known = known.and_then(|AgentKnown { agent, tasks }| Some((agent?, tasks)));
        let Some(before) = self.rebuilt.clone().filter(|before| before.asks || known.is_some()) else { return true };
        let now = Timestamp::now();
        let mut rebuilt = Rebuilt { asks: false, ..before.clone() };
        let (mut agent_paused, mut late) = (self.book.paused, Vec::new());
        if let Some((agent, tasks)) = &known {
            rebuilt.known = tasks.iter().filter_map(Known::read).collect();
            if before.asks {
                rebuilt.decided = at(agent.decided_us);
                agent_paused = agent_paused.or_else(|| pause_of(agent, now));
                for task in tasks {
                    if let Some(paused) = pause_of_task(task) {
                        rebuilt.paused.entry(task.name.clone()).or_insert(paused);
                    }
                }
                late = self.late(&rebuilt);
                tracing::warn!(
                    tasks = rebuilt.known.len(),
                    paused = rebuilt.paused.len(),
                    is_paused = agent_paused.is_some(),
                    "the server knows this agent: its pauses are taken over, and nothing that was due before starts"
                );
            }
        } else if before.origin == Origin::NewFolder {
            // The agent is new for the server as well.
            (rebuilt.files, rebuilt.server) = (false, false);
        }
        let missed = late.iter().filter_map(|Late { task, paused, .. }| {
            let (name, task) = (&task.definition.name, Task { paused: *paused, ..task.clone() });
            // Later due times were reported when the task started.
            lost(&self.book, &task, self.ledger.tasks.get(name), &rebuilt.undecided(name), before.from)
        });
        let plan = Plan { actions: missed.collect(), ..Plan::default() };
        let rebuilt = rebuilt.is_needed().then_some(rebuilt);
        let teller = &self.teller;
        let written = self.database.write(|transaction| {
            for Late { task, paused, .. } in late.iter().filter(|late| late.is_paused_now) {
                data::write_paused(transaction, &task.definition.name, *paused)?;
                teller.task(transaction, (&task.definition, task.version), *paused, "server", now)?;
            }
            teller.plan(transaction, &plan, now)?;
            data::write_plan(transaction, &plan, now)?;
            data::set(transaction, "paused", &serde_json::to_string(&agent_paused).unwrap_or_default())?;
            match &rebuilt {
                Some(rebuilt) => data::set(transaction, REBUILT, &serde_json::to_string(rebuilt).unwrap_or_default()),
                None => data::remove(transaction, REBUILT),
            }
        });
        if self.is_done(written).is_none() {
            return false;
        }
        plan.actions.iter().for_each(log::action);
        for Late { task, paused, .. } in late {
            self.book.put(Task { paused, ..task });
        }
        self.book.paused = agent_paused;
        self.rebuilt = rebuilt;
        // The next iteration writes the pauses to the outbox and the mark.
        self.told_decided = None;
        self.reporter.release();
        true
    }

    /// Tasks from files that the server knows and that have started already.
    fn late(&self, rebuilt: &Rebuilt) -> Vec<Late> {
        let of_files = self.book.tasks.iter().filter(|(name, _)| !self.of_server.contains(*name) && rebuilt.known.contains_key(*name));
        let late = of_files.map(|(name, task)| {
            let paused = task.paused.or_else(|| rebuilt.paused.get(name).copied());
            Late { task: task.clone(), paused, is_paused_now: paused != task.paused }
        });
        late.collect()
    }

    /// Handles a failed request for the server's knowledge.
    pub(super) fn take_unanswered(&mut self, is_final: bool) {
        if is_final && !self.take_known(None) {
            return;
        }
        if self.waits_until.is_some() {
            self.stop_waiting();
            self.settle_tasks();
        }
    }

    /// Lets tasks from files start if they have waited for [`PATIENCE`].
    pub(super) fn check_patience(&mut self) {
        if self.waits_until.is_some_and(|until| Instant::now() >= until) {
            tracing::warn!("the server hasn't sent its state of this agent in time: the tasks of files start without it");
            self.stop_waiting();
            self.settle_tasks();
        }
    }

    /// Takes over the tasks from files that have waited.
    pub(super) fn stop_waiting(&mut self) {
        self.waits_until = None;
        if let Some(files) = self.sources.waiting.take() {
            self.sources.files = Some(files);
        }
    }
}

fn pause_of(agent: &BatchAgent, now: Timestamp) -> Option<Paused> {
    let paused = Paused { from: at(agent.paused_from_us?)?, until: agent.paused_until_us.and_then(at) };
    paused.until.is_none_or(|until| until > now).then_some(paused)
}

fn pause_of_task(task: &KnownTask) -> Option<Paused> {
    Some(Paused { from: at(task.changed_us)?, until: task.until_us.and_then(at) }).filter(|_| task.status == BatchStatus::PAUSED)
}
