//! Pins and drops trees, and changes the settings of the write-ahead log.
//!
//! Dropping a tree deletes its row of `root` and updates all counts that include it, in one transaction; from then on no query finds the
//! tree. Its number is added to `leaving`, and its other rows are deleted in later transactions, which are kept short so that batches do
//! not wait long. Its roll-ups are kept.

use foldhash::HashSet;
use monitor_store::{Changes, RootKey};
use monitor_wire::{Event, Fields, MAX_TIME_US, UnknownEvent, WorkerId};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Result, params};

use super::changes::{Line, NONE};
use super::rows::{DELETE_LINKED, DELETE_NATIVE, set_open};
use super::workers::Workers;
use super::{Transaction, Writer, tally};
use crate::house::{DropTrees, Dropped, Shrunk, Swept};
use crate::ids::{KNOWN_STATES, code};
use crate::retention;
use crate::roots::{RootRow, find_row};
use crate::row::{COLUMNS, Known, ProcessRow};
use crate::unused::Unused;
use crate::{links, native};

/// Maximum number of write-ahead log pages between two checkpoints while the disk is nearly full.
const SPARING_PAGES: i64 = 64;
/// Maximum size of the write-ahead log after a checkpoint while the disk is nearly full, in bytes.
const SPARING_BYTES: i64 = 1 << 20;
/// Minimum number of log pages between two checkpoints.
const LEAST_PAGES: i64 = 16;
/// Next tree with rows to delete.
pub(in super::super) const NEXT: &str = "SELECT root FROM leaving ORDER BY root LIMIT 1";
/// Worker id of events that the server makes itself.
const NOBODY: u128 = 1;
/// Tables whose rows need no bookkeeping when a tree is deleted, with the columns that identify a row within the tree.
const PLAIN: [(&str, &str); 5] =
    [("failed", "ended, id"), ("overdue", "id"), ("log", "process, time, worker, number"), ("log_kept", "process"), ("queue_task", "id")];

impl RootRow {
    /// True if a process of the tree is running or pending, or the process shown as its root waits for the next attempt.
    pub(in super::super) fn is_running(&self) -> bool {
        let open = self.counts[code::RUNNING as usize] + self.counts[code::PENDING as usize];
        open > 0 || (self.process.is_some() && matches!(self.state, code::RUNNING | code::PENDING | code::RETRYING))
    }
}

impl Writer {
    /// Pins or unpins a tree. Returns `None` if the tree does not exist.
    pub(in super::super) fn pin(&mut self, key: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>> {
        let Some(row) = find_row(&self.connection, key)? else { return Ok(None) };
        if row.is_pinned == is_pinned {
            return Ok(Some(Changes::none()));
        }
        let changes = self.transaction(now_us, |transaction| {
            let index = transaction.root(row.id)?;
            transaction.roots.entries[index as usize].row.is_pinned = is_pinned;
            let sql = "UPDATE root SET pinned = ?2 WHERE number = ?1";
            transaction.connection.prepare_cached(sql)?.execute(params![row.number, is_pinned])?;
            let event = if is_pinned { "root-pinned" } else { "root-unpinned" };
            transaction.push_own(event, index, serde_json::json!({"root_id": row.id, "number": row.number, "time_us": now_us}));
            Ok(())
        });
        Ok(Some(changes?))
    }

    /// Drops the trees that are not pinned and, unless `drop.may_run` is set, have no running processes.
    pub(in super::super) fn drop_roots(&mut self, drop: &DropTrees<'_>, now_us: u64) -> Result<(Dropped, Changes)> {
        let (mut dropped, mut processes) = (Vec::new(), 0);
        let changes = self.transaction(now_us, |transaction| {
            for number in drop.numbers {
                if let Some(row) = find_row(transaction.connection, RootKey::Number(*number))?
                    && !row.is_pinned
                    && (drop.may_run || !row.is_running())
                {
                    transaction.leave(&row)?;
                    dropped.push(*number);
                    processes += row.counts.iter().sum::<u64>();
                }
            }
            if !dropped.is_empty() {
                let event = serde_json::json!({"numbers": dropped, "reason": drop.reason, "time_us": now_us});
                transaction.push_own("roots-dropped", NONE, event);
            }
            Ok(())
        })?;
        Ok((Dropped { trees: dropped.len(), processes }, changes))
    }

    /// Deletes approximately `rows` rows of dropped trees.
    pub(in super::super) fn sweep(&mut self, rows: usize) -> Result<Swept> {
        if self.connection.prepare_cached(NEXT)?.query_row([], |_| Ok(())).optional()?.is_none() {
            return Ok(Swept::default());
        }
        let (mut is_more, mut trees, mut processes) = (false, 0, 0);
        let (page, _, free) = retention::pages(&self.connection)?;
        self.transaction(0, |transaction| {
            let mut rest = rows;
            while let Some(number) = transaction.connection.prepare_cached(NEXT)?.query_row([], |row| row.get(0)).optional()? {
                is_more = rest == 0;
                if is_more {
                    break;
                }
                let (is_gone, rows) = transaction.sweep_tree(number, &mut rest)?;
                trees += u64::from(is_gone);
                processes += rows as u64;
            }
            Ok(())
        })?;
        let freed = retention::pages(&self.connection)?.2 - free;
        Ok(Swept { is_more, trees, processes, freed_bytes: (freed * page).max(0) as u64 })
    }
}

impl Writer {
    pub(in super::super) fn trim_sums(&mut self, now_us: u64) -> Result<bool> {
        retention::trim_sums(&self.connection, now_us)
    }

