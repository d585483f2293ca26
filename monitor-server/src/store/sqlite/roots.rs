//! Reading roots.

use std::fmt::Write as _;

use monitor_state::title;
use monitor_wire::{Counts, ProcessId, Root, RootsPage};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params_from_iter};

use super::dictionary::Dictionary;
use super::pool::Snapshot;
use super::{ReadError, as_of, ids, number_of};
use crate::store::{RootKey, RootSort, RootsQuery};

const COLUMNS: &str = "number, id, process, own, at, name, batch, worker, state, started, ended, elapsed, error_more, \
                       pending, running, succeeded, failed, cancelled, lost, other";

/// A row of `root`.
pub(super) struct RootRow {
    pub root: Root,
    /// The process whose face it shows.
    pub process: Option<ProcessId>,
    /// Whether that is the root's own, not just the earliest.
    pub is_own: bool,
    /// When that began, as far as is known.
    pub at_us: u64,
}

/// One root.
pub(super) fn find_row(connection: &Connection, dictionary: &mut Dictionary, key: RootKey) -> Result<Option<RootRow>> {
    let (condition, value) = match key {
        RootKey::Id(id) => ("id = ?1", Value::Blob(ids::root_key(id).to_vec())),
        RootKey::Number(number) => ("number = ?1", Value::Integer(number.min(i64::MAX as u64) as i64)),
    };
    let sql = format!("SELECT {COLUMNS} FROM root WHERE {condition}");
    connection.prepare_cached(&sql)?.query_row([value], |row| read(connection, dictionary, row)).optional()
}

fn read(connection: &Connection, dictionary: &mut Dictionary, row: &Row<'_>) -> Result<RootRow> {
    let number = row.get::<_, i64>(0)? as u64;
    let name = dictionary.text(connection, row.get(5)?)?;
    let batch: Option<i64> = row.get(6)?;
    let batch = batch.map(|batch| dictionary.text(connection, batch)).transpose()?;
    let worker: Option<i64> = row.get(7)?;
    let error: Option<Vec<u8>> = row.get(12)?;
    let unsigned = |column| -> Result<_> { Ok(row.get::<_, Option<i64>>(column)?.map(|value| value as u64)) };
    let count = |column| -> Result<_> { Ok(row.get::<_, i64>(column)? as u64) };
    let root = Root {
        root_id: ids::root(row, 1)?,
        number,
        title: title(&name, batch.as_deref(), number),
        name: name.to_string(),
        batch: batch.map(|batch| batch.to_string()),
        state: ids::state(connection, dictionary, row.get(8)?)?,
        started_us: unsigned(9)?,
        ended_us: unsigned(10)?,
        elapsed_ns: unsigned(11)?,
        worker_id: worker.map(|worker| dictionary.worker_id(connection, worker)).transpose()?,
        counts: Counts {
            pending: count(13)?,
            running: count(14)?,
            succeeded: count(15)?,
            failed: count(16)?,
            cancelled: count(17)?,
            lost: count(18)?,
            other: count(19)?,
        },
        error: error.map(|error| ids::from_json(12, &error)).transpose()?,
    };
    let process = row.get::<_, Option<i64>>(2)?.map(ids::process_id).transpose()?;
    Ok(RootRow { root, process, is_own: row.get(3)?, at_us: row.get::<_, i64>(4)? as u64 })
}

/// One page of roots.
pub(super) fn list(snapshot: &mut Snapshot<'_>, query: &RootsQuery) -> Result<RootsPage, ReadError> {
    let mut page = RootsPage { roots: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let Some(statements) = statements(snapshot, query)? else { return Ok(page) };
    // One statement per state, each by its own index and in the list's order: together they hold the page.
    for (sql, values) in statements {
        let (connection, dictionary) = snapshot.parts();
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            page.roots.push(read(connection, dictionary, row)?.root);
        }
    }
    page.roots.sort_unstable_by_key(|root| root.number);
    if query.sort == RootSort::Newest {
        page.roots.reverse();
    }
    if page.roots.len() > query.limit {
        page.roots.truncate(query.limit);
        page.next_cursor = page.roots.last().map(|root| root.number.to_string());
    }
    Ok(page)
}

pub(super) type Statement = (String, Vec<Value>);

/// The statements whose rows together hold the page; none if nothing can match.
pub(super) fn statements(snapshot: &mut Snapshot<'_>, query: &RootsQuery) -> Result<Option<Vec<Statement>>, ReadError> {
    let (order, compare, begin) = match query.sort {
        RootSort::Newest => ("DESC", "<", i64::MAX),
        RootSort::Oldest => ("ASC", ">", 0),
    };
    let begin = query.cursor.as_deref().map_or(Ok(begin), number_of)?;
    let mut values = vec![Value::Integer(begin)];
    let mut conditions = format!("number {compare} ?1");
    // The index of the condition that few rows fulfil, most likely; without any, the table itself is in the list's order.
    let mut index = None;
    let mut add = |condition: &str, by: Option<&'static str>, value: Value| {
        values.push(value);
        write!(conditions, " AND {}", condition.replace('?', &format!("?{}", values.len()))).expect("a string takes all");
        index = index.or(by);
    };
    if let Some(batch) = &query.batch {
        let Some(key) = snapshot.find_text(batch)? else { return Ok(None) };
        add("batch = ?", Some("root_batch"), Value::Integer(key));
    }
    if let Some(name) = &query.name {
        let Some(key) = snapshot.find_text(name)? else { return Ok(None) };
        add("name = ?", Some("root_name"), Value::Integer(key));
    }
    if let Some(worker) = query.worker {
        let Some(key) = super::workers::key(snapshot, worker)? else { return Ok(None) };
        add("worker = ?", Some("root_worker"), Value::Integer(key));
    }
    let matching = "WITH matching(id) AS MATERIALIZED (SELECT id FROM text WHERE value LIKE ? ESCAPE '\\') \
                    SELECT number FROM root INDEXED BY root_name WHERE name IN matching UNION \
                    SELECT number FROM root INDEXED BY root_batch WHERE batch IN matching AND batch IS NOT NULL UNION \
                    SELECT number FROM root INDEXED BY root_error WHERE error IN matching AND error IS NOT NULL";
    if let Some(text) = &query.text {
        add(&format!("number IN ({matching})"), None, Value::Text(like(text)));
    }
    let by_time = Some("root_started").filter(|_| query.states.is_empty() && query.text.is_none());
    for (condition, time) in [("started >= ?", query.started_after), ("started < ?", query.started_before)] {
        if let Some(time) = time {
            add(condition, by_time, Value::Integer(time.min(i64::MAX as u64) as i64));
        }
    }
    let limit = query.limit.saturating_add(1);
    let statement = |extra: &str, index: Option<&str>| {
        let by = index.map(|index| format!("INDEXED BY {index}")).unwrap_or_default();
        format!("SELECT {COLUMNS} FROM root {by} WHERE {conditions}{extra} ORDER BY number {order} LIMIT {limit}")
    };
    if query.states.is_empty() {
        return Ok(Some(vec![(statement("", index), values)]));
    }
    let mut statements = Vec::new();
    let by_state = index.or(Some("root_state").filter(|_| query.text.is_none()));
    for state in &query.states {
        if let Some(code) = snapshot.find_state(state)? {
            statements.push((statement(&format!(" AND state = {code}"), by_state), values.clone()));
        }
    }
    statements.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    statements.dedup_by(|a, b| a.0 == b.0);
    Ok(Some(statements))
}

/// A pattern that matches whatever contains `text`.
pub(super) fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
