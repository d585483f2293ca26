//! Heartbeats.

use std::collections::BTreeMap;

use monitor_wire::{BatchRun, Event};

use super::MemoryStore;
use crate::heartbeat::{Edited, ping_of};
use crate::{HeartbeatEdit, HeartbeatQueries, HeartbeatRow, KeyHash, MissedPing, StoreError};

/// All heartbeats, by name.
#[derive(Default)]
pub(super) struct Heartbeats(BTreeMap<String, HeartbeatRow>);

impl Heartbeats {
    /// Applies an edit. Returns false if the heartbeat to add exists already, or the heartbeat to change does not exist.
    pub(super) fn change(&mut self, edit: HeartbeatEdit, now_us: u64) -> bool {
        let name = edit.name().to_owned();
        match edit.of(self.0.get(&name).cloned(), now_us) {
            Edited::Is(row) => drop(self.0.insert(name, *row)),
            Edited::Gone => drop(self.0.remove(&name)),
            Edited::Refused => return false,
        }
        true
    }

    /// Returns true if a heartbeat with this name exists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns an event for each ping that is really missing, and notes its due time so that it is reported once.
    pub(super) fn miss(&mut self, missed: &[MissedPing], now_us: u64) -> Vec<Event> {
        let tell = |ping: &MissedPing| {
            let row = self.0.get_mut(&ping.name)?;
            let event = ping.event(row, now_us)?;
            row.missed_us = Some(ping.due_us);
            Some(event)
        };
        missed.iter().filter_map(tell).collect()
    }

    /// Updates the time of a heartbeat's last ping if `run` is a ping of it.
    pub(super) fn take_run(&mut self, run: &BatchRun) {
        let Some((name, seen_us)) = ping_of(run) else { return };
        if let Some(row) = self.0.get_mut(name).filter(|row| row.created_us <= seen_us) {
            row.seen_us = row.seen_us.max(Some(seen_us));
        }
    }
}

impl HeartbeatQueries for MemoryStore {
    fn heartbeats(&self) -> Result<Vec<HeartbeatRow>, StoreError> {
        Ok(self.state().heartbeats.0.values().cloned().collect())
    }

    fn heartbeat_of_key(&self, hash: &KeyHash, now_us: u64) -> Result<Option<HeartbeatRow>, StoreError> {
        let is_of = |row: &&HeartbeatRow| row.key_hash == *hash || row.old.is_some_and(|(old, until)| old == *hash && until > now_us);
        Ok(self.state().heartbeats.0.values().find(is_of).cloned())
    }
}
