//! What an agent still has to do after its database was lost, as its new database keeps it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use monitor_tasks::Paused;
use monitor_tasks::plan::Undecided;
use monitor_wire::KnownTask;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::mark::Mark;

/// Key of what an agent still has to do after its database was lost.
pub(crate) const REBUILT: &str = "rebuilt";
/// What an agent still has to do after its database was lost: until its tasks are back, it reports their due times as missed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Rebuilt {
    /// Due times after this one are not known to be decided.
    pub(crate) from: Timestamp,
    /// The tasks of files are not back yet.
    pub(crate) files: bool,
    /// The server's tasks are not back yet.
    pub(crate) server: bool,
    /// Tasks of files that were paused.
    pub(crate) paused: BTreeMap<String, Paused>,
    /// True until the server has answered with its knowledge of the agent.
    #[serde(default)]
    pub(crate) asks: bool,
    /// Origin of `from`.
    #[serde(default)]
    pub(crate) origin: Origin,
    /// Time up to which the agent has decided, as the server knows it.
    #[serde(default)]
    pub(crate) decided: Option<Timestamp>,
    /// Tasks by name, as the server knows them.
    #[serde(default)]
    pub(crate) known: BTreeMap<String, Known>,
}

/// Source of the time after which decisions are lost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// The mark: everything before is decided.
    #[default]
    Mark,
    /// The newest folder of a run, or the time of the loss: only a guess.
    Guess,
    /// The folder was empty, and the agent may be a new one: the time of its start.
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

    /// True if something is still to be done.
    pub(crate) fn is_needed(&self) -> bool {
        self.files || self.server || self.asks
    }

    /// Time until which nothing starts, if the clock is behind the agent's last decision: those due times may have run already.
    pub(crate) fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.decided.filter(|decided| *decided > now)
    }

    /// The due times of a task whose decisions are lost.
    pub(crate) fn undecided(&self, task: &str) -> Undecided {
        match self.known.get(task).map(|known| known.undecided.clone()) {
            Some(known) if self.origin != Origin::Mark => known,
            // All that was due before the mark is decided.
            Some(known) => Undecided { from: self.from.max(known.from), ..known },
            None => {
                let decided = self.decided.filter(|_| self.origin != Origin::Mark);
                Undecided { from: decided.unwrap_or(self.from), decided: Vec::new() }
            }
        }
    }
}

/// A task, as the server knows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Number of its newest version.
    pub(crate) version: u64,
    /// Its due times without a known decision.
    pub(crate) undecided: Undecided,
}

impl Known {
    pub(crate) fn read(task: &KnownTask) -> Option<(String, Self)> {
        let decided = task.decided.iter().filter_map(|dues| Some((at(dues.first_us)?, at(dues.last_us)?))).collect();
        let undecided = Undecided { from: at(task.from_us)?, decided };
        Some((task.name.clone(), Self { version: task.version, undecided }))
    }
}

/// A time of the server; none if it can't be one.
pub(crate) fn at(us: u64) -> Option<Timestamp> {
    Timestamp::from_microsecond(i64::try_from(us).ok()?).ok()
}
