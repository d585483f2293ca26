//! From gathered events to rows.

use monitor_state::{ProcessEvent, about_worker};
use monitor_wire::{Event, ProcessLogged, State, WorkerId};
use rusqlite::{Result, params};

use super::super::ids;
use super::super::row::ProcessRow;
use super::processes::Before;
use super::{Fresh, Transaction, tally};
use crate::store::Change;

impl<'a> Transaction<'a> {
    /// Folds what was gathered, writes it and says what changed.
    pub(super) fn settle(&mut self) -> Result<Vec<Change>> {
        let fresh = std::mem::take(&mut self.fresh);
        self.counter.events += fresh.iter().filter(|fresh| fresh.number > 0).count() as u64;
        self.load(&fresh)?;
        self.fold(&fresh)?;
        self.load_left()?;
        self.settle_processes()?;
        for index in 0..self.roots.entries.len() {
            self.settle_root(index)?;
        }
        self.workers.write(self.connection, &mut self.tallies)?;
        let changes = self.changes(&fresh)?;
        self.write_sums()?;
        Ok(changes)
    }

    /// Reads the processes and workers that the events are about.
    fn load(&mut self, fresh: &[Fresh<'a>]) -> Result<()> {
        let mut wanted = Vec::with_capacity(fresh.len());
        for fresh in fresh {
            if let Some(about) = ProcessEvent::of(&fresh.event) {
                let root = self.root(about.root_id)?;
                wanted.push((self.roots.entries[root].row.root.number as i64, root, about.id));
            } else {
                let id = about_worker(&fresh.event, fresh.batch_worker).0;
                self.workers.get(self.connection, &mut self.tallies, id)?;
            }
        }
        self.load_processes(wanted)
    }

    fn load_processes(&mut self, wanted: Vec<(i64, usize, monitor_wire::ProcessId)>) -> Result<()> {
        let roots = &self.roots.entries;
        self.processes.load(self.connection, self.dictionary, wanted, |root| roots[root].before.is_none())
    }

    fn fold(&mut self, fresh: &[Fresh<'a>]) -> Result<()> {
        for Fresh { batch_worker, number, event } in fresh {
            if let Some(about) = ProcessEvent::of(event) {
                let root = self.root(about.root_id)?;
                let at = self.processes.find(root, about.id).expect("loaded before it is folded");
                if about.is_fact() {
                    let entry = &mut self.processes.entries[at];
                    entry.facts.apply(*number, *batch_worker, &about);
                    entry.is_told_of = true;
                } else if let Event::ProcessLogged(logged) = &**event {
                    self.write_log(*number, *batch_worker, logged)?;
                }
            } else {
                self.workers.apply(about_worker(event, *batch_worker).0, *number, *batch_worker, event);
                self.keep_unknown(*number, *batch_worker, event)?;
            }
        }
        Ok(())
    }

    /// Reads the processes that were left open by workers whose status changed.
    fn load_left(&mut self) -> Result<()> {
        for worker in self.workers.changed() {
            let key = self.workers.known(worker).map(|row| row.key);
            let mut wanted = Vec::new();
            let mut statement = self.connection.prepare_cached("SELECT root, id FROM open WHERE worker = ?1")?;
            let mut rows = statement.query([key])?;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let (number, id): (i64, i64) = (row.get(0)?, row.get(1)?);
                let root = match last {
                    Some((last, root)) if last == number => root,
                    _ => self.root(self.root_id(number)?)?,
                };
                last = Some((number, root));
                wanted.push((number, root, ids::process_id(id)?));
            }
            self.load_processes(wanted.clone())?;
            for (_, root, id) in wanted {
                let at = self.processes.find(root, id).expect("just loaded");
                self.processes.entries[at].left_by.get_or_insert(worker);
            }
        }
        Ok(())
    }

    fn root_id(&self, number: i64) -> Result<monitor_wire::RootId> {
        self.connection.prepare_cached("SELECT id FROM root WHERE number = ?1")?.query_row([number], |row| ids::root(row, 0))
    }

    /// Derives each process from its facts, counts it, and writes it.
    fn settle_processes(&mut self) -> Result<()> {
        let mut order: Vec<usize> = (0..self.processes.entries.len()).collect();
        let place = |index: &usize| {
            let entry = &self.processes.entries[*index];
            (self.roots.entries[entry.root].row.root.number, entry.id)
        };
        order.sort_unstable_by_key(place);
        for index in order {
            self.settle_process(index)?;
        }
        Ok(())
    }

    fn settle_process(&mut self, index: usize) -> Result<()> {
        let entry = &mut self.processes.entries[index];
        if entry.before.is_none() && !entry.is_told_of {
            // Something was logged by a process that nobody spoke of yet.
            return Ok(());
        }
        let (root, id) = (entry.root, entry.id);
        let open_at = entry.facts.open_at();
        for worker in &open_at {
            self.workers.load(self.connection, &mut self.tallies, *worker)?;
        }
        let root_row = &self.roots.entries[root].row.root;
        let (root_id, number) = (root_row.root_id, root_row.number as i64);
        let view = entry.facts.view(root_id, id, &mut |worker| self.workers.status(worker));
        let is_touched = entry.is_told_of || entry.left_by.is_some();
        if is_touched {
            let worker = match view.worker_id {
                Some(worker) => Some(self.workers.get(self.connection, &mut self.tallies, worker)?.key),
                None => None,
            };
            let row = ProcessRow::of(self.connection, self.dictionary, &entry.facts, &view, worker)?;
            row.write(self.connection, number)?;
            let (before, old_open_at) = match &mut entry.before {
                Some(Before { state, open_at, .. }) => (Some(*state), std::mem::take(open_at)),
                None => (None, Vec::new()),
            };
            self.roots.entries[root].processes.push(index);
            self.count_process(root, before, row.state)?;
            for worker in old_open_at.iter().filter(|worker| !open_at.contains(worker)) {
                self.open_or_close(*worker, number, row.id, false)?;
            }
            for worker in open_at.iter().filter(|worker| !old_open_at.contains(worker)) {
                self.open_or_close(*worker, number, row.id, true)?;
            }
        }
        self.processes.entries[index].view = Some(view);
        Ok(())
    }

    fn count_process(&mut self, root: usize, before: Option<i64>, after: i64) -> Result<()> {
        if before == Some(after) {
            return Ok(());
        }
        let counts = |code, change: i64, transaction: &mut Self| -> Result<()> {
            let state: State = ids::state(transaction.connection, transaction.dictionary, code)?;
            let count = transaction.roots.entries[root].row.root.counts.of(&state);
            *count = count.saturating_add_signed(change);
            transaction.count(tally::PROCESSES, code, change);
            Ok(())
        };
        if let Some(before) = before {
            counts(before, -1, self)?;
        }
        counts(after, 1, self)
    }

    fn open_or_close(&mut self, worker: WorkerId, number: i64, id: i64, is_open: bool) -> Result<()> {
        let row = self.workers.get(self.connection, &mut self.tallies, worker)?;
        let sql = if is_open {
            row.open += 1;
            "INSERT INTO open(worker, root, id) VALUES(?1, ?2, ?3)"
        } else {
            row.open -= 1;
            "DELETE FROM open WHERE worker = ?1 AND root = ?2 AND id = ?3"
        };
        self.connection.prepare_cached(sql)?.execute(params![row.key, number, id])?;
        Ok(())
    }

    fn write_log(&mut self, number: u64, batch_worker: WorkerId, logged: &ProcessLogged) -> Result<()> {
        let root = self.root(logged.root_id)?;
        let worker = self.workers.get(self.connection, &mut self.tallies, batch_worker)?.key;
        let level = self.dictionary.text_key(self.connection, &logged.level)?;
        let mut text = |text: Option<&String>| text.map(|text| self.dictionary.text_key(self.connection, text)).transpose();
        let (target, stream) = (text(logged.target.as_ref())?, text(logged.stream.as_ref())?);
        let sql = "INSERT OR IGNORE INTO log(root, process, time, worker, number, attempt, level, target, stream, message, fields) \
                   VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        self.connection.prepare_cached(sql)?.execute(params![
            self.roots.entries[root].row.root.number as i64,
            ids::process_key(logged.id),
            logged.time_us as i64,
            worker,
            number as i64,
            logged.attempt,
            level,
            target,
            stream,
            logged.message,
            (!logged.fields.is_empty()).then(|| ids::to_json(&logged.fields))
        ])?;
        Ok(())
    }

    fn keep_unknown(&mut self, number: u64, batch_worker: WorkerId, event: &Event) -> Result<()> {
        let Event::Unknown(unknown) = event else { return Ok(()) };
        let worker = self.workers.get(self.connection, &mut self.tallies, batch_worker)?.key;
        let kind = self.dictionary.text_key(self.connection, &unknown.event_type)?;
        self.count(tally::UNKNOWN, kind, 1);
        let body = serde_json::to_string(unknown).expect("plain data with text keys is JSON");
        let sql = "INSERT OR IGNORE INTO unknown(worker, number, type, body) VALUES(?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![worker, number as i64, kind, body])?;
        Ok(())
    }
}
