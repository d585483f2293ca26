//! Queries about trees, processes, workers and statistics, and the result types that are not part of the wire format.

use monitor_wire::{
    CausesPage, ErrorsPage, Kind, LinkedFrom, LogsPage, Process, ProcessId, ProcessesPage, Root, RootId, RootNamesPage, RootsPage, State,
    StatsPage, StatsSeries, Status, TreePage, Worker, WorkerId, WorkersPage,
};

use super::{Cursor, Logged, Models, StoreError, Subject, TreeColumns};

/// Queries about trees, processes, workers and statistics. Every method blocks, so call it only where blocking is allowed.
///
/// # Errors
/// Every method returns an error if the store fails. Methods with a cursor also refuse a cursor that they did not create.
#[allow(clippy::missing_errors_doc, reason = "said once for all above")]
pub trait Queries: Send + Sync + 'static {
    /// Checks that the store can be read, with the smallest possible read, which doesn't wait for other queries.
    fn probe(&self) -> Result<(), StoreError>;

    /// Returns an overview of the store. The server adds the values that the store doesn't know: its version and start time, its queue and
    /// its rules.
    fn status(&self) -> Result<Status, StoreError>;

    /// Returns one root. Returns `None` if there is no such tree.
    fn root(&self, root: RootKey) -> Result<Option<Root>, StoreError>;

    /// Returns the time at which the latest batch for the newest tree was stored, by the server's clock, in Unix microseconds. Returns
    /// `None` if there is no tree.
    fn newest_us(&self) -> Result<Option<u64>, StoreError>;

    /// Returns true if a tree had this number and was dropped.
    fn is_dropped(&self, number: u64) -> Result<bool, StoreError>;

    /// Returns one page of roots.
    fn roots(&self, query: &RootsQuery) -> Result<RootsPage, StoreError>;

    /// Returns one page of names of roots, sorted by their latest start, latest first. With `text`, only names that contain it are listed.
    fn root_names(&self, text: Option<&str>, limit: usize, cursor: Option<&str>) -> Result<RootNamesPage, StoreError>;

    /// Passes one page of a tree to `read`: the page without processes, and an iterator over the processes, so that they need not all be in
    /// memory. Returns false without calling `read` if there is no such tree. If an error is returned, `read` may have received only some
    /// of the processes.
    fn read_tree(&self, root: RootKey, limit: usize, cursor: Option<&str>, read: ReadTree<'_>) -> Result<bool, StoreError>;

    /// Returns one page of a tree. Returns `None` if there is no such tree.
    fn tree(&self, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<TreePage>, StoreError> {
        let mut page = None;
        self.read_tree(root, limit, cursor, &mut |head, processes| page = Some(TreePage { processes: processes.collect(), ..head }))?;
        Ok(page)
    }

    /// Returns a whole tree as columns. They are read from one snapshot, which is closed when this returns. Returns `None` if there is no
    /// such tree.
    fn tree_columns(&self, root: RootKey) -> Result<Option<TreeColumns>, StoreError>;

    /// Returns the order of a tree's processes. Returns `None` if there is no such tree.
    fn outline(&self, root: RootKey) -> Result<Option<Outline>, StoreError>;

    /// Returns the processes of a tree that have these ids, each with the index of its id in `ids`. Ids that don't exist are skipped. The
    /// depth and the orphan mark of the processes are not set.
    fn some_processes(&self, root: RootKey, ids: &[ProcessId]) -> Result<Vec<(usize, Process)>, StoreError>;

    /// Returns one process. Returns `None` if there is no such process.
    fn process(&self, root: RootKey, id: ProcessId) -> Result<Option<Process>, StoreError>;

    /// Returns the links to a process from other trees: those of up to `limit` processes, newest trees first. Counts up to [`MOST_LINKED`]
    /// processes with such links.
    fn linked_from(&self, root: RootId, id: ProcessId, limit: usize) -> Result<LinkedFrom, StoreError>;

    /// Returns up to `limit` processes with ids from `ids.0` to `ids.1` inclusive, newest trees first.
    fn processes_of_ids(&self, ids: (ProcessId, ProcessId), limit: usize) -> Result<ProcessesPage, StoreError>;

    /// Returns one page of processes across trees.
    fn processes(&self, query: &ProcessesQuery) -> Result<ProcessesPage, StoreError>;

    /// Returns one page of log lines of a tree or of a single process. Returns `None` if there is no such tree or process.
    fn logs(&self, root: RootKey, query: &LogsQuery) -> Result<Option<LogsPage>, StoreError>;

    /// Returns one page of workers, newest first.
    fn workers(&self, limit: usize, cursor: Option<&str>) -> Result<WorkersPage, StoreError>;

    /// Returns the workers that are online and have announced a heartbeat interval, with the time at which the server last received a batch
    /// from each.
    fn online(&self) -> Result<Vec<(WorkerId, u64)>, StoreError>;

    /// Returns those of `workers` that have running or pending processes in a tree.
    fn running_in(&self, root: RootKey, workers: &[WorkerId]) -> Result<Vec<WorkerId>, StoreError>;

    /// Returns one worker. Returns `None` if there is no such worker.
    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, StoreError>;

    /// Returns one page of statistics by name.
    fn stats(&self, query: &StatsQuery) -> Result<StatsPage, StoreError>;

    /// Returns statistics over time.
    fn stats_series(&self, query: &SeriesQuery) -> Result<StatsSeries, StoreError>;

    /// Returns the most frequent errors.
    fn stats_errors(&self, query: &ErrorsQuery) -> Result<ErrorsPage, StoreError>;

    /// Returns the kinds of errors that made roots fail, sorted by their latest failure, latest first.
    fn stats_causes(&self, query: &CausesQuery) -> Result<CausesPage, StoreError>;

    /// Returns totals over all processes that ever ended, for the `most` names with the most runs, and one total for all other names.
    fn name_totals(&self, most: usize) -> Result<Vec<NameTotals>, StoreError>;

    /// Returns the piece of the event log that contains the event with number `after + 1`. Returns `None` if it is not in the log.
    fn logged(&self, after: u64) -> Result<Option<Logged>, StoreError>;

    /// Returns the current models for each of these subjects, and the number of the newest change that they include.
    fn models(&self, of: &[Subject]) -> Result<(Vec<Models>, u64), StoreError>;

    /// Returns the position of a reader inside the server, by its name. Returns `None` if it has never stored one.
    fn cursor(&self, name: &str) -> Result<Option<Cursor>, StoreError>;
}

/// Callback for a page of a tree. Receives the page without processes, and an iterator over its processes.
pub type ReadTree<'a> = &'a mut dyn FnMut(TreePage, &mut dyn Iterator<Item = Process>);

/// Identifies a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKey {
    /// Id of the root.
    Id(RootId),
    /// Short number that the server assigned to the tree.
    Number(u64),
}

