//! A small file next to the agent's database, which outlives that: up to which time due times are decided, and what is paused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use jiff::Timestamp;
use monitor_tasks::Paused;
use serde::{Deserialize, Serialize};

use crate::folder::{MARK, open_private};

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

impl Mark {
    /// The mark of a folder; none if there is none that can be read.
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