    pub(in super::super) fn trim_unknown(&mut self, heard_before_us: u64, after: i64) -> Result<Option<i64>> {
        retention::trim_unknown(&self.connection, heard_before_us, after)
    }

    pub(in super::super) fn begin_unused(&mut self) -> Result<Unused> {
        self.dictionary.note_touched(true);
        Unused::begin(&self.connection)
    }

    /// Deletes some unused texts, origins and workers. Returns true if more remain.
    pub(in super::super) fn drop_unused(&mut self, unused: &mut Unused, heard_before_us: u64) -> Result<bool> {
        let mut is_more = false;
        self.transaction(0, |transaction| {
            let connection = transaction.connection;
            let mut gone = Vec::new();
            // Without the noted keys it is unknown which texts are in use again.
            if let Some(touched) = transaction.dictionary.touched() {
                is_more = unused.drop_some(connection, touched, |worker| {
                    gone.extend(delete_worker(connection, worker, heard_before_us)?);
                    Ok(())
                })?;
            }
            for state in gone {
                transaction.count(tally::WORKERS, state, -1);
            }
            Ok(())
        })?;
        // The dictionary notes keys until the whole search is finished.
        if is_more {
            self.dictionary.forget();
        } else {
            self.dictionary.note_touched(false);
        }
        self.workers = Workers::default();
        Ok(is_more)
    }

    pub(in super::super) fn shrink(&mut self) -> Result<Shrunk> {
        retention::shrink(&self.connection, &mut self.is_shrinking, self.is_sparing)
    }

    /// Sets whether the disk is nearly full. If it is, the write-ahead log is kept small and truncated at once.
    pub(in super::super) fn spare(&mut self, is_sparing: bool) -> Result<()> {
        self.is_sparing = is_sparing;
        self.limit_log()?;
        if is_sparing { self.cut_log() } else { Ok(()) }
    }

    /// Sets the size of the write-ahead log at which a checkpoint starts, and its maximum size afterwards.
    pub(super) fn limit_log(&self) -> Result<()> {
        let page: i64 = self.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = (self.log_bytes / page).max(LEAST_PAGES);
        let (pages, bytes) = if self.is_sparing { (pages.min(SPARING_PAGES), SPARING_BYTES) } else { (pages, 2 * self.log_bytes) };
        self.connection.pragma_update(None, "wal_autocheckpoint", pages)?;
        self.connection.query_row(&format!("PRAGMA journal_size_limit={bytes}"), [], |_| Ok(()))
    }

    /// Returns the size of the database in bytes, including pages that are only in the write-ahead log.
    pub(in super::super) fn size_bytes(&self) -> Result<u64> {
        let (page, pages, _) = retention::pages(&self.connection)?;
        Ok((page * pages) as u64)
    }

