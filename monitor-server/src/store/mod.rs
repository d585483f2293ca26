//! What the server keeps: intentions in plain types, so that another database can take this one's place.

mod changes;
mod columns;
mod error;
mod event_log;
mod retention;
pub(crate) mod space;
mod sqlite;

use std::path::Path;
use std::sync::Arc;

use monitor_wire::{
    CausesPage, ErrorsPage, Kind, LogsPage, Process, ProcessId, ProcessesPage, Root, RootId, RootNamesPage, RootsPage, State, StatsPage,
    StatsSeries, Status, TreePage, Worker, WorkerId, WorkersPage,
};

pub use self::changes::{Change, Changes, Tell};
pub use self::columns::{MEDIA_TYPE as COLUMNS_MEDIA_TYPE, TreeColumns};
pub use self::error::StoreError;
pub use self::event_log::{Cursor, KeepEvents, Logged, Models, Subject};
pub use self::retention::{Beyond, Drop, Dropped, Due, Place, Shrunk, Swept};
pub use self::sqlite::{Checked, Opened, Restored, Salvaged, SqliteStore, Unused, backup, check, restore, salvage};
pub(crate) use self::sqlite::{NUMEROUS, create_private, open_private, serve_at, served_at};
use crate::packed::Packed;
use crate::retention::Retention;

