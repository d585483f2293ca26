//! Keeping house: what is due is looked for by a reader, and goes in steps of the writer.
//!
//! A chore is a walk from step to step. What it knows between two of them stands here; after an error it begins anew.

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

/// So many rows of dropped trees are deleted in a transaction when the disk had no room for one of more.
const SWEPT_WHEN_FULL: usize = 20;
/// No search for what is unused so far: the first tree that goes is worth one.
const NEVER: u64 = u64::MAX / 2;

/// How far the chores are.
pub(super) struct House {
    trees: Mutex<Trees>,
    rest: Mutex<Rest>,
    /// How many trees went since what is unused was looked for; without a last time, as many as there may ever be.
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

/// The parts of which steps are made.
impl SqliteStore {
    /// Drops those of these trees that are not pinned and, unless that is asked for, not running: at once nobody finds them any more,
    /// their rows go by [`SqliteStore::sweep`]. What they were.
    pub(super) fn drop_roots(&self, drop: &DropTrees<'_>, now_us: u64) -> Result<(Dropped, Changes), StoreError> {
        self.free("drop trees", |writer| writer.drop_roots(drop, now_us))
    }

    /// Deletes up to about so many rows of what was dropped.
    pub(super) fn sweep(&self, rows: usize) -> Result<Swept, StoreError> {
        let mut rows = rows;
        self.free("delete what was dropped", |writer| {
            let swept = writer.sweep(rows);
            rows = rows.min(SWEPT_WHEN_FULL);
            swept
        })
    }

    /// What the rules say that is due, at most `limit` trees for each reason, from a place on.
    pub(super) fn due(&self, retention: &Retention, now_us: u64, from: DueCursor, limit: usize) -> Result<Due, StoreError> {
        self.read("look for what is due", |snapshot| retention::due(snapshot, retention, now_us, from, limit))
    }

    /// The oldest trees that have ended and are not pinned, as many as have to go, but at most `most`, for the database to hold no more
    /// than so many bytes.
    pub(super) fn oldest_beyond(&self, bytes: u64, most: usize) -> Result<Beyond, StoreError> {
        self.read("look for the oldest trees", |snapshot| Ok(retention::oldest_beyond(snapshot, bytes, most)?))
    }

    /// Deletes events of unknown types of workers that were last heard of before this time: some of those of workers after `after`. The
    /// next such place; none at the end.
    fn trim_unknown(&self, heard_before_us: u64, after: i64) -> Result<Option<i64>, StoreError> {
        self.free("delete events of unknown types", |writer| writer.trim_unknown(heard_before_us, after))
    }

    /// Deletes some sums of short times that are too old, which are in those of longer times; true if there are more.
    pub(super) fn trim_sums(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("delete old sums", |writer| writer.trim_sums(now_us))
    }

    /// Deletes some of the oldest pieces of the log of events, if it is larger or older than it may be; true if there is more to delete.
    pub(super) fn trim_events(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("trim the log of events", |writer| writer.trim_events(now_us))
    }

    /// Deletes some of what is too old of signs and alerts; true if there is more.
    pub(super) fn trim_alerts(&self, now_us: u64) -> Result<bool, StoreError> {
        self.free("delete old signs", |writer| writer.trim_alerts(now_us))
    }

    /// Begins to look for words and workers that nothing refers to any more, since the trees that had them are gone.
    pub(super) fn begin_unused(&self) -> Result<Unused, StoreError> {
        self.write("look for what is unused", Writer::begin_unused)
    }

    /// Looks at some more of what refers to them; true if there is more.
    pub(super) fn find_unused(&self, unused: &mut Unused) -> Result<bool, StoreError> {
        self.read("look for what is unused", |snapshot| Ok(unused.look(snapshot)?))
    }

    /// Deletes some of those that nothing referred to, once all was looked at; of workers only those that are gone and were last heard
    /// of before this time. True if there is more.
    pub(super) fn drop_unused(&self, unused: &mut Unused, heard_before_us: u64) -> Result<bool, StoreError> {
        self.write("delete what is unused", |writer| {
            let is_more = writer.drop_unused(unused, heard_before_us);
            // Before anyone can write a word anew, under another key.
            self.pool.forget();
            is_more
        })
    }

    /// Gives some of the free space back to the disk, if there is much.
    pub(super) fn shrink(&self) -> Result<Shrunk, StoreError> {
        self.free("give space back", Writer::shrink)
    }
}
