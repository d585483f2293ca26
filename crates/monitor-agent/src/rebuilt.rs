//! Work that is left after an agent has lost its database. The new database stores it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use monitor_tasks::Paused;
use monitor_tasks::plan::Undecided;
use monitor_wire::KnownTask;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::mark::Mark;

/// Key of [`Rebuilt`] in the agent's database.
pub(crate) const REBUILT: &str = "rebuilt";
/// Work that is left after an agent has lost its database. When a task is back, the agent reports its undecided due times as missed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rebuilt {
    /// Time after which decisions may be lost.
    pub(crate) from: Timestamp,
    /// True until the tasks from files are back.
    pub(crate) files: bool,
    /// True until the server's tasks are back.
    pub(crate) server: bool,
    /// Pauses of tasks from files, by task name.
    pub(crate) paused: BTreeMap<String, Paused>,
    /// True until the server has answered with its knowledge of the agent.
    #[serde(default)]
    pub(crate) asks: bool,
    /// Origin of `from`.
    #[serde(default)]
    pub(crate) origin: Origin,
    /// Time of the agent's last decision, according to the server.
    #[serde(default)]
    pub(crate) decided: Option<Timestamp>,
    /// The server's knowledge of tasks, by task name.
    #[serde(default)]
    pub(crate) known: BTreeMap<String, Known>,
}

/// Source of the time after which decisions are lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The mark. All due times before it are decided.
    #[default]
    Mark,
    /// A guess: the due time of the newest run that has a folder, or the time of the loss.
    Guess,
    /// The start of the agent. Its folder was empty, and the agent may be new.
    NewFolder,
}

impl Rebuilt {
    pub(crate) fn new(config: &Config, mark: Option<&Mark>, from: Timestamp) -> Self {
        Self {
            from,
            files: config.tasks.is_some(),
            server: !config.files_only,
            paused: mark.map(|mark| mark.tasks.clone()).unwrap_or_default(),
            asks: mark.is_none_or(|mark| mark.asks),
            origin: if mark.is_some() { Origin::Mark } else { Origin::Guess },
            decided: None,
            known: BTreeMap::new(),
        }
    }

    /// Returns true if work is left.
    pub(crate) fn is_needed(&self) -> bool {
        self.files || self.server || self.asks
    }

    /// Time before which nothing starts, if the clock is behind the agent's last decision. Due times before it may have run already.
    pub(crate) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.decided.filter(|decided| *decided > now)
    }

    /// Due times of a task whose decisions are lost.
    pub(crate) fn undecided(&self, task: &str) -> Undecided {
        match self.known.get(task).map(|known| known.undecided.clone()) {
            Some(known) if self.origin != Origin::Mark => known,
            // All due times before the mark are decided.
            Some(known) => Undecided { from: self.from.max(known.from), ..known },
            None => {
                let decided = self.decided.filter(|_| self.origin != Origin::Mark);
                Undecided { from: decided.unwrap_or(self.from), decided: Vec::new() }
            }
        }
    }
}

/// The server's knowledge of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Number of the newest version.
    pub(crate) version: u64,
    /// Due times of the task whose decisions are lost.
    pub(crate) undecided: Undecided,
}

impl Known {
    pub(crate) fn read(task: &KnownTask) -> Option<(String, Self)> {
        let decided = task.decided.iter().filter_map(|dues| Some((at(dues.first_us)?, at(dues.last_us)?))).collect();
        let undecided = Undecided { from: at(task.from_us)?, decided };
        Some((task.name.clone(), Self { version: task.version, undecided }))
    }
}

/// Converts a time of the server. Returns `None` if it is out of range.
pub(crate) fn at(us: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()
}
