//! Questions to the store, and the answers that the wire has no type for.

use monitor_wire::{
    CausesPage, ErrorsPage, Kind, LinkedFrom, LogsPage, Process, ProcessId, ProcessesPage, Root, RootId, RootNamesPage, RootsPage, State,
    StatsPage, StatsSeries, Status, TreePage, Worker, WorkerId, WorkersPage,
};

use super::{Cursor, Logged, Models, StoreError, Subject, TreeColumns};

/// Answers questions. Every method blocks; call it where blocking is allowed.
///
/// # Errors
/// Every method fails if the store does; lists also for a cursor that they did not make.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Queries: Send + Sync + 'static {
    /// Reads the smallest thing that there is, without waiting for those who ask something else.
    fn probe(&self) -> Result<(), StoreError>;

    /// The store at a glance. The server fills in what the store can't know: its version and start, its queue and rules.
    fn status(&self) -> Result<Status, StoreError>;

    /// One root; none if there is no such tree.
    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError>;

    /// When something of the newest tree came last, by the server's clock, in Unix microseconds; none if there is no tree.
    fn newest_us(&self) -> Result<Option<u64>, StoreError>;

    /// Returns true if there was a tree of this number that is there no more.
    fn is_dropped(&self, number: u64) -> Result<bool, StoreError>;

    /// One page of roots.
    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError>;

    /// One page of the names of roots, that of the root that began last first; of those that contain `text`, if it is given.
    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError>;

    /// Hands one page of a tree to `read`: a page without processes, and the processes one by one, so that not all of them need be in
    /// memory. False, and nothing is handed over, if there is no such tree. If this fails, not all processes were handed over.
    fn read_tree(&self, root: RootKey, limit: usize, cursor: Option<&str>, read: ReadTree<'_>) -> Result<bool, StoreError>;

    /// One page of a tree; none if there is no such tree.
    fn tree(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<TreePage>, StoreError> {
        let mut page = None;
        self.read_tree(root, limit, cursor, &mut |head, processes| page = Some(TreePage { processes: processes.collect(), ..head }))?;
        Ok(page)
    }

    /// A whole tree as columns, from one snapshot that is over when this returns; none if there is no such tree.
    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError>;

    /// The order of a tree; none if there is no such tree.
    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError>;

    /// These processes of a tree, as far as they are there, each with its place among `ids`; where they stand in their tree is not told.
    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError>;

    /// One process; none if there is no such process.
    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError>;

    /// The links that lead to a process from other trees: those of so many processes, of the newest trees first.
    fn linked_from(&self, root: RootId, id: ProcessId, limit: usize) -> Result<LinkedFrom, StoreError>;

    /// The processes whose ids are from the first to the second of these, newest trees first, at most so many.
    fn processes_of_ids(&self, ids: (ProcessId, ProcessId), limit: usize) -> Result<ProcessesPage, StoreError>;

    /// One page of processes across trees.
    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError>;

    /// One page of what a process of a tree said, or all of them; none if there is no such tree or process.
    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError>;

    /// One page of workers, newest first.
    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError>;

    /// Workers that are online and tell when they will be heard of again, and when the server last heard of them.
    fn online(&self) -> Result<Vec<(WorkerId, u64)>, StoreError>;

    /// Those of these workers in which something of a tree runs or waits to.
    fn running_in(&self, root: RootKey, workers: &[WorkerId]) -> Result<Vec<WorkerId>, StoreError>;

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

    /// All that ever ended, by name: at most so many names, those with the most runs, and the others together.
    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError>;

    /// The piece of the log of events with the one after number `after`; none if that isn't kept any more.
    fn logged(&self, after: u64) -> Result<Option<Logged>, StoreError>;

    /// What there is of each of these, and the number of the newest change that it knows.
    fn models(&self, of: &[Subject]) -> Result<(Vec<Models>, u64), StoreError>;

    /// How far a reader inside the server is, by its name; none if it has never been anywhere.
    fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError>;
}

/// Takes a page of a tree: what it says beside its processes, and these, one by one.
pub type ReadTree<'a> = &'a mut dyn FnMut(TreePage, &mut dyn Iterator<Item = Process>);

/// A tree, by either of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKey {
    /// Its id.
    Id(RootId),
    /// The short number that the server gave it.
    Number(u64),
}

/// So many processes that have a link to one are counted.
pub const MOST_LINKED: usize = 1_000;

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
    /// With this id of another system.
    pub native_id: Option<String>,
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

impl ProcessesQuery {
    /// Kinds of which there are so many that they should only be searched within a tree or a range of time.
    pub const NUMEROUS: [Kind; 3] = [Kind::NORMAL, Kind::CROSS_THREAD, Kind::SPAN];

    /// Returns true if the query would search numerous processes of all times.
    pub fn is_boundless(&self) -> bool {
        let is_numerous = self.kind.as_ref().is_none_or(|kind| Self::NUMEROUS.contains(kind));
        is_numerous && self.native_id.is_none() && self.root.is_none() && self.started_after.is_none()
    }
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