    /// Runs a checkpoint and truncates the write-ahead log, unless a reader prevents it.
    pub(in super::super) fn cut_log(&mut self) -> Result<()> {
        retention::cut_log(&self.connection).map(drop)
    }

    /// Returns the number of the latest committed change.
    pub(in super::super) fn seq(&self) -> u64 {
        self.counter.seq
    }

    /// Disables the checkpoint when the connection is closed.
    pub(in super::super) fn leave_log(&self) {
        let left = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err(error) = left {
            tracing::debug!(%error, "could not leave the log as it is");
        }
    }

    /// Tests whether the database is writable, with a transaction that changes a value and restores it.
    ///
    /// SQLite writes nothing for an update by the same value, and then reports success on a full disk.
    pub(in super::super) fn try_to_write(&mut self) -> Result<()> {
        let transaction = rusqlite::Transaction::new_unchecked(&self.connection, rusqlite::TransactionBehavior::Immediate)?;
        for change in [1, -1] {
            transaction.prepare_cached("UPDATE counter SET seq = seq + ?1")?.execute([change])?;
        }
        transaction.commit()
    }
}

/// Deletes a worker that is offline, lost or not watched for silence, and that was last seen before `heard_before_us`. Keeps it if it has
/// processes, origins, tasks of queues, unknown events or waiting events, or if an existing tree lacks events that it dropped. Returns its state if it was
/// deleted.
fn delete_worker(connection: &Connection, key: i64, heard_before_us: u64) -> Result<Option<i64>> {
    let sql = "DELETE FROM worker WHERE key = ?1 AND (state <> 0 OR due IS NULL) AND last_seen < ?2 AND open = 0 \
               AND NOT EXISTS (SELECT 1 FROM origin WHERE worker = ?1) AND NOT EXISTS (SELECT 1 FROM unknown WHERE worker = ?1) \
               AND NOT EXISTS (SELECT 1 FROM origin WHERE relay = ?1 AND relay > 0) \
               AND NOT EXISTS (SELECT 1 FROM queue_task WHERE worker = ?1) AND NOT EXISTS (SELECT 1 FROM waiting WHERE worker = ?1) \
               AND NOT EXISTS (SELECT 1 FROM dropped JOIN root ON root.id = dropped.root WHERE dropped.worker = ?1) RETURNING state";
    let heard_before = heard_before_us.min(i64::MAX as u64) as i64;
    let state = connection.prepare_cached(sql)?.query_row([key, heard_before], |row| row.get(0)).optional()?;
    if state.is_some() {
        for table in ["worker_events", "dropped"] {
            connection.prepare_cached(&format!("DELETE FROM {table} WHERE worker = ?1"))?.execute([key])?;
        }
    }
    Ok(state)
}

impl Transaction<'_> {
    /// Adds an event of a type that the wire crate does not define. `root` is the index of a root of the transaction, or [`NONE`].
    fn push_own(&mut self, event_type: &str, root: u32, fields: serde_json::Value) {
        let serde_json::Value::Object(mut fields) = fields else { unreachable!("events are objects") };
        fields.insert("type".to_owned(), event_type.into());
        let fields = fields.into_iter().collect::<Fields>();
        self.push_event(Event::Unknown(UnknownEvent { event_type: event_type.to_owned(), fields }), root);
    }

    /// Adds an event made by the server. `root` is the index of a root of the transaction, or [`NONE`].
    pub(super) fn push_event(&mut self, event: Event, root: u32) {
        self.lines.push(Line { batch: NONE, event: self.own.len() as u32, root, entry: NONE, worker: NONE });
        self.own.push((WorkerId::new(NOBODY).expect("not zero"), event));
    }

