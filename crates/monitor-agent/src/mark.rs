//! A small file next to the agent's database, which survives the loss of the database. It stores how far the agent has decided, and the pauses
//! of the agent and its tasks.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use monitor_tasks::Paused;
use serde::{Deserialize, Serialize};

use crate::folder::{MARK, open_private};

/// Facts that an agent still knows if its database is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The agent's name.
    pub(crate) name: String,
    /// All due times up to this time are decided, and each run that started for them has a folder.
    pub(crate) decided: Timestamp,
    /// Highest version number of all tasks.
    pub(crate) version: u64,
    /// The pause of the whole agent.
    pub(crate) paused: Option<Paused>,
    /// Pauses of tasks that files define, by name of the task.
    pub(crate) tasks: BTreeMap<String, Paused>,
    /// True if the server hasn't sent its knowledge of the agent yet. The server may store pauses that the mark doesn't contain.
    #[serde(default)]
    pub(crate) asks: bool,
}

impl Mark {
    /// Reads the mark of an agent's folder. `None` if it doesn't exist or can't be read.
    pub(crate) fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(data.join(MARK)).ok()?).ok()
    }

    pub(crate) fn write(&self, data: &Path) -> io::Result<()> {
        let (path, new) = (data.join(MARK), data.join(format!("{MARK}.new")));
        let mut file = open_private(&new)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(new, path)
    }
}
