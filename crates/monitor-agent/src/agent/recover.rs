//! Recovery of runs when an agent starts.

use std::sync::Arc;

use jiff::Timestamp;
use monitor_runs::{Life, Run};
use monitor_tasks::{RunId, State};

use super::Agent;
use crate::error::AgentError;
use crate::messages::AgentMessage;
use crate::verdict::RunVerdict;

impl Agent {
    /// Follows the runs that are open in the ledger. If a run has ended, its end is handled before the first decision, so that it doesn't block
    /// due times. A run without a folder was not started if it is starting, and is lost if its command had started.
    pub(super) fn recover(&mut self) -> Result<(), AgentError> {
        let open: Vec<_> =
            self.ledger.runs().filter(|run| run.is_open()).map(|run| (run.id.clone(), run.version, run.state.clone())).collect();
        for (id, version, state) in open {
            let folder = self.runner.runs.join(id.to_string());
            if folder.join("spec.json").exists() {
                let mut definition = self.definition(&id, version)?;
                if definition.is_none() {
                    // After a loss of the database, only the newest definition is known.
                    definition = self.database.newest_definition(&id.task)?.map(Arc::new);
                }
                if Run::open(folder).is_ok_and(|run| matches!(run.life(), Life::Ended(_))) {
                    let ended = self.runner.see_through(&id, definition.as_deref());
                    self.hear(ended);
                    continue;
                }
                tracing::info!(run = %id, "follows a run of before");
                self.runner.follow(id, definition);
            } else if matches!(state, State::Starting { .. }) {
                self.hear(AgentMessage::Unstarted { run: id });
            } else {
                let verdict = RunVerdict::lost("its folder was removed while no agent was there");
                self.hear(AgentMessage::Ended { run: id, at: Timestamp::now(), verdict: Box::new(verdict) });
            }
        }
        Ok(())
    }

    /// Definition of a run's task in the given version.
    pub(super) fn definition(&self, run: &RunId, version: u64) -> Result<Option<Arc<monitor_tasks::Definition>>, AgentError> {
        match self.book.tasks.get(&run.task) {
            Some(task) if task.version == version => Ok(Some(task.definition.clone())),
            _ => Ok(self.database.definition(&run.task, version)?.map(Arc::new)),
        }
    }
}