    /// Removes a tree from all lists and counts, and adds it to `leaving`.
    fn leave(&mut self, row: &RootRow) -> Result<()> {
        self.connection.prepare_cached("DELETE FROM root WHERE number = ?1")?.execute([row.number])?;
        self.connection.prepare_cached("INSERT INTO leaving(root) VALUES(?1)")?.execute([row.number])?;
        self.connection.prepare_cached("DELETE FROM wide WHERE root = ?1")?.execute([row.number])?;
        self.cache.forget(row.id);
        self.count_root(row.name, row.state, -1);
        // Processes in other states (retrying, or unknown to this build) are subtracted when their rows are deleted.
        for code in 0..KNOWN_STATES {
            self.roots.states[code] -= row.counts[code] as i64;
        }
        Ok(())
    }

    /// Deletes up to `rest` rows of a tree. Returns true if none remain, and the number of deleted processes.
    fn sweep_tree(&mut self, number: i64, rest: &mut usize) -> Result<(bool, usize)> {
        let rows = self.first_rows(number, *rest)?;
        let processes = rows.len();
        *rest -= processes;
        if let Some(last) = rows.last() {
            self.let_go(number, &rows)?;
            let sql = "DELETE FROM process WHERE root = ?1 AND id <= ?2";
            self.connection.prepare_cached(sql)?.execute([number, last.id])?;
        }
        for (table, columns) in PLAIN {
            if *rest == 0 {
                return Ok((false, processes));
            }
            let sql = format!(
                "DELETE FROM {table} WHERE root = ?1 AND ({columns}) IN (SELECT {columns} FROM {table} WHERE root = ?1 ORDER BY {columns} LIMIT ?2)"
            );
            *rest -= self.connection.prepare_cached(&sql)?.execute(params![number, *rest as i64])?;
        }
        let is_gone = *rest > 0;
        if is_gone {
            self.connection.prepare_cached("DELETE FROM leaving WHERE root = ?1")?.execute([number])?;
            // Counts as a row, so that a transaction does not handle an unlimited number of empty trees.
            *rest -= 1;
        }
        Ok((is_gone, processes))
    }

    fn first_rows(&self, number: i64, limit: usize) -> Result<Vec<ProcessRow>> {
        // The row of the root, which has its base, is deleted. The times must only be in order, so none of them may become negative.
        const BASE: i64 = MAX_TIME_US as i64;
        let sql = format!("SELECT {COLUMNS} FROM process WHERE root = ?1 ORDER BY id LIMIT ?2");
        let mut statement = self.connection.prepare_cached(&sql)?;
        statement.query_map([number, limit as i64], |row| ProcessRow::read(row, BASE))?.collect()
    }

    /// Removes processes from the side tables for open, overdue and linked processes, rare kinds and ids of other systems.
    fn let_go(&mut self, number: i64, rows: &[ProcessRow]) -> Result<()> {
        let mut kinds = HashSet::default();
        for row in rows {
            if let Some(site) = row.site {
                kinds.extend(self.dictionary.site(self.connection, site)?.rare_kind);
            }
            if row.state >= KNOWN_STATES as i64 {
                self.count_state(row.state, -1);
            }
            if row.end_no.is_none() {
                self.no_longer_overdue((number, row.id))?;
                let known = row.known(self.connection, self.dictionary)?;
                if let Some(hash) = native::hash_of(&known) {
                    self.connection.prepare_cached(DELETE_NATIVE)?.execute([hash, number, row.id])?;
                }
                for hash in links::hashes_of(&known, None) {
                    self.connection.prepare_cached(DELETE_LINKED)?.execute([hash, number, row.id])?;
                }
                let workers = match known {
                    Known::Plain(plain) => vec![self.dictionary.worker_id(self.connection, plain.worker)?],
                    Known::Full(facts) => facts.open_at(),
                };
                for worker in workers {
                    self.close(worker, number, row.id)?;
                }
            }
        }
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let sql = "DELETE FROM rare WHERE kind = ?1 AND root = ?2 AND id >= ?3 AND id <= ?4";
            let mut statement = self.connection.prepare_cached(sql)?;
            for kind in kinds {
                statement.execute([kind, number, first.id, last.id])?;
            }
        }
        Ok(())
    }

    fn close(&mut self, worker: WorkerId, number: i64, id: i64) -> Result<()> {
        let row = self.workers.get(self.connection, &mut self.tallies, worker)?;
        row.open -= set_open(self.connection, (row.key, number, id), false)? as i64;
        Ok(())
    }
}
