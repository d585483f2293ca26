//! What a transaction tells the stream.

use std::collections::HashSet;
use std::sync::Arc;

use monitor_state::{ProcessEvent, about_worker};
use monitor_wire::{Event, Process, ProcessId, StreamMessage, WorkerId};
use rusqlite::{OptionalExtension, Result, params};

use super::super::ids;
use super::{Fresh, Transaction};
use crate::store::Change;

/// Of at most so many processes whose worker was lost, found or went offline the stream tells one by one. Of the rest it names the
/// trees: a message about a worker with a root and without a process means that more of the tree changed than is told.
const MAX_LEFT: usize = 1_000;

impl Transaction<'_> {
    /// One change per event, then one per process that a worker's change of status touched. All read models are as after the
    /// transaction.
    pub(super) fn changes(&mut self, fresh: &[Fresh<'_>]) -> Result<Vec<Change>> {
        self.find_orphans()?;
        let mut changes = Vec::with_capacity(fresh.len());
        for Fresh { batch_worker, event, .. } in fresh {
            let mut message = StreamMessage { event: event.clone().into_owned(), root: None, process: None, worker: None };
            if let Some(about) = ProcessEvent::of(event) {
                let root = self.root(about.root_id)?;
                message.root = Some(self.roots.entries[root].row.root.clone());
                message.process = self.processes.find(root, about.id).and_then(|at| self.processes.entries[at].view.clone());
                // Whoever shows workers learns of one that never announced itself.
                let worker = about.worker.map_or(*batch_worker, |worker| worker.id);
                message.worker = self.workers.view(worker).filter(|_| self.workers.is_new(worker));
            } else {
                message.worker = self.workers.view(about_worker(event, *batch_worker).0);
            }
            changes.push(self.next(message));
        }
        for message in self.left(fresh) {
            changes.push(self.next(message));
        }
        Ok(changes)
    }

    fn next(&mut self, message: StreamMessage) -> Change {
        self.counter.seq += 1;
        Change { seq: self.counter.seq, message: Arc::new(message) }
    }

    /// The processes that no event named.
    fn left(&self, fresh: &[Fresh<'_>]) -> Vec<StreamMessage> {
        let mut messages = Vec::new();
        let mut trees = HashSet::new();
        for worker in self.workers.changed() {
            let Some(event) = last_about(fresh, worker) else { continue };
            let left = self.processes.entries.iter().filter(|entry| entry.left_by == Some(worker) && !entry.is_told_of);
            for entry in left {
                let is_told = messages.len() < MAX_LEFT;
                if !is_told && !trees.insert((entry.root, worker)) {
                    continue;
                }
                messages.push(StreamMessage {
                    event: event.clone(),
                    root: Some(self.roots.entries[entry.root].row.root.clone()),
                    process: entry.view.clone().filter(|_| is_told),
                    worker: self.workers.view(worker),
                });
            }
        }
        messages
    }

    /// Marks what has no known parent, as far as one process and its parent can tell. When the parent comes, its own change says so,
    /// and not those of its children once more.
    fn find_orphans(&mut self) -> Result<()> {
        for index in 0..self.processes.entries.len() {
            let entry = &self.processes.entries[index];
            let Some(Process { id, parent_id, .. }) = entry.view else { continue };
            let row = &self.roots.entries[entry.root].row;
            let is_orphan = match parent_id {
                None => !(row.is_own && row.process == Some(id)),
                Some(parent) => parent == id || !self.is_there(entry.root, row.root.number as i64, parent)?,
            };
            self.processes.entries[index].view.as_mut().expect("checked above").orphan = is_orphan;
        }
        Ok(())
    }

    fn is_there(&self, root: usize, number: i64, id: ProcessId) -> Result<bool> {
        if self.processes.find(root, id).is_some_and(|at| self.processes.entries[at].view.is_some()) {
            return Ok(true);
        }
        let sql = "SELECT 1 FROM process WHERE root = ?1 AND id = ?2";
        let found = self.connection.prepare_cached(sql)?.query_row(params![number, ids::process_key(id)], |_| Ok(())).optional()?;
        Ok(found.is_some())
    }
}

fn last_about<'f>(fresh: &'f [Fresh<'_>], worker: WorkerId) -> Option<&'f Event> {
    let is_about = |fresh: &&Fresh<'_>| {
        matches!(*fresh.event, Event::WorkerOffline(_) | Event::WorkerLost(_) | Event::WorkerFound(_))
            && about_worker(&fresh.event, fresh.batch_worker).0 == worker
    };
    fresh.iter().rev().find(is_about).map(|fresh| &*fresh.event)
}
