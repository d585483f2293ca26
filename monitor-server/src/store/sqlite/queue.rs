//! Questions about tasks of queues.

use std::fmt::Write as _;

use monitor_wire::{Process, QueueTasksPage};
use rusqlite::types::Value;
use rusqlite::{Connection, Result, Row, params_from_iter};

use super::pool::Snapshot;
use super::{ReadError, SqliteStore, as_of, ids};
use crate::store::StoreError;
use crate::store::queue::{QueueCount, QueueQueries, QueueSort, QueueTasksQuery};

/// So many rows are looked at for one page; beyond that it is short, and says where the next one begins.
const MOST_LOOKED_AT: usize = 20_000;

impl QueueQueries for SqliteStore {
    fn queue_tasks(&self, query: &QueueTasksQuery) -> Result<QueueTasksPage, StoreError> {
        self.read("list tasks of queues", |snapshot| list(snapshot, query))
    }

    fn queue_counts(&self) -> Result<Vec<QueueCount>, StoreError> {
        self.read("count tasks of queues", |snapshot| Ok(counts(snapshot)?))
    }
}

/// The columns that tasks are sorted by: the first one is what is asked for, and the rest of its index.
fn order(sort: QueueSort) -> &'static [&'static str] {
    match sort {
        QueueSort::Name => &["name", "received", "key"],
        QueueSort::State => &["state", "received", "key"],
        QueueSort::Received => &["received", "key"],
        QueueSort::Started => &["started", "key"],
        QueueSort::Runtime => &["runtime", "key"],
    }
}

/// One page of tasks.
fn list(snapshot: &Snapshot<'_>, query: &QueueTasksQuery) -> Result<QueueTasksPage, ReadError> {
    let mut page = QueueTasksPage { tasks: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let (sql, values) = statement(query)?;
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut skipped, mut looked_at, mut last) = (0, 0, None);
    while let Some(row) = rows.next()? {
        if looked_at == MOST_LOOKED_AT {
            page.next_cursor = last;
            break;
        }
        looked_at += 1;
        let task = read(row)?;
        if !query.is_wanted(&task) {
            last = Some(cursor_of(row, query.sort)?);
        } else if skipped < query.offset {
            skipped += 1;
        } else if page.tasks.len() < query.limit {
            page.tasks.push(task);
            last = Some(cursor_of(row, query.sort)?);
        } else {
            page.next_cursor = last;
            break;
        }
    }
    Ok(page)
}

fn read(row: &Row<'_>) -> Result<Process> {
    ids::from_json(0, row.get_ref(0)?.as_str()?.as_bytes())
}

/// The statement of a page. It looks for at most one of the filters, by the index that has the order as well.
pub(super) fn statement(query: &QueueTasksQuery) -> Result<(String, Vec<Value>), ReadError> {
    let columns = order(query.sort);
    let mut sql =
        format!("SELECT body, {} FROM queue_task WHERE EXISTS (SELECT 1 FROM root WHERE number = queue_task.root)", columns.join(", "));
    let mut values = Vec::new();
    let mut is = |text: &str, value: Value| {
        values.push(value);
        let _ = write!(sql, " AND {text} ?{}", values.len());
    };
    if let Some((column, value)) = indexed(query) {
        is(&format!("{column} ="), Value::Text(value));
    }
    let range = match query.sort {
        QueueSort::Received => query.received,
        QueueSort::Started => query.started,
        QueueSort::Name | QueueSort::State | QueueSort::Runtime => (None, None),
    };
    for (text, time) in [(">=", range.0), ("<", range.1)] {
        if let Some(time) = time {
            is(&format!("{} {text}", columns[0]), Value::Integer(i64::try_from(time).unwrap_or(i64::MAX)));
        }
    }
    let direction = if query.is_descending { "DESC" } else { "ASC" };
    if let Some(cursor) = &query.cursor {
        let from = read_cursor(cursor, columns)?;
        let places: Vec<_> = (1..=from.len()).map(|number| format!("?{}", values.len() + number)).collect();
        let than = if query.is_descending { "<" } else { ">" };
        let _ = write!(sql, " AND ({}) {than} ({})", columns.join(", "), places.join(", "));
        values.extend(from);
    }
    let order: Vec<_> = columns.iter().map(|column| format!("{column} {direction}")).collect();
    let _ = write!(sql, " ORDER BY {} LIMIT {}", order.join(", "), MOST_LOOKED_AT + 1);
    Ok((sql, values))
}

/// The filter whose index has the order of the list.
fn indexed(query: &QueueTasksQuery) -> Option<(&'static str, String)> {
    let name = || Some(("name", query.name.clone()?));
    let state = || if let [state] = &*query.states { Some(("state", state.as_str().to_owned())) } else { None };
    match query.sort {
        QueueSort::Name => name(),
        QueueSort::State => state(),
        QueueSort::Received => {
            let queue = || Some(("queue", query.queue.clone()?));
            let worker = || if let [worker] = &*query.workers { Some(("worker", worker.to_string())) } else { None };
            let phase = || if let [phase] = &*query.phases { Some(("phase", phase.as_str().to_owned())) } else { None };
            worker().or_else(name).or_else(queue).or_else(phase).or_else(state)
        }
        QueueSort::Started | QueueSort::Runtime => None,
    }
}

/// Where a row stands: its values of the columns that the list is sorted by, as a list in JSON.
fn cursor_of(row: &Row<'_>, sort: QueueSort) -> Result<String> {
    let value = |column| {
        Ok(match row.get(column)? {
            Value::Text(text) => serde_json::Value::String(text),
            Value::Integer(number) => number.into(),
            _ => serde_json::Value::Null,
        })
    };
    let values = (1..=order(sort).len()).map(value).collect::<Result<Vec<_>>>()?;
    Ok(serde_json::Value::Array(values).to_string())
}

fn read_cursor(cursor: &str, columns: &[&str]) -> Result<Vec<Value>, ReadError> {
    let wrong = || ReadError::Cursor(cursor.to_owned());
    let values: Vec<serde_json::Value> = serde_json::from_str(cursor).map_err(|_| wrong())?;
    let value = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(Value::Text(text)),
        value => value.as_i64().map(Value::Integer),
    };
    let values: Option<Vec<_>> = values.into_iter().map(value).collect();
    values.filter(|values| values.len() == columns.len()).ok_or_else(wrong)
}

/// How many tasks there are, by queue, name and state.
fn counts(connection: &Connection) -> Result<Vec<QueueCount>> {
    let mut statement = connection.prepare_cached("SELECT queue, name, state, count FROM queue_count ORDER BY queue, name, state")?;
    let count = |row: &Row<'_>| {
        Ok(QueueCount { queue: row.get(0)?, name: row.get(1)?, state: row.get(2)?, count: row.get::<_, i64>(3)?.max(0) as u64 })
    };
    statement.query_map([], count)?.collect()
}
