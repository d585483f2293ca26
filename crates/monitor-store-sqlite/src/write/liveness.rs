//! Workers that report, that are silent, and that are lost.

use monitor_wire::{Event, WorkerChanged, WorkerId, WorkerOffline};
use rusqlite::Result;

use super::Transaction;
use super::changes::{Line, NONE};

impl Transaction<'_> {
    /// Updates the last time a worker reported. Marks a worker that was lost or idle as found.
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

    /// Marks a silent worker as lost. A worker that never announced itself becomes offline instead, if it has no open processes.
    pub(super) fn give_up(&mut self, id: WorkerId, now_us: u64) -> Result<()> {
        let spared_us = self.spared_us(id, now_us)?;
        let has_news = self.has_news_of_relays(id, now_us)?;
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        if worker.is_spared(spared_us, now_us) || !has_news {
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

    /// Returns when the excuse for a relayed worker's silence ends: now if no worker that relays its events is online, otherwise the latest
    /// time at which an online relay was found again. Returns 0 if there is no excuse.
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

    /// Returns true if one of the workers that relay this one's events has reported after this one was due, or if there are none. Until then the relays may be
    /// silent themselves, although they are not due yet.
    fn has_news_of_relays(&mut self, id: WorkerId, now_us: u64) -> Result<bool> {
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        let (relays, due_us) = (worker.relays(), worker.due_us().unwrap_or(now_us));
        let mut has_news = relays.is_empty();
        for relay in &relays {
            has_news |= self.workers.get(self.connection, &mut self.tallies, *relay)?.has_reported_since(due_us);
        }
        Ok(has_news)
    }

    /// Marks a worker as lost, unless it is offline or lost already.
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

    /// Adds an event about a worker, made by the server. Its number is 0, because no sender repeats it.
    fn push_server_event(&mut self, id: WorkerId, event: Event) {
        self.workers.apply(id, 0, id, &event);
        self.lines.push(Line { batch: NONE, event: self.own.len() as u32, root: NONE, entry: NONE, worker: NONE });
        self.own.push((id, event));
    }
}
