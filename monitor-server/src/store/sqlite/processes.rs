//! Reading processes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Write as _;

use monitor_state::WorkerStatus;
use monitor_wire::{Process, ProcessId, ProcessesPage, RootId, WorkerId};
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Result, params, params_from_iter};

use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::roots::{RootRow, find_row, like};
use super::row::ProcessRow;
use super::{ReadError, as_of, ids, workers};
use crate::store::{ProcessesQuery, RootKey};

/// Turns rows into processes; remembers the workers it asked for.
#[derive(Default)]
pub(super) struct Viewer {
    statuses: HashMap<WorkerId, WorkerStatus>,
}

impl Viewer {
    /// The process of a row, apart from its place in the tree.
    pub(super) fn view(&mut self, connection: &Connection, dictionary: &mut Dictionary, root: RootId, row: &ProcessRow) -> Result<Process> {
        let facts = row.facts(connection, dictionary)?;
        for worker in facts.open_at() {
            if let Entry::Vacant(unknown) = self.statuses.entry(worker) {
                unknown.insert(workers::status(connection, worker)?);
            }
        }
        Ok(facts.view(root, ids::process_id(row.id)?, &mut |worker| self.statuses.get(&worker).copied().unwrap_or_default()))
    }
}

/// Whether a process has no known parent, as far as it and its parent can tell.
fn is_orphan(connection: &Connection, root: &RootRow, process: &Process) -> Result<bool> {
    let Some(parent) = process.parent_id else { return Ok(!(root.is_own && root.process == Some(process.id))) };
    let mut statement = connection.prepare_cached("SELECT 1 FROM process WHERE root = ?1 AND id = ?2")?;
    let found = statement.query_row(params![root.root.number as i64, ids::process_key(parent)], |_| Ok(())).optional()?;
    Ok(found.is_none() || parent == process.id)
}

/// One process.
pub(super) fn one(snapshot: &mut Snapshot<'_>, root: RootKey, id: ProcessId) -> Result<Option<Process>> {
    let (connection, dictionary) = snapshot.parts();
    let Some(root) = find_row(connection, dictionary, root)? else { return Ok(None) };
    let Some(row) = ProcessRow::find(connection, root.root.number as i64, id)? else { return Ok(None) };
    let mut process = Viewer::default().view(connection, dictionary, root.root.root_id, &row)?;
    process.orphan = is_orphan(connection, &root, &process)?;
    Ok(Some(process))
}

/// One page of processes, newest first.
pub(super) fn list(snapshot: &mut Snapshot<'_>, query: &ProcessesQuery) -> Result<ProcessesPage, ReadError> {
    let mut page = ProcessesPage { processes: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let Some((sql, values)) = statement(snapshot, query)? else { return Ok(page) };
    let (connection, dictionary) = snapshot.parts();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut viewer = Viewer::default();
    let mut roots = HashMap::new();
    let mut last = (0, 0, 0);
    while let Some(row) = rows.next()? {
        if page.processes.len() == query.limit {
            let (at, root, id) = last;
            page.next_cursor = Some(format!("{at}.{root}.{id}"));
            break;
        }
        let number: i64 = row.get(12)?;
        let row = ProcessRow::read(row)?;
        last = (row.at, number, row.id);
        let root = match roots.entry(number) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let missing = || ids::damaged(12, Type::Integer, "a process has no root");
                unknown.insert(find_row(connection, dictionary, RootKey::Number(number as u64))?.ok_or_else(missing)?)
            }
        };
        let mut process = viewer.view(connection, dictionary, root.root.root_id, &row)?;
        process.orphan = is_orphan(connection, root, &process)?;
        page.processes.push(process);
    }
    Ok(page)
}

/// Where a page ends: (at, root, id) of its last process.
fn place_of(cursor: &str) -> Result<[i64; 3], ReadError> {
    let malformed = || ReadError::Cursor(cursor.to_owned());
    let numbers: Vec<i64> = cursor.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| malformed())?;
    numbers.try_into().map_err(|_| malformed())
}

/// The statement of a page and its values; none if nothing can match.
pub(super) fn statement(snapshot: &mut Snapshot<'_>, query: &ProcessesQuery) -> Result<Option<(String, Vec<Value>)>, ReadError> {
    let [at, root, id] = query.cursor.as_deref().map_or(Ok([i64::MAX; 3]), place_of)?;
    let mut values: Vec<Value> = [at, root, id].into_iter().map(Value::Integer).collect();
    let mut conditions = String::from("(at, process.root, process.id) < (?1, ?2, ?3)");
    let mut add = |condition: &str, value: Value| {
        values.push(value);
        write!(conditions, " AND {}", condition.replace('?', &format!("?{}", values.len()))).expect("a string takes all");
    };
    let mut by = "process INDEXED BY process_at";
    if let Some(root) = query.root {
        let (connection, dictionary) = snapshot.parts();
        let Some(root) = find_row(connection, dictionary, root)? else { return Ok(None) };
        add("process.root = ?", Value::Integer(root.root.number as i64));
        by = "process NOT INDEXED";
    }
    if let Some(kind) = &query.kind {
        let Some(key) = snapshot.find_text(kind.as_str())? else { return Ok(None) };
        add("site.kind = ?", Value::Integer(key));
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
        let matching = "(SELECT id FROM text WHERE value LIKE ? ESCAPE '\\')";
        add(&format!("(site.name IN {matching} OR process.error IN {matching})"), Value::Text(like(text)));
    }
    for (condition, time) in [("at >= ?", query.started_after), ("at < ?", query.started_before)] {
        if let Some(time) = time {
            add(condition, Value::Integer(time.min(i64::MAX as u64) as i64));
        }
    }
    if !query.states.is_empty() {
        let mut codes = Vec::new();
        for state in &query.states {
            codes.extend(snapshot.find_state(state)?.map(|code| code.to_string()));
        }
        write!(conditions, " AND process.state IN ({})", codes.join(", ")).expect("a string takes all");
    }
    let limit = query.limit.saturating_add(1);
    let sql = format!(
        "SELECT process.id, parent, site, origin, at, ended, elapsed, state, start_no, end_no, error, more, process.root \
         FROM {by} LEFT JOIN site ON site.id = process.site LEFT JOIN origin ON origin.id = process.origin \
         WHERE {conditions} ORDER BY at DESC, process.root DESC, process.id DESC LIMIT {limit}"
    );
    Ok(Some((sql, values)))
}
