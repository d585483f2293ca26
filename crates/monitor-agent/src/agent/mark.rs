//! Writes the mark of an agent.

use jiff::Timestamp;
use monitor_tasks::{State, Trigger};

use super::Agent;
use crate::mark::Mark;

impl Agent {
    /// Writes the mark. It isn't synced: after a power cut an older one is there, and more is reported as missed if the database is lost as well.
    pub(super) fn write_mark(&self, now: Timestamp) {
        // Runs that wait are in the database alone.
        let waits = |state: &State| matches!(state, State::Asked | State::Waiting { .. } | State::Starting { .. });
        let waiting = self.ledger.runs().filter(|run| waits(&run.state) && matches!(run.trigger, Trigger::Time | Trigger::Missed));
        let before = waiting.filter_map(|run| run.id.due.checked_sub(jiff::SignedDuration::from_nanos(1)).ok()).min();
        let of_files = self.book.tasks.iter().filter(|(name, _)| !self.of_server.contains(*name));
        let mark = Mark {
            name: self.config.name.clone(),
            decided: before.map_or(now, |before| before.min(now)),
            version: of_files.clone().map(|(_, task)| task.version).max().unwrap_or_default(),
            paused: self.book.paused,
            tasks: of_files.filter_map(|(name, task)| Some((name.clone(), task.paused?))).collect(),
            asks: self.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.asks),
        };
        if let Err(error) = mark.write(&self.config.data) {
            tracing::warn!(%error, "the mark next to the agent's database can't be written");
        }
    }
}
