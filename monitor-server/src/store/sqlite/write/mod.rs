//! The one writer: batches in, one transaction, changes out.
//!
//! A transaction first gathers the events that are new, then loads what they are about, folds them in memory, and at last settles:
//! every touched process, root and worker is written once, in the order of its key.

mod changes;
mod processes;
pub(super) mod roots;
mod settle;
mod workers;

use std::borrow::Cow;
use std::collections::BTreeMap;

use monitor_state::{ProcessEvent, about_worker};
use monitor_wire::{Batch, Event, State, WorkerChanged, WorkerId};
use rusqlite::{Connection, Result, TransactionBehavior, params};

use self::processes::Processes;
use self::roots::Roots;
use self::workers::Workers;
use super::dictionary::Dictionary;
use super::ids;
use crate::store::Change;

/// What rows of `tally` count.
pub(super) mod tally {
    pub(in super::super) const ROOTS: i64 = 0;
    pub(in super::super) const PROCESSES: i64 = 1;
    pub(in super::super) const WORKERS: i64 = 2;
    pub(in super::super) const UNKNOWN: i64 = 3;
}

/// Workers that are lost at ?1, where nothing counts that was before ?2.
pub(super) const DUE: &str = "SELECT id FROM worker INDEXED BY worker_due \
    WHERE due IS NOT NULL AND due <= ?1 AND max(last_seen, ?2) + (due - last_seen) <= ?1 ORDER BY due";

/// The connection that writes, and what it remembers between transactions.
pub(super) struct Writer {
    connection: Connection,
    dictionary: Dictionary,
    workers: Workers,
    counter: Counter,
    /// What is remembered is what the database holds: not so after a transaction that failed.
    is_trusted: bool,
}

/// The row of `counter`.
#[derive(Clone, Copy, Default)]
struct Counter {
    seq: u64,
    events: u64,
    root: i64,
}

/// An event that was not applied before.
struct Fresh<'a> {
    batch_worker: WorkerId,
    number: u64,
    event: Cow<'a, Event>,
}

/// One transaction.
struct Transaction<'a> {
    connection: &'a Connection,
    dictionary: &'a mut Dictionary,
    workers: &'a mut Workers,
    counter: Counter,
    fresh: Vec<Fresh<'a>>,
    roots: Roots,
    processes: Processes,
    /// By how much `tally` changes.
    tallies: BTreeMap<(i64, i64), i64>,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Result<Self> {
        let mut writer = Self {
            connection,
            dictionary: Dictionary::default(),
            workers: Workers::default(),
            counter: Counter::default(),
            is_trusted: false,
        };
        writer.transaction(|_| Ok(()))?;
        Ok(writer)
    }

    pub(super) fn append(&mut self, batches: &[Batch], now_us: u64) -> Result<Vec<Change>> {
        self.transaction(|transaction| batches.iter().try_for_each(|batch| transaction.gather(batch, now_us)))
    }

    pub(super) fn lose_workers(&mut self, now_us: u64, since_us: u64) -> Result<Vec<Change>> {
        // Mostly nobody is due, and then nothing is written.
        let due: Vec<WorkerId> = {
            let mut statement = self.connection.prepare_cached(DUE)?;
            statement.query_map([now_us as i64, since_us as i64], |row| ids::worker(row, 0))?.collect::<Result<_>>()?
        };
        if due.is_empty() {
            return Ok(Vec::new());
        }
        self.transaction(|transaction| {
            for id in due {
                let worker = transaction.workers.get(transaction.connection, &mut transaction.tallies, id)?;
                let time_us = worker.change_us(now_us);
                transaction.push_server_event(id, Event::WorkerLost(WorkerChanged { time_us, worker_id: id }));
            }
            Ok(())
        })
    }

    fn transaction<'a>(&'a mut self, gather: impl FnOnce(&mut Transaction<'a>) -> Result<()>) -> Result<Vec<Change>> {
        if !self.is_trusted {
            self.dictionary = Dictionary::default();
            self.workers = Workers::default();
            self.counter = self.connection.query_row("SELECT seq, events, root FROM counter", [], |row| {
                Ok(Counter { seq: row.get::<_, i64>(0)? as u64, events: row.get::<_, i64>(1)? as u64, root: row.get(2)? })
            })?;
        }
        self.is_trusted = false;
        self.dictionary.trim();
        self.workers.begin();
        let connection = &self.connection;
        let sql_transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let mut transaction = Transaction {
            connection,
            dictionary: &mut self.dictionary,
            workers: &mut self.workers,
            counter: self.counter,
            fresh: Vec::new(),
            roots: Roots::default(),
            processes: Processes::default(),
            tallies: BTreeMap::new(),
        };
        gather(&mut transaction)?;
        let changes = transaction.settle()?;
        let counter = transaction.counter;
        sql_transaction.commit()?;
        self.counter = counter;
        self.is_trusted = true;
        Ok(changes)
    }
}

impl<'a> Transaction<'a> {
    /// Takes from a batch what was not applied before.
    fn gather(&mut self, batch: &'a Batch, now_us: u64) -> Result<()> {
        let id = batch.worker.id;
        self.hear_of(id, now_us)?;
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        worker.describe(&batch.worker);
        worker.drop_counts(&batch.dropped);
        let numbers = batch.sequence..;
        let fresh: Vec<_> = numbers.zip(&batch.events).filter(|(number, _)| !worker.applied.contains(*number)).collect();
        if !batch.events.is_empty() {
            worker.applied.insert(batch.sequence, batch.last_number());
        }
        for (number, event) in fresh {
            let relayed = match ProcessEvent::of(event) {
                Some(about) => about.worker,
                None => about_worker(event, id).1,
            };
            if let Some(relayed) = relayed.filter(|relayed| relayed.id != id) {
                self.hear_of(relayed.id, now_us)?;
            }
            if let Some(relayed) = relayed {
                self.workers.get(self.connection, &mut self.tallies, relayed.id)?.describe(relayed);
            }
            self.fresh.push(Fresh { batch_worker: id, number, event: Cow::Borrowed(event) });
        }
        Ok(())
    }

    /// A worker reports: if it was lost it is found.
    fn hear_of(&mut self, id: WorkerId, now_us: u64) -> Result<()> {
        let worker = self.workers.get(self.connection, &mut self.tallies, id)?;
        worker.hear(now_us);
        if worker.is_lost() {
            let time_us = worker.change_us(now_us);
            self.push_server_event(id, Event::WorkerFound(WorkerChanged { time_us, worker_id: id }));
        }
        Ok(())
    }

    /// Takes an event that the server makes itself. It has no number, and needs none: nobody repeats it.
    fn push_server_event(&mut self, id: WorkerId, event: Event) {
        self.workers.apply(id, 0, id, &event);
        self.fresh.push(Fresh { batch_worker: id, number: 0, event: Cow::Owned(event) });
    }

    fn count(&mut self, what: i64, of: i64, change: i64) {
        *self.tallies.entry((what, of)).or_default() += change;
    }

    fn state_code(&mut self, state: &State) -> Result<i64> {
        ids::state_code(self.connection, self.dictionary, state)
    }

    fn write_sums(&mut self) -> Result<()> {
        let sql = "INSERT INTO tally(what, of, count) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        for ((what, of), change) in self.tallies.iter().filter(|(_, change)| **change != 0) {
            statement.execute(params![what, of, change])?;
        }
        let Counter { seq, events, root } = self.counter;
        self.connection.prepare_cached("UPDATE counter SET seq = ?1, events = ?2, root = ?3")?.execute(params![
            seq as i64,
            events as i64,
            root
        ])?;
        Ok(())
    }
}
