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
    /// Changes a heartbeat; false if there is one already, or there is none.
    pub(super) fn change(&mut self, edit: HeartbeatEdit, now_us: u64) -> bool {
        let name = edit.name().to_owned();
        match edit.of(self.0.get(&name).cloned(), now_us) {
            Edited::Is(row) => drop(self.0.insert(name, *row)),
            Edited::Gone => drop(self.0.remove(&name)),
            Edited::Refused => return false,
        }
        true
    }

    /// Returns true if there is one of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The events that tell of pings which did not come.
    pub(super) fn miss(&mut self, missed: &[MissedPing], now_us: u64) -> Vec<Event> {
        let tell = |ping: &MissedPing| {
            let row = self.0.get_mut(&ping.name)?;
            let event = ping.event(row, now_us)?;
            row.missed_us = Some(ping.due_us);
            Some(event)
        };
        missed.iter().filter_map(tell).collect()
    }

    /// Notes the last ping of a heartbeat, if the run is one of its own.
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