/// Takes events and answers questions. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the database or its disk does; lists also for a cursor that they did not make.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Store: Send + Sync + 'static {
    /// Reads the smallest thing that there is, without waiting for those who ask something else.
    fn probe(&self) -> Result<(), StoreError>;

    /// Takes all of `batches` or none of them, durably; taking one again changes nothing. What changed, in order.
    ///
    /// `now_us` is the server's clock: when its workers were last heard of.
    fn append(&self, batches: &[Arc<Packed>], now_us: u64) -> Result<Changes, StoreError>;

    /// Records as lost every worker not heard of for two of its heartbeats, counted from the later of its last batch and `since_us`.
    fn lose_workers(&self, now_us: u64, since_us: u64) -> Result<Changes, StoreError>;

    /// Pins a tree, so that no rule drops it, or unpins it; none if there is no such tree.
    fn pin(&self, root: RootKey, is_pinned: bool, now_us: u64) -> Result<Option<Changes>, StoreError>;

    /// Drops those of these trees that are not pinned and, unless that is asked for, not running: at once nobody finds them any more,
    /// their rows go by [`Store::sweep`]. What they were.
    fn drop_roots(&self, drop: &Drop<'_>, now_us: u64) -> Result<(Dropped, Changes), StoreError>;

    /// Deletes up to about so many rows of what was dropped.
    fn sweep(&self, rows: usize) -> Result<Swept, StoreError>;

    /// What the rules say that is due, at most `limit` trees for each reason, from a place on.
    fn due(&self, retention: &Retention, now_us: u64, from: Place, limit: usize) -> Result<Due, StoreError>;

    /// The oldest trees that have ended and are not pinned, as many as have to go, but at most `most`, for the database to hold no more
    /// than so many bytes.
    fn oldest_beyond(&self, bytes: u64, most: usize) -> Result<Beyond, StoreError>;

    /// Deletes events of unknown types of workers that were last heard of before this time: some of those of workers after `after`, a
    /// place of the store's own. The next such place; none at the end.
    fn trim_unknown(&self, heard_before_us: u64, after: i64) -> Result<Option<i64>, StoreError>;

    /// Deletes some sums of short times that are too old, which are in those of longer times; whether there are more.
    fn trim_sums(&self, now_us: u64) -> Result<bool, StoreError>;

    /// The piece of the log of events with the one after number `after`; none if that isn't kept any more.
    fn logged(&self, after: u64) -> Result<Option<Logged>, StoreError>;

    /// What there is of each of these, and the number of the newest change that it knows.
    fn models(&self, of: &[Subject]) -> Result<(Vec<Models>, u64), StoreError>;

    /// Deletes some of the oldest pieces of the log of events, if it is larger or older than it may be; true if there is more to delete.
    fn trim_events(&self, now_us: u64) -> Result<bool, StoreError>;

    /// How far a reader inside the server is, by its name; none if it has never been anywhere.
    fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError>;

    /// Moves a reader inside the server from one event to another; from none if it is new. False, and nothing is changed, if it isn't
    /// there: another has moved it.
    fn move_cursor(&self, name: &str, from: Option<u64>, to: u64) -> Result<bool, StoreError>;

    /// Begins to look for words and workers that nothing refers to any more, since the trees that had them are gone.
    fn begin_unused(&self) -> Result<Unused, StoreError>;

    /// Looks at some more of what refers to them; whether there is more.
    fn find_unused(&self, unused: &mut Unused) -> Result<bool, StoreError>;

    /// Deletes some of those that nothing referred to, once all was looked at; of workers only those that are gone and were last heard
    /// of before this time. Whether there is more.
    fn drop_unused(&self, unused: &mut Unused, heard_before_us: u64) -> Result<bool, StoreError>;

    /// Gives some of the free space back to the disk, if there is much.
    fn shrink(&self) -> Result<Shrunk, StoreError>;

    /// Copies all of it, as it is at one moment, into a new file beside it; how many bytes that has.
    fn backup(&self, file: &Path) -> Result<u64, StoreError>;

    /// One root; none if there is no such tree.
    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError>;

    /// When something of the newest tree came last, by the server's clock, in Unix microseconds; none if there is no tree.
    fn newest_us(&self) -> Result<Option<u64>, StoreError>;

    /// Whether there was a tree of this number that is there no more.
    fn is_dropped(&self, number: u64) -> Result<bool, StoreError>;

    /// Tells of the processes that are overdue since the last time: those that run for longer than their timeout or, without one, than
    /// three times what 99 % of the past runs of their name took at most.
    fn find_overdue(&self, now_us: u64) -> Result<Changes, StoreError>;

    /// One page of roots.
    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError>;

    /// One page of a tree; none if there is no such tree.
    fn tree(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<TreePage>, StoreError>;

    /// The same page as JSON.
    fn tree_json(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<Vec<u8>>, StoreError>;

    /// A whole tree as columns, from one snapshot that is over when this returns; none if there is no such tree.
    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError>;

    /// One process; none if there is no such process.
    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError>;

    /// The processes of the newest trees whose ids are from the first to the second of these, newest trees first, at most so many.
    fn processes_of_ids(&self, ids: (ProcessId, ProcessId), limit: usize) -> Result<ProcessesPage, StoreError>;

    /// One page of processes across trees.
    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError>;

    /// One page of what a process of a tree said, or all of them; none if there is no such tree or process.
    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError>;

    /// The order of a tree; none if there is no such tree.
    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError>;

    /// These processes of a tree, as far as they are there, each with its place among `ids`; where they stand in their tree is not told.
    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError>;

    /// All that ever ended, by name: at most so many names, those with the most runs, and the others together.
    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError>;

    /// One page of workers, newest first.
    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError>;

    /// One worker; none if there is no such worker.
    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, StoreError>;

    /// One page of statistics by name.
    fn stats(&self, query: &StatsQuery) -> Result<StatsPage, StoreError>;

    /// Statistics over time.
    fn stats_series(&self, query: &SeriesQuery) -> Result<StatsSeries, StoreError>;

    /// The most frequent errors.
    fn stats_errors(&self, query: &ErrorsQuery) -> Result<ErrorsPage, StoreError>;

    /// What roots failed by, the kind that failed last first.
    fn stats_causes(&self, query: &CausesQuery) -> Result<CausesPage, StoreError>;

    /// One page of the names of roots, that of the root that began last first; of those that contain `text`, if it is given.
    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError>;

    /// The store at a glance. The server fills in what the store can't know: its version and start, its queue and rules.
    fn status(&self) -> Result<Status, StoreError>;

    /// Fails while batches can't or must not be stored. `is_well`: none failed since the last look; else it tries to write. To be asked
    /// every second or so.
    fn look(&self, is_well: bool) -> Result<(), StoreError>;
}

/// About how many bytes [`Store::tree_json`] takes for so many processes.
pub(crate) fn tree_json_bytes(processes: usize) -> usize {
    600_usize.saturating_mul(processes.saturating_add(2))
}

/// A tree, by either of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKey {
    /// Its id.
    Id(RootId),
    /// The short number that the server gave it.
    Number(u64),
}

/// In which order roots are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootSort {
    /// Those that began last first, by their start or what is known instead of it.
    #[default]
    Newest,
    /// Those that began first.
    Oldest,
}

/// Which roots to list. Empty and `None` mean: any.
#[derive(Debug, Clone, Default)]
pub struct RootsQuery {
    /// One of these states.
    pub states: Vec<State>,
    /// Exactly this name.
    pub name: Option<String>,
    /// Exactly this batch mark.
    pub batch: Option<String>,
    /// Run by this worker.
    pub worker: Option<WorkerId>,
    /// Whether the root's own process was started without a context.
    pub unattached: Option<bool>,
    /// Contains this, case-insensitively, in name, batch mark, its error or that one's causes; or has this number, or an id that begins so.
    pub text: Option<String>,
    /// Started at or after.
    pub started_after: Option<u64>,
    /// Started before.
    pub started_before: Option<u64>,
    /// In which order.
    pub sort: RootSort,
    /// How many are left out, from the cursor on.
    pub offset: usize,
    /// At most so many.
    pub limit: usize,
    /// From where the page before ended.
    pub cursor: Option<String>,
}

