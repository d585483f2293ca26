//! Queries for processes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use monitor_state::WorkerStatus;
use monitor_store::{ProcessesQuery, RootKey};
use monitor_wire::{Kind, Process, ProcessId, ProcessesPage, RootId, WorkerId};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Result, params, params_from_iter};

use super::dictionary::{Dictionary, hash};
use super::expected::Outlook;
use super::ids::code;
use super::pool::Snapshot;
use super::roots::{RootRow, find_row, matching, spread};
use super::row::{COLUMNS, Known, ProcessRow};
use super::write::tally;
use super::{ReadError, as_of, ids, native, status, workers};

/// Converts rows to processes. Caches the status of their workers.
#[derive(Default)]
pub(super) struct Viewer {
    statuses: HashMap<WorkerId, WorkerStatus>,
}

impl Viewer {
    /// Returns the process of a row, without its place in the tree.
    pub(super) fn view(
        &mut self,
        connection: &Connection,
        dictionary: &mut Dictionary,
        (root, number): (RootId, i64),
        row: &ProcessRow,
    ) -> Result<Process> {
        let mut process = self.plain_view(connection, dictionary, root, row)?;
        if let Some(site) = row.site.filter(|_| row.state == code::RUNNING) {
            let name = dictionary.site(connection, site)?.name_key;
            Outlook::of(connection, dictionary, name, (number, row.id))?.tell(&mut process);
        }
        Ok(process)
    }

    /// Returns the process of a row from its facts alone, without the expectations for a running process.
    pub(super) fn plain_view(
        &mut self,
        connection: &Connection,
        dictionary: &mut Dictionary,
        root: RootId,
        row: &ProcessRow,
    ) -> Result<Process> {
        let id = ids::process_id(row.id)?;
        match row.known(connection, dictionary)? {
            Known::Plain(plain) => {
                let words = plain.words(connection, dictionary)?;
                let status = if plain.is_open() { self.status(connection, words.worker)? } else { WorkerStatus::Online };
                Ok(plain.view(&words, root, id, status))
            }
            Known::Full(facts) => {
                for worker in facts.open_at() {
                    self.status(connection, worker)?;
                }
                Ok(facts.view(root, id, &mut |worker| self.statuses.get(&worker).copied().unwrap_or_default()))
            }
        }
    }

    fn status(&mut self, connection: &Connection, worker: WorkerId) -> Result<WorkerStatus> {
        Ok(match self.statuses.entry(worker) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(workers::status(connection, worker)?),
        })
    }
}

/// Returns true if a process has no known parent. Considers only the process and its parent.
pub(super) fn is_orphan(connection: &Connection, root: &RootRow, process: &Process) -> Result<bool> {
    let Some(parent) = process.parent_id else { return Ok(!(root.is_own && root.process == Some(process.id))) };
    let mut statement = connection.prepare_cached("SELECT 1 FROM process WHERE root = ?1 AND id = ?2")?;
    let found = statement.query_row(params![root.number, ids::process_key(parent)], |_| Ok(())).optional()?;
    Ok(found.is_none() && !root.is_stood_for_by(parent) || parent == process.id)
}

/// Reads one process.
pub(super) fn one(snapshot: &mut Snapshot<'_>, root: RootKey, id: ProcessId) -> Result<Option<Process>> {
    let (connection, dictionary) = snapshot.parts();
    let Some(root) = find_row(connection, root)? else { return Ok(None) };
    let Some(row) = ProcessRow::find(connection, root.place(), id)? else { return Ok(None) };
    let mut process = Viewer::default().view(connection, dictionary, (root.id, root.number), &row)?;
    process.orphan = is_orphan(connection, &root, &process)?;
    Ok(Some(process))
}

/// Trees with numbers from ?4 to ?5 that have a process from ?1 to ?3, newest first. Searches each tree, because this rare query is not
/// worth an index of all processes. Used if trees have many processes.
pub(super) const TREES_WITH: &str = "SELECT number FROM root WHERE number BETWEEN ?4 AND ?5 \
    AND EXISTS (SELECT 1 FROM process WHERE root = number AND id BETWEEN ?1 AND ?3) ORDER BY number DESC LIMIT ?2";
