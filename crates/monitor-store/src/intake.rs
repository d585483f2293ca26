//! What the store takes: events, and changes made by people and by readers inside the server.

use std::sync::Arc;

use super::{AlertsChange, Changes, HeartbeatEdit, MissedPing, RootKey, StoreError, TaskChange, TasksChanged, Watched};
use crate::packed::Packed;

/// Takes what happened. Every method blocks, and is durable once it returns. One caller at a time, so that the changes of all are told in
/// the order of their numbers: the writer of the server.
///
/// `now_us` is the server's clock.
///
/// # Errors
/// Every method fails if the store does; nothing is changed then.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Intake: Send + Sync + 'static {
    /// Takes all of `batches` or none of them; taking one again changes nothing. What changed, in order.
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError>;

    /// Records as lost every worker not heard of for two of its heartbeats, counted from the later of its last batch and `since_us`.
    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError>;

    /// Tells of the processes that are overdue since the last time: those that run for longer than their timeout or, without one, than
    /// three times what 99 % of the past runs of their name took at most.
    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError>;

    /// Pins a tree, so that no rule drops it, or unpins it; none if there is no such tree.
    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError>;

    /// Drops a tree because somebody asked for it: at once nobody finds it any more. Nothing changes if it is pinned or, unless `may_run`,
    /// runs. None if there is no such tree.
    fn drop_root(&self, root: RootKey, may_run: bool, now_us: u64) -> Result<Option<Changes>, StoreError>;

    /// Moves a reader inside the server from one event to another; from none if it is new. False, and nothing is changed, if it isn't
    /// there: another has moved it.
    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError>;

    /// Changes all of these batch tasks, or none of them if one change is refused.
    fn change_tasks(&self, changes: &[TaskChange], now_us: u64) -> Result<(TasksChanged, Changes), StoreError>;

    /// Changes a heartbeat; false if one that is to be new is there already, or another is not.
    fn change_heartbeat(&self, edit: HeartbeatEdit, now_us: u64) -> Result<(bool, Changes), StoreError>;

    /// Tells of pings that did not come, unless they came meanwhile or were told of before.
    fn miss_pings(&self, missed: &[MissedPing], now_us: u64) -> Result<Changes, StoreError>;

    /// Signs of processes of these names are stored from here on.
    fn watch(&self, watched: Watched) -> Result<(), StoreError>;

    /// Changes all of this; false, and nothing is changed, if another has moved the cursor.
    fn change_alerts(&self, change: &AlertsChange, now_us: u64) -> Result<bool, StoreError>;

    /// Fails while batches can't or must not be stored. `is_well`: none failed since the last look; else it tries to write. To be asked
    /// every second or so.
    fn look(&self, is_well: bool) -> Result<(), StoreError>;
}
