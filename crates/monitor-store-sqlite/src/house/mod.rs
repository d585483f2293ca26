//! Housekeeping. Read transactions find the data to delete, and short write transactions delete it.
//!
//! A chore is a sequence of steps. Its state between two steps is kept in [`House`]; after an error the chore starts again.

mod parts;
mod rest;
mod trees;

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};

use monitor_store::retention::Retention;
use monitor_store::{Backup, Budget, Changes, Chore, Housekeeping, Rules, StoreError, Tidied};

pub(super) use self::parts::{Beyond, DropTrees, Dropped, Due, DueCursor, Shrunk, Swept};
use self::rest::Rest;
use self::trees::Trees;
use super::unused::Unused;
use super::write::Writer;
use super::{SqliteStore, copies, retention};

/// Number of rows to delete per transaction after the disk was too full for a larger one.
const SWEPT_WHEN_FULL: usize = 20;
/// Initial value of [`House::gone`]: no search has run yet. It is large enough for the first dropped tree to start one.
const NEVER: u64 = u64::MAX / 2;

/// State of the chores.
pub(super) struct House {
    trees: Mutex<Trees>,
    rest: Mutex<Rest>,
    /// Number of trees removed since the last search for unused texts, origins and workers; at least [`NEVER`] before the first search.
    gone: AtomicU64,
}

impl Default for House {
    fn default() -> Self {
        Self { trees: Mutex::default(), rest: Mutex::default(), gone: AtomicU64::new(NEVER) }
    }
}

impl Housekeeping for SqliteStore {
    fn tidy(&self, chore: Chore, rules: &Rules<'_>, budget: Budget) -> Result<Tidied, StoreError> {
        match chore {
            Chore::Trees => self.house.trees.lock().unwrap_or_else(PoisonError::into_inner).tidy(self, rules, budget),
            Chore::Rest => self.house.rest.lock().unwrap_or_else(PoisonError::into_inner).tidy(self, rules, budget),
        }
    }

    fn backup(&self) -> Result<Backup, StoreError> {
        copies::copy_to_send(self.pool.path(), &self.space)
    }
}

/// Operations that the steps consist of.
impl SqliteStore {
    /// Drops the trees that are not pinned and, unless `drop.may_run` is set, do not run. Queries no longer find them;
    /// [`SqliteStore::sweep`] deletes their rows. Returns the numbers of dropped trees and processes.
    pub(super) fn drop_roots(&self, drop: &DropTrees<'_>, now_us: u64) -> Result<(Dropped, Changes), StoreError> {
        self.free("drop trees", |writer| writer.drop_roots(drop, now_us))
    }

    /// Deletes approximately `rows` rows of dropped trees. Uses smaller transactions if the disk is full.
    pub(super) fn sweep(&self, rows: usize) -> Result<Swept, StoreError> {
        let mut rows = rows;
        self.free("delete what was dropped", |writer| {
            let swept = writer.sweep(rows);
            rows = rows.min(SWEPT_WHEN_FULL);
            swept
        })
    }

    /// Returns the trees that the retention rules no longer keep, starting at `from`, at most `limit` for each reason.
    pub(super) fn due(&self, retention: &Retention, now_us: u64, from: DueCursor, limit: usize) -> Result<Due, StoreError> {
        self.read("look for what is due", |snapshot| retention::due(snapshot, retention, now_us, from, limit))
    }

    /// Returns the oldest trees that have ended and are not pinned, at most `most`, whose removal would reduce the database to `bytes`.
    pub(super) fn oldest_beyond(&self, bytes: u64, most: usize) -> Result<Beyond, StoreError> {
        self.read("look for the oldest trees", |snapshot| Ok(retention::oldest_beyond(snapshot, bytes, most)?))
    }

    /// Deletes events of unknown types from workers last seen before `heard_before_us`, starting with the worker after `after`. Returns the
    /// `after` of the next call; `None` at the end.
    fn trim_unknown(&self, heard_before_us: u64, after: i64) -> Result<Option<i64>, StoreError> {
        self.free("delete events of unknown types", |writer| writer.trim_unknown(heard_before_us, after))
    }

    /// Deletes old sums of minutes and hours, which the sums of longer spans include. Returns true if more remain.
    pub(super) fn trim_sums(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("delete old sums", |writer| writer.trim_sums(now_us))
    }

    /// Deletes the oldest pieces of the log of events, up to a limit, if the log is too large or too old. Returns true if more remain.
    pub(super) fn trim_events(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("trim the log of events", |writer| writer.trim_events(now_us))
    }

    /// Deletes old signs and alerts, up to a limit. Returns true if more remain.
    pub(super) fn trim_alerts(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("delete old signs", |writer| writer.trim_alerts(now_us))
    }

    /// Starts a search for texts, origins and workers that no row refers to since trees were deleted.
    pub(super) fn begin_unused(&self) -> Result<Unused, StoreError> {
        self.write("look for what is unused", Writer::begin_unused)
    }

    /// Scans the next rows for references. Returns true if more remain.
    pub(super) fn find_unused(&self, unused: &mut Unused) -> Result<bool, StoreError> {
        self.read("look for what is unused", |snapshot| Ok(unused.look(snapshot)?))
    }

    /// Deletes some of the texts, origins and workers without references, after the scan. Workers are deleted only if they are gone and
    /// were last seen before `heard_before_us`. Returns true if more remain.
    pub(super) fn drop_unused(&self, unused: &mut Unused, heard_before_us: u64) -> Result<bool, StoreError> {
        self.write("delete what is unused", |writer| {
            let is_more = writer.drop_unused(unused, heard_before_us);
            // Clears the caches of the readers inside the write lock: the next transaction may store a deleted text under another key.
            self.pool.forget();
            is_more
        })
    }

    /// Returns some free pages to the disk, if there are many.
    pub(super) fn shrink(&self) -> Result<Shrunk, StoreError> {
        self.free("give space back", Writer::shrink)
    }
}
