//! Converts publications to the types of the HTTP API.

use std::path::Path;

use monitor_wire::{BatchLeft, BatchPublication, BatchPublications};

use super::{Publication, files};
use crate::data::Database;
use crate::error::AgentError;

impl Publication {
    /// Converts the publication, with `agent` as the name of its agent.
    pub fn told(self, agent: &str) -> BatchPublication {
        let count = |count: i64| count.max(0) as u64;
        BatchPublication {
            number: count(self.number),
            agent: agent.to_owned(),
            time_us: count(self.time_us),
            target: self.target,
            run: self.run,
            by: self.by,
            folder: self.content.map(|content| content.to_string_lossy().into_owned()),
            files: count(self.files),
            size_bytes: count(self.bytes),
            restores: self.restores.map(count),
            state: self.state,
            error: self.error.map(|error| error.chars().take(1_000).collect()),
            is_current: self.is_current,
        }
    }
}

impl Database {
    /// Returns up to `limit` publications of a task and up to `limit` folders of its history, each newest first.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    pub fn told(&self, task: &str, limit: u32) -> Result<BatchPublications, AgentError> {
        let agent = self.name()?.unwrap_or_default();
        let name = |path: Option<&Path>| path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let history = self.history(task, limit)?.into_iter().filter_map(|(run, folder)| {
            let found = files(&folder).ok()?;
            Some(BatchLeft {
                run,
                agent: agent.clone(),
                folder: format!("{}/{}", name(folder.parent()), name(Some(&folder))),
                files: found.files.len() as u64,
                size_bytes: found.files.values().map(|file| file.bytes).sum(),
            })
        });
        let publications = self.publications(task, limit)?.into_iter().map(|of| of.told(&agent)).collect();
        Ok(BatchPublications { publications, history: history.collect(), silent: Vec::new() })
    }
}