/// Maximum number of processes that are counted as having a link to a process.
pub const MOST_LINKED: usize = 1_000;

/// Order of a list of roots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RootSort {
    /// Latest start first. Roots whose start is not known are sorted by the earliest time known of them.
    #[default]
    Newest,
    /// Earliest start first.
    Oldest,
}

/// Filters and page of a list of roots. An empty list or `None` matches every root.
#[derive(Debug, Clone, Default)]
pub struct RootsQuery {
    /// The root has one of these states.
    pub states: Vec<State>,
    /// The root has exactly this name.
    pub name: Option<String>,
    /// The root has exactly this batch mark.
    pub batch: Option<String>,
    /// The root's own process runs in one of these workers.
    pub workers: Vec<WorkerId>,
    /// True for roots whose own process was started without a context, false for all others.
    pub unattached: Option<bool>,
    /// Text that the name, the batch mark, the error or one of its causes contains, in upper or lower case. Also matches the number of the
    /// tree and the beginning of its id.
    pub text: Option<String>,
    /// Earliest start, inclusive, in Unix microseconds.
    pub started_after: Option<u64>,
    /// Latest start, exclusive, in Unix microseconds.
    pub started_before: Option<u64>,
    /// Order of the list.
    pub sort: RootSort,
    /// Number of roots to skip, counted from the cursor.
    pub offset: usize,
    /// Maximum number of roots to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

/// Filters and page of a list of processes, sorted newest tree first and newest process first within a tree. An empty list or `None`
/// matches every process.
#[derive(Debug, Clone, Default)]
pub struct ProcessesQuery {
    /// The process belongs to this tree.
    pub root: Option<RootKey>,
    /// The process has this kind.
    pub kind: Option<Kind>,
    /// The process has this id in another system.
    pub native_id: Option<String>,
    /// The process has exactly this name.
    pub name: Option<String>,
    /// The process runs in this worker.
    pub worker: Option<WorkerId>,
    /// The process has one of these states.
    pub states: Vec<State>,
    /// Text that the name, the batch mark or the error message contains, in upper or lower case.
    pub text: Option<String>,
    /// Earliest start, inclusive, in Unix microseconds.
    pub started_after: Option<u64>,
    /// Latest start, exclusive, in Unix microseconds.
    pub started_before: Option<u64>,
    /// Maximum number of processes to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

impl ProcessesQuery {
    /// Kinds with very many processes. A search for them should be limited to a tree or a range of time.
    pub const NUMEROUS: [Kind; 3] = [Kind::NORMAL, Kind::CROSS_THREAD, Kind::SPAN];

