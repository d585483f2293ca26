//! Operations that change the store: storing batches, changes made by people, and the progress of readers inside the server.

use std::sync::Arc;

use super::{AlertsChange, Changes, HeartbeatEdit, MissedPing, RootKey, StoreError, TaskChange, TasksChanged, Watched};
use crate::packed::Packed;

/// Operations that change the store. Every method blocks, and its changes are durable when it returns. Only one thread, the server's
/// writer, calls these methods, so that changes are published in the order of their numbers.
///
/// `now_us` is the server's clock in Unix microseconds.
///
/// # Errors
/// Every method returns an error if the store fails. Nothing is changed then.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Intake: Send + Sync + 'static {
    /// Stores all `batches` or none of them, and returns the changes in order. Storing a batch again changes nothing.
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError>;

    /// Records as lost every worker that has sent nothing for two of its heartbeat intervals, counted from the later of its last batch and
    /// `since_us`. Records a silent worker that never announced itself as offline if none of its processes is open.
    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError>;

    /// Reports processes that became overdue since the last call: those that run for longer than their timeout or, without a timeout, for
    /// longer than three times the 99th percentile of past runs of their name. Also stores the signs of tasks that are paused for longer
    /// than a day.
    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError>;

    /// Pins a tree, so that no retention rule drops it, or unpins it. Returns `None` if there is no such tree.
    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError>;

    /// Drops a tree at a client's request. Queries no longer find it once this returns. Changes nothing if the tree is pinned, or if it is
    /// running and `may_run` is false. Returns `None` if there is no such tree.
    fn drop_root(&self, root: RootKey, may_run: bool, now_us: u64) -> Result<Option<Changes>, StoreError>;

    /// Moves the cursor of a reader inside the server from event number `from` to `to`. `from` is `None` for a new cursor. Returns false
    /// and changes nothing if the cursor is not at `from`, because another caller has moved it.
    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError>;

    /// Applies all of these changes to batch tasks. If one of them is refused, none is applied.
    fn change_tasks(&self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes), StoreError>;

    /// Changes a heartbeat. Returns false if the heartbeat to add exists already, or if the heartbeat to change doesn't exist.
    fn change_heartbeat(&self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes), StoreError>;

    /// Reports pings that were not received. Skips those that were received since or were reported before.
    fn miss_pings(&self, missed: &[MissedPing], now_us: u64) -> Result<Changes, StoreError>;

    /// Sets the processes outside batch tasks whose signs are stored from now on. Replaces the previous setting.
    fn watch(&self, watched: Watched) -> Result<(), StoreError>;

    /// Applies all parts of the change. Returns false and changes nothing if the change moves the cursor and another caller has moved it
    /// already.
    fn change_alerts(&self, change: &AlertsChange, now_us: u64) -> Result<bool, StoreError>;

    /// Returns an error while batches can't or must not be stored. If `is_well` is false, because an operation has failed since the last
    /// check, also tests whether the store can be written. The writer calls this about every second.
    fn look(&self, is_well: bool) -> Result<(), StoreError>;
}
