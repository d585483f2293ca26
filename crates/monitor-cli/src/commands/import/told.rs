//! Log lines that the server already has. Log lines have no ids, so without this check an import would duplicate them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};

use monitor_api::{Error, ExportFormat};
use monitor_wire::{LogEntry, RootId};

use super::Line;
use crate::client::Connection;

/// Number of occurrences of each line, because a program can log the same line several times.
#[derive(Default)]
pub(super) struct Told {
    hasher: RandomState,
    lines: HashMap<u64, u32>,
}

impl Told {
    /// Reads the log lines from the server's own export. Empty if the server doesn't have the tree.
    pub(super) fn read(connection: &Connection, root: RootId) -> anyhow::Result<Self> {
        let mut told = Self::default();
        let export = match connection.open(connection.client()?.export(root, ExportFormat::Ndjson)) {
            Ok(export) => export,
            Err(error) if is_gone(&error) => return Ok(told),
            Err(error) => return Err(error.into()),
        };
        for line in BufReader::new(export).lines() {
            if let Line::Log { log } = serde_json::from_str(&line?)? {
                *told.lines.entry(told.hash(&log)).or_default() += 1;
            }
        }
        Ok(told)
    }

    /// Returns true if the server has this line. Each stored line matches once.
    pub(super) fn has(&mut self, log: &LogEntry) -> bool {
        let hash = self.hash(log);
        self.lines.get_mut(&hash).is_some_and(|count| {
            let has = *count > 0;
            *count = count.saturating_sub(1);
            has
        })
    }

    /// Ignores the number, which the server assigns, and the worker, which is the import itself if the original worker is unknown.
    fn hash(&self, log: &LogEntry) -> u64 {
        let LogEntry { process_id, time_us, level, message, target, stream, fields, worker_id: _, number: _ } = log;
        let fields = serde_json::to_string(fields).unwrap_or_default();
        self.hasher.hash_one((process_id, time_us, level, message, target, stream, fields))
    }
}

/// Returns true if the tree doesn't exist or was deleted.
pub(crate) fn is_gone(error: &Error) -> bool {
    matches!(error.status(), Some(404 | 410))
}