/// Which processes to list: newest first within a tree, and newest trees first. Empty and `None` mean: any.
#[derive(Debug, Clone, Default)]
pub struct ProcessesQuery {
    /// In this tree.
    pub root: Option<RootKey>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Exactly this name.
    pub name: Option<String>,
    /// Run by this worker.
    pub worker: Option<WorkerId>,
    /// One of these states.
    pub states: Vec<State>,
    /// Contains this in name or error.
    pub text: Option<String>,
    /// Started at or after.
    pub started_after: Option<u64>,
    /// Started before.
    pub started_before: Option<u64>,
    /// At most so many.
    pub limit: usize,
    /// From where the page before ended.
    pub cursor: Option<String>,
}

/// The processes of a tree in pre-order, siblings as they started.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The tree.
    pub root: Root,
    /// Its processes.
    pub standing: Vec<Standing>,
}

/// Where a process stands in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The process.
    pub id: ProcessId,
    /// When it began, as far as is known, in Unix microseconds.
    pub at_us: u64,
    /// How deep it hangs.
    pub depth: u32,
    /// Its parent is not known.
    pub is_orphan: bool,
}

/// All that ever ended of a name.
#[derive(Debug, Clone, PartialEq)]
pub struct NameTotals {
    /// The name; none for the others together.
    pub name: Option<String>,
    /// How many ended in each state.
    pub states: std::collections::BTreeMap<String, u64>,
    /// All durations together.
    pub total_ns: u128,
    /// `(i, count)`, ascending: bucket i = [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
}

/// Which lines of logs to list. `None` means: any.
#[derive(Debug, Clone, Default)]
pub struct LogsQuery {
    /// Said by this process.
    pub process: Option<ProcessId>,
    /// Not of these levels.
    pub without_levels: &'static [&'static str],
    /// Contains this, in any case, in message, target or fields.
    pub text: Option<String>,
    /// The latest first.
    pub is_newest_first: bool,
    /// At most so many.
    pub limit: usize,
    /// From where the page before ended.
    pub cursor: Option<String>,
}

/// Which statistics to read. Times are Unix microseconds; `None` means: any.
#[derive(Debug, Clone, Default)]
pub struct StatsQuery {
    /// Of what ended at or after this time.
    pub from_us: Option<u64>,
    /// Of what ended before this time.
    pub to_us: Option<u64>,
    /// Of exactly this name.
    pub name: Option<String>,
    /// Of the names that contain this.
    pub text: Option<String>,
    /// In which order.
    pub sort: StatsSort,
    /// At most so many.
    pub limit: usize,
    /// From where the page before ended.
    pub cursor: Option<String>,
}

/// In which order statistics are listed: the greatest first, names from A to Z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatsSort {
    /// By how many there are.
    #[default]
    Count,
    /// By how many failed.
    Failed,
    /// By all durations together.
    Total,
    /// By the longest.
    Max,
    /// By the median.
    P50,
    /// By the 95th percentile.
    P95,
    /// By the 99th percentile.
    P99,
    /// By name.
    Name,
}

/// Which statistics over time to read. Times are Unix microseconds.
#[derive(Debug, Clone, Default)]
pub struct SeriesQuery {
    /// From here on; from the beginning if none.
    pub from_us: Option<u64>,
    /// Up to here; to the end if none.
    pub to_us: Option<u64>,
    /// Of exactly this name; of all together if none.
    pub name: Option<String>,
    /// How long a step is at least.
    pub step_us: Option<u64>,
}

/// Which errors to read. Times are Unix microseconds; `None` means: any.
#[derive(Debug, Clone, Default)]
pub struct ErrorsQuery {
    /// Of what ended at or after this time.
    pub from_us: Option<u64>,
    /// Of what ended before this time.
    pub to_us: Option<u64>,
    /// Of exactly this name.
    pub name: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Of which failures to read the causes. Times are Unix microseconds; `None` means: any.
#[derive(Debug, Clone, Default)]
pub struct CausesQuery {
    /// Of what ended at or after this time.
    pub from_us: Option<u64>,
    /// Of what ended before this time.
    pub to_us: Option<u64>,
    /// At most so many.
    pub limit: usize,
}
