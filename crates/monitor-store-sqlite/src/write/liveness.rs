//! Workers that are heard of, that are silent, and that are lost.

use monitor_wire::{Event, WorkerChanged, WorkerId, WorkerOffline};
use rusqlite::Result;

use super::Transaction;
use super::changes::{Line, NONE};

impl Transaction<'_> {
    /// A worker reports: if it was lost or idle it is found.
    pub(super) fn hear_of(&mut self, id: WorkerId, now_us: u64) -> Result<()> {
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        worker.hear(now_us);
        if worker.is_missed() {
            let time_us = worker.change_us(now_us);
            self.push_server_event(id, Event::WorkerFound(WorkerChanged { time_us, worker_id: id }));
            self.sign_of_found_worker(id)?;
        }
        Ok(())
    }

    /// A worker has said nothing for long: it is lost, or idle if it never announced itself and has nothing open.
    pub(super) fn give_up(&mut self, id: WorkerId, now_us: u64) -> Result<()> {
        let spared_us = self.spared_us(id, now_us)?;
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        if worker.is_spared(spared_us, now_us) {
            return Ok(());
        }
        if !worker.is_unannounced() {
            return self.lose(id, now_us);
        }
        if worker.is_online() && worker.open == 0 {
            let time_us = worker.change_us(now_us);
            self.push_server_event(id, Event::WorkerOffline(WorkerOffline { time_us, worker: None }));
        }
        Ok(())
    }

    /// Until when a worker's silence says nothing of it, for all who relay what it says were silent themselves; 0 if they were not.
    fn spared_us(&mut self, id: WorkerId, now_us: u64) -> Result<u64> {
        let relays = self.workers.get(self.connection, &mut self.tallies, id)?.relays();
        let mut found_us = None;
        for relay in &relays {
            let relay = self.workers.get(self.connection, &mut self.tallies, *relay)?;
            if relay.is_heard(now_us) {
                found_us = found_us.max(Some(relay.found_us()));
            }
        }
        Ok(if relays.is_empty() { 0 } else { found_us.unwrap_or(now_us) })
    }

    /// A worker is gone, unless it said so itself.
    pub(super) fn lose(&mut self, id: WorkerId, now_us: u64) -> Result<()> {
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        if worker.is_online() {
            worker.hear_first(now_us);
            let time_us = worker.change_us(now_us);
            self.push_server_event(id, Event::WorkerLost(WorkerChanged { time_us, worker_id: id }));
            self.sign_of_lost_worker(id)?;
        }
        Ok(())
    }

    /// Takes an event that the server makes itself. It has no number, and needs none: nobody repeats it.
    fn push_server_event(&mut self, id: WorkerId, event: Event) {
        self.workers.apply(id, 0, id, &event);
        self.lines.push(Line { batch: NONE, event: self.own.len() as u32, root: NONE, entry: NONE, worker: NONE });
        self.own.push((id, event));
    }
}