/// Like [`TREES_WITH`], used if trees have few processes. Scans all processes, which takes a tenth of the time for each process that the
/// search for a tree's first process takes.
pub(super) const TREES_WITH_OF_FEW: &str = "SELECT DISTINCT root FROM process WHERE root BETWEEN ?4 AND ?5 \
    AND id BETWEEN ?1 AND ?3 AND +root IN (SELECT number FROM root) ORDER BY root DESC LIMIT ?2";
/// Average number of processes per tree below which [`TREES_WITH_OF_FEW`] is used.
const FEW: u64 = 8;
/// Processes from ?2 to ?3 of tree ?1.
const WITHIN: &str = "SELECT id FROM process WHERE root = ?1 AND id BETWEEN ?2 AND ?3 LIMIT ?4";

/// Maximum number of readers that search for a process at the same time.
const MOST_SEARCHERS: usize = 4;
/// Minimum number of trees that each of them searches, if there are enough.
const SHARE: i64 = 10_000;

/// Splits all trees into shares for readers to search at the same time, newest first. A share has the first and the last number.
pub(super) fn shares(snapshot: &Snapshot<'_>) -> Result<Vec<(i64, i64)>> {
    let sql = "SELECT coalesce(min(number), 1), coalesce(max(number), 0) FROM root";
    let (first, last): (i64, i64) = snapshot.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let most = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_SEARCHERS) as i64;
    let length = ((last - first + 1) / most + 1).max(SHARE);
    let mut shares: Vec<_> = (first..=last).step_by(length as usize).map(|from| (from, last.min(from + length - 1))).collect();
    shares.reverse();
    Ok(shares)
}

/// Returns the trees of a share that have a process in a range of ids, newest first.
pub(super) fn trees_with(
    snapshot: &Snapshot<'_>,
    (first, last): (ProcessId, ProcessId),
    share: (i64, i64),
    limit: usize,
) -> Result<Vec<i64>> {
    let [roots, processes] = [tally::ROOTS, tally::PROCESSES].map(|what| status::total(snapshot, what));
    let mut statement = snapshot.prepare_cached(if processes? < FEW * roots? { TREES_WITH_OF_FEW } else { TREES_WITH })?;
    let values = params![ids::process_key(first), limit as i64, ids::process_key(last), share.0, share.1];
    statement.query_map(values, |row| row.get(0))?.collect()
}

