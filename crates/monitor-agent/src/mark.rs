//! A small file next to the agent's database, which outlives that: up to which time due times are decided, and what is paused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use monitor_tasks::{Paused, State, Trigger};
use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::data::Database;
use crate::folder::{MARK, open_private};
use crate::rebuild;

/// What an agent knows of itself if its database is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The agent's name.
    pub(crate) name: String,
    /// Due times up to here are decided, and those that were to run have a folder.
    pub(crate) decided: Timestamp,
    /// The highest version of a task.
    pub(crate) version: u64,
    /// The agent is paused.
    pub(crate) paused: Option<Paused>,
    /// Tasks of files that are paused.
    pub(crate) tasks: BTreeMap<String, Paused>,
    /// True if the server hasn't answered yet with its knowledge of the agent: it may have other pauses.
    #[serde(default)]
    pub(crate) asks: bool,
}

/// The name that the agent of a folder had last.
pub fn last_name(data: &Path) -> Option<String> {
    let in_database = || Database::existing(data).ok()?.name().ok()?;
    in_database().or_else(|| Some(Mark::read(data)?.name)).or_else(|| rebuild::name_of_runs(&data.join("runs")))
}

impl Mark {
    /// The mark of a folder; none if there is none that can be read.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data.join(MARK)).ok()?).ok()
    }

    fn write(&self, data: &Path) -> io::Result<()> {
        let (path, new) = (data.join(MARK), data.join(format!("{MARK}.new")));
        let mut file = open_private(&new)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}

impl Agent {
    /// Writes the mark. It isn't synced: after a power cut an older one is there, and more is reported as missed if the database is lost as well.
    pub(crate) fn write_mark(&self, now: Timestamp) {
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