    /// Returns true if the query would search the processes of a numerous kind without a limit in time.
    pub fn is_boundless(&self) -> bool {
        let is_numerous = self.kind.as_ref().is_none_or(|kind| Self::NUMEROUS.contains(kind));
        is_numerous && self.native_id.is_none() && self.root.is_none() && self.started_after.is_none()
    }
}

/// The processes of a tree in pre-order, with siblings sorted by start.
#[derive(Debug, Clone)]
pub struct Outline {
    /// The tree.
    pub root: Root,
    /// Processes of the tree, in this order.
    pub standing: Vec<Standing>,
}

/// Position of a process in its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Id of the process.
    pub id: ProcessId,
    /// Sort key of siblings, in Unix microseconds: the start if it is known, otherwise the earliest known time of the process.
    pub at_us: u64,
    /// Depth in the tree; 0 at the top.
    pub depth: u32,
    /// True if the parent of the process is not known.
    pub is_orphan: bool,
}

/// Totals over all processes of a name that ever ended.
#[derive(Debug, Clone, PartialEq)]
pub struct NameTotals {
    /// Name of the processes. `None` for the total of all other names.
    pub name: Option<String>,
    /// Number of ended processes by state.
    pub states: std::collections::BTreeMap<String, u64>,
    /// Sum of all durations, in nanoseconds.
    pub total_ns: u128,
    /// Histogram of durations as `(i, count)`, ascending by `i`. Bucket `i` is [1.04^i, 1.04^(i+1)) ns.
    pub histogram: Vec<(u32, u64)>,
}

/// Filters and page of a list of log lines. `None` matches every line.
#[derive(Debug, Clone, Default)]
pub struct LogsQuery {
    /// The line was logged by this process.
    pub process: Option<ProcessId>,
    /// Levels to leave out.
    pub without_levels: &'static [&'static str],
    /// Text that the message, the target or the fields contain, in upper or lower case.
    pub text: Option<String>,
    /// True to list the latest lines first.
    pub is_newest_first: bool,
    /// Maximum number of lines to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

/// Filters and page of statistics by name. Times are Unix microseconds. `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct StatsQuery {
    /// Earliest end of the processes, inclusive.
    pub from_us: Option<u64>,
    /// Latest end of the processes, exclusive.
    pub to_us: Option<u64>,
    /// Exact name of the processes.
    pub name: Option<String>,
    /// Text that the name contains.
    pub text: Option<String>,
    /// Order of the list.
    pub sort: StatsSort,
    /// Maximum number of names to return.
    pub limit: usize,
    /// Value of `next_cursor` of the previous page; `None` for the first page.
    pub cursor: Option<String>,
}

/// Order of statistics by name. Numbers are sorted in descending order, names in ascending order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatsSort {
    /// By number of processes.
    #[default]
    Count,
    /// By number of failed processes.
    Failed,
    /// By sum of durations.
    Total,
    /// By longest duration.
    Max,
    /// By median duration.
    P50,
    /// By the 95th percentile of the durations.
    P95,
    /// By the 99th percentile of the durations.
    P99,
    /// By name.
    Name,
}

/// Filters of statistics over time. Times are Unix microseconds.
#[derive(Debug, Clone, Default)]
pub struct SeriesQuery {
    /// Start of the range, inclusive. `None` for the beginning of the data.
    pub from_us: Option<u64>,
    /// End of the range, exclusive. `None` for the end of the data.
    pub to_us: Option<u64>,
    /// Exact name of the processes. `None` for all processes together.
    pub name: Option<String>,
    /// Minimum length of a step.
    pub step_us: Option<u64>,
}

/// Filters of a list of errors. Times are Unix microseconds. `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct ErrorsQuery {
    /// Earliest end of the failed processes, inclusive.
    pub from_us: Option<u64>,
    /// Latest end of the failed processes, exclusive.
    pub to_us: Option<u64>,
    /// Exact name of the processes.
    pub name: Option<String>,
    /// Maximum number of errors to return.
    pub limit: usize,
}

/// Filters of a list of causes of failed roots. Times are Unix microseconds. `None` matches everything.
#[derive(Debug, Clone, Default)]
pub struct CausesQuery {
    /// Earliest end of the roots, inclusive.
    pub from_us: Option<u64>,
    /// Latest end of the roots, exclusive.
    pub to_us: Option<u64>,
    /// Maximum number of causes to return.
    pub limit: usize,
}