/// Reads up to `limit` processes in a range of ids in these trees.
pub(super) fn of_ids(
    snapshot: &mut Snapshot<'_>,
    (first, last): (ProcessId, ProcessId),
    trees: impl IntoIterator<Item = i64>,
    limit: usize,
) -> Result<ProcessesPage> {
    let (first, last) = (ids::process_key(first), ids::process_key(last));
    let mut page = ProcessesPage { processes: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    for number in trees {
        let left = limit - page.processes.len();
        if left == 0 {
            break;
        }
        let mut statement = snapshot.prepare_cached(WITHIN)?;
        let found = statement.query_map(params![number, first, last, left as i64], |row| ids::process_id(row.get(0)?))?;
        let found = found.collect::<Result<Vec<_>>>()?;
        drop(statement);
        for id in found {
            page.processes.extend(one(snapshot, RootKey::Number(number as u64), id)?);
        }
    }
    Ok(page)
}

/// Reads one page of processes, newest first within a tree, and newest trees first.
pub(super) fn list(snapshot: &mut Snapshot<'_>, query: &ProcessesQuery) -> Result<ProcessesPage, ReadError> {
    let mut page = ProcessesPage { processes: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let cursor = query.cursor.as_deref().map(place_of).transpose()?;
    let Some(filter) = Filter::of(snapshot, query)? else { return Ok(page) };
    let mut found = Found { wanted: query.limit.saturating_add(1), rows: Vec::new(), stopped_at: None };
    if let (Some(root), None) = (query.root, &query.native_id) {
        if let Some(root) = find_row(snapshot, root)? {
            found.in_tree(snapshot, &filter, &root, cursor.map(|[_, at, id]| (at, id)))?;
        }
    } else if filter.side.is_some() {
        found.of_side_table(snapshot, &filter, cursor)?;
    } else {
        found.by_time(snapshot, &filter, query, cursor)?;
    }
    if found.rows.len() > query.limit {
        found.rows.truncate(query.limit);
        page.next_cursor = found.rows.last().map(|(root, row)| format!("{}.{}.{}", root.number, row.at, row.id));
    } else if let Some(place) = found.stopped_at {
        page.next_cursor = Some(place.map(|part| part.to_string()).join("."));
    }
    let (connection, dictionary) = snapshot.parts();
    let mut viewer = Viewer::default();
    for (root, row) in &found.rows {
        let mut process = viewer.view(connection, dictionary, (root.id, root.number), row)?;
        process.orphan = is_orphan(connection, root, &process)?;
        page.processes.push(process);
    }
    Ok(page)
}

/// Parses the cursor of a page: (root, at, id) of its last process.
fn place_of(cursor: &str) -> Result<[i64; 3], ReadError> {
    let malformed = || ReadError::Cursor(cursor.to_owned());
    let numbers: Vec<i64> = cursor.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?;
    numbers.try_into().map_err(|_| malformed())
}

/// Returns the place after all processes of a tree.
fn behind(number: i64) -> [i64; 3] {
    [number, 0, i64::MIN]
}

/// Conditions for processes, without the place where they are searched.
pub(super) struct Filter {
    /// Conditions in SQL, with parameters from [`FIRST_VALUE`] on.
    conditions: String,
    values: Vec<Value>,
    /// A side table that contains all matching processes.
    side: Option<SideTable>,
    /// Id that another system gave to the processes.
    native_id: Option<String>,
    after: i64,
    before: i64,
}

/// A table of few processes, ordered by a common value, tree and process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SideTable {
    /// Processes of a rare kind, by the key of the kind.
    Rare(i64),
    /// Tasks, by the key of this kind. Most of them are tasks of queues.
    Tasks(i64),
    /// Processes with an id of another system, by the hash of the id.
    Native(i64),
}

impl SideTable {
    /// Returns the table, the column with the common value, and the value.
    fn parts(self) -> (Cow<'static, str>, &'static str, i64) {
        match self {
            Self::Rare(kind) => ("rare".into(), "kind", kind),
            Self::Tasks(kind) => {
                let tasks = format!("(SELECT kind, root, id FROM rare UNION ALL SELECT {kind}, root, id FROM queue_task)");
                (tasks.into(), "kind", kind)
            }
            Self::Native(hash) => ("native".into(), "hash", hash),
        }
    }

    /// Returns the statement for the process ?4 places after (?2, ?3) in the list with value ?1.
    pub(super) fn last(self) -> String {
        let (table, column, _) = self.parts();
        let before = "(root, id) < (?2, ?3)";
        let rows = match self {
            Self::Rare(_) | Self::Native(_) => format!("SELECT root, id FROM {table} AS side WHERE {column} = ?1 AND {before}"),
            // Both tables are in this order, so they are merged and not sorted.
            Self::Tasks(_) => {
                format!("SELECT root, id FROM rare WHERE kind = ?1 AND {before} UNION ALL SELECT root, id FROM queue_task WHERE {before}")
            }
        };
        format!("{rows} ORDER BY root DESC, id DESC LIMIT 1 OFFSET ?4")
    }
}

/// Number of a filter's first parameter. The parameters before it define the place that is searched.
const FIRST_VALUE: usize = 8;

impl Filter {
    /// Returns `None` if nothing can match.
    pub(super) fn of(snapshot: &mut Snapshot<'_>, query: &ProcessesQuery) -> Result<Option<Self>, ReadError> {
        let mut conditions = String::new();
        let mut values = vec![Value::Null; FIRST_VALUE - 1];
        let mut add = |condition: &str, value: Value| {
            values.push(value);
            write!(conditions, " AND {}", condition.replace('?', &format!("?{}", values.len()))).expect("a string takes all");
        };
        let mut side = None;
        if let Some(kind) = &query.kind {
            let Some(key) = snapshot.find_text(kind.as_str())? else { return Ok(None) };
            add("site.kind = ?", Value::Integer(key));
            let is_rare = !ProcessesQuery::NUMEROUS.contains(kind);
            side = is_rare.then_some(if *kind == Kind::TASK { SideTable::Tasks(key) } else { SideTable::Rare(key) });
        }
        if let Some(native_id) = &query.native_id {
            side = Some(SideTable::Native(hash(native_id)));
            if let Some(root) = query.root {
                let Some(root) = find_row(snapshot, root)? else { return Ok(None) };
                add("process.root = ?", Value::Integer(root.number));
            }
        }
        if let Some(name) = &query.name {
            let Some(key) = snapshot.find_text(name)? else { return Ok(None) };
            add("site.name = ?", Value::Integer(key));
        }
        if let Some(worker) = query.worker {
            let Some(key) = workers::key(snapshot, worker)? else { return Ok(None) };
            add("origin.worker = ?", Value::Integer(key));
        }
        if let Some(text) = &query.text {
            let matching = matching(text, &mut values);
            write!(conditions, " AND (site.name IN ({matching}) OR process.batch IN ({matching}) OR process.error IN ({matching}))")
                .expect("a string takes all");
        }
        if !query.states.is_empty() {
            let mut codes = Vec::new();
            for state in &query.states {
                codes.extend(snapshot.find_state(state)?.map(|code| code.to_string()));
            }
            write!(conditions, " AND process.state IN ({})", codes.join(", ")).expect("a string takes all");
        }
        let time = |time: Option<u64>, default| time.map_or(default, |time| time.min(i64::MAX as u64) as i64);
        let (after, before) = (time(query.started_after, 0), time(query.started_before, i64::MAX));
        Ok(Some(Self { conditions, values, side, native_id: query.native_id.clone(), after, before }))
    }

    fn columns() -> String {
        let columns: Vec<_> = COLUMNS.split(", ").map(|column| format!("process.{column}")).collect();
        columns.join(", ")
    }

    /// Returns the statement for the processes of tree ?1, latest first, before (?2, ?3), that began from ?4 to ?5. Times are relative to
    /// the tree's base.
    pub(super) fn in_tree(&self, limit: usize) -> String {
        format!(
            "SELECT {} FROM process NOT INDEXED LEFT JOIN site ON site.id = process.site LEFT JOIN origin ON origin.id = process.origin \
             WHERE process.root = ?1 AND (at, process.id) < (?2, ?3) AND at >= ?4 AND at < ?5{} \
             ORDER BY at DESC, process.id DESC LIMIT {limit}",
            Self::columns(),
            self.conditions
        )
    }

    /// Returns the statement for the processes of a side table with value ?6, ordered by root, before (?1, ?2) and from (?3, ?7) on, that
    /// began from ?4 to ?5. The rows also have number and base of the root.
    pub(super) fn of_side_table(&self, list: SideTable) -> String {
        let (table, column, _) = list.parts();
        format!(
            "SELECT {}, process.root, root.base FROM {table} AS side \
             JOIN process ON process.root = side.root AND process.id = side.id JOIN root ON root.number = side.root \
             LEFT JOIN site ON site.id = process.site LEFT JOIN origin ON origin.id = process.origin \
             WHERE side.{column} = ?6 AND (side.root, side.id) < (?1, ?2) AND (side.root, side.id) >= (?3, ?7) \
             AND process.at + root.base >= ?4 AND process.at + root.base < ?5{} \
             ORDER BY side.root DESC, side.id DESC",
            Self::columns(),
            self.conditions
        )
    }
}

/// Trees that may have processes from ?1 to ?2, newest first, before (?3, ?4).
pub(super) const TREES_BY_TIME: &str = "SELECT number, base + at AS begin FROM root INDEXED BY root_begin \
    WHERE base + at >= ?1 AND base + at <= min(?2, ?3) AND (base + at < ?3 OR number <= ?4) \
    UNION SELECT number, base + at AS begin FROM wide CROSS JOIN root ON number = wide.root \
    WHERE base + at <= ?3 AND (base + at < ?3 OR number <= ?4) ORDER BY begin DESC, number DESC";

/// Approximate number of processes in the trees that are scanned for a page. If few of them match, a page may have fewer processes than its
/// limit.
const LOOKED_AT: u64 = 500_000;
/// Number of rows of a side table that are scanned for a page.
const LOOKED_AT_OF_LIST: i64 = 100_000;

/// The rows of a page.
struct Found {
    wanted: usize,
    rows: Vec<(RootRow, ProcessRow)>,
    /// Place at which the scan stopped, if there may be more.
    stopped_at: Option<[i64; 3]>,
}

impl Found {
    fn in_tree(&mut self, connection: &Connection, filter: &Filter, root: &RootRow, before: Option<(i64, i64)>) -> Result<()> {
        let sql = filter.in_tree(self.wanted - self.rows.len());
        let (number, base) = root.place();
        let (at, id) = before.map_or((i64::MAX, i64::MAX), |(at, id)| (at - base, id));
        let mut values = filter.values.clone();
        let place = [number, at, id, filter.after.saturating_sub(base), filter.before.saturating_sub(base)];
        for (value, place) in values.iter_mut().zip(place) {
            *value = Value::Integer(place);
        }
        let mut statement = connection.prepare_cached(&sql)?;
        values.truncate(statement.parameter_count());
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            self.rows.push((root.clone(), ProcessRow::read(row, base)?));
        }
        Ok(())
    }

    fn of_side_table(&mut self, snapshot: &mut Snapshot<'_>, filter: &Filter, cursor: Option<[i64; 3]>) -> Result<()> {
        let Some(side) = filter.side else { return Ok(()) };
        let (_, _, of) = side.parts();
        let (connection, dictionary) = snapshot.parts();
        let [root, _, id] = cursor.unwrap_or([i64::MAX; 3]);
        let mut values = filter.values.clone();
        let last = connection
            .prepare_cached(&side.last())?
            .query_row([of, root, id, LOOKED_AT_OF_LIST - 1], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let last = last.optional()?;
        let (from, from_id) = last.unwrap_or((i64::MIN, i64::MIN));
        let place = [root, id, from, filter.after, filter.before, of, from_id];
        for (value, place) in values.iter_mut().zip(place) {
            *value = Value::Integer(place);
        }
        let mut statement = connection.prepare_cached(&filter.of_side_table(side))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while self.rows.len() < self.wanted
            && let Some(row) = rows.next()?
        {
            let (number, base): (i64, i64) = (row.get(14)?, row.get(15)?);
            let missing = || ids::damaged(14, Type::Integer, "a process has no root");
            let row = ProcessRow::read(row, base)?;
            // Different ids may have the same hash.
            if let Some(native_id) = &filter.native_id
                && !matches!(row.known(connection, dictionary)?, Known::Full(facts) if native::native_id(&facts) == Some(native_id))
            {
                continue;
            }
            let root = find_row(connection, RootKey::Number(number as u64))?.ok_or_else(missing)?;
            self.rows.push((root, row));
        }
        self.stopped_at = last.filter(|_| self.rows.len() < self.wanted).map(|(root, id)| [root, 0, id]);
        Ok(())
    }

    fn by_time(&mut self, connection: &Connection, filter: &Filter, query: &ProcessesQuery, cursor: Option<[i64; 3]>) -> Result<()> {
        let (longest, earliest) = spread(connection)?;
        let last = match cursor {
            Some([number, ..]) => find_row(connection, RootKey::Number(number as u64))?,
            None => None,
        };
        let (begin, number) = last.as_ref().map_or((i64::MAX, i64::MAX), |last| (last.at_us as i64, last.number));
        // Distances of the process and of the tree's start from the tree's base don't exceed these bounds.
        let apart = longest.saturating_add(earliest);
        let since = query.started_after.map_or(i64::MIN, |_| filter.after.saturating_sub(apart));
        let until = filter.before.saturating_add(apart);
        let mut statement = connection.prepare_cached(TREES_BY_TIME)?;
        let mut trees = statement.query([since, until, begin, number])?;
        let (mut looked_at, mut last) = (0, None);
        while self.rows.len() < self.wanted
            && let Some(tree) = trees.next()?
        {
            if looked_at >= LOOKED_AT {
                self.stopped_at = last.map(behind);
                break;
            }
            let number: i64 = tree.get(0)?;
            if cursor == Some(behind(number)) {
                continue;
            }
            last = Some(number);
            looked_at += 1;
            let Some(root) = find_row(connection, RootKey::Number(number as u64))? else { continue };
            if root.last_us < filter.after {
                continue;
            }
            looked_at += root.counts.iter().sum::<u64>();
            let before = cursor.filter(|[last, ..]| *last == number).map(|[_, at, id]| (at, id));
            self.in_tree(connection, filter, &root, before)?;
        }
        Ok(())
    }
}
